"""The process that runs cases against many runtimes: pytest, collected once, then a fork for each job.

A pytest plugin (`-p seatrial.conformance.sensitivity.judge`).  Each lane, a fork of the collected session, reads jobs
from a pipe and answers on another one, both as JSON lines.  A job is run by a fork of the lane, with a Session of its
own: a mutant that hangs, kills or confuses the process that judges it spoils nothing but its own job.

    job     {"runtime": PATH, "cases": [CASE, ...], "stop": true, "timeout": 4.0, "seconds": 60.0, "log": PATH | null}
    answer  {"case": CASE, "outcome": "failed", "reason": "...", "seconds": 0.1, "points": [...]}   one for each case
            {"done": true, "died": CASE | null}        `died`: the case during which the job's process was lost
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from seatrial.conformance import plugin
from seatrial.conformance.airlock.subtree import LEAF, hierarchies, remove
from seatrial.conformance.driver.execute import wait_pidfd
from seatrial.conformance.sensitivity.points import Ears
from seatrial.conformance.verdict import outcome, recorder
from seatrial.native import mount_api, syscall


def pytest_addoption(parser: pytest.Parser) -> None:
    """The lanes' pipes, as READ:WRITE descriptors, the file with the steps of the parent, and protect_host()."""
    group = parser.getgroup("seatrial-sensitivity")
    group.addoption("--lane", action="append", default=[], metavar="READ:WRITE")
    group.addoption("--steps", metavar="FILE")
    group.addoption("--guarded", action="store_true")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Serve until every lane's jobs end."""
    if session.testsfailed:
        raise session.Failed(f"{session.testsfailed} errors during collection")
    if session.config.getoption("guarded"):
        protect_host(session.config.getoption("workdir"))
    pairs = [tuple(int(word) for word in pair.split(":")) for pair in session.config.getoption("lane")]
    lanes = []
    for read, write in pairs:
        pid = os.fork()
        if pid == 0:
            for other in pairs:
                if other != (read, write):
                    os.close(other[0])
                    os.close(other[1])
            _leave_with(lambda read=read, write=write: Lane(session, read, write).serve())
        lanes.append(pid)
    for read, write in pairs:
        os.close(read)
        os.close(write)
    for pid in lanes:
        os.waitpid(pid, 0)
    return True


def protect_host(workdir: str) -> None:
    """A mutant is root, and wrong: the host's files are read-only here, and its network is out of reach."""
    # In mounts of its own: the ones that files are open for writing on cannot become read-only.
    syscall.unshare(syscall.CLONE_NEWNS | syscall.CLONE_NEWNET)
    below = os.path.dirname(os.path.dirname(os.path.abspath(workdir)))
    mount_api.mount(below, below, None, mount_api.MS_BIND | mount_api.MS_REC)
    mount_api.mount(None, "/", None, mount_api.MS_REMOUNT | mount_api.MS_BIND | mount_api.MS_RDONLY)


class Lane:
    """Takes one job after the other."""

    def __init__(self, session: pytest.Session, read: int, write: int) -> None:
        self.session = session
        self.jobs = open(read, encoding="utf-8")  # noqa: SIM115  (for the life of the process)
        self.answers = os.fdopen(write, "w", encoding="utf-8", buffering=1)
        self.items = {plugin.case_id(item): item for item in session.items}
        steps = session.config.getoption("steps")
        self.steps: set[str] = set()
        if steps:
            with open(steps, encoding="utf-8") as file:
                self.steps = set(json.load(file))

    def serve(self) -> int:
        """Until the jobs end."""
        syscall.prctl(syscall.PR_SET_CHILD_SUBREAPER, 1)
        for line in self.jobs:
            self.take(json.loads(line))
        return 0

    def take(self, job: dict[str, Any]) -> None:
        """Run one job in a fork, and clean up after it."""
        workdir = tempfile.mkdtemp(prefix="job-", dir=self.session.config.getoption("workdir"))
        os.chmod(workdir, 0o755)
        progress = os.path.join(workdir, "case")
        child = os.fork()
        if child == 0:
            _leave_with(lambda: Job(self, job, workdir, progress).run())
        pidfd = os.pidfd_open(child)
        if not wait_pidfd(pidfd, job["seconds"]):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        _, status = os.waitpid(child, 0)
        died = None
        if status != 0:
            with contextlib.suppress(OSError), open(progress, encoding="utf-8") as file:
                died = file.read()
        for place in _places(f"worker-{child}"):
            remove(place, 1.0)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        shutil.rmtree(workdir, ignore_errors=True)
        self.answer({"done": True, "died": died})

    def answer(self, entry: dict[str, Any]) -> None:
        """One line."""
        self.answers.write(json.dumps(entry) + "\n")
        self.answers.flush()


class Job:
    """One job, in a process of its own."""

    def __init__(self, lane: Lane, job: dict[str, Any], workdir: str, progress: str) -> None:
        self.lane = lane
        self.job = job
        self.progress = progress
        self.payloads: list[dict[str, Any]] = []
        config = lane.session.config
        config.option.runtime, config.option.runtime_timeout = job["runtime"], job["timeout"]
        config.option.workdir = workdir
        config.pluginmanager.register(self, "seatrial-job")

    def run(self) -> int:
        """The cases in their order; `stop`: until one has failed."""
        items = [self.lane.items[name] for name in self.job["cases"]]
        for item, following in zip(items, [*items[1:], None], strict=True):
            name = plugin.case_id(item)
            with open(self.progress, "w", encoding="utf-8") as file:
                file.write(name)
            self.payloads.clear()
            start = time.monotonic()
            log = self.job.get("log")
            if log is not None:
                open(log, "wb").close()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            seconds = time.monotonic() - start
            found = outcome.heaviest([payload["outcome"] for payload in self.payloads] or [outcome.HARNESS_BUG])
            reasons = [payload["reason"] for payload in self.payloads if payload["outcome"] == found]
            reason = "; ".join(filter(None, reasons))
            entry = {"case": name, "outcome": found, "reason": reason, "seconds": round(seconds, 3)}
            if log is not None:
                with open(log, encoding="utf-8", errors="surrogateescape") as lines:
                    entry["points"] = sorted(Ears(self.lane.steps).points(lines))
            self.lane.answer(entry)
            if self.job["stop"] and found == outcome.FAILED:
                break
        session = plugin.existing_session(self.lane.session.config)
        if session is not None:
            session.close()
        return 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What the recorder found out about each phase."""
        self.payloads += [value for name, value in report.user_properties if name == recorder.PROPERTY]  # type: ignore[misc]


def _places(name: str) -> Iterator[str]:
    """The cgroup of a job's session in every hierarchy (see Subtree)."""
    for hierarchy in hierarchies():
        parent = hierarchy.own
        if hierarchy.version == 2 and os.path.basename(parent) == LEAF:
            parent = os.path.dirname(parent)
        yield os.path.join(parent, name)


def _leave_with(work: Any) -> None:
    """Run `work` in a forked child, and leave with its status."""
    status = outcome.BUG
    try:
        status = work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
