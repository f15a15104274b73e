"""Talking to systemd: starting, stopping, waiting for jobs, left-over units; a peer in a thread answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from systemd_peer import SystemdPeer, system_bus

from seatrial.runtime.cgroup import systemd_bus
from seatrial.runtime.cgroup.systemd_bus import Systemd, SystemdError
from seatrial.runtime.errors import StateError

PIDS = ("PIDs", ("au", [7]))


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[SystemdPeer]:
    with system_bus(str(tmp_path)) as peer:
        yield peer


def methods(peer: SystemdPeer) -> list[str]:
    return [name for name, _ in peer.calls]


@pytest.mark.parametrize("early", [False, True], ids=["signal-after", "signal-before-the-reply"])
def test_start_waits_for_its_own_job(peer: SystemdPeer, early: bool) -> None:
    peer.early = early
    with Systemd.connect(user=False) as systemd:
        systemd.start("a.scope", [PIDS])
    assert methods(peer) == ["AddMatch", "StartTransientUnit"]
    assert peer.calls[1][1] == ("a.scope", "replace", [PIDS], [])
    assert peer.uids == [str(os.geteuid()).encode()]


def test_a_left_over_unit_is_reset_and_the_start_tried_once_more(peer: SystemdPeer) -> None:
    peer.units["a.scope"] = {"ActiveState": ("s", "failed")}
    with Systemd.connect(user=False) as systemd:
        systemd.start("a.scope", [PIDS])
    assert methods(peer).count("StartTransientUnit") == 2
    assert "ResetFailedUnit" in methods(peer)


def test_a_living_unit_is_left_alone(peer: SystemdPeer) -> None:
    peer.units["a.scope"] = {"ActiveState": ("s", "active")}
    with Systemd.connect(user=False) as systemd, pytest.raises(StateError, match="exists already"):
        systemd.start("a.scope", [PIDS])
    assert "ResetFailedUnit" not in methods(peer)
    assert "a.scope" in peer.units


def test_a_unit_that_stays_in_the_way_is_an_error(peer: SystemdPeer) -> None:
    peer.fail["StartTransientUnit"] = ("org.freedesktop.systemd1.UnitExists", 99)
    with Systemd.connect(user=False) as systemd, pytest.raises(StateError, match="exists already"):
        systemd.start("a.scope", [PIDS])
    assert methods(peer).count("StartTransientUnit") == 2


@pytest.mark.parametrize("result", ["failed", "timeout", "canceled", "dependency"])
def test_a_job_that_does_not_end_well(peer: SystemdPeer, result: str) -> None:
    peer.results["StartTransientUnit"] = result
    with Systemd.connect(user=False) as systemd, pytest.raises(SystemdError, match=f"start unit a.scope: {result}"):
        systemd.start("a.scope", [PIDS])
    assert methods(peer)[-1] == "ResetFailedUnit"


def test_a_job_that_does_not_end(peer: SystemdPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_bus, "JOB_SECONDS", 0.1)
    peer.silent = True
    with Systemd.connect(user=False) as systemd, pytest.raises(SystemdError, match="has not ended"):
        systemd.start("a.scope", [PIDS])


def test_stop(peer: SystemdPeer) -> None:
    peer.units["a.scope"] = {"ActiveState": ("s", "active")}
    with Systemd.connect(user=False) as systemd:
        systemd.stop("a.scope")
        assert methods(peer) == ["AddMatch", "StopUnit", "ResetFailedUnit"]
        systemd.stop("a.scope")  # gone


def test_alive(peer: SystemdPeer) -> None:
    peer.units["a.scope"] = {"ActiveState": ("s", "active")}
    peer.units["b.scope"] = {"ActiveState": ("s", "failed")}
    with Systemd.connect(user=False) as systemd:
        assert [systemd.alive(unit) for unit in ("a.scope", "b.scope", "c.scope")] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "number"), [("252.39-1~deb12u1", 252), ("v245", 245), ("257~rc2-3", 257), ("strange", 0)]
)
def test_version(peer: SystemdPeer, text: str, number: int) -> None:
    peer.version = text
    with Systemd.connect(user=False) as systemd:
        assert systemd.version() == number


def test_errors_have_the_name_the_text_and_a_hint(peer: SystemdPeer) -> None:
    peer.fail["SetUnitProperties"] = ("org.freedesktop.DBus.Error.AccessDenied", 1)
    with Systemd.connect(user=False) as systemd, pytest.raises(SystemdError, match="AccessDenied: SetUnit") as caught:
        systemd.set_properties("a.scope", [])
    assert "root" in caught.value.hint


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(SystemdError, match=r"cannot reach systemd: .*/none: ENOENT; .*cgroupfs"):
        Systemd.connect(user=False)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(SystemdError, match=r"cannot reach the user's systemd: .*/bus: ENOENT.*linger"):
        Systemd.connect(user=True)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "tcp:host=localhost,port=4")
    with pytest.raises(SystemdError, match="unix: address"):
        Systemd.connect(user=True)


def sockets() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue  # the one that lists
    return sorted(name for name in found if "socket" in name or "eventpoll" in name)


def test_no_descriptor_is_left(peer: SystemdPeer) -> None:
    before = sockets()
    with Systemd.connect(user=False) as systemd:
        systemd.start("a.scope", [PIDS])
        assert sockets() != before
    peer.settle()
    assert sockets() == before
