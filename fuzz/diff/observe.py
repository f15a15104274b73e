"""One bundle on one runtime: what came of it, as plain data that can be compared, kept and told."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import Any

from seatrial.conformance.airlock import leaks, orphans
from seatrial.conformance.driver import defaults
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.warm import WarmRuntime, is_reference
from seatrial.conformance.engine.session import Session
from seatrial.conformance.errors import EnvironmentProblem, Finding, RuntimeTimeout
from seatrial.conformance.sweep.proof import proof
from seatrial.fuzz.diff.paths import Document

RUN, STEPS = "run", "steps"  # how a container is run: in the foreground, or by create, start and delete
FLOWS = (RUN, STEPS)
ACCEPTED, REFUSED, CRASHED, HUNG = "accepted", "refused", "crashed", "hung"
PROGRAM = (PROBE, "report")  # what the container runs
ID = "ID"  # what a container is called in configs; bundles have their own name in its place
END = 10.0  # seconds in which the program must have reported

# Members of the report that differ for reasons of the harness or of chance, and say nothing about a runtime.
IGNORED = frozenset(("stdio", "first_cgroup", "interfaces", "addresses", "stat"))


def base() -> Document:
    """The harness' default config, whose program is the probe's report."""
    config = defaults.document()
    config["process"]["args"] = list(PROGRAM)
    config["linux"]["cgroupsPath"] = f"/{ID}"
    return config


@dataclass(frozen=True, slots=True)
class Observation:
    """`answer` is one of ACCEPTED, REFUSED, CRASHED, HUNG; `report` the leaves of what the program saw; `states` what
    `state` said on the way; `left` what stayed after a delete; `said` the last line of the standard error."""

    answer: str
    status: int
    report: dict[str, str]
    states: tuple[str, ...]
    left: tuple[str, ...]
    said: str


class Place:
    """One runtime of a lane, with a state directory and a watch of its own.  `warm`: the reference runtime may have its
    start-up behind it (driver/warm.py)."""

    def __init__(self, session: Session, path: str, number: int, timeout: float, warm: bool = True) -> None:
        self.session = session
        self.path = path
        directory = os.path.join(session.directory, f"runtime-{number}")
        os.makedirs(directory, mode=0o755, exist_ok=True)
        kind = WarmRuntime if warm and is_reference(path) else Runtime
        self.runtime = kind(path, directory, session.workshop, timeout=timeout)
        self._clean: leaks.Snapshot | None = None  # how it looked after the last run, if that left nothing
        self.watch = leaks.Watch(self.runtime.root, session.directory, session.workshop.prefix, confined=True)

    def prove_sane(self) -> None:
        """EnvironmentProblem unless the runtime can run the harness' default bundle."""
        try:
            self.runtime.prove_sane()
        except Finding as error:
            raise EnvironmentProblem(f"{self.path}: {error}") from error

    def observe(self, config: Document, flow: str) -> Observation:
        """Run the config's program once, and look."""
        before = self._clean or self.watch.take()
        bundle = self.session.workshop.bundle()
        bundle.raw = json.dumps(config).replace(f'"/{ID}"', json.dumps("/" + bundle.name))
        states: list[str] = []
        try:
            result = self._run(bundle) if flow == RUN else self._steps(bundle, states)
            answer, report = self._judge(result, bundle)
        except RuntimeTimeout:
            result, answer, report = self.runtime.journal[-1], HUNG, {}
        left = self._left(before, bundle)
        self.session.workshop.remove(bundle)
        self.runtime.journal.clear()
        lines = result.stderr.strip().splitlines()
        said = lines[-1][-300:].replace(bundle.name, ID) if lines else ""
        return Observation(answer, result.status, report, tuple(states), tuple(left), said)

    def _run(self, bundle: Bundle) -> Result:
        bundle.write()
        return self.runtime.command("run", "--bundle", bundle.path, bundle.name)

    def _steps(self, bundle: Bundle, states: list[str]) -> Result:
        bundle.write()
        runtime, name = self.runtime, bundle.name
        created = runtime.command("create", "--bundle", bundle.path, name)
        states.append(self._status(name))
        if not created.ok:
            return created
        started = runtime.command("start", name)
        status = self._wait(name) if started.ok else self._status(name)
        states.append(f"start: {'ok' if started.ok else 'error'}, {status}")
        deleted = runtime.command("delete", name)
        status = self._status(name) if not deleted.ok or runtime.knows(name) else "none"
        states.append(f"delete: {'ok' if deleted.ok else 'error'}, {status}")
        said = started.stderr or created.stderr
        return Result(created.argv, created.env, started.status, created.output(), said, 0.0, False, created.stream)

    def _status(self, name: str) -> str:
        answer = self.runtime.state(name)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if answer.ok:
                return str(json.loads(answer.stdout)["status"])
        return "none" if not answer.ok else "unreadable"

    def _wait(self, name: str) -> str:
        """The status after the end of the container's process."""
        import time

        status = "running"
        deadline = time.monotonic() + END
        pause = 0.001
        while time.monotonic() < deadline:
            orphans.reap()
            # A process that is about to end may be missing from the list of our children: state has the last word.
            if not orphans.of_container(name) and (status := self._status(name)) != "running":
                break
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        return status

    def _judge(self, result: Result, bundle: Bundle) -> tuple[str, dict[str, str]]:
        if result.status < 0:
            return CRASHED, {}
        line = result.stdout.partition("\n")[0]
        if not line.startswith('{"schema"') and '"seatrial.probe' not in line[:60]:
            return (REFUSED if result.status else ACCEPTED), {}
        text = line.replace(bundle.path, "BUNDLE").replace(bundle.name, ID)
        try:
            data = json.loads(text)
        except ValueError:
            return ACCEPTED, {"report": "not readable"}
        return ACCEPTED, proof(_by_name(data))

    def _left(self, before: leaks.Snapshot, bundle: Bundle) -> list[str]:
        runtime = self.runtime
        kept = []
        if os.path.lexists(os.path.join(runtime.root, bundle.name)):
            kept.append("state entry")
            with contextlib.suppress(Finding):
                runtime.command("delete", "--force", bundle.name)
        found = leaks.settle(lambda: self.watch.compare(before))
        self._clean = before
        if self.watch.last != before:
            self.watch.clean(before)
            self._clean = None
        return sorted({*kept, *(line.split()[0].replace("state", "state entry") for line in found)})


def _by_name(data: dict[str, Any]) -> dict[str, Any]:
    """The report without IGNORED; environment, cgroups and descriptors under their names, so that one more moves no
    others."""
    changed = {name: value for name, value in data.items() if name not in IGNORED}
    if isinstance(data.get("env"), list):
        changed["env"] = {entry.partition("=")[0]: entry.partition("=")[2] for entry in data["env"]}
    if isinstance(data.get("cgroup"), list):
        changed["cgroup"] = {str(entry.get("controllers")): entry.get("path") for entry in data["cgroup"]}
    if isinstance(data.get("fds"), list):
        changed["fds"] = {str(entry.get("fd")): entry.get("type") for entry in data["fds"]}
    if isinstance(data.get("keyring"), dict):
        changed["keyring"] = {name: value for name, value in data["keyring"].items() if name != "id"}
    return changed
