"""The harness in a machine: a layer with this very seatrial, its dependencies and its programs, below /opt/seatrial.

It is laid out as a virtual environment of the machine's own python3, which must be of the version that runs here: the
dependencies are copied from this environment.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache

from seatrial.conformance.driver.driver import default_runtime
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.matrix import bytecode

PREFIX = "/opt/seatrial"
PYTHON = f"{PREFIX}/bin/python3"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"{PREFIX}/lib/python{VERSION}/site-packages"
RUNTIME = f"{PREFIX}/bin/seatrial-runtime"
IMAGES = {"3.11": "bookworm", "3.13": "trixie"}  # python of the images that machines are made from
WAITING = "/run/seatrial-guest/warm/seatrial"  # where vm/guest/agent.py looks for a process that waits to be a program
FOLDERS = ("native", "runtime", "conformance", "fuzz", "vm")


def image() -> str:
    """The image whose python is of this interpreter's version; EnvironmentProblem when there is none."""
    if VERSION not in IMAGES:
        raise EnvironmentProblem(
            f"no machine image has Python {VERSION}: run seatrial with one of {', '.join(sorted(IMAGES))}"
        )
    return IMAGES[VERSION]


@cache
def layer() -> dict[str, str]:
    """Target path in the machine -> path here, for vm's Blueprint.layers."""
    trees = {f"{SITE}/seatrial/{folder}": _folder(folder) for folder in FOLDERS}
    for name, path in _entries(_distribution("seatrial")):
        if name.endswith(".dist-info"):
            trees[f"{SITE}/{name}"] = path
    for distribution in _distributions():
        for name, path in _entries(distribution):
            trees[f"{SITE}/{name}"] = path
    ready = bytecode.stage(trees, SITE)
    trees[SITE] = ready  # over the others, so it comes after them
    trees[RUNTIME] = default_runtime()
    return trees


def setup() -> str:
    """A shell script for the machine: makes the environment of what the layer brought."""
    return f"""
set -e
modprobe -qa loop veth nf_tables || true # built in, or loaded on demand by some kernels, and not by others
ln -sf /usr/bin/python3 {PYTHON}
printf 'home = /usr/bin\\ninclude-system-site-packages = false\\n' >{PREFIX}/pyvenv.cfg
cat >{PREFIX}/bin/seatrial <<END
#!{PYTHON}
import sys
from seatrial.conformance.cli import main
sys.exit(main())
END
sed -i 's/^SOURCE = .*/SOURCE = ""/' {PREFIX}/bin/seatrial-runtime
chmod 755 {PREFIX}/bin/seatrial {PREFIX}/bin/seatrial-runtime
ln -sf {PREFIX}/bin/seatrial {PREFIX}/bin/seatrial-runtime /usr/local/bin/
"""


def warm() -> str:
    """A shell script for a machine that becomes a template: `seatrial` waits there, with pytest and all cases imported
    (engine/zygote.py), and the agent of the machine hands it the command."""
    return f"""
set -e
{PYTHON} -m seatrial.conformance.engine.zygote {WAITING} </dev/null >/run/zygote.log 2>&1 &
while [ ! -S {WAITING} ]; do
    kill -0 $! 2>/dev/null || {{ cat /run/zygote.log >&2; exit 1; }}
    sleep 0.1
done
"""


def _folder(name: str) -> str:
    import seatrial

    for base in seatrial.__path__:
        if os.path.isdir(os.path.join(base, name)):
            return os.path.join(base, name)
    module = __import__(f"seatrial.{name}", fromlist=["__path__"])
    return os.path.realpath(next(iter(module.__path__)))


def _distributions() -> list[importlib.metadata.Distribution]:
    """What seatrial needs, and what that needs, without extras."""
    from packaging.requirements import Requirement

    found: dict[str, importlib.metadata.Distribution] = {}
    queue = ["seatrial"]
    while queue:
        for text in _distribution(queue.pop()).requires or ():
            requirement = Requirement(text)
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if name in found or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
                continue
            found[name] = _distribution(name)
            queue.append(name)
    return [found[name] for name in sorted(found)]


def _distribution(name: str) -> importlib.metadata.Distribution:
    """An installed distribution; not what setuptools leaves in a source tree, which may be first on the path."""
    places = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    installed = importlib.metadata.distributions(name=name, path=places)
    return next(iter(installed), None) or importlib.metadata.distribution(name)


def _entries(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, str]]:
    """(name, path) of what a distribution has at the top of site-packages."""
    site = sysconfig.get_path("platlib")
    for name in sorted({file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}):
        path = str(distribution.locate_file(name))
        if os.path.exists(path) and os.path.dirname(path).startswith((site, sysconfig.get_path("purelib"))):
            yield name, path
