"""The probe's report: its shape, and what it says against what Python sees in the same place."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import time
from typing import Any

import pytest
from probe_run import PROBE, probe
from probe_shape import LIMITS, REPORT, mismatches


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return probe("report").only


def text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def status_mask(field: str) -> str:
    found = re.search(rf"^{field}:\s*([0-9a-f]+)$", text("/proc/self/status"), re.MULTILINE)
    assert found
    return found[1]


def test_has_exactly_the_documented_shape(report: dict[str, Any]) -> None:
    assert mismatches(report, REPORT) == []


def test_shape_table_notices_differences(report: dict[str, Any]) -> None:
    broken = {**report, "pid": "1", "extra": 1, "caps": {**report["caps"], "ambient": "0"}}
    del broken["umask"]
    found = {line.split(":")[0] for line in mismatches(broken, REPORT)}
    assert found == {".pid", ".extra", ".caps.ambient", ".umask"}


def test_every_key_is_documented() -> None:
    page = text(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "probe.md"))
    assert [key for key in REPORT if f"| `{key}` |" not in page] == []


def test_one_line_and_one_write() -> None:
    run = probe("report")
    assert run.output.count(b"\n") == 1
    assert run.status == 0


def test_words_and_environment(report: dict[str, Any]) -> None:
    run = probe("report", env={"A": "1=2", "EMPTY": "", "NEWLINE": "a\nb", "ACCENT": "é"}, argv0="other name")
    assert run.only["argv"] == ["other name", "report"]
    assert sorted(run.only["env"]) == ["A=1=2", "ACCENT=é", "EMPTY=", "NEWLINE=a\nb"]
    assert run.only["exe"] == run.only["auxv"]["execfn"] == PROBE
    assert report["comm"] == "seatrial-probe"


def test_no_words_at_all() -> None:
    run = probe(argv0="")
    assert run.only["argv"] == [""]
    assert run.status == 0


def test_ids(report: dict[str, Any]) -> None:
    assert report["ids"]["uid"] == [*os.getresuid(), os.geteuid()]
    assert report["ids"]["gid"] == [*os.getresgid(), os.getegid()]
    assert report["ids"]["groups"] == os.getgroups()
    assert report["ppid"] == os.getpid()
    assert report["pgid"] == os.getpgid(0)
    assert report["sid"] == os.getsid(0)


@pytest.mark.root
def test_ids_of_another_user() -> None:
    def become() -> None:
        os.setgroups([7, 70000])
        os.setresgid(11, 12, 13)
        os.setresuid(21, 22, 23)

    ids = probe("report", before=become).only["ids"]
    # execve copies the effective id to the saved one
    assert ids == {"uid": [21, 22, 22, 22], "gid": [11, 12, 12, 12], "groups": [7, 70000]}


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_umask(mask: int) -> None:
    def change() -> None:
        os.umask(mask)

    assert probe("report", before=change).only["umask"] == mask


def test_capabilities(report: dict[str, Any]) -> None:
    kinds = {"effective": "Eff", "permitted": "Prm", "inheritable": "Inh", "bounding": "Bnd", "ambient": "Amb"}
    assert report["caps"] == {kind: status_mask(f"Cap{short}") for kind, short in kinds.items()}


def test_limits(report: dict[str, Any]) -> None:
    def unsigned(pair: tuple[int, int]) -> list[int]:
        return [number % (1 << 64) for number in pair]

    known = [name for name in LIMITS if hasattr(resource, f"RLIMIT_{name}")]
    assert len(known) > 10
    for name in known:
        assert report["rlimits"][f"RLIMIT_{name}"] == unsigned(resource.getrlimit(getattr(resource, f"RLIMIT_{name}")))


def test_limits_that_were_set() -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 1 << 40))

    limits = probe("report", before=limit).only["rlimits"]
    assert limits["RLIMIT_NOFILE"] == [100, 200]
    assert limits["RLIMIT_CORE"] == [0, 1 << 40]


def test_scheduling(report: dict[str, Any]) -> None:
    assert report["scheduler"]["policy"] == os.sched_getscheduler(0)
    assert report["scheduler"]["nice"] == report["nice"] == os.getpriority(os.PRIO_PROCESS, 0)
    assert report["affinity"] == sorted(os.sched_getaffinity(0))


def test_nice_batch_and_one_cpu() -> None:
    last = max(os.sched_getaffinity(0))

    def change() -> None:
        os.nice(5)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        os.sched_setaffinity(0, {last})

    seen = probe("report", before=change).only
    assert (seen["scheduler"]["policy_name"], seen["scheduler"]["nice"]) == ("SCHED_BATCH", seen["nice"])
    assert seen["nice"] == os.getpriority(os.PRIO_PROCESS, 0) + 5
    assert seen["affinity"] == [last]


def test_signals() -> None:
    def change() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGRTMAX])
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    seen = probe("report", before=change).only["signals"]
    assert int(seen["blocked"], 16) == 1 << signal.SIGUSR1 - 1 | 1 << signal.SIGRTMAX - 1
    assert int(seen["ignored"], 16) >> signal.SIGHUP - 1 & 1
    assert not int(seen["ignored"], 16) >> signal.SIGTERM - 1 & 1


def test_oom_score_umask_and_maps(report: dict[str, Any]) -> None:
    assert report["oom_score_adj"] == int(text("/proc/self/oom_score_adj"))
    assert report["uid_map"] == text("/proc/self/uid_map").rstrip("\n")
    assert report["gid_map"] == text("/proc/self/gid_map").rstrip("\n")
    assert report["setgroups"] == text("/proc/self/setgroups").rstrip("\n")


def test_namespaces(report: dict[str, Any]) -> None:
    for name in os.listdir("/proc/self/ns"):
        assert report["namespaces"][name] == os.stat(f"/proc/self/ns/{name}").st_ino


def test_cgroup(report: dict[str, Any]) -> None:
    assert report["first_cgroup"] == text("/proc/self/cgroup")
    lines = [f"{entry['hierarchy']}:{entry['controllers']}:{entry['path']}" for entry in report["cgroup"]]
    assert lines == text("/proc/self/cgroup").splitlines()


def test_host_names_and_clocks(report: dict[str, Any]) -> None:
    names = os.uname()
    assert report["uts"]["nodename"] == names.nodename == socket.gethostname()
    assert report["uts"]["release"] == names.release
    assert report["uts"]["domainname"] == text("/proc/sys/kernel/domainname").strip()
    assert 0 < report["clocks"]["monotonic"] <= time.monotonic_ns()
    assert report["clocks"]["boottime"] <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def test_mounts(report: dict[str, Any]) -> None:
    lines = [line.split(" ") for line in text("/proc/self/mountinfo").splitlines()]
    assert len(lines) == len(report["mounts"])
    for line, entry in zip(lines, report["mounts"], strict=True):
        dash = line.index("-", 6)
        assert [entry["id"], entry["parent"], entry["device"], entry["options"]] == [
            int(line[0]),
            int(line[1]),
            line[2],
            line[5],
        ]
        assert entry["propagation"] == line[6:dash]
        assert [entry["fstype"], entry["super_options"]] == [line[dash + 1], line[dash + 3]]


@pytest.mark.root
def test_mount_with_odd_names_and_propagation(tmp_path: Any) -> None:
    odd = str(tmp_path / "a b\tc\\d")
    os.mkdir(odd)
    run = probe(
        "unshare", "mnt", "--", "mount", "none", "/", "-", "rprivate", "--",
        "mount", "odd source", odd, "tmpfs", "nosuid,noexec", "size=64k", "--",
        "mount", "none", odd, "-", "shared", "--", "mounts-at", odd, "--", "statfs", odd, "--", "report",
    )  # fmt: skip
    assert [line["ok"] for line in run.lines[:-1]] == [True] * 6
    (mount,) = run.lines[4]["value"]
    assert (mount["target"], mount["source"], mount["fstype"]) == (odd, "odd source", "tmpfs")
    assert [word.split(":")[0] for word in mount["propagation"]] == ["shared"]
    assert {"nosuid", "noexec"} <= set(mount["options"].split(","))
    statfs = run.lines[5]["value"]
    assert {"nosuid", "noexec"} <= set(statfs["flags"])
    assert (statfs["fstype"], statfs["blocks"] * statfs["block_size"]) == ("tmpfs", 65536)
    assert mount in run.lines[6]["mounts"]


def test_root_and_directory(report: dict[str, Any], tmp_path: Any) -> None:
    status, filesystem = os.stat("/"), os.statvfs("/")
    assert (report["root"]["dev"], report["root"]["ino"]) == (status.st_dev, status.st_ino)
    assert report["rootfs"]["readonly"] == report["root"]["readonly"] == bool(filesystem.f_flag & os.ST_RDONLY)
    os.chmod(tmp_path, 0o1705)
    seen = probe("report", cwd=str(tmp_path)).only
    assert seen["cwd"] == str(tmp_path)
    assert (seen["cwd_stat"]["ino"], seen["cwd_stat"]["mode"]) == (os.stat(tmp_path).st_ino, 0o1705)


def test_descriptors(tmp_path: Any) -> None:
    path = str(tmp_path / "file")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        seen = {entry["fd"]: entry for entry in probe("report", pass_fds=[fd]).only["fds"]}
    finally:
        os.close(fd)
    assert sorted(seen) == [0, 1, 2, fd]
    assert seen[fd]["target"] == path
    assert seen[fd]["flags"] & (os.O_ACCMODE | os.O_APPEND) == os.O_WRONLY | os.O_APPEND
    assert not seen[fd]["cloexec"]
    assert seen[0]["target"] == "/dev/null"
    assert seen[1]["type"] == "p"


def test_closed_streams() -> None:
    seen = probe("--fd", "1", "report", before=lambda: os.closerange(0, 1)).only
    assert seen["stdio"][0] is None
    assert [entry["fd"] for entry in seen["fds"]] == [1, 2]


def test_devices(report: dict[str, Any]) -> None:
    assert sorted(report["devices"]) == sorted(f"/dev/{name}" for name in os.listdir("/dev"))
    null, status = report["devices"]["/dev/null"], os.stat("/dev/null")
    assert (null["type"], null["major"], null["minor"]) == ("c", 1, 3)
    assert (null["mode"], null["uid"], null["gid"]) == (status.st_mode & 0o7777, status.st_uid, status.st_gid)
    links = {path: entry for path, entry in report["devices"].items() if entry["type"] == "l"}
    assert {path: entry["text"] for path, entry in links.items()} == {path: os.readlink(path) for path in links}


def test_interfaces(report: dict[str, Any]) -> None:
    assert [(entry["index"], entry["name"]) for entry in report["interfaces"]] == socket.if_nameindex()
    loopback = report["interfaces"][0]
    assert loopback["loopback"]
    for entry in report["interfaces"]:
        assert entry["up"] == ("up" in entry["flags"])
        assert entry["mtu"] == int(text(f"/sys/class/net/{entry['name']}/mtu"))
        assert entry["txqueuelen"] == int(text(f"/sys/class/net/{entry['name']}/tx_queue_len"))
    if loopback["up"]:
        own = [entry for entry in report["addresses"] if entry["index"] == loopback["index"]]
        assert ("127.0.0.1", 8) in [(entry["address"], entry["prefix"]) for entry in own]


@pytest.mark.root
def test_new_network_namespace_has_a_loopback_that_is_down() -> None:
    seen = probe("unshare", "net,uts,ipc", "--", "setdomainname", "trial.example", "--", "report").lines[-1]
    assert [(entry["name"], entry["up"]) for entry in seen["interfaces"] if entry["loopback"]] == [("lo", False)]
    assert seen["addresses"] == []
    assert seen["uts"]["domainname"] == "trial.example"
    assert seen["namespaces"]["net"] != os.stat("/proc/self/ns/net").st_ino
    assert seen["namespaces"]["mnt"] == os.stat("/proc/self/ns/mnt").st_ino


def test_terminal() -> None:
    master, slave = os.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))

    def take() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    try:
        seen = probe("report", "--", "tty-info", stdin=slave, before=take)
    finally:
        os.close(slave)
        os.close(master)
    assert seen.lines[0]["stdio"][0]["winsize"] == [33, 77]
    assert [entry["tty"] for entry in seen.lines[0]["stdio"]] == [True, False, False]
    assert seen.lines[0]["controlling_tty"]
    assert seen.value["controlling"]
    assert seen.value["streams"][0]["name"].startswith("/dev/pts/")
    assert seen.value["streams"][0]["winsize"] == [33, 77]
    assert not probe("report", before=os.setsid).only["controlling_tty"]


def test_seccomp_and_privileges(report: dict[str, Any]) -> None:
    status = text("/proc/self/status")
    assert report["seccomp"]["mode"] == int(status.split("\nSeccomp:")[1].split()[0])
    assert report["no_new_privs"] == bool(int(status.split("\nNoNewPrivs:")[1].split()[0]))
    assert report["securebits"] == 0
    assert report["dumpable"] == 1


@pytest.mark.root
def test_session_keyring() -> None:
    import ctypes

    def join() -> None:
        ctypes.CDLL(None).syscall(250, 1, b"seatrial;odd")  # keyctl(KEYCTL_JOIN_SESSION_KEYRING)

    if os.uname().machine != "x86_64":
        pytest.skip("the call's number is x86-64's")
    run = probe("report", "--", "keyring-describe", before=join)
    assert run.lines[0]["keyring"]["session"] == "seatrial;odd"
    assert run.value == run.lines[0]["keyring"]
    assert run.value["permissions"] & 0x3F000000 == 0x3F000000


def test_extra_sysctls_and_stats() -> None:
    seen = probe(
        "report", "--sysctl", "kernel.ostype", "--sysctl", "kernel/osrelease", "--sysctl", "no.such.key",
        "--stat", "/dev/null", "--stat", "/nonexistent",
    ).only  # fmt: skip
    assert seen["sysctl"] == {"kernel.ostype": "Linux", "kernel/osrelease": os.uname().release, "no.such.key": None}
    assert (seen["stat"]["/dev/null"]["type"], seen["stat"]["/dev/null"]["minor"]) == ("c", 3)
    assert seen["stat"]["/nonexistent"] == {"errno": "ENOENT"}


@pytest.mark.parametrize("words", [("--sysctl",), ("--no", "x"), ("--fd", "x"), ("x",)])
def test_bad_options_are_refused(words: tuple[str, ...]) -> None:
    run = probe("report", *words)
    assert run.status == 64
    assert run.only["ok"] is False
    assert "report" in run.only["error"]
