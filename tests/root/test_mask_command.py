"""`seatrial mask`: real system calls behind real filters, and the command line around them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile

import ordinary_user
import pytest

from seatrial.conformance.mask import names, numbers
from seatrial.conformance.mask.names import Mask, resolve
from seatrial.conformance.mask.rule import Rule

SEATRIAL = os.path.join(os.path.dirname(sys.executable), "seatrial")
MASKS = [resolve(name) for name in (*names.features(), *names.profiles())]
CALLER = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
found = []
for number, *arguments in json.loads(sys.argv[1]):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_ulong(value) for value in arguments])
    found.append(ctypes.get_errno() if result == -1 else 0)
json.dump(found, sys.stdout)
"""
NOWHERE = (1 << 64) - 1  # a descriptor and an address that are none: what reaches the kernel fails otherwise
ARCHITECTURE = numbers.MACHINES[os.uname().machine][0]


def seatrial(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SEATRIAL, "mask", *words], capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload]


def meeting(rule: Rule) -> list[int]:
    """Arguments that meet a rule's tests."""
    arguments = [NOWHERE if rule.call != "clone3" else 0] * 6
    for test in rule.tests:
        value = 0x7FFFFFF0 if test.kind == "other" else test.values[0]
        arguments[test.argument] = value
    return arguments


def number(call: str) -> int:
    return numbers.numbers(ARCHITECTURE, call)[0]


def errnos(calls: list[list[int]], *masks: str) -> list[int]:
    """What each call fails with in a child, behind these masks; 0 for one that does not."""
    command = [sys.executable, "-I", "-S", "-c", CALLER, json.dumps(calls)]
    if masks:
        done = seatrial(*masks, "--", *command)
    else:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: list[int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: mask.name)
def test_each_masked_call_fails_as_the_table_says(mask: Mask) -> None:
    """The calls are made with arguments that no kernel accepts, and that meet the rule: with the errno of the table it
    is the filter that answered."""
    calls = [[number(rule.call), *meeting(rule)] for rule in mask.rules]
    wanted = []
    for rule in mask.rules:
        arguments = tuple(meeting(rule))
        wanted.append(next(other.errno for other in mask.rules if other.answers(rule.call, arguments)))
    assert errnos(calls, mask.name) == wanted


def test_the_kernel_itself_answers_otherwise() -> None:
    """The counterpart: without a mask most of those calls fail with something else, so that it is not the arguments."""
    rules = [rule for name in names.features() for rule in resolve(name).rules]
    found = errnos([[number(rule.call), *meeting(rule)] for rule in rules])
    same = {rule.call for rule, got in zip(rules, found, strict=True) if got == rule.errno}
    lacking = {"open_tree_attr", "fchmodat2"}  # perhaps this kernel has none
    assert same <= {*lacking, "memfd_create"}  # EINVAL here: MFD_EXEC and MFD_NOEXEC_SEAL exclude each other


@pytest.mark.parametrize("name", [*names.features(), "linux-4.18", "linux-5.10"])
def test_everything_else_works(name: str) -> None:
    """Threads, subprocesses, files, sockets and a compressed module: an interpreter and a shell notice nothing."""
    script = (
        "import threading, subprocess, socket, zlib, os, tempfile\n"
        "seen = []; t = threading.Thread(target=lambda: seen.append(1)); t.start(); t.join(); assert seen\n"
        "assert subprocess.run(['/bin/sh', '-c', 'echo out; exit 5'], capture_output=True).returncode == 5\n"
        "socket.socketpair(); tempfile.TemporaryFile().write(b'x'); os.listdir('/'); os.stat('/'); os.access('/', 4)\n"
        "print('fine')\n"
    )
    done = seatrial(name, "--", sys.executable, "-c", script)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_several_masks() -> None:
    calls = [[number("openat2"), *[NOWHERE] * 4], [number("close_range"), 1, 0, 0]]
    assert errnos(calls, "openat2-eperm", "no-openat2", "no-close-range") == [errno.EPERM, errno.ENOSYS]
    assert errnos(calls, "no-openat2", "openat2-eperm") == [errno.ENOSYS, errno.EINVAL]


@pytest.mark.parametrize("status", [0, 1, 77])
def test_status_is_the_commands(status: int) -> None:
    assert seatrial("no-openat2", "--", "/bin/sh", "-c", f"exit {status}").returncode == status


def test_it_becomes_the_command() -> None:
    """Same pid, same descriptors, default signals: nothing stays between the caller and the command."""
    reader, writer = os.pipe()
    script = f"import os; os.write({writer}, b'%d' % os.getpid()); os.execlp('cat', 'cat')"
    words = [SEATRIAL, "mask", "no-clone3", "--", sys.executable, "-c", script]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[writer], text=True
    ) as process:
        os.close(writer)
        output, _ = process.communicate("typed\n", timeout=120)
        with open(reader, encoding="ascii") as told:
            assert int(told.read()) == process.pid
    assert output == "typed\n"


def test_signals_are_the_callers() -> None:
    """Python ignores SIGPIPE; the command must not find it so."""
    ignored = int(seatrial("no-clone3", "--", "grep", "SigIgn", "/proc/self/status").stdout.split()[-1], 16)
    assert not ignored >> (signal.SIGPIPE - 1) & 1


def test_what_cannot_be_run() -> None:
    assert seatrial("no-openat2", "--", "nosuchprogram").returncode == 127
    assert seatrial("no-openat2", "--", "/etc").returncode == 126


@pytest.mark.parametrize(
    "words",
    [["no-openat22", "--", "true"], ["no-openat2"], ["no-openat2", "--"], ["--", "true"], ["linux-99.1", "--", "true"]],
)  # fmt: skip
def test_usage_is_status_2(words: list[str]) -> None:
    done = seatrial(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    if words[0] == "no-openat22":
        assert "no-openat2" in done.stderr.replace("no-openat22", "")


def test_list() -> None:
    done = seatrial("--list")
    assert done.returncode == 0
    for name in (*names.features(), *names.profiles()):
        assert f"\n{name} " in "\n" + done.stdout


def test_root_keeps_set_user_id_programs() -> None:
    """With CAP_SYS_ADMIN no_new_privs stays off; an ordinary user cannot have a filter without it."""
    command = ["grep", "NoNewPrivs", "/proc/self/status"]
    assert seatrial("no-openat2", "--", *command).stdout.split()[-1] == "0"
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        os.chmod(home, 0o755)
        words = ordinary_user.command(home, SEATRIAL, "mask", "no-openat2", "--", *command)
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.stdout.split()[-1:] == ["1"], done.stderr
