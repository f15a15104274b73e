"""What cases would meet in each cgroup view: tried in the airlock, with one container of each runtime.

As a program (in the airlock): the request as the only argument, the answer as JSON on standard output.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SECONDS = 60.0  # for all views together; each takes about one, more on a machine with much to do
INVOCATION = 5.0  # seconds for one invocation of a runtime


@dataclass(slots=True)
class Trial:
    """A view's answer.  `error` says why there is none; `needs` has the reason of each unmet need; `runtimes` has, by
    path, None where a container ran and else why it did not; `commands` has the commands that a runtime lacks."""

    view: str
    error: str | None = None
    controllers: list[str] = field(default_factory=list)
    needs: dict[str, str] = field(default_factory=dict)
    runtimes: dict[str, str | None] = field(default_factory=dict)
    commands: dict[str, list[str]] = field(default_factory=dict)


def try_views(
    views: Sequence[str], runtimes: Sequence[str], words: Sequence[str], commands: Sequence[str]
) -> list[Trial]:
    """Ask every view at once.  The first also asks each runtime for its commands."""
    from seatrial.conformance.airlock.airlock import Request, open_airlock
    from seatrial.conformance.check import environment

    lifeline_out, lifeline_in = os.pipe()
    started = []
    deadline = time.monotonic() + SECONDS
    try:
        for number, view in enumerate(views):
            base = tempfile.mkdtemp(prefix="seatrial-doctor-", dir="/tmp")
            os.chmod(base, 0o755)
            workdir, log = os.path.join(base, "work"), os.path.join(base, "log")
            os.mkdir(workdir)
            asked: dict[str, Any] = {"runtimes": list(runtimes), "words": list(words), "workdir": workdir}
            asked["commands"] = [] if number else list(commands)
            command = [sys.executable, "-m", "seatrial.conformance.doctor.trial", json.dumps(asked)]
            request = Request(command, view, None, lifeline_out, [], workdir, log)
            started.append((view, base, log, open_airlock(request, environment())))
        os.close(lifeline_out)
        lifeline_out = -1
        return [_answer(view, log, process, deadline) for view, _, log, process in started]
    finally:
        os.close(lifeline_in)  # the janitors' sign to end everything
        if lifeline_out >= 0:
            os.close(lifeline_out)
        for _, base, _, process in started:
            process.communicate()
            shutil.rmtree(base, ignore_errors=True)


def _answer(view: str, log: str, process: Any, deadline: float) -> Trial:
    import subprocess

    try:
        _, complaint = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return Trial(view, f"no answer within {SECONDS:g} s")
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read().strip()
    try:
        return Trial(**json.loads(text.splitlines()[-1]))
    except (ValueError, TypeError, IndexError):
        lines = (complaint or b"").decode("utf-8", "replace").strip().splitlines() or text.splitlines()
        return Trial(view, lines[-1] if lines else f"exit status {process.returncode}")


def answer(asked: dict[str, Any]) -> Trial:
    """The trial in this process's view."""
    from seatrial.conformance.airlock import cgroups
    from seatrial.conformance.airlock.airlock import VIEW_ENV
    from seatrial.conformance.driver.bundle import Workshop
    from seatrial.conformance.driver.driver import Runtime
    from seatrial.conformance.engine import needs
    from seatrial.conformance.engine.session import Session
    from seatrial.conformance.errors import EnvironmentProblem, Finding

    view = cgroups.read_view()
    made = Trial(os.environ.get(VIEW_ENV) or view.mode, controllers=sorted(view.controllers()))
    # A worker's session is what cases have: it confines this process once more.
    session = Session(asked["runtimes"][0], asked["workdir"], INVOCATION, os.environ.get(VIEW_ENV))
    try:
        made.needs = {word: reason for word in asked["words"] if (reason := needs.unmet(word))}
        for number, path in enumerate(asked["runtimes"]):
            directory = os.path.join(session.directory, f"trial-{number}")
            workshop = Workshop(os.path.join(directory, "bundles"), f"st-{os.getpid()}-{number}")
            runtime = Runtime(path, directory, workshop, timeout=INVOCATION)
            try:
                runtime.prove_sane()
                made.runtimes[path] = None
            except (Finding, EnvironmentProblem) as error:
                made.runtimes[path] = str(error)
            made.commands[path] = [command for command in asked["commands"] if not runtime.offers(command)]
    finally:
        session.close()
    return made


def main() -> int:
    """Print the answer."""
    from dataclasses import asdict

    print(json.dumps(asdict(answer(json.loads(sys.argv[1])))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
