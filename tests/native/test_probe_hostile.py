"""The probe where /proc is missing or lies, where system calls are refused, and with arguments made of noise."""

from __future__ import annotations

import ctypes
import glob
import os
import platform
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from probe_run import PROBE, Run, empty_root, probe
from probe_shape import REPORT, mismatches

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parent.parent / "native"

# Known through a system call, whatever /proc is.
WITHOUT_PROC = (
    "ids",
    "caps",
    "rlimits",
    "affinity",
    "scheduler",
    "uts",
    "signals",
    "no_new_privs",
    "root",
    "interfaces",
)
# Known from /proc only.
FROM_PROC = (
    "exe",
    "oom_score_adj",
    "uid_map",
    "gid_map",
    "setgroups",
    "timens",
    "first_cgroup",
    "cgroup",
    "mounts",
    "ns_pid",
)


def check_report_without_proc(report: dict[str, Any]) -> None:
    assert mismatches(report, REPORT) == []
    assert [key for key in FROM_PROC if report[key] is not None] == []
    assert [key for key in WITHOUT_PROC if report[key] is None] == []
    assert set(report["namespaces"].values()) == {None}
    assert report["ids"]["uid"] == [os.getuid()] * 4
    assert report["umask"] == os.umask(os.umask(0o22))
    assert [entry["fd"] for entry in report["fds"]] == [0, 1, 2]
    assert {entry["target"] for entry in report["fds"]} == {None}
    assert None not in report["caps"].values()


@pytest.mark.root
def test_without_proc_and_dev(tmp_path: Path) -> None:
    os.umask(os.umask(0o22))
    program, enter = empty_root(str(tmp_path))
    report = probe("report", program=program, before=enter).only
    check_report_without_proc(report)
    assert report["devices"] is None
    assert report["cwd"] == "/"


@pytest.mark.root
def test_proc_that_lies(tmp_path: Path) -> None:
    program, enter = empty_root(str(tmp_path))
    self = tmp_path / "proc" / "self"
    for directory in (
        self / "ns",
        self / "fd",
        self / "attr" / "apparmor",
        tmp_path / "dev",
        tmp_path / "proc/sys/kernel",
    ):
        directory.mkdir(parents=True)
    os.mkfifo(self / "cgroup")
    (self / "status").write_text("Uid:\t1\t1\t1\t1\nUmask:\t0777\nCapBnd:\tffff\nSeccomp:\t2\nNSpid:\t9\n")
    (self / "mountinfo").write_bytes(b"1 2 3\n" + b"\xff" * 3000 + b"\n- - - -\n" * 500)
    (self / "timens_offsets").write_text("monotonic 5 5\n")
    (self / "uid_map").write_text("0 0 1\n")
    (self / "stat").write_text("(((")
    (self / "oom_score_adj").symlink_to("/proc/self/oom_score_adj")
    (self / "exe").symlink_to("/nowhere")
    (self / "ns" / "mnt").write_text("")
    (self / "fd" / "5").symlink_to("/nowhere")
    (tmp_path / "proc/sys/kernel/ostype").write_text("Fake")
    os.mkfifo(tmp_path / "dev" / "tty")
    (tmp_path / "dev" / "loop").symlink_to("loop")
    report = probe("report", "--sysctl", "kernel.ostype", program=program, before=enter, timeout=10).only
    check_report_without_proc(report)
    assert report["sysctl"] == {"kernel.ostype": None}
    assert report["devices"]["/dev/loop"]["text"] == "loop"
    assert report["controlling_tty"] is False


@pytest.mark.root
def test_mountinfo_with_many_mounts_and_long_paths(tmp_path: Path) -> None:
    directory = tmp_path
    for _ in range(12):
        directory = directory / ("d e\n" * 60)
        directory.mkdir()
    words: list[str] = ["unshare", "mnt", "--", "mount", "none", "/", "-", "rprivate"]
    for _ in range(40):
        words += ["--", "mount", str(tmp_path), str(directory), "-", "bind"]
    run = probe(*words, "--", "report")
    report = run.lines[-1]
    assert mismatches(report, REPORT) == []
    assert [entry["target"] for entry in report["mounts"]].count(str(directory)) == 40


# -- seccomp -----------------------------------------------------------------------------------------------------------

NUMBERS = {  # x86-64
    "read": 0, "write": 1, "close": 3, "fstat": 5, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "clone": 56,
    "fork": 57, "execve": 59, "readlink": 89, "getppid": 110, "fstatfs": 138, "arch_prctl": 158,
    "set_tid_address": 218, "exit_group": 231, "openat": 257, "newfstatat": 262, "readlinkat": 267,
    "set_robust_list": 273, "prlimit64": 302, "getrandom": 318, "rseq": 334,
}  # fmt: skip
# docs/probe.md: what any verb needs to start, to print its line, and to end.
STARTING = (
    "execve brk arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink readlinkat getrandom mprotect "
    "openat read close write exit_group"
).split()
KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, TRACE, ALLOW = 0x80000000, 0, 0x30000, 0x50000, 0x7FF00000, 0x7FFF0000


def allow_only(names: list[str], otherwise: int) -> Callable[[], None]:
    """A function that installs a filter which allows these calls only."""
    return filtering(dict.fromkeys(names, ALLOW), otherwise)


def filtering(actions: dict[str, int], otherwise: int = ALLOW) -> Callable[[], None]:
    """A function that installs a filter; classic BPF, see seccomp(2)."""
    code = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # load the call's number
    for name, action in actions.items():
        code += [struct.pack("HBBI", 0x15, 0, 1, NUMBERS[name]), struct.pack("HBBI", 0x06, 0, 0, action)]
    code.append(struct.pack("HBBI", 0x06, 0, 0, otherwise))
    text = ctypes.create_string_buffer(b"".join(code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(text)))
    library = ctypes.CDLL(None, use_errno=True)

    def install() -> None:
        keep = (text, program)
        if library.prctl(38, 1, 0, 0, 0) or library.prctl(22, 2, ctypes.byref(keep[1]), 0, 0):
            os._exit(99)

    return install


x86_only = pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter has x86-64 numbers")


@x86_only
def test_starts_with_few_system_calls() -> None:
    run = probe("print", "alive", before=allow_only(STARTING, KILL_PROCESS), close_fds=False)
    assert (run.value, run.status) == ("alive", 0)


@x86_only
def test_the_filter_does_kill() -> None:
    fewer = [name for name in STARTING if name != "write"]
    assert probe("print", "dead", before=allow_only(fewer, KILL_PROCESS), close_fds=False).status == -31


@x86_only
@pytest.mark.parametrize("error", [1, 38], ids=["EPERM", "ENOSYS"])
def test_report_when_nothing_is_allowed(error: int) -> None:
    run = probe("report", before=allow_only([*STARTING, "mmap"], ERRNO | error), close_fds=False)
    report = run.only
    assert mismatches(report, REPORT) == []
    assert report["argv"] == [PROBE, "report"]
    for key in (
        "scheduler",
        "affinity",
        "mempolicy",
        "interfaces",
        "addresses",
        "first_cgroup",
        "mounts",
        "devices",
        "uts",
        "cwd",
    ):
        assert report[key] is None, key
    assert report["ids"]["uid"] is None
    assert set(report["caps"].values()) == {None}


@x86_only
def test_report_when_status_is_all_there_is() -> None:
    """Calls that would say so are refused, but /proc/self/status can be read: that needs fstatfs only."""
    report = probe("report", before=allow_only([*STARTING, "fstatfs"], ERRNO | 1), close_fds=False).only
    assert mismatches(report, REPORT) == []
    assert report["seccomp"]["mode"] == 2
    assert report["caps"]["bounding"] is not None
    assert report["umask"] == os.umask(os.umask(0o22))
    assert report["mounts"]
    assert report["first_cgroup"] == Path("/proc/self/cgroup").read_text()


@x86_only
def test_verbs_say_what_the_filter_answers() -> None:
    filtered = allow_only([*STARTING, "mmap"], ERRNO | 38)
    assert probe("syscall", "mkdirat", "-100", "str:x", "0", before=filtered, close_fds=False).errno == "ENOSYS"
    assert probe("mkdir", "/tmp/x", before=filtered, close_fds=False).errno == "ENOSYS"
    assert probe("sethostname", "x", before=filtered, close_fds=False).errno == "ENOSYS"


@x86_only
def test_each_action_as_its_verb_tells_it() -> None:
    def one(verb: str, action: int) -> Run:
        return probe(verb, "getppid", "--", "print", "alive", before=filtering({"getppid": action}))

    run = one("syscall", ERRNO | 13)
    assert (run.lines[0]["errno"], run.value) == ("EACCES", "alive")
    assert one("syscall", KILL_PROCESS).status == one("syscall", KILL_THREAD).status == -31
    run = one("syscall-trap", TRAP | 5)
    expected = {"signal": "SIGSYS", "code": 1, "syscall": 110, "arch": 0xC000003E, "data": 5}
    assert (run.lines[0]["value"], run.value) == (expected, "alive")
    run = one("syscall-thread", KILL_THREAD)
    assert (run.lines[0]["value"], run.value) == ({"killed": True, "errno": None}, "alive")
    run = one("syscall-trace", TRACE | 7)
    assert (run.lines[0]["value"], run.value) == ({"event": True, "data": 7}, "alive")
    assert one("syscall", TRACE | 7).lines[0]["errno"] == "ENOSYS"


# -- noise -------------------------------------------------------------------------------------------------------------

HARMLESS = (
    "read stat statfs list readlink print env mounts-at prctl-get getxattr namespaces open socket clocks getpid "
    "fd-list tty-info suid-check keyring-describe connect child report verbs"
).split()


def noise(random: random.Random) -> list[bytes]:
    words: list[bytes] = []
    for _ in range(random.randrange(1, 7)):
        kind = random.randrange(6)
        if kind <= 2:
            words.append(random.choice(HARMLESS).encode())
        elif kind == 3:
            words.append(
                random.choice(
                    [b"--", b"", b"-", b"none", b"/proc/self/fd", b"/dev", b"--stat", b"--sysctl", b"0", b"-1"]
                )
            )
        elif kind == 4:
            words.append(bytes(random.randrange(1, 256) for _ in range(random.randrange(40))))
        else:
            words.append(bytes([random.randrange(1, 256)]) * random.choice([1, 255, 4095, 4096, 5000, 70000]))
    return words


def check_noise(run: Run, words: list[bytes]) -> None:
    assert run.status in (0, 64, 73), (run.status, run.errors, words)
    assert run.output.endswith(b"\n") or run.output == b"", words
    lines = [line for line in run.output.decode().splitlines() if line]
    assert len(lines) == len(run.lines), words
    for line in run.lines:
        assert "schema" in line or {"verb", "args", "ok", "errno", "value"} <= line.keys(), words


def drop() -> None:
    """Noise may name anything: it must not be root's."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


@pytest.mark.parametrize("seed", range(4))
def test_noise(seed: int, tmp_path: Path) -> None:
    source = random.Random(seed)
    for _ in range(60):
        words = noise(source)
        check_noise(probe(*words, cwd=str(tmp_path), before=drop), words)


# -- sanitizers --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The probe with AddressSanitizer and UndefinedBehaviorSanitizer."""
    compiler = os.environ.get("CC", "cc")
    if not shutil.which(compiler.split()[0]):
        pytest.skip("no C compiler")
    directory = tmp_path_factory.mktemp("sanitized")
    directory.chmod(0o755)
    program = directory / "seatrial-probe"
    sources = sorted(glob.glob(str(NATIVE / "probe" / "*.c")))
    flags = "-std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all".split()
    command = [*compiler.split(), *flags, f"-I{NATIVE / 'build'}", *sources, "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find" in built.stderr and "asan" in built.stderr:
        pytest.skip("the compiler has no sanitizer libraries")
    assert built.returncode == 0, built.stderr
    return str(program)


CLEAN = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=77", "UBSAN_OPTIONS": "exitcode=77"}


def test_sanitized_report_and_verbs(sanitized: str, tmp_path: Path) -> None:
    file = str(tmp_path / "f")
    chain = (
        f"report --sysctl kernel.ostype --stat /dev/fd -- write {file} x -- read {file} -- list /proc -- statfs / "
        "-- stat /dev/stdin -- mounts-at / -- getpid -- syscall getppid -- syscall openat -100 str:/ 0 "
        "-- syscall-thread getppid -- child report -- fd-list -- memory 1M -- fork 3 -- exec-check /nonexistent "
        "-- signal-log 0.01 -- hold 0.01 -- tty-info -- open-pty -- namespaces 1 -- verbs -- print end"
    )
    run = probe(*chain.split(), program=sanitized, env=CLEAN)
    assert (run.errors, run.status) == (b"", 0)
    assert run.value == "end"
    assert mismatches(run.lines[0], REPORT) == []
    state = b'{"pid": 1, "a": [{"pid": 2}]}'
    run = probe("state-to", "--append", file, "n", program=sanitized, env=CLEAN, stdin=state)
    assert (run.errors, run.status) == (b"", 0)


def test_sanitized_noise(sanitized: str, tmp_path: Path) -> None:
    source = random.Random(20)
    for _ in range(40):
        words = noise(source)
        run = probe(*words, cwd=str(tmp_path), program=sanitized, env=CLEAN)
        assert run.errors == b"", words
        check_noise(run, words)


def test_the_sanitizers_are_on(sanitized: str) -> None:
    assert b"__asan" in Path(sanitized).read_bytes()
