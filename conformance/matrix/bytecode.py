"""Bytecode for a machine: everything compiled here, the cases with pytest's assertions rewritten.

Under software emulation to compile and rewrite the suite takes longer than to run a good part of it.  What pytest has
rewritten names the source by its path here; that is changed to its path in the machine, where tracebacks look for it.
"""

from __future__ import annotations

import atexit
import marshal
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from types import CodeType

from seatrial.conformance import cache
from seatrial.conformance.airlock.scratch import Scratch
from seatrial.conformance.check import CASES, HERE
from seatrial.conformance.errors import HarnessBug

HEADER = 16  # bytes before the code in a .pyc: magic, flags, time and size of the source (PEP 552)


def stage(trees: Mapping[str, str], site: str) -> str:
    """A directory to lay over `site` (a path in the machine), which holds nothing but __pycache__ directories and lasts
    as long as this process.

    `trees` are the sources: path in the machine -> path here.  What is current from the last time is used again.
    HarnessBug when the cases cannot be collected.
    """
    raw = os.path.join(cache.directory(), "machine-bytecode")
    os.makedirs(raw, exist_ok=True)
    _compile(raw, trees.values())
    scratch = Scratch()
    atexit.register(scratch.close)
    ready = scratch.work
    for inside, here in trees.items():
        if inside.startswith(f"{site}/"):
            for path in _compiled(raw, here):
                source = os.path.join(here, os.path.relpath(os.path.dirname(path), raw + here))
                target = os.path.join(
                    ready, os.path.relpath(inside, site), os.path.relpath(source, here), "__pycache__"
                )
                os.makedirs(target, exist_ok=True)
                _place(path, os.path.join(target, os.path.basename(path)), here, inside)
    return ready


def _compile(raw: str, sources: Iterable[str]) -> None:
    """Bring the bytecode below `raw` up to date."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS")
    env = {name: value for name, value in os.environ.items() if name not in dropped}
    env |= {"PYTHONPYCACHEPREFIX": raw, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    compiled = [sys.executable, "-m", "compileall", "-q", *(path for path in sources if os.path.isdir(path))]
    subprocess.run(compiled, env=env, capture_output=True)  # a file that is no Python of this version stays as it is
    collect = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", HERE, "-p", "no:cacheprovider", "-q"]
    collect += ["--collect-only", "-p", "seatrial.conformance.plugin", "--profile", "all", CASES]
    done = subprocess.run(collect, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise HarnessBug(f"the cases cannot be collected\n{done.stdout[-3000:]}{done.stderr[-1000:]}")


def _compiled(raw: str, here: str) -> list[str]:
    """The bytecode files of a source directory whose sources are still there."""
    found = []
    for directory, _, names in os.walk(raw + here):
        source = here + directory.removeprefix(raw + here)
        found += [
            os.path.join(directory, name)
            for name in names
            if name.endswith(".pyc") and os.path.exists(os.path.join(source, name.partition(".")[0] + ".py"))
        ]
    return found


def _place(path: str, target: str, here: str, inside: str) -> None:
    """Copy one file; with other file names in it, where pytest has rewritten it (importlib mends the others itself)."""
    if "-pytest-" not in os.path.basename(path):
        shutil.copyfile(path, target)
        return
    with open(path, "rb") as file:
        data = file.read()
    code = _renamed(marshal.loads(data[HEADER:]), here, inside)
    with open(target, "wb") as file:
        file.write(data[:HEADER] + marshal.dumps(code))


def _renamed(code: CodeType, here: str, inside: str) -> CodeType:
    constants = tuple(_renamed(one, here, inside) if isinstance(one, CodeType) else one for one in code.co_consts)
    name = code.co_filename
    if name.startswith(f"{here}/"):
        name = inside + name.removeprefix(here)
    return code.replace(co_consts=constants, co_filename=name)
