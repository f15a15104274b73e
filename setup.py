"""The build hook: cffi bindings, the two static C programs and the list of packages, which follows the folders."""

from __future__ import annotations

import os
import sys

from setuptools import find_namespace_packages, setup  # before distutils, which then is setuptools' own
from setuptools.command.build_ext import build_ext

from distutils.command.build_scripts import build_scripts  # isort: skip


HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "native"))

import compile as native_programs  # noqa: E402  (native/compile.py)

FOLDERS = ("native", "runtime", "conformance", "fuzz", "vm")
# Sources in C, which stay in the tree: packages of native and of fuzz that are none.
C_FOLDERS = {"native": ("executor", "probe", "bindings", "bin", "build"), "fuzz": ("native", "oss-fuzz")}
DATA = ["py.typed", "*.pyi", "*.toml", "*.json", "*.html", "*.j2", "*.css", "*.js", "*.md"]
# For machines: the first programs of their initramfs, and what Vagrant reads.
DATA += ["init", "box-init", "Vagrantfile", "*.rb", "*.sh", "*.pub"]


def packages() -> list[str]:
    found = []
    for folder in FOLDERS:
        found.append(f"seatrial.{folder}")
        found += [
            f"seatrial.{folder}.{name}"
            for name in find_namespace_packages(os.path.join(HERE, folder))
            if "__pycache__" not in name and name.split(".")[0] not in C_FOLDERS.get(folder, ())
        ]
    return found


class BuildExt(build_ext):
    """Build the static executor and probe beside the bindings."""

    def run(self) -> None:
        super().run()
        installed = os.path.join(self.build_lib, "seatrial", "native")
        where = os.path.join(HERE, "native") if self.inplace or self.editable_mode else installed
        native_programs.build(os.path.join(where, "bin"))

    def get_outputs(self) -> list[str]:
        where = os.path.join(self.build_lib, "seatrial", "native", "bin")
        return [*super().get_outputs(), *(os.path.join(where, name) for name in native_programs.PROGRAMS)]


class BuildScripts(build_scripts):
    """Tell the launcher of an editable install where the source tree is: it runs without `site` and .pth files."""

    editable_mode = False

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            return
        for script in self.scripts:
            built = os.path.join(self.build_dir, os.path.basename(script))
            with open(built, encoding="utf-8") as file:
                text = file.read()
            with open(built, "w", encoding="utf-8") as file:
                file.write(text.replace('SOURCE = ""', f"SOURCE = {HERE!r}"))


setup(
    packages=packages(),
    package_data={"": DATA},
    cffi_modules=["native/bindings/build.py:ffibuilder"],
    scripts=["runtime/entry/seatrial-runtime"],
    cmdclass={"build_ext": BuildExt, "build_scripts": BuildScripts},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},  # cffi builds the bindings against the limited API
    zip_safe=False,
)
