"""The file of compiled modules: made from the sources, never in place of newer ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from seatrial.runtime.bundle import Finder, sources


@pytest.fixture
def place(tmp_path: os.PathLike[str]) -> str:
    for package in ("native", "runtime", "runtime/plan", "runtime/__pycache__"):
        os.makedirs(os.path.join(tmp_path, package))
    for file, text in {
        "native/__init__.py": "",
        "runtime/__init__.py": "",
        "runtime/plan/__init__.py": "",
        "runtime/one.py": "value = 1\n",
        "runtime/plan/two.py": "from seatrial.runtime import one\nvalue = one.value + 1\n",
    }.items():
        write(os.path.join(tmp_path, file), text)
    return str(tmp_path)


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def opened(place: str) -> Finder:
    finder = Finder(place)
    finder.open()
    return finder


def evaluate(place: str, statement: str) -> str:
    """Run a statement in an interpreter that has the modules of `place` through a Finder."""
    shutil.copy(sys.modules[Finder.__module__].__file__ or "", os.path.join(place, "bundle_under_test.py"))
    code = f"""
import sys
sys.path.insert(0, {place!r})
package = type(sys)("seatrial")
package.__path__ = [{place!r}]
sys.modules["seatrial"] = package
from bundle_under_test import Finder
finder = Finder({place!r})
finder.open()
sys.meta_path.insert(0, finder)
{statement}
"""
    return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


TWO = "from seatrial.runtime.plan import two; print(two.value, type(two.__loader__).__name__, finder.stale)"


def test_modules_come_from_the_file_once_it_is_there(place: str) -> None:
    assert evaluate(place, TWO) == "2 SourceFileLoader True"
    finder = opened(place)
    assert finder.stale
    finder.refresh()
    assert evaluate(place, TWO) == "2 Finder False"


def test_a_newer_source_is_imported_and_makes_the_file_stale(place: str) -> None:
    opened(place).refresh()
    write(os.path.join(place, "runtime/one.py"), "value = 41\n")
    assert evaluate(place, TWO) == "42 Finder True"
    opened(place).refresh()  # not stale in itself: nobody has asked for the module
    finder = opened(place)
    finder.stale = True
    finder.refresh()
    assert evaluate(place, TWO) == "42 Finder False"


def test_new_and_removed_modules(place: str) -> None:
    opened(place).refresh()
    write(os.path.join(place, "runtime/three.py"), "value = 3\n")
    assert evaluate(place, "from seatrial.runtime import three; print(three.value, finder.stale)") == "3 True"
    os.unlink(os.path.join(place, "runtime/one.py"))
    assert evaluate(place, "try:\n    import seatrial.runtime.one\nexcept ImportError: print('gone')") == "gone"


@pytest.mark.parametrize("damage", [b"", b"x" * 40000, b"\0" * 40000])
def test_a_damaged_file_is_as_good_as_none(place: str, damage: bytes) -> None:
    finder = opened(place)
    finder.refresh()
    with open(finder.path, "wb") as file:
        file.write(damage)
    assert evaluate(place, TWO) == "2 SourceFileLoader True"


def test_a_directory_that_nobody_may_write_to_is_left_alone(place: str) -> None:
    shutil.rmtree(os.path.join(place, "runtime/__pycache__"))
    opened(place).refresh()
    assert not os.path.exists(os.path.join(place, "runtime/__pycache__"))


def test_the_runtime_fits_the_header() -> None:
    from seatrial import runtime

    place = os.path.dirname(os.path.realpath(runtime.__path__[0]))
    names = [name for name, _, _ in sources(place)]
    assert len(names) == len(set(names))
    assert {"seatrial.runtime.cli.main", "seatrial.native.spawn", "seatrial.runtime"} <= set(names)
    assert len(names) * 180 < 1 << 15
