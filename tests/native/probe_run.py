"""Runs the probe, for its tests."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.native import programs


def reachable(path: str) -> str:
    """The program itself where every user can reach it, else (a clone below /root) a copy that they can."""
    directory = os.path.dirname(path)
    while directory != "/" and os.stat(directory).st_mode & 0o001:
        directory = os.path.dirname(directory)
    if directory == "/":
        return path
    copies = tempfile.mkdtemp(prefix="probe-")
    atexit.register(shutil.rmtree, copies)
    os.chmod(copies, 0o755)
    return shutil.copy(path, copies)


PROBE = reachable(programs.path("probe"))
Word = str | bytes


@dataclass(frozen=True)
class Run:
    """What one run printed and how it ended (`status` as subprocess has it: -9 is SIGKILL)."""

    status: int
    lines: list[dict[str, Any]]
    output: bytes
    errors: bytes

    @property
    def only(self) -> dict[str, Any]:
        """The one line that there is."""
        assert len(self.lines) == 1, self.output
        return self.lines[0]

    @property
    def value(self) -> Any:
        """The value of the last line, which has to be a success."""
        assert self.lines[-1]["ok"], self.lines[-1]
        return self.lines[-1]["value"]

    @property
    def errno(self) -> Any:
        """The errno of the last line, which has to be a failure."""
        assert not self.lines[-1]["ok"], self.lines[-1]
        return self.lines[-1]["errno"]


def probe(
    *words: Word,
    program: str = PROBE,
    stdin: bytes | int = subprocess.DEVNULL,
    env: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
    pass_fds: Sequence[int] = (),
    cwd: str | None = None,
    argv0: str | None = None,
    close_fds: bool = True,
    timeout: float = 30,
) -> Run:
    """Run `probe WORDS` to its end; `before` runs in the child, and so does what closes descriptors."""
    done = subprocess.run(
        [program if argv0 is None else argv0, *words],
        executable=program,
        input=stdin if isinstance(stdin, bytes) else None,
        stdin=None if isinstance(stdin, bytes) else stdin,
        capture_output=True,
        env=env,
        preexec_fn=before,
        pass_fds=pass_fds,
        close_fds=close_fds,
        cwd=cwd,
        timeout=timeout,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
    return Run(done.returncode, lines, done.stdout, done.stderr)


def start(*words: Word, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start the probe and leave it running; its stdout is a pipe."""
    return subprocess.Popen([PROBE, *words], stdin=stdin, stdout=subprocess.PIPE)


def next_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next line that a running probe prints."""
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def empty_root(directory: str) -> tuple[str, Callable[[], None]]:
    """A root with nothing but /probe and an empty /proc, and the function that enters it."""
    import shutil

    os.mkdir(os.path.join(directory, "proc"))
    shutil.copyfile(PROBE, os.path.join(directory, "probe"))
    os.chmod(os.path.join(directory, "probe"), 0o755)

    def enter() -> None:
        os.chroot(directory)
        os.chdir("/")

    return "/probe", enter
