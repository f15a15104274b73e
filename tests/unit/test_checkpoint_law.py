"""The law that judges checkpoints: what it forgives, and what not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from seatrial.conformance.cases.checkpoint import law
from seatrial.conformance.driver import criu
from seatrial.conformance.driver.probe import Report, Verb
from seatrial.conformance.errors import Finding


def report() -> dict[str, Any]:
    """Some members of a report, with numbers that are the kernel's."""
    place = {"dev": 7, "ino": 8, "mode": 0o755, "readonly": False, "blocks_free": 5, "files_free": 6}
    return {
        "clocks": {"monotonic": 1},
        "namespaces": {"mnt": 4026531},
        "ids": {"uid": [0, 0, 0, 0]},
        "cwd_stat": dict(place),
        "root": dict(place),
        "mounts": [
            {
                "id": 100 + number,
                "parent": 99 + number,
                "device": f"0:{number}",
                "root": root,
                "target": target,
                "options": "rw,nosuid",
                "propagation": ["master:3"],
                "fstype": "tmpfs",
                "source": "tmpfs",
                "super_options": "rw,size=1k",
            }
            for number, (target, root) in enumerate([("/", "/"), ("/dev", "/"), ("/proc/keys", "/null")])
        ],
        "fds": [
            {"fd": fd, "target": f"pipe:[{ino}]", "type": "p", "dev": 15, "ino": ino, "flags": 1, "cloexec": False}
            for fd, ino in [(1, 500), (2, 500), (5, 501)]
        ],
        "stdio": [{"tty": False, "dev": 3, "ino": 4}, None],
        "devices": {"/dev/null": {"type": "c", "dev": 9, "ino": 9, "major": 1, "minor": 3}},
    }


def as_report(data: dict[str, Any]) -> Report:
    return Report(data, [])


def restored() -> dict[str, Any]:
    """The same, with every number as another kernel run would give it."""
    made = report()
    made["clocks"]["monotonic"] = 99
    made["namespaces"]["mnt"] = 5
    made["cwd_stat"] |= {"dev": 1, "ino": 2, "blocks_free": 1, "files_free": 1}
    made["root"] |= {"blocks_free": 1}
    for number, mount in enumerate(made["mounts"]):
        mount |= {"id": 300 + number, "parent": 299 + number, "device": f"0:{50 + number}", "propagation": ["master:8"]}
        mount["options"] = "nosuid,rw"
    made["mounts"][2] |= {"fstype": "devtmpfs", "source": "devtmpfs", "super_options": "rw"}
    for entry in made["fds"]:
        entry["ino"] += 1000
        entry["target"] = f"pipe:[{entry['ino']}]"
    made["stdio"][0] = {"tty": False, "dev": 8, "ino": 8}
    made["devices"]["/dev/null"] |= {"dev": 1, "ino": 1}
    return made


def test_other_numbers_are_forgiven() -> None:
    before, after = as_report(report()), as_report(restored())
    law.hold(before, after, *law.remaining(before))


@pytest.mark.parametrize(
    ("member", "spoil"),
    [
        ("ids", lambda data: data["ids"]["uid"].__setitem__(1, 1)),
        ("mounts", lambda data: data["mounts"].pop(1)),
        ("mounts", lambda data: data["mounts"][1].__setitem__("options", "rw")),
        ("mounts", lambda data: data["mounts"][1].__setitem__("root", "/elsewhere")),
        ("mounts", lambda data: data["mounts"][1].__setitem__("propagation", [])),
        ("mounts", lambda data: data["mounts"][2].__setitem__("parent", 300)),
        ("fds", lambda data: data["fds"][1].__setitem__("ino", 7)),
        ("fds", lambda data: data["fds"][0].__setitem__("cloexec", True)),
        ("fds", lambda data: data["fds"].pop()),
        ("stdio", lambda data: data["stdio"][0].__setitem__("tty", True)),
        ("devices", lambda data: data["devices"]["/dev/null"].__setitem__("minor", 5)),
        ("root", lambda data: data["root"].__setitem__("ino", 9)),
        ("cwd_stat", lambda data: data["cwd_stat"].__setitem__("mode", 0o700)),
    ],
)
def test_what_is_another_is_found(member: str, spoil: Any) -> None:
    after = copy.deepcopy(restored())
    spoil(after)
    before = as_report(report())
    with pytest.raises(Finding, match=member):
        law.hold(before, as_report(after), *law.remaining(before))


def test_states_have_no_exceptions() -> None:
    def answer(value: int) -> Report:
        return Report({}, [Verb("workload", ("pipes",), True, None, {"length": value})])

    law.same_state(answer(1), answer(1), "pipes")
    with pytest.raises(Finding, match="pipes"):
        law.same_state(answer(1), answer(2), "pipes")


def test_path_in_which_the_same_criu_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    criu.program.cache_clear()
    program = tmp_path / "criu"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    try:
        assert criu.first_in_path("/usr/sbin:/usr/bin") == f"{tmp_path}:/usr/sbin:/usr/bin"
        assert criu.first_in_path(f"{tmp_path}:/usr/bin") == f"{tmp_path}:/usr/bin"
        monkeypatch.setenv("PATH", "/nowhere")
        criu.program.cache_clear()
        assert criu.first_in_path("/usr/sbin:/usr/bin") == "/usr/sbin:/usr/bin"
    finally:
        criu.program.cache_clear()


def test_why_is_the_first_error_that_matters(tmp_path: Any) -> None:
    log = tmp_path / "dump.log"
    log.write_text(
        "(00.1) Error (criu/util.c:1): rlimit: Can't setup RLIMIT_NOFILE for self\n"
        "(00.2) Warn  (criu/x.c:2): nothing\n"
        "(00.3) Error (criu/sk-inet.c:3): Connected TCP socket\n"
        "(00.4) Error (criu/cr-dump.c:4): Dumping FAILED.\n"
    )
    assert criu.why(str(log)) == "Error (criu/sk-inet.c:3): Connected TCP socket"
    assert criu.why(str(tmp_path / "missing")) == ""
