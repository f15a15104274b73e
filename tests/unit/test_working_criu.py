"""tests/working_criu.py: the caller's CRIU, or one that is fetched once; a failure is told and remembered."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import working_criu
from working_criu import NoCriuError, criu_first_in_path

FETCHES = '#!/bin/sh\necho "$1 $2" >>"$CALLS"\nmkdir "$3"\necho "#!/bin/sh" >"$4"\nchmod 755 "$4"\n'
FAILS = '#!/bin/sh\necho once >>"$CALLS"\nmkdir "$3"\necho "Err:1 http://mirror sid\n  it is far away" >&2\nexit 1\n'


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What stands for newer-runtime, on a host without a CRIU; what it fetches works."""
    working_criu._search.cache_clear()
    (tmp_path / "bin").mkdir()
    for name in ("sh", "mkdir", "chmod", "echo"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("SEATRIAL_CRIU", raising=False)
    monkeypatch.setattr(working_criu, "SCRIPT", str(tmp_path / "script"))
    monkeypatch.setattr(working_criu, "NEEDED", ())
    monkeypatch.setattr(working_criu, "PLACES", "")
    monkeypatch.setattr(working_criu, "_unusable", lambda program: "too old" if "/old/" in program else "")
    yield tmp_path / "script"
    working_criu._search.cache_clear()


def calls(tmp_path: Path) -> list[str]:
    path = tmp_path / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_it_is_fetched_once(script: Path, tmp_path: Path) -> None:
    script.write_text(FETCHES)
    for _ in range(2):
        working_criu._search.cache_clear()
        found = working_criu.working_criu()
        assert found == str(tmp_path / "cache/seatrial/tests/criu-sid/bin/criu")
        assert os.access(found, os.X_OK)
    assert calls(tmp_path) == ["sid criu"]
    before = os.environ["PATH"]
    with criu_first_in_path():
        assert os.path.realpath(shutil.which("criu") or "") == os.path.realpath(found)
    assert os.environ["PATH"] == before


def test_failure_is_told_and_remembered(script: Path, tmp_path: Path) -> None:
    script.write_text(FAILS)
    for _ in range(2):
        working_criu._search.cache_clear()
        with pytest.raises(NoCriuError, match="Err:1 http://mirror sid: it is far away"):
            working_criu.working_criu()
    assert calls(tmp_path) == ["once"]
    assert not (tmp_path / "cache/seatrial/tests/criu-sid").exists()
    with criu_first_in_path():
        assert shutil.which("criu") is None
    failure = tmp_path / "cache/seatrial/tests/criu-sid.failed"
    os.utime(failure, (1, 1))  # long ago
    script.write_text(FETCHES)
    working_criu._search.cache_clear()
    assert working_criu.working_criu()


def test_the_callers_comes_first(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "criu").write_text("#!/bin/sh\n")
        (tmp_path / name / "criu").chmod(0o755)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{tmp_path}/new:{path}")
    assert working_criu.working_criu() == f"{tmp_path}/new/criu"
    monkeypatch.setenv("SEATRIAL_CRIU", f"{tmp_path}/old/criu")
    working_criu._search.cache_clear()
    with pytest.raises(NoCriuError, match="SEATRIAL_CRIU names: too old"):
        working_criu.working_criu()
    assert calls(tmp_path) == []
    monkeypatch.delenv("SEATRIAL_CRIU")
    monkeypatch.setenv("PATH", f"{tmp_path}/old:{path}")
    script.write_text(FETCHES)
    working_criu._search.cache_clear()
    assert working_criu.working_criu().endswith("/criu-sid/bin/criu")
