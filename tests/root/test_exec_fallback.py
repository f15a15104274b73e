"""The table of `runtime/birth.py` against a kernel that fails as it says: many processes, none lost, none left."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from bundles import Bundle
from v2_view import V2CommandLine, v2_only

from seatrial.runtime.birth import INTO_CGROUP, PLAIN

DRIVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "exec_driver.py")


@pytest.fixture
def held(v2: V2CommandLine, bundle: Bundle) -> str:
    id = f"f-{os.getpid()}"
    bundle.config["linux"]["cgroupsPath"] = f"/{id}"
    bundle.write()
    v2("run", "-d", "-b", bundle.path, id)
    return id


def drive(v2: V2CommandLine, id: str, number: int, which: str, sequential: int, concurrent: int) -> dict[str, Any]:
    words = [sys.executable, DRIVER, v2.root, id, str(number), which, str(sequential), str(concurrent)]
    done = subprocess.run(v2_only(words), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["hanging"] == 0
    assert result["wrong"] == []
    assert result["state"] == "running"
    descriptors, children = result["before"]
    for after in result["after"]:
        assert after == [descriptors, children]
    return result


WORKING = [number for number, (decision, _) in INTO_CGROUP.items() if decision != "error"]
WORKING.remove(errno.ENODEV)  # init is where it was: there is no other cgroup to go to
FAILING = [errno.ENODEV, errno.EAGAIN, errno.ENOMEM, errno.EIO]


def test_where_clone3_works(v2: V2CommandLine, held: str) -> None:
    result = drive(v2, held, 0, "all", 200, 32)
    assert result["errors"] == []
    assert result["notes"] == ["born in the cgroup"]


@pytest.mark.parametrize("number", WORKING, ids=errno.errorcode.get)
def test_a_refused_birth_in_the_cgroup_is_made_good(v2: V2CommandLine, held: str, number: int) -> None:
    result = drive(v2, held, number, "into", 200, 32)
    assert result["errors"] == []
    assert any(errno.errorcode[number] in note for note in result["notes"])
    assert f"joined cgroup /sys/fs/cgroup/{held}" in result["notes"]


@pytest.mark.parametrize("number", list(PLAIN), ids=errno.errorcode.get)
def test_without_any_clone3(v2: V2CommandLine, held: str, number: int) -> None:
    result = drive(v2, held, number, "all", 200, 32)
    assert result["errors"] == []
    assert f"joined cgroup /sys/fs/cgroup/{held}" in result["notes"]


@pytest.mark.parametrize("number", FAILING, ids=errno.errorcode.get)
def test_a_real_failure_is_an_error_and_leaves_nothing(v2: V2CommandLine, held: str, number: int) -> None:
    result = drive(v2, held, number, "into", 200, 32)
    assert len(result["errors"]) == 1
    assert result["errors"][0].startswith("SyscallError: clone3")
    assert result["errors"][0].endswith(f": {errno.errorcode[number]}")


def test_debug_says_which_way_and_why(v2: V2CommandLine, held: str) -> None:
    done = v2("--debug", "exec", held, "/probe", "exit", "0")
    assert "debug: born in the cgroup" in done.stderr
    done = v2.refusing(errno.ENOSYS)("--debug", "exec", held, "/probe", "exit", "0")
    assert "debug: clone3 into the cgroup: ENOSYS (no clone3: " in done.stderr
    assert f"debug: joined cgroup /sys/fs/cgroup/{held}" in done.stderr
