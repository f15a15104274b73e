"""docs/examples/newer-runtime: a runtime of another root runs here, with that root's loader and libraries."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from seatrial.conformance.check import CASES, Selection, check

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "examples", "newer-runtime")


def copied(path: str, root: str) -> None:
    """A file of the host at the same place below another root, links resolved."""
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    shutil.copyfile(path, root + path)
    shutil.copymode(path, root + path)


@pytest.mark.skipif(not shutil.which("patchelf"), reason="patchelf is not installed")
@pytest.mark.skipif(not shutil.which("crun"), reason="crun is not installed")
def test_runtime_of_another_root(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The root here is made of the host's own files, as mmdebstrap would unpack them; the network is not needed."""
    place = str(tmp_path_factory.mktemp("newer"))
    for path in (place, os.path.dirname(place)):
        os.chmod(path, 0o755)
    root, out = f"{place}/root", f"{place}/crun"
    program = os.path.realpath(str(shutil.which("crun")))
    lines = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout.splitlines()
    libraries = [word for line in lines for word in line.split() if word.startswith("/")]
    for library in libraries:
        place_of = os.path.realpath(library)
        copied(place_of, root)
        wanted = os.path.join(os.path.dirname(place_of), os.path.basename(library))
        if not os.path.exists(root + wanted):
            os.link(root + place_of, root + wanted)
    loader = next(path for path in libraries if "/ld-linux" in path)
    os.makedirs(os.path.dirname(root + loader), exist_ok=True)
    shutil.copy2(os.path.realpath(loader), root + loader)
    os.makedirs(f"{root}/usr/bin", exist_ok=True)
    shutil.copy2(program, f"{root}/usr/bin/crun")
    done = subprocess.run([SCRIPT, "any", "crun", root, out], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "crun version" in done.stdout
    used = subprocess.run(
        [out, "--version"], check=True, capture_output=True, text=True, env={"LD_TRACE_LOADED_OBJECTS": "1"}
    )
    loaded = [word for line in used.stdout.splitlines() for word in line.split() if word.startswith("/")]
    assert loaded
    assert [path for path in loaded if not path.startswith(root) and not path.startswith("/lib64/ld-")] == []
    case = os.path.join(CASES, "lifecycle/test_state.py::test_created_container_is_created")
    results = check(Selection(runtime=out, tests=(case,)), lambda entry: None).results
    assert [result.outcome for result in results] == ["passed"]


def test_usage() -> None:
    done = subprocess.run([SCRIPT, "sid"], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage:" in done.stderr


@pytest.mark.skipif(not shutil.which("patchelf"), reason="patchelf is not installed")
def test_root_without_the_program(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = str(tmp_path_factory.mktemp("empty"))
    done = subprocess.run([SCRIPT, "any", "crun", root, f"{root}/out"], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no crun below" in done.stderr
