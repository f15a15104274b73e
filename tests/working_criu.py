"""A CRIU that works on this kernel: the caller's, or a newer suite's, which is fetched once and kept in the cache.

A distribution's CRIU is often too old for a newer kernel, and a container for CI has none.  The copy comes from
docs/examples/newer-runtime (some 25 s and 20 MB of lists and packages); nothing is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache

from seatrial.conformance import cache as harness_cache

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "docs", "examples", "newer-runtime")
SUITE = "sid"
PLACES = ":/usr/sbin:/sbin"  # which not every PATH has
NEEDED = ("mmdebstrap", "patchelf", "apt-get")
PATIENCE = 300.0  # seconds for the whole: a mirror that does not answer is given up by apt long before
RETRY = 600.0  # seconds for which a failure is remembered: other workers and runs would only meet it again
ASK = """
import sys
from seatrial.conformance.driver import criu
criu.program = lambda: sys.argv[1]
print(criu.unusable() or "")
"""


class NoCriuError(Exception):
    """There is none, and none is to be had; the text is the reason for a skip."""


def working_criu() -> str:
    """The path of a program that dumps and restores a process here.  SEATRIAL_CRIU names it, else PATH has it, else it
    is fetched.  Raises NoCriuError."""
    found, reason = _search()
    if reason:
        raise NoCriuError(reason)
    return found


@contextlib.contextmanager
def criu_first_in_path() -> Iterator[None]:
    """A with block in which PATH leads to it, if there is one; else the suite skips its cases about checkpoints."""
    before = os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="seatrial-test-") as links:
        try:
            os.symlink(working_criu(), os.path.join(links, "criu"))
            os.environ["PATH"] = f"{links}:{before}"
        except NoCriuError:
            pass
        try:
            yield
        finally:
            os.environ["PATH"] = before


@cache
def _search() -> tuple[str, str]:
    """The program, or why there is none; once a process."""
    named = os.environ.get("SEATRIAL_CRIU")
    found = shutil.which(named or "criu", path=os.environ["PATH"] + PLACES)
    if named:
        reason = _unusable(found) if found else "not there"
        return found or "", reason and f"criu: {named}, which SEATRIAL_CRIU names: {reason}"
    old = _unusable(found) if found else "not installed"
    if found and not old:
        return found, ""
    try:
        fetched = _fetched()
    except NoCriuError as error:
        return "", f"criu: {old}; from {SUITE}: {error}"
    reason = _unusable(fetched)
    return fetched, reason and f"criu: {old}; from {SUITE} ({fetched}): {reason}"


def _unusable(program: str) -> str:
    """Why this program cannot carry even a process that waits over; "" when it can."""
    command = [sys.executable, "-c", ASK, program]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    return done.stdout.strip() if done.returncode == 0 else f"the trial failed: {done.stderr.strip()[-200:]}"


def _fetched() -> str:
    """The path of the copy, made where it is not there yet, by one process at a time.  Raises NoCriuError."""
    path = os.environ["PATH"] + PLACES
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if missing:
        raise NoCriuError(f"not fetched: no {', '.join(missing)}")
    place = os.path.join(harness_cache.directory(os.environ), "tests", f"criu-{SUITE}")
    program, failure = os.path.join(place, "bin", "criu"), f"{place}.failed"
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(f"{place}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(program):
            return program
        if os.path.exists(failure) and time.time() - os.path.getmtime(failure) < RETRY:
            with open(failure, encoding="utf-8") as file:
                raise NoCriuError(file.read())
        try:
            _fetch(place, program, path)
        except NoCriuError as error:
            shutil.rmtree(place, ignore_errors=True)
            with open(failure, "w", encoding="utf-8") as file:
                file.write(f"{error}")
            raise
    return program


def _fetch(place: str, program: str, path: str) -> None:
    """Unpack the suite's CRIU and what it links to, and make the copy; last of all it gets its name."""
    shutil.rmtree(place, ignore_errors=True)  # what a try has left that was killed
    os.makedirs(os.path.dirname(program))
    command = ["sh", SCRIPT, SUITE, "criu", os.path.join(place, "root"), f"{program}.new"]
    try:
        done = subprocess.run(
            command,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise NoCriuError(f"not fetched within {PATIENCE:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        errors = [number for number, line in enumerate(lines) if line.startswith(("Err:", "E: "))] or [len(lines) - 1]
        said = lines[errors[0] : errors[0] + 2]  # apt has the reason in the line below
        raise NoCriuError(f"not fetched: {': '.join(line.strip() for line in said)}")
    os.rename(f"{program}.new", program)
