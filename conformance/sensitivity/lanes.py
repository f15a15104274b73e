"""Starts the judge in the airlock and gives jobs to its lanes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from seatrial.conformance import check
from seatrial.conformance.airlock.airlock import Request, open_airlock
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.conformance.sensitivity import executables

ONE_CASE = 60.0  # seconds that a case may take before the process that runs it is given up


class Lane:
    """One lane's two pipes.  For one thread."""

    def __init__(self, owner: Lanes, number: int, jobs: int, answers: int) -> None:
        self.owner = owner
        self.number = number
        self.directory = os.path.join(owner.base, f"lane-{number}")
        os.mkdir(self.directory)
        os.chmod(self.directory, 0o777)  # for the marks of mutants that an ordinary user runs
        self.jobs = os.fdopen(jobs, "w", encoding="utf-8", buffering=1)
        self.answers = os.fdopen(answers, encoding="utf-8")

    def ask(
        self, runtime: str, cases: Sequence[str], *, stop: bool, timeout: float, log: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Run cases against a runtime, in order, until one fails (`stop`), and yield the answers as they come; the last
        one is {"done": true, "died": case or None}.  HarnessBug when the judge is gone."""
        seconds = ONE_CASE + ONE_CASE / 6 * len(cases)
        job: dict[str, Any] = {
            "runtime": runtime,
            "cases": list(cases),
            "stop": stop,
            "timeout": timeout,
            "seconds": seconds,
        }
        try:
            self.jobs.write(json.dumps({**job, "log": log}) + "\n")
            self.jobs.flush()
        except BrokenPipeError:
            raise self.owner.failure() from None
        while True:
            line = self.answers.readline()
            if not line:
                raise self.owner.failure()
            entry: dict[str, Any] = json.loads(line)
            yield entry
            if entry.get("done"):
                return

    def close(self) -> None:
        """No more jobs."""
        self.jobs.close()


class Lanes:
    """The judge in its airlock, with `count` lanes.  A with statement ends it.

    `guarded`: the host's files are read-only and its network out of reach, since nobody knows what a generated mutant
    does.  CRIU does not work there: it needs /tmp and a loopback device.
    """

    def __init__(self, count: int, view: str, steps: dict[str, str] | None = None, guarded: bool = True) -> None:
        if os.geteuid() != 0:
            raise EnvironmentProblem("mutants are tried as root only: most of what they break needs root to be seen")
        self.base = tempfile.mkdtemp(prefix="seatrial-", dir="/tmp")
        os.chmod(self.base, 0o755)
        workdir = os.path.join(self.base, "work")
        self.log = os.path.join(self.base, "pytest.log")
        os.mkdir(workdir)
        open(self.log, "wb").close()
        self._lifeline, lifeline = os.pipe()
        self._lifeline, lifeline = lifeline, self._lifeline  # (write end is ours)
        control = executables.mutant(os.path.join(self.base, "control"), [])
        selection = check.Selection(runtime=control, profile="all")
        command = check.pytest_command(selection, workdir, "")
        command[command.index("--results") : command.index("--results") + 2] = []
        command += ["-s", "-p", "seatrial.conformance.sensitivity.judge"]
        if guarded:
            command.append("--guarded")
        if steps is not None:
            path = os.path.join(self.base, "steps.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(sorted(steps), file)
            command += ["--steps", path]
        self.lanes: list[Lane] = []
        theirs: list[int] = []
        for number in range(count):
            jobs_out, jobs_in = os.pipe()
            answers_out, answers_in = os.pipe()
            theirs += (jobs_out, answers_in)
            command += ["--lane", f"{jobs_out}:{answers_in}"]
            self.lanes.append(Lane(self, number, jobs_in, answers_out))
        request = Request(command, view, None, lifeline, theirs, workdir, self.log)
        self.process: subprocess.Popen[bytes] = open_airlock(request, check.environment())
        for number in (lifeline, *theirs):
            os.close(number)

    def __enter__(self) -> Lanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self.lanes:
            try:
                lane.close()
            except BrokenPipeError:
                pass
        if kind is not None:
            os.close(self._lifeline)
            self.process.wait()
        else:
            self.process.wait()
            os.close(self._lifeline)
        for lane in self.lanes:
            lane.answers.close()
        if self.process.stderr is not None:
            self.process.stderr.close()
        shutil.rmtree(self.base, ignore_errors=True)

    def failure(self) -> Exception:
        """Why the judge is gone."""
        _, complaint = self.process.communicate()
        with open(self.log, encoding="utf-8", errors="replace") as file:
            text = file.read()[-3000:]
        said = (complaint or b"").decode("utf-8", "replace").strip()
        if self.process.returncode == 2 and said and not text.strip():
            return EnvironmentProblem(said)
        return HarnessBug(f"the judge ended with status {self.process.returncode}\n{said}\n{text}")
