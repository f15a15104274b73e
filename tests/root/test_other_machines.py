"""The suite on two machines by pytest-xdist over ssh.  A machine is some namespaces and an sshd for one connection: ssh
starts it, so that no port is open and nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASES = "test_delete_refuses or test_state_of"
MACHINES = ("one", "two")
SSHD = """#!/bin/sh
exec unshare --mount --uts --ipc --net sh -ec '
hostname "$1"
mount -t tmpfs tmpfs /run
mkdir /run/sshd
exec {sshd} -i -f {room}/sshd_config -h {room}/key
' sh "$1"
"""
SSHD_CONFIG = "AuthorizedKeysFile {room}/key.pub\nStrictModes no\nPidFile none\nUsePAM no\n"
HOST = """Host {name}
  User root
  IdentityFile {room}/key
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  ProxyCommand {room}/sshd {name}
"""


class Room:
    """A directory with keys and the configuration of ssh, in which `pytest` starts from `cwd`."""

    def __init__(self, path: Path, sshd: str) -> None:
        self.path = path
        self.cwd = path / "cwd"
        self.cwd.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path / "key")], check=True)
        (path / "sshd").write_text(SSHD.format(room=path, sshd=sshd))
        (path / "sshd_config").write_text(SSHD_CONFIG.format(room=path))
        (path / "sshd").chmod(0o755)
        (path / "config").write_text("".join(HOST.format(name=name, room=path) for name in MACHINES))

    def pytest(self, *options: str, python: str = sys.executable) -> tuple[int, str]:
        argv = [sys.executable, "-m", "pytest", "--pyargs", "seatrial.conformance", "-k", CASES]
        argv += ["-d", "-p", "no:cacheprovider"]
        for name in MACHINES:
            spec = f"ssh={name}//ssh_config={self.path}/config//chdir={self.path}/{name}//python={python}"
            argv += ["--tx", spec]
        done = subprocess.run([*argv, *options], cwd=self.cwd, capture_output=True, text=True, timeout=600, check=False)
        return done.returncode, done.stdout + done.stderr

    def results(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.cwd / name).read_text().splitlines()]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    path = f"{os.environ['PATH']}:/usr/sbin"
    for program in ("ssh", "ssh-keygen", "sshd"):
        if shutil.which(program, path=path) is None:
            pytest.skip(f"program:{program}: not installed")
    return Room(tmp_path, str(shutil.which("sshd", path=path)))


def test_results_of_both_machines_arrive(room: Room) -> None:
    status, output = room.pytest("--results", "r.jsonl", "--junitxml", "j.xml")
    assert status == 0, output
    lines = room.results("r.jsonl")
    stamps = [line for line in lines if line["kind"] == "stamp"]
    assert [stamp["airlock"] for stamp in stamps] == [True]
    found = [line for line in lines if line["kind"] == "result"]
    plan = next(line for line in lines if line["kind"] == "plan")
    assert len(found) == plan["cases"] > 3
    assert {line["outcome"] for line in found} <= {"passed", "skipped"}
    assert lines[-1]["workers"] == 2
    assert sorted(os.listdir(room.cwd)) == ["j.xml", "r.jsonl"]
    for name in MACHINES:  # they have our pytest: to copy it, and to compile it there, takes time
        assert os.listdir(room.path / name) == []


def test_evidence_is_carried_and_expectations_hold(room: Room) -> None:
    """/bin/false fails everywhere; each machine says in the evidence which it is."""
    known = '[[expect]]\ncase = "lifecycle/test_delete.py::*"\nreason = "it does nothing"\n'
    (room.cwd / "known.toml").write_text(known)
    options = ["--runtime", "/bin/false", "--results", "r.jsonl", "--evidence", "ev", "--expect", "known.toml"]
    status, output = room.pytest(*options)
    assert status == 1, output
    found = [line for line in room.results("r.jsonl") if line["kind"] == "result"]
    for line in found:
        topic = line["case"].partition("::")[0]
        assert line["outcome"] == ("expected-failure" if topic == "lifecycle/test_delete.py" else "failed"), line
    places = [Path(line["evidence"]) for line in found if line["evidence"]]
    assert places
    assert all(place.parent == room.cwd / "ev" for place in places)
    cases = [json.loads((place / "case.json").read_text()) for place in places]
    assert {case["machine"] for case in cases} == set(MACHINES)
    assert any("/bin/false" in (place / "commands.txt").read_text() for place in places)


def test_machine_without_seatrial_is_refused_by_name(room: Room) -> None:
    status, output = room.pytest(python="/usr/bin/python3")
    if status == 0:
        pytest.skip("package:seatrial: /usr/bin/python3 has it")
    assert status == 2, output
    assert "one: PackageNotFoundError" in output
    assert "there, and name its interpreter in --tx with //python=" in output
    assert "INTERNALERROR" not in output


def test_machine_without_the_runtime_is_refused_by_name(room: Room) -> None:
    status, output = room.pytest("--runtime", "/no/such")
    assert status == 2, output
    assert "one: no runtime at /no/such" in output
    status, output = room.pytest("--runtime", "./build/mine")
    assert status == 4, output
    assert "name its absolute path on the machines of --tx" in output


def test_machine_that_cannot_be_reached_is_named(room: Room) -> None:
    (room.path / "sshd").write_text("#!/bin/sh\nexit 1\n")
    status, output = room.pytest()
    assert status == 2, output
    assert "one: no answer from" in output
