"""Build the static programs: `python native/compile.py [executor|probe ...]` builds into native/bin.

Run by setup.py at package build time and by hand during development.  CC and CFLAGS are honoured.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = {"seatrial-executor": "executor", "seatrial-probe": "probe"}
WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wformat=2", "-Wshadow", "-Wstrict-prototypes", "-Wvla"]
SIZE = ["-Os", "-ffunction-sections", "-fdata-sections", "-fno-asynchronous-unwind-tables"]
HARDEN = ["-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"]
LINK = ["-static", "-s", "-Wl,--gc-sections", "-Wl,-z,noexecstack"]


def generate(directory: str) -> str:
    """Write operations.h, generated from operations.py, into `directory`; its path is returned."""
    from generate import header  # type: ignore[import-not-found]  # native/generate.py, found while building

    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "operations.h")
    with open(path, "w", encoding="utf-8") as file:
        file.write(header())
    return path


def syscalls(directory: str, compiler: list[str]) -> str:
    """Write syscalls.h, initialisers {"name", number} of every call that <sys/syscall.h> knows, into `directory`."""
    command = [*compiler, "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", os.devnull]
    macros = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = sorted(re.findall(r"^#define SYS_(\w+) ", macros, re.MULTILINE))
    path = os.path.join(directory, "syscalls.h")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f'{{"{name}", SYS_{name}}},\n' for name in names)
    return path


def build(directory: str, names: list[str] | None = None, include: str = os.path.join(HERE, "build")) -> None:
    """Compile each program into `directory`; subprocess.CalledProcessError when the compiler refuses.

    The generated headers go to `include`.
    """
    os.makedirs(directory, exist_ok=True)
    generate(include)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = shlex.split(os.environ.get("CFLAGS", ""))
    syscalls(include, compiler)
    for program, folder in PROGRAMS.items():
        if names and folder not in names:
            continue
        sources = sorted(glob.glob(os.path.join(HERE, folder, "*.c")))
        output = os.path.join(directory, program)
        command = [*compiler, *WARNINGS, *SIZE, *HARDEN, *flags, f"-I{include}", *sources, *LINK, "-o", output + ".new"]
        subprocess.run(command, check=True)
        os.replace(output + ".new", output)


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    build(os.path.join(HERE, "bin"), sys.argv[1:] or None)
