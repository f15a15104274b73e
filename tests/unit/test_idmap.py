"""Id maps: which are written directly, what newuidmap is asked, and what an error says about the ranges."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seatrial.runtime import idmap
from seatrial.runtime.config import Config, IDMap
from seatrial.runtime.errors import SeatrialError, SyscallError

OWN = 4711


def line(inside: int, outside: int, count: int) -> IDMap:
    return IDMap(container_id=inside, host_id=outside, size=count)


SINGLE = [line(0, OWN, 1)]
RANGES = [line(0, OWN, 1), line(1, 100000, 1000)]


def config(uids: list[IDMap], gids: list[IDMap]) -> Config:
    return Config(oci_version="1.0.2", bundle="/b", rootfs="/b/rootfs", uid_mappings=uids, gid_mappings=gids)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """What is written below /proc/PID, by a user who may map only the own ids."""
    done: list[tuple[str, bytes]] = []

    def write(pid: int, name: str, text: bytes) -> None:
        denied = ("setgroups", b"deny") in done
        if name != "setgroups" and (text != b"0 %d 1\n" % OWN or (name == "gid_map" and not denied)):
            raise SyscallError("write", name, 1)
        done.append((name, text))

    monkeypatch.setattr(idmap, "write_map", write)
    monkeypatch.setattr(os, "geteuid", lambda: OWN)
    monkeypatch.setattr(os, "getegid", lambda: OWN)
    return done


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Programs named newuidmap and newgidmap that note their arguments in a file."""
    log = tmp_path / "log"
    for name in ("newuidmap", "newgidmap"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return log


def test_the_own_ids_are_written_directly_and_setgroups_is_denied_before_the_gid(
    written: list[tuple[str, bytes]],
) -> None:
    idmap.write_maps(1, config(SINGLE, SINGLE))
    own = b"0 %d 1\n" % OWN
    assert written == [("uid_map", own), ("setgroups", b"deny"), ("gid_map", own)]


def test_larger_maps_go_through_the_programs_and_setgroups_stays(written: list[tuple[str, bytes]], asked: Path) -> None:
    idmap.write_maps(77, config(RANGES, RANGES))
    assert written == []
    assert asked.read_text() == f"newuidmap 77 0 {OWN} 1 1 100000 1000\nnewgidmap 77 0 {OWN} 1 1 100000 1000\n"


def test_a_map_of_one_foreign_id_is_no_map_of_the_own_one(written: list[tuple[str, bytes]], asked: Path) -> None:
    idmap.write_maps(77, config(SINGLE, [line(0, 100000, 1)]))
    assert asked.read_text() == "newgidmap 77 0 100000 1\n"


def test_a_failing_program_is_quoted(
    written: list[tuple[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "newuidmap"
    program.write_text("#!/bin/sh\necho newuidmap: no such luck >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SeatrialError) as caught:
        idmap.write_maps(77, config(RANGES, RANGES))
    assert caught.value.message == f"newuidmap 77 0 {OWN} 1 1 100000 1000: no such luck"


def test_without_the_programs_the_error_names_the_package(
    written: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idmap, "_find", lambda program: None)
    with pytest.raises(SeatrialError, match=r"newuidmap, which maps more of them, is not installed; .*uidmap"):
        idmap.write_maps(77, config(RANGES, RANGES))


def test_root_asks_no_program(written: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(idmap, "_ask", None)
    with pytest.raises(SyscallError):
        idmap.write_maps(77, config(RANGES, RANGES))


SUBUID = "# comment\nsailor:100000:65536\nother:0:10\n4711:300000:10\nsailor:165536:4\nsailor:bad:1\n"


def test_ranges_are_found_by_name_and_by_number() -> None:
    assert idmap.ranges_of(SUBUID, "sailor", OWN) == [(100000, 65536), (165536, 4), (300000, 10)]
    assert idmap.ranges_of(SUBUID, "nobody", 1) == []


@pytest.mark.parametrize(
    ("first", "count", "expected"),
    [
        (100000, 65536, True),
        (100000, 65540, True),  # two ranges that adjoin
        (100000, 65541, False),
        (99999, 1, False),
        (300009, 1, True),
        (300009, 2, False),
        (165539, 134470, False),
    ],
)
def test_a_mapping_must_lie_in_the_ranges(first: int, count: int, expected: bool) -> None:
    assert idmap.covered(first, count, idmap.ranges_of(SUBUID, "sailor", OWN)) is expected
