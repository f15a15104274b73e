"""The zygote: a process that waits to be `seatrial`, and its likeness to a new interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from zygote_client import ask, ask_on_terminal, serving

from seatrial.conformance.engine import interpreter


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a zygote."""
    path = str(tmp_path_factory.mktemp("zygote") / "warm" / "seatrial")
    with serving(path):
        yield path


def test_it_is_the_command(place: str) -> None:
    answer, out, err = ask(place, ["seatrial", "--version"])
    assert answer["pid"] > 0
    assert out.startswith(b"seatrial ")
    assert err == b""


def test_one_after_another(place: str) -> None:
    pids = {ask(place, ["seatrial", "no-such-command"])[0]["pid"] for _ in range(3)}
    assert len(pids) == 3


def test_it_collects_anew(place: str) -> None:
    _, out, err = ask(place, ["seatrial", "check", "--list", "-k", "no_new_privileges"])
    assert b"::" in out, err
    cold = subprocess.run(
        [sys.executable, "-m", "seatrial.conformance.cli", "check", "--list", "-k", "no_new_privileges"],
        capture_output=True,
        check=True,
        cwd="/",
    )
    assert out == cold.stdout


def test_terminal_of_its_own(place: str) -> None:
    assert ask_on_terminal(place, ["seatrial", "--version"]).startswith(b"seatrial ")


def test_directory_that_is_not_there(place: str) -> None:
    answer, _, _ = ask(place, ["seatrial", "--version"], cwd="/no/such")
    assert (answer["errno"], answer["path"]) == (2, "/no/such")


LIKENESS = """
import json, os, signal, sys
print(json.dumps({
    "argv": sys.argv[1:],
    "descriptors": sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)),
    "environment": dict(os.environ),
    "handlers": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD)],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "session": os.getsid(0) == os.getpid(),
    "directory": os.getcwd(),
}))
"""


@pytest.mark.parametrize("session", [False, True])
def test_forked_program_is_like_a_new_interpreter(
    session: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways from a process with handlers, descriptors and an environment that must not be passed on."""
    package = tmp_path / "likeness_of_a_program.py"
    package.write_text(
        "def main():\n    "
        + LIKENESS.strip().replace("\n", "\n    ")
        + "\n    return 7\nif __name__ == '__main__':\n    import sys\n    sys.exit(main())\n"
    )
    driver = f"""
import os, signal, subprocess, sys, json
sys.path.insert(0, {str(tmp_path)!r})
from seatrial.conformance.engine import interpreter
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGCHLD, lambda *_: None)
os.set_inheritable(os.open("/dev/null", os.O_RDONLY), False)
reader, writer = os.pipe()
found = []
for interpreter.warm in (False, True):
    process = interpreter.start(
        [sys.executable, "-m", "likeness_of_a_program", "one", "two"],
        env={{"PATH": "/bin", "PYTHONPATH": {str(tmp_path)!r}, "LC_CTYPE": "C.UTF-8"}}, pass_fds=[writer],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session={session},
    )
    out, _ = process.communicate()
    found.append([process.returncode, json.loads(out)])
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", driver], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    cold, forked = json.loads(done.stdout)
    assert forked == cold
    assert cold[0] == 7
    assert cold[1]["argv"] == ["one", "two"]
    assert cold[1]["session"] is session


def test_programs_that_are_not_ours_are_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "warm", True)
    monkeypatch.setattr(interpreter, "become", lambda *_: os._exit(9))
    with interpreter.start(["sh", "-c", "exit 4"], env={"PATH": os.environ["PATH"]}, pass_fds=[]) as process:
        assert process.wait() == 4
    with interpreter.start([sys.executable, "-m", "x"], env={}, pass_fds=[]) as process:
        assert process.wait() == 9


def test_exception_of_a_forked_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "warm", True)
    argv = [sys.executable, "-m", "no_such_module_anywhere"]
    with interpreter.start(argv, env={}, pass_fds=[], stderr=subprocess.PIPE) as process:
        _, told = process.communicate()
        assert process.returncode == 1
    assert b"no_such_module_anywhere" in told
