"""`seatrial vm` on the command line, with the fake driver: it must feel like running a local command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seatrial.conformance import cli
from seatrial.vm.drivers import fake
from seatrial.vm.drivers.fake import FakePool

PATIENCE = 60.0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def words(verb: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "seatrial.conformance.cli", "vm", verb, *more]


@pytest.fixture
def vm(environment: dict[str, str]) -> Any:
    """Runs `seatrial vm run --driver fake` to its end."""

    def run(*more: str, **given: Any) -> subprocess.CompletedProcess[str]:
        argv = words("run", "--driver", "fake", *more)
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=PATIENCE, **given)

    return run


@pytest.fixture
def started(environment: dict[str, str]) -> Iterator[Any]:
    """Starts `seatrial vm run --driver fake`; what runs at the end is killed."""
    processes = []

    def start(*more: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        argv = words("run", "--driver", "fake", "--", *more)
        processes.append(subprocess.Popen(argv, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_streams_and_status(vm: Any) -> None:
    done = vm("--", "sh", "-c", "cat; echo told >&2; exit 9", input="typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (9, "typed\n", "told\n")


def test_no_input_and_arguments_as_they_are(vm: Any) -> None:
    done = vm("--", "printf", "%s|", "a b", "--timeout", "$HOME", "", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, "a b|--timeout|$HOME||")


def test_signal_that_ended_it(vm: Any) -> None:
    assert vm("--", "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize(("program", "status", "told"), [("/no/such", 127, "No such file"), ("/etc", 126, "denied")])
def test_command_that_cannot_start(vm: Any, program: str, status: int, told: str) -> None:
    done = vm("--", program)
    assert done.returncode == status
    assert program in done.stderr
    assert told in done.stderr


def test_timeout_kills(vm: Any) -> None:
    done = vm("--timeout", "0.5", "--", "sh", "-c", "echo $$; exec sleep 1000")
    assert done.returncode == 124
    assert "0.5 s" in done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


@pytest.mark.parametrize("wrong", ["0", "-1", "soon", "inf"])
def test_timeout_that_makes_no_sense(vm: Any, wrong: str) -> None:
    done = vm(f"--timeout={wrong}", "--", "true")
    assert done.returncode == 2
    assert "above 0" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signal_goes_to_the_command(started: Any, number: signal.Signals) -> None:
    script = f"trap 'echo caught; exit 5' {number.name.removeprefix('SIG')}; echo ready; while :; do sleep 0.05; done"
    process = started("sh", "-c", script)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=PATIENCE)  # the shell may say that its child was signalled too
    assert (process.returncode, out) == (5, "caught\n")


def test_answers_come_before_the_end_of_input(started: Any) -> None:
    process = started("sh", "-c", "while read -r line; do echo got $line; done")
    for word in ("one", "two"):
        process.stdin.write(f"{word}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"got {word}\n"
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    process.stdin = None  # communicate() would flush it


def test_files_in_and_out(vm: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("content")
    pair = f"{tmp_path / 'in'}:/root/in", f"/root/out:{tmp_path / 'out'}"
    done = vm("--copy", pair[0], "--get", pair[1], "--", "sh", "-c", "pwd; cat in/file >out; exit 3")
    assert done.returncode == 3
    assert (tmp_path / "out").read_text() == "content"
    assert not os.path.exists(done.stdout.strip())  # the machine is gone


@pytest.mark.parametrize("option", [("--copy", "/no/such:/root/x"), ("--get", "/no/such:/tmp/seatrial-never")])
def test_file_that_is_not_there(vm: Any, option: tuple[str, str]) -> None:
    done = vm(*option, "--", "true")
    assert done.returncode == 2
    assert done.stderr.startswith("seatrial: cannot copy /no/such")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--driver", "no-such"], "qemu"),
        (["--cgroup", "v3"], "hybrid"),
        (["--memory", "1"], "at least 128"),
        (["--copy", "nonsense"], "FROM:TO"),
    ],
)
def test_options_that_make_no_sense(vm: Any, more: list[str], told: str) -> None:
    done = vm(*more, "--", "true")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("failure", ["boot", "panic"])
def test_machine_that_fails_is_an_environment_problem(
    failure: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fake, "pool", lambda: FakePool([failure]))
    assert cli.main(["vm", "run", "--driver", "fake", "--", "true"]) == 2
    assert "Kernel panic" in capsys.readouterr().err


def test_shell_takes_its_commands_from_the_input(environment: dict[str, str]) -> None:
    argv = words("shell", "--driver", "fake")
    done = subprocess.run(argv, env=environment, input=b"exit 6\n", capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 6


def test_build_with_nothing_to_build(environment: dict[str, str]) -> None:
    done = subprocess.run(words("build", "--driver", "fake"), env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_cache_is_listed_and_emptied(environment: dict[str, str]) -> None:
    layers = Path(environment["XDG_CACHE_HOME"], "seatrial/vm/layers")
    for name in ("old", "new", "unwanted"):
        (layers / name).mkdir(parents=True)
        (layers / name / "image").write_bytes(b"x" * 3_000_000)
    past = time.time() - 40 * 86400
    os.utime(layers / "old", (past, past))

    def told(*argv: str, status: int = 0) -> str:
        done = subprocess.run(words(*argv), env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    assert [line.split() for line in told("rm").splitlines()] == [
        ["3.0", "MB", f"layers/{name}"] for name in ("new", "old", "unwanted")
    ]
    assert "removed layers/old (3.0 MB)" in told("gc")
    told("rm", "layers/unwanted")
    assert os.listdir(layers) == ["new"]
    assert "seatrial vm rm lists" in told("rm", "layers/unwanted", status=2)
