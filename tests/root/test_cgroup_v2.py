"""Cgroup v2 for real: device programs, birth in a cgroup, freezing, killing; in a directory that is gone afterwards."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from seatrial.native import bpf, pidfd
from seatrial.native.spawn import spawn
from seatrial.runtime.cgroup import cgroup as cgroup_module
from seatrial.runtime.cgroup import v2 as v2_module
from seatrial.runtime.cgroup.device_program import assemble, build
from seatrial.runtime.cgroup.hierarchy import detect
from seatrial.runtime.cgroup.v2 import CgroupV2
from seatrial.runtime.config import DeviceRule, HugepageLimit, Resources
from seatrial.runtime.default_devices import complete_rules
from seatrial.runtime.errors import StateError, SyscallError

TOP = f"seatrial-test-v2-{os.getpid()}"


@pytest.fixture
def cgroup() -> Iterator[CgroupV2]:
    unified = detect().v2
    if unified is None:
        pytest.skip("needs a mounted cgroup2")
    with open(f"{unified.mount_point}/cgroup.subtree_control", encoding="ascii") as file:
        before = set(file.read().split())
    made = CgroupV2({"": f"{unified.mount_point}/{TOP}/box"})
    yield made
    made.kill_all()
    made.remove()
    if os.path.isdir(os.path.dirname(made.path)):
        os.rmdir(os.path.dirname(made.path))
    with open(f"{unified.mount_point}/cgroup.subtree_control", "r+", encoding="ascii") as file:
        for name in set(file.read().split()) - before:
            with contextlib.suppress(OSError):  # EBUSY: a test that runs beside this one uses it, and ends later
                os.write(file.fileno(), f"-{name}".encode())


class Born:
    """A shell script that is born in the cgroup."""

    def __init__(self, cgroup: CgroupV2, script: str) -> None:
        shell = os.open("/bin/sh", os.O_PATH | os.O_CLOEXEC)
        self.output, writer = os.pipe()
        directory = cgroup.fd()
        self.pid, self.pidfd = spawn(
            shell, [b"sh", b"-c", script.encode()], [b"PATH=/bin:/usr/bin"], [(1, writer), (2, writer)],
            cgroup_fd=directory,
        )  # fmt: skip
        for fd in (shell, writer, directory):
            os.close(fd)

    def finish(self) -> tuple[pidfd.Exit, str]:
        with open(self.output, "rb") as file:
            text = file.read().decode()
        end = pidfd.wait(self.pidfd)
        os.close(self.pidfd)
        assert end is not None
        return end, text


def programs(cgroup: CgroupV2) -> list[int]:
    fd = cgroup.fd()
    try:
        return bpf.query(fd)
    finally:
        os.close(fd)


def test_process_is_born_in_the_cgroup(cgroup: CgroupV2) -> None:
    cgroup.create()
    _, text = Born(cgroup, "cat /proc/self/cgroup").finish()
    assert f"0::/{TOP}/box" in text.splitlines()


def outcome(cgroup: CgroupV2, *rules: DeviceRule) -> list[bool]:
    """Whether reading zero, writing full, both at once on full, and reading kmsg work under the rules."""
    cgroup.apply(Resources(devices=list(rules)))
    script = """
    for try in 'read x </dev/urandom' ': >/dev/full' ': <>/dev/full' ': </dev/kmsg'; do
        (eval "$try") 2>/dev/null; case $? in 0|1) echo yes;; *) echo no;; esac
    done"""
    _, text = Born(cgroup, script).finish()
    return [line == "yes" for line in text.split()]


def c(minor: int, access: str, allow: bool = True) -> DeviceRule:
    return DeviceRule(allow=allow, type="c", major=1, minor=minor, access=access)


DENY_ALL = DeviceRule(allow=False)
ALLOW_ALL = DeviceRule(allow=True)


def test_device_programs_decide(cgroup: CgroupV2) -> None:
    cgroup.create()
    null = c(3, "rw")
    assert outcome(cgroup, ALLOW_ALL) == [True, True, True, True]
    assert outcome(cgroup, DENY_ALL, null) == [False, False, False, False]
    assert outcome(cgroup, DENY_ALL, null, c(9, "r"), c(7, "w")) == [True, True, False, False]
    assert outcome(cgroup, DENY_ALL, null, c(7, "w"), c(7, "r")) == [False, True, True, False]
    assert outcome(cgroup, ALLOW_ALL, c(7, "r", allow=False)) == [True, True, False, True]
    assert outcome(cgroup, ALLOW_ALL, c(11, "rwm", allow=False)) == [True, True, True, False]
    assert outcome(cgroup, DENY_ALL, DeviceRule(allow=True, type="c", access="rw"), c(7, "w", allow=False)) == [
        True, False, False, True,
    ]  # fmt: skip


def test_one_program_is_attached_and_replaced(cgroup: CgroupV2) -> None:
    cgroup.create()
    rules = complete_rules([DENY_ALL], set())
    assert programs(cgroup) == []
    cgroup.apply(Resources(devices=rules))
    first = programs(cgroup)
    cgroup.apply(Resources(devices=rules))
    second = programs(cgroup)
    assert len(first) == len(second) == 1
    assert first != second
    cgroup.apply(Resources(devices=[ALLOW_ALL]))
    assert programs(cgroup) == []


def test_no_update_leaves_a_moment_without_rules(cgroup: CgroupV2) -> None:
    cgroup.create()
    rules = [complete_rules([DENY_ALL, DeviceRule(allow=True, type="b", major=7, minor=n)], set()) for n in (0, 1)]
    cgroup.apply(Resources(devices=rules[0]))
    loop = """
import os, sys
print("begun", flush=True)
tries = opened = 0
while not os.path.exists(sys.argv[1]):
    tries += 1
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY))
        opened += 1
    except PermissionError:
        pass
print(tries, opened)
"""
    end = f"/tmp/{TOP}-end"
    child = Born(cgroup, f"exec {sys.executable} -I -S -c '{loop}' {end}")
    try:
        assert os.read(child.output, 6) == b"begun\n"
        seen = set()
        for number in range(20):
            cgroup.apply_devices(rules[(number + 1) % 2])
            attached = programs(cgroup)
            assert len(attached) == 1
            seen.update(attached)
            time.sleep(0.005)
        assert len(seen) == 20
    finally:
        with open(end, "w", encoding="ascii"):
            pass
        _, text = child.finish()
        os.unlink(end)
    tries, opened = map(int, text.split())
    assert tries > 100
    assert opened == 0


@pytest.mark.parametrize("older", [1, 2])
@pytest.mark.parametrize("replacing", [True, False], ids=["replace", "before-5.6"])
def test_after_each_system_call_the_rules_hold(
    cgroup: CgroupV2, monkeypatch: pytest.MonkeyPatch, replacing: bool, older: int
) -> None:
    """Between two calls of ours a process of the container tries to open what both the old and the new rules deny."""
    cgroup.create()
    rules = [complete_rules([DENY_ALL, DeviceRule(allow=True, type="b", major=7, minor=n)], set()) for n in (0, 1)]
    fd = cgroup.fd()
    for _ in range(older):
        program = bpf.load(assemble(build(rules[0])))
        bpf.attach(fd, program)
        os.close(program)
    os.close(fd)
    ask, answer = os.pipe(), os.pipe()
    script = """
import os
while os.read(0, 1):
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY))
        os.write(1, b"y")
    except PermissionError:
        os.write(1, b"n")
"""
    python = os.open(sys.executable, os.O_PATH | os.O_CLOEXEC)
    directory = cgroup.fd()
    _, handle = spawn(
        python, [b"python", b"-I", b"-S", b"-c", script.encode()], [], [(0, ask[0]), (1, answer[1])],
        cgroup_fd=directory,
    )  # fmt: skip
    for number in (python, directory, ask[0], answer[1]):
        os.close(number)
    answers = []

    def spy(name: str) -> None:
        real = getattr(bpf, name)

        def call(*words: Any, **options: Any) -> Any:
            if not replacing and options.get("flags"):
                raise OSError(errno.EINVAL, "as before Linux 5.6")
            result = real(*words, **options)
            os.write(ask[1], b"?")
            answers.append(os.read(answer[0], 1))
            return result

        monkeypatch.setattr(bpf, name, call)

    for name in ("load", "attach", "detach"):
        spy(name)
    for number in range(4):
        cgroup.apply_devices(rules[(number + 1) % 2])
        assert len(programs(cgroup)) == 1
    os.close(ask[1])
    end = pidfd.wait(handle)
    for number in (answer[0], handle):
        os.close(number)
    assert end is not None
    assert end.status == 0
    # load and attach each time; one detach for each older program that was not replaced
    assert len(answers) == 2 * 4 + (older if not replacing or older > 1 else 0) + (0 if replacing else 3)
    assert set(answers) == {b"n"}


def test_several_older_programs_go(cgroup: CgroupV2) -> None:
    cgroup.create()
    fd = cgroup.fd()
    for rules in ([ALLOW_ALL], [DENY_ALL]):
        program = bpf.load(assemble(build(rules)))
        bpf.attach(fd, program)
        os.close(program)
    assert len(bpf.query(fd)) == 2
    os.close(fd)
    cgroup.apply(Resources(devices=complete_rules([DENY_ALL], set())))
    assert len(programs(cgroup)) == 1
    assert "yes" in Born(cgroup, ": </dev/null && echo yes").finish()[1]


def test_applying_rules_leaks_no_descriptor(cgroup: CgroupV2) -> None:
    cgroup.create()
    before = set(os.listdir("/proc/self/fd"))
    for rules in ([DENY_ALL], [DENY_ALL, c(3, "rw")], [ALLOW_ALL]):
        cgroup.apply(Resources(devices=rules))
    assert set(os.listdir("/proc/self/fd")) == before


def test_refused_program_comes_with_the_verifiers_words() -> None:
    with pytest.raises(OSError) as failed:
        bpf.load(b"\x95" + b"\0" * 7)  # exit without r0
    assert any("verifier" in note and "R0" in note for note in failed.value.__notes__)


def processor_time(pid: int) -> int:
    """Clock ticks that a process has used: utime + stime of proc_pid_stat(5)."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_freeze_and_thaw(cgroup: CgroupV2) -> None:
    cgroup.create()
    child = Born(cgroup, "while :; do :; done")
    cgroup.freeze()
    assert cgroup.frozen()
    before = processor_time(child.pid)
    time.sleep(0.1)
    assert processor_time(child.pid) == before
    cgroup.thaw()
    assert not cgroup.frozen()
    deadline = time.monotonic() + 20
    while processor_time(child.pid) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processor_time(child.pid) > before
    cgroup.kill_all()
    assert child.finish()[0].signal == 9


def test_frozen_or_populated_cgroup_is_refused(cgroup: CgroupV2) -> None:
    cgroup.create()
    cgroup.freeze()
    with pytest.raises(StateError, match="frozen"):
        CgroupV2(dict(cgroup.paths)).create()
    inner = CgroupV2({"": cgroup.path + "/inner"})
    with pytest.raises(StateError, match="frozen"):
        inner.create()
    assert not inner.exists()
    cgroup.thaw()
    child = Born(cgroup, "sleep 100")
    with pytest.raises(StateError, match="not empty"):
        CgroupV2(dict(cgroup.paths)).create()
    cgroup.kill_all()
    child.finish()


@pytest.mark.parametrize("freeze", [False, True], ids=["running", "frozen"])
def test_kill_all_and_remove(cgroup: CgroupV2, freeze: bool) -> None:
    cgroup.create()
    child = Born(cgroup, "sleep 100 & sleep 100 & sleep 100")
    while len(cgroup.pids()) < 4:
        os.sched_yield()
    os.mkdir(f"{cgroup.path}/below")
    if freeze:
        cgroup.freeze()
    cgroup.kill_all()
    assert child.finish()[0].signal == 9
    cgroup.remove()
    assert not cgroup.exists()
    assert cgroup.pids() == []


def test_without_cgroup_kill_the_freezer_helps(cgroup: CgroupV2, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux before 5.14.  Somebody who forks all the time would get away if nobody stopped him."""
    real_write, real_freeze = cgroup_module.write, v2_module.freeze_v2
    frozen = []

    def write(directory: str, name: str, value: str | int, hint: str = "") -> None:
        if name == "cgroup.kill":
            raise SyscallError("write", f"{directory}/{name}", errno.ENOENT)
        real_write(directory, name, value, hint)

    def freeze(directory: str) -> None:
        real_freeze(directory)
        with open(f"{directory}/cgroup.events", encoding="ascii") as file:
            frozen.append("frozen 1" in file.read().splitlines())

    monkeypatch.setattr(cgroup_module, "write", write)
    monkeypatch.setattr(v2_module, "freeze_v2", freeze)
    cgroup.create()
    child = Born(cgroup, "while :; do (exec sleep 0.05) & done")
    while len(cgroup.pids()) < 5:
        os.sched_yield()
    cgroup.kill_all()
    assert frozen == [True]
    assert not cgroup.frozen()
    assert child.finish()[0].signal == 9
    deadline = time.monotonic() + 10
    while cgroup.populated():  # of the dying
        assert time.monotonic() < deadline
        time.sleep(0.005)
    cgroup.kill_all()  # nobody there: nothing to freeze
    assert frozen == [True]


def test_a_signal_that_does_not_exist_leaves_it_running(cgroup: CgroupV2) -> None:
    cgroup.create()
    child = Born(cgroup, "sleep 100")
    with pytest.raises(SyscallError, match="with signal 99: EINVAL"):
        cgroup.kill_all(99)
    assert not cgroup.frozen()
    cgroup.kill_all()
    assert child.finish()[0].signal == 9


def test_hugetlb_is_enabled_when_it_is_named(cgroup: CgroupV2) -> None:
    cgroup.create()
    with open(f"{os.path.dirname(os.path.dirname(cgroup.path))}/cgroup.controllers", encoding="ascii") as file:
        if "hugetlb" not in file.read().split():
            pytest.skip("needs the hugetlb controller on v2")
    cgroup.apply(Resources(unified={"hugetlb.2MB.max": "4194304"}))
    with open(f"{cgroup.path}/hugetlb.2MB.max", encoding="ascii") as file:
        assert file.read() == "4194304\n"


def test_hugepage_limits_are_those_of_use_and_of_reservation(cgroup: CgroupV2) -> None:
    cgroup.create()
    with open(f"{os.path.dirname(os.path.dirname(cgroup.path))}/cgroup.controllers", encoding="ascii") as file:
        if "hugetlb" not in file.read().split():
            pytest.skip("needs the hugetlb controller on v2")

    def shown() -> list[str]:
        texts = []
        for name in ("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"):
            with open(f"{cgroup.path}/{name}", encoding="ascii") as file:
                texts.append(file.read().strip())
        return texts

    undo = cgroup.change(Resources(hugepage_limits=[HugepageLimit(page_size="2MB", limit=8 << 20)]))
    assert shown() == [str(8 << 20)] * 2
    assert undo.run() == []
    assert shown() == ["max", "max"]
    both = [HugepageLimit(page_size=size, limit=0) for size in ("2MB", "3MB")]
    with pytest.raises(SyscallError, match=r"hugetlb\.3MB\.max: ENOENT; the cgroup has huge pages of .*2MB"):
        cgroup.change(Resources(hugepage_limits=both))
    assert shown() == ["max", "max"]


def test_unknown_file_is_named(cgroup: CgroupV2) -> None:
    cgroup.create()
    with pytest.raises(SyscallError, match=r"write 1 to .*/nonsense\.max: ENOENT; the nonsense controller"):
        cgroup.apply(Resources(unified={"nonsense.max": "1"}))


def test_delegated_files_change_owner(cgroup: CgroupV2) -> None:
    cgroup.create()
    cgroup.delegate(1234)
    with open("/sys/kernel/cgroup/delegate", encoding="ascii") as file:
        delegated = set(file.read().split())
    owners = {name: os.stat(f"{cgroup.path}/{name}").st_uid for name in os.listdir(cgroup.path)}
    assert {name for name, uid in owners.items() if uid == 1234} == delegated & set(owners)
    assert os.stat(cgroup.path).st_uid == 1234
