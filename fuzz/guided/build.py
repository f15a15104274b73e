"""Build the targets in C with a fuzzing engine, and first inputs for all.

`python -m seatrial.fuzz.guided.build DIRECTORY [TARGET ...]` does what OSS-Fuzz' build.sh asks for: CC, CFLAGS and
LIB_FUZZING_ENGINE are honoured (default: clang, ASan and UBSan, libFuzzer).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.fuzz.guided.targets import TARGETS, Target
from seatrial.native.operations import OPERATIONS

HERE = os.path.dirname(os.path.abspath(__file__))
FUZZ = os.path.dirname(HERE)


def _tree() -> str:
    """The source tree: where this package is, or the working directory when it has been installed from there."""
    places = (os.path.dirname(FUZZ), os.getcwd())
    return next((place for place in places if os.path.isdir(os.path.join(place, "native", "executor"))), places[0])


SOURCES = os.path.join(_tree(), "fuzz", "native")
NATIVE = os.path.join(_tree(), "native")
EXECUTOR = os.path.join(NATIVE, "executor")
CFLAGS = (
    "-g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined "
    "-std=gnu11 -Wall -Wextra -Werror"
)
ENGINE = "-fsanitize=fuzzer"
CLANG_HINT = "the targets in C need clang with its run-time library: apt-get install clang libclang-rt-dev"
ATHERIS_HINT = "the targets in Python need atheris: pip install --group fuzz, or pip install atheris"


def check_clang() -> None:
    """EnvironmentProblem where the compiler, or the engine that comes with it, is not there."""
    compiler = shlex.split(os.environ.get("CC", "clang"))
    if shutil.which(compiler[0]) is None:
        raise EnvironmentProblem(f"{compiler[0]} is not installed; {CLANG_HINT}")
    if "LIB_FUZZING_ENGINE" in os.environ:
        return
    command = [*compiler, "-print-runtime-dir"]
    where = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    places = [where, os.path.join(os.path.dirname(where), "linux")]
    if not any("fuzzer" in name for place in places if os.path.isdir(place) for name in os.listdir(place)):
        raise EnvironmentProblem(f"{compiler[0]} comes without libFuzzer; {CLANG_HINT}")


def check_atheris() -> None:
    """EnvironmentProblem where atheris is not installed."""
    import importlib.util

    if importlib.util.find_spec("atheris") is None:
        raise EnvironmentProblem(ATHERIS_HINT)


def check_hypothesis() -> None:
    """EnvironmentProblem where Hypothesis, which draws first inputs, is not installed."""
    import importlib.util

    if importlib.util.find_spec("hypothesis") is None:
        raise EnvironmentProblem("first inputs are drawn by Hypothesis: pip install 'seatrial[fuzz]'")


def check_source() -> None:
    """EnvironmentProblem where this is not a source tree."""
    if not os.path.isdir(EXECUTOR):
        raise EnvironmentProblem("the targets in C are built from the source tree: clone it, and run this in it")


def headers(directory: str) -> None:
    """Write operations.h, as the executor's build does, and what a target knows of all operations."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import generate; sys.stdout.write(generate.header())"
    text = subprocess.run([sys.executable, "-c", code, NATIVE], check=True, capture_output=True, text=True).stdout
    _write(directory, "operations.h", text)
    _write(directory, "every_operation.h", "".join(f"OPERATION({name})\n" for name, *_ in OPERATIONS))
    _write(directory, "touch.h", _touch())


def _write(directory: str, name: str, text: str) -> None:
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write(text)


# For each type of argument, statements that read all of it; %s is its name.
_READ = {
    "u32": "sink += a->%s;",
    "u64": "sink += a->%s;",
    "i64": "sink += (uint64_t)a->%s;",
    "str": "sink += strlen(a->%s);",
    "bytes": "for (uint32_t i = 0; i < a->%s.size; i++) sink += a->%s.data[i];",
    "strs": "for (char **i = a->%s.items; *i; i++) sink += strlen(*i);",
    "u32s": "for (uint32_t i = 0; i < a->%s.count; i++) sink += a->%s.items[i];",
}


def _touch() -> str:
    lines = ["/* Reads every byte of an operation's arguments. */", "#pragma once", "#include <string.h>"]
    lines += ['#include "operations.h"', "static volatile uint64_t sink;"]
    for name, _, arguments, _ in OPERATIONS:
        reads = []
        for argument in arguments:
            member, _, kind = argument.partition(":")
            reads.append("    " + _READ[kind].replace("%s", member))
        lines += [f"static inline void touch_{name}(const struct op_{name} *a)", "{", "    (void)a;", *reads, "}"]
    lines += ["static inline void touch_operation(const struct operation *o)", "{", "    switch (o->code) {"]
    for name, *_ in OPERATIONS:
        lines.append(f"    case OP_{name.upper()}: touch_{name}(&o->as.{name}_); break;")
    return "\n".join([*lines, "    }", "}", ""])


def native(target: Target, directory: str, *, planted: bool = False) -> str:
    """Build a target in C below `directory`; the program's path.

    `planted`: with the target's bug in a copy of the source.  Raises EnvironmentProblem when the compiler is missing,
    HarnessBug when it refuses, or when the place for the bug is not found.
    """
    check_source()
    check_clang()
    work = os.path.join(directory, f"{target.name}-build" + ("-planted" if planted else ""))
    os.makedirs(work, exist_ok=True)
    headers(work)
    if planted:
        name, old, new = target.plant
        with open(os.path.join(EXECUTOR, name), encoding="utf-8") as file:
            source = file.read()
        if source.count(old) != 1:
            raise HarnessBug(f"{target.name}: {old!r} is {source.count(old)} times in {name}: where is the bug to go?")
        _write(work, name, source.replace(old, new))
    output = os.path.join(directory, target.name + ("-planted" if planted else ""))
    command = [
        *shlex.split(os.environ.get("CC", "clang")),
        *shlex.split(os.environ.get("CFLAGS", CFLAGS)),
        *(f"-I{place}" for place in (work, EXECUTOR, SOURCES)),
        os.path.join(SOURCES, f"{target.name}.c"),
        os.path.join(SOURCES, "shipped.c"),
        *shlex.split(os.environ.get("LIB_FUZZING_ENGINE", ENGINE)),
        "-o",
        output,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HarnessBug(f"{target.name} does not compile: {shlex.join(command)}\n{done.stderr.strip()[:2000]}")
    return output


def program(name: str) -> list[str]:
    """The command that starts a program of fuzz/targets: -P, since their names are those of other modules too."""
    return [sys.executable, "-P", os.path.join(FUZZ, "targets", f"{name}.py")]


def seeds(directory: str) -> None:
    """Write first inputs and dictionaries for all targets: `corpora` and `dictionaries` below `directory`.

    HarnessBug when the program that does it fails.
    """
    done = subprocess.run([*program("seeds"), directory], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HarnessBug(f"no first inputs: {done.stderr.strip()[-2000:]}")


def main() -> None:
    """Build for OSS-Fuzz, or a directory of one's own."""
    directory, *names = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    for target in TARGETS.values():
        if target.native and (not names or target.name in names):
            native(target, directory)
    seeds(directory)


if __name__ == "__main__":
    main()
