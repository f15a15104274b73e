"""Containers of an ordinary user: one id mapped or many, errors that say what is missing, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ordinary_user
import pytest
from bundles import PROBE, Bundle, processes_of
from ordinary_user import ID, RANGES
from reachable import reachable_directory

LAUNCHER = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
FIRST = int(RANGES.partition(":")[0])
OWN = [{"containerID": 0, "hostID": ID, "size": 1}]


class Sailor:
    """An ordinary user with a bundle.  Calling it runs the runtime; `ranges` are those of /etc/subuid, `cgroup` is the
    name of a cgroup that is delegated."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.ranges = ""
        self.cgroup = ""
        self.bundle = Bundle(os.path.join(home, "bundle"))
        os.chown(self.bundle.rootfs, ID, ID)
        self.map(OWN)

    def map(self, mappings: list[dict[str, int]]) -> None:
        """Ask for these uid and gid mappings."""
        linux = self.bundle.config["linux"]
        linux["namespaces"] = [{"type": type} for type in ("user", "pid", "ipc", "uts", "mount")]
        linux["uidMappings"] = linux["gidMappings"] = mappings
        self.bundle.write()

    def execute(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as this user.  Output goes through files: a container may keep it open."""
        out, err = os.path.join(self.home, "out"), os.path.join(self.home, "err")
        with open(out, "w") as stdout, open(err, "w") as stderr:
            argv = ordinary_user.command(self.home, *words, ranges=self.ranges, cgroup=self.cgroup)
            status = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, timeout=60).returncode
        done = subprocess.CompletedProcess(words, status, Path(out).read_text(), Path(err).read_text())
        assert "Traceback" not in done.stderr, done.stderr
        assert not check or status == 0, done.stderr
        return done

    def __call__(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.execute(LAUNCHER, *words, check=check)

    def report(self, *verbs: str) -> dict[str, Any]:
        """Run the bundle's probe; its report."""
        self.bundle.args("report", *verbs)
        document: dict[str, Any] = json.loads(self("run", "--bundle", self.bundle.path, "c").stdout)
        return document

    def refusal(self) -> str:
        """What `run` says; it must fail and leave no container."""
        done = self("run", "--bundle", self.bundle.path, "c", check=False)
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert self.containers() == []
        return done.stderr

    def containers(self) -> list[str]:
        """Names in the default state directory."""
        root = os.path.join(self.home, "run", "seatrial")
        return os.listdir(root) if os.path.isdir(root) else []


@pytest.fixture
def sailor() -> Iterator[Sailor]:
    with reachable_directory() as directory:
        one = Sailor(directory)
        yield one
        for name in one.containers():
            one("delete", "--force", name)
        assert one.containers() == []
        assert processes_of(one.bundle.rootfs) == []


def status_file(pid: int, name: str) -> list[str]:
    with open(f"/proc/{pid}/{name}") as file:
        return file.read().split()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_life_of_a_container_with_the_own_ids(sailor: Sailor) -> None:
    bundle = sailor.bundle.args("hold").path
    sailor("create", "--bundle", bundle, "c")
    state = json.loads(sailor("state", "c").stdout)
    assert state["status"] == "created"
    pid = state["pid"]
    assert status_file(pid, "uid_map") == ["0", str(ID), "1"]
    assert status_file(pid, "gid_map") == ["0", str(ID), "1"]
    assert status_file(pid, "setgroups") == ["deny"]
    assert os.stat(f"/proc/{pid}").st_uid == ID
    sailor("start", "c")
    assert json.loads(sailor("state", "c").stdout)["status"] == "running"
    assert sailor("list", "-q").stdout == "c\n"
    assert os.stat(os.path.join(sailor.home, "run", "seatrial")).st_mode & 0o7777 == 0o1700
    assert sailor("delete", "c", check=False).returncode == 1  # it runs
    sailor("kill", "c", "KILL")
    wait_for(lambda: json.loads(sailor("state", "c").stdout)["status"] == "stopped")
    sailor("delete", "c")
    assert sailor.containers() == []


def test_the_example_configuration_runs(sailor: Sailor) -> None:
    os.unlink(os.path.join(sailor.bundle.path, "config.json"))
    os.chown(sailor.bundle.path, ID, ID)
    sailor("spec", "--rootless", "--bundle", sailor.bundle.path)
    with open(os.path.join(sailor.bundle.path, "config.json")) as file:
        sailor.bundle.config = json.load(file)
    sailor.bundle.config["process"]["terminal"] = False
    report = sailor.report()
    assert report["ids"]["uid"] == [0, 0, 0, 0]
    mounts = {mount["target"]: mount for mount in report["mounts"]}
    assert "ro" in mounts["/sys"]["options"].split(",")


def test_many_ids_come_from_the_ranges_of_the_user(sailor: Sailor) -> None:
    sailor.ranges = RANGES
    sailor.map([*OWN, {"containerID": 1, "hostID": FIRST, "size": 65536}])
    sailor.bundle.config["process"]["user"] = {"uid": 5, "gid": 6, "additionalGids": [7, 8]}
    sailor.bundle.args("hold")
    sailor("run", "--detach", "--bundle", sailor.bundle.path, "c")
    pid = json.loads(sailor("state", "c").stdout)["pid"]
    expected = ["0", str(ID), "1", "1", str(FIRST), "65536"]
    assert status_file(pid, "uid_map") == expected
    assert status_file(pid, "gid_map") == expected
    assert status_file(pid, "setgroups") == ["allow"]
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    assert status["Uid"].split() == [str(FIRST + 4)] * 4
    assert status["Gid"].split() == [str(FIRST + 5)] * 4
    assert status["Groups"].split() == [str(FIRST + 6), str(FIRST + 7)]
    sailor("kill", "c", "KILL")  # another uid: the owner of the user namespace may
    sailor("delete", "--force", "c")


def test_exec_joins_the_container(sailor: Sailor) -> None:
    sailor.ranges = RANGES
    sailor.map([*OWN, {"containerID": 1, "hostID": FIRST, "size": 65536}])
    sailor.bundle.args("hold")
    sailor("run", "--detach", "--bundle", sailor.bundle.path, "c")
    words = ("exec", "--user", "5:6", "--additional-gids", "7", "c", "/probe", "report")
    ids = json.loads(sailor(*words).stdout)["ids"]
    assert (ids["uid"], ids["gid"], ids["groups"]) == ([5] * 4, [6] * 4, [7])
    sailor("kill", "c", "KILL")


def test_exec_with_the_own_ids(sailor: Sailor) -> None:
    sailor.bundle.args("hold")
    sailor("run", "--detach", "--bundle", sailor.bundle.path, "c")
    pid = json.loads(sailor("state", "c").stdout)["pid"]
    report = json.loads(sailor("exec", "c", "/probe", "report").stdout)
    assert report["ids"]["uid"] == [0, 0, 0, 0]
    inodes = {name: os.stat(f"/proc/{pid}/ns/{name}").st_ino for name in ("user", "pid", "ipc", "uts", "mnt")}
    joined = {name: report["namespaces"][name] for name in inodes}
    assert {name: int(str(text).strip("[]").rpartition("[")[2] or text) for name, text in joined.items()} == inodes
    refused = sailor("exec", "--additional-gids", "0", "c", "/probe", "report", check=False)
    assert refused.returncode == 255
    assert "setgroups(2) is denied" in refused.stderr
    sailor("kill", "c", "KILL")


def test_a_range_that_is_not_the_users_is_named(sailor: Sailor) -> None:
    sailor.ranges = RANGES
    sailor.map([*OWN, {"containerID": 1, "hostID": FIRST, "size": 65537}])
    said = sailor.refusal()
    assert "not allowed" in said
    assert f"linux.uidMappings[1] wants {FIRST} to {FIRST + 65536}" in said
    assert f"/etc/subuid gives sailor {FIRST} to {FIRST + 65535}" in said


def test_without_any_range_the_line_to_add_is_named(sailor: Sailor) -> None:
    sailor.map([{"containerID": 0, "hostID": 123456, "size": 10}])
    said = sailor.refusal()
    assert "/etc/subuid gives sailor no range; add a line such as sailor:123456:10" in said


def test_without_a_user_namespace_the_error_says_so(sailor: Sailor) -> None:
    linux = sailor.bundle.config["linux"]
    linux["namespaces"].pop(0)
    del linux["uidMappings"], linux["gidMappings"]
    sailor.bundle.write()
    assert "linux.namespaces: the runtime does not run as root: a user namespace is needed" in sailor.refusal()


def test_no_namespace_left_to_make(sailor: Sailor) -> None:
    """The limit is one of each user namespace: a nested one has it without touching the host's."""
    sailor.map([{"containerID": 0, "hostID": 0, "size": 1}])
    words = f"echo 0 > /proc/sys/user/max_user_namespaces; exec {LAUNCHER} run --bundle {sailor.bundle.path} c"
    done = sailor.execute("/usr/bin/unshare", "--user", "--map-root-user", "/bin/sh", "-c", words, check=False)
    assert done.returncode == 1
    assert "ENOSPC" in done.stderr
    assert "the sysctl user.max_user_namespaces is 0" in done.stderr


@pytest.mark.parametrize("nested", [True, False], ids=["its-own-user-namespace", "the-runtimes"])
def test_root_of_a_user_namespace(sailor: Sailor, nested: bool) -> None:
    """`unshare --map-root-user`: effective uid 0, one id mapped, setgroups denied."""
    sailor.map([{"containerID": 0, "hostID": 0, "size": 1}])
    if not nested:
        linux = sailor.bundle.config["linux"]
        linux["namespaces"].pop(0)
        del linux["uidMappings"], linux["gidMappings"]
    sailor.bundle.args("report")
    words = ["/usr/bin/unshare", "--user", "--map-root-user", LAUNCHER, "run", "--bundle", sailor.bundle.path, "c"]
    report = json.loads(sailor.execute(*words).stdout)
    assert report["ids"]["uid"] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("section", "member", "value", "text"),
    [
        ("process", "oomScoreAdj", -100, "CAP_SYS_RESOURCE"),
        ("process", "scheduler", {"policy": "SCHED_FIFO", "priority": 3}, "CAP_SYS_NICE"),
        ("process", "user", {"uid": 0, "gid": 0, "additionalGids": [0]}, "process.user.additionalGids"),
        ("linux", "resources", {"pids": {"limit": 10}}, "delegated"),
        ("linux", "cgroupsPath", "/nosuch", "delegated"),
        ("linux", "devices", [{"path": "/dev/nope", "type": "c", "major": 1, "minor": 99}], "does not exist"),
    ],
)
def test_what_a_user_may_not_ask_for_has_an_error_with_a_hint(
    sailor: Sailor, section: str, member: str, value: Any, text: str
) -> None:
    sailor.bundle.args("exit", "0")
    sailor("run", "--bundle", sailor.bundle.path, "c")  # without it nothing is wrong
    sailor.bundle.config[section][member] = value
    sailor.bundle.write()
    assert text in sailor.refusal()


def test_device_rules_are_left_to_the_user_namespace(sailor: Sailor) -> None:
    """Engines send them to every runtime; without root they can be set nowhere."""
    sailor.bundle.config["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    assert sailor.report()["ids"]["uid"] == [0, 0, 0, 0]


def test_a_state_directory_that_is_not_the_users(sailor: Sailor) -> None:
    done = sailor("--root", "/run/nosuch-seatrial", "run", "--bundle", sailor.bundle.path, "c", check=False)
    assert done.returncode == 1
    assert "mkdir /run/nosuch-seatrial/c: EACCES (permission denied); set XDG_RUNTIME_DIR" in done.stderr


def test_hooks_run_as_the_user(sailor: Sailor) -> None:
    made = os.path.join(sailor.home, "made")
    sailor.bundle.args("exit", "0").hook("createRuntime", "read-fd", "0", "--", "touch", made)
    assert os.access(PROBE, os.X_OK)
    sailor("run", "--bundle", sailor.bundle.path, "c")
    assert os.stat(made).st_uid == ID
