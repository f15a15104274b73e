"""A part of a cell on machines: boots one, follows the check in it line by line, and goes on in another with the rest
when a case has taken it down."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seatrial.conformance import machines
from seatrial.conformance.engine.collect import Case
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.conformance.matrix.axes import REFERENCE, Cell
from seatrial.conformance.matrix.binary import Binary
from seatrial.conformance.matrix.journal import Journal
from seatrial.conformance.verdict import outcome, results
from seatrial.conformance.verdict.results import CaseResult
from seatrial.vm.errors import BootError, Diagnosis, GuestError
from seatrial.vm.machine import Blueprint, Machine, Pool

EVIDENCE = "/tmp/seatrial-evidence"
LIST = "seatrial-cases"
CRIU = "/usr/local/sbin/criu"  # before the image's in PATH
SUITE = f"{machines.SITE}/seatrial/conformance/cases"
FRUITLESS = 2  # machines in a row that finish no case, before the rest of the part is given up
# Under software emulation these cost a third of the time that programs take to start, and say nothing about a runtime.
APPEND = "mitigations=off norandmaps init_on_alloc=0"
GUEST = [machines.PYTHON, "-m", "seatrial.conformance.matrix.guest"]  # the program that a machine runs


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same in all cells.  `timeout` is that of one invocation of the runtime, `silence` the time without a
    line after which a machine hangs, both in seconds; `expect` are paths here or names of shipped files."""

    profile: str = "spec"
    timeout: float = 60.0
    silence: float = 420.0
    expect: tuple[str, ...] = ()
    memory: int = 2048
    binaries: Mapping[str, Binary] = field(default_factory=dict)
    criu: Binary | None = None


class Part:
    """Some cases of a cell, which its journal receives.  `directory` is for what machines leave; `tell` hears each
    entry with the cell it is of."""

    def __init__(
        self,
        cell: Cell,
        cases: Sequence[Case],
        terms: Terms,
        journal: Journal,
        directory: str,
        tell: Callable[[Cell, dict[str, Any]], None],
    ) -> None:
        self.cell = cell
        self.cases = {case.id: case for case in cases}
        self.terms = terms
        self.journal = journal
        self.directory = directory
        self.tell = tell
        self.machine: Machine | None = None
        self.stopped = threading.Event()
        self.given_up = ""

    def left(self) -> list[Case]:
        """The cases without a result."""
        return [case for name, case in self.cases.items() if name not in self.journal.done]

    def work(self, pool: Pool) -> None:
        """Run what is left, in as many machines as it takes.  MachineError other than of a machine itself, and
        EnvironmentProblem, when it cannot be done at all."""
        fruitless = 0
        while (left := self.left()) and not self.stopped.is_set():
            began = time.monotonic()
            try:
                self._in_machine(pool, left)
            except BootError as error:
                self._note(None, error.diagnosis, "the machine does not come up")
            self.journal.worked(time.monotonic() - began)
            fruitless = fruitless + 1 if len(self.left()) == len(left) else 0
            if fruitless == FRUITLESS and not self.stopped.is_set():
                self.given_up = self.given_up or "machines end before they finish a case"
                self._note(None, Diagnosis(self.given_up), f"given up after {FRUITLESS} machines")
                return

    def stop(self) -> None:
        """End at once: take the machine away."""
        self.stopped.set()
        machine = self.machine
        if machine is not None:
            machine.close()

    # -- one machine -----------------------------------------------------------------------------------------------

    def _in_machine(self, pool: Pool, cases: Sequence[Case]) -> None:
        with (
            tempfile.TemporaryDirectory(prefix="seatrial-matrix-") as work,
            pool.boot(self._blueprint(work)) as machine,
        ):
            self.machine = machine
            if self.stopped.is_set():
                return
            watch = Watch(machine, self.terms.silence)
            try:
                self._check(machine, cases, watch)
            except (GuestError, BrokenPipeError) as error:
                if self.stopped.is_set():
                    return
                verdict = watch.diagnosis or (
                    error.diagnosis if isinstance(error, GuestError) else Diagnosis(str(error))
                )
                self._note(watch.running, verdict, "the machine was lost")
            finally:
                watch.close()
                self.machine = None

    def _blueprint(self, work: str) -> Blueprint:
        layers: dict[str, Mapping[str, str]] = {"harness": machines.layer()}
        binary = self.terms.binaries.get(self.cell.runtime)
        if binary is not None:
            layers["runtime"] = binary.layer(work)
        if self.terms.criu is not None:
            layers["criu"] = self.terms.criu.layer(work)
        return Blueprint(
            kernel=self.cell.kernel,
            cgroup=self.cell.cgroup,
            image=machines.image(),
            memory=self.terms.memory,
            layers=layers,
            setup=machines.setup(),
            append=APPEND,
            snapshot=False,
        )

    def _check(self, machine: Machine, cases: Sequence[Case], watch: Watch) -> None:
        selection = self._selection(machine)
        if self.terms.criu is not None:
            machine.run(["ln", "-sf", self._choose(machine, self.terms.criu), CRIU])
        machine.run(["sh", "-c", f"cat >{LIST}"], stdin="".join(f"{case.id}\n" for case in cases).encode())
        tests = dict.fromkeys(case.id.partition("::")[0] for case in cases)
        selection["tests"] = [f"{SUITE}/{name}" for name in tests]
        stream = Stream(lambda entry: self._hear(machine, entry, watch))
        said = bytearray()
        status = machine.run([*GUEST, json.dumps(selection)], stdout=stream.feed, stderr=said.extend).status
        if watch.diagnosis is not None or self.stopped.is_set():
            raise GuestError("the machine hangs", watch.diagnosis or Diagnosis("stopped"))
        self._fetch_evidence(machine, cases)
        if not stream.ended:
            self._broken_off(machine, status, said.decode("utf-8", "replace").strip(), watch.running)
        elif missing := [case for case in self.left() if case in cases]:
            # What the machine collects is the same seatrial: a parameter that depends on the host.
            for case in missing:
                self._result(case.id, outcome.HARNESS_BUG, "this case was not collected in the machine")

    def _selection(self, machine: Machine) -> dict[str, Any]:
        expect = []
        for number, name in enumerate(self.terms.expect):
            if os.path.exists(name):
                expect.append(f"/tmp/seatrial-expect-{number}-{os.path.basename(name)}")
                machine.copy_in(name, expect[-1])
            else:
                expect.append(name)  # a file that is shipped is there too
        return {
            "runtime": self._runtime(machine),
            "profile": self.terms.profile,
            "cases": LIST,
            "view": self.cell.cgroup,
            "timeout": self.terms.timeout,
            "evidence": EVIDENCE,
            "expect": expect,
            "masks": list(self.cell.masks),
        }

    def _runtime(self, machine: Machine) -> str:
        """The runtime's path or name in the machine; EnvironmentProblem when it does not run there."""
        binary = self.terms.binaries.get(self.cell.runtime)
        if binary is None:
            return machines.RUNTIME if self.cell.runtime == REFERENCE else self.cell.runtime
        return self._choose(machine, binary)

    def _choose(self, machine: Machine, binary: Binary) -> str:
        """The path of the binary that runs in the machine; EnvironmentProblem when none does."""
        done = machine.run(["sh", "-c", binary.choice()], timeout=self.terms.silence)
        if done.status != 0:
            raise EnvironmentProblem(binary.refusal(done.stderr.decode("utf-8", "replace")))
        return done.stdout.decode().strip()

    def _hear(self, machine: Machine, entry: dict[str, Any], watch: Watch) -> None:
        kind = entry["kind"]
        if kind == "stamp":
            entry = {**entry, **self._stamp(machine, entry)}
            self.journal.stamp({name: value for name, value in entry.items() if name != "kind"})
        elif kind == "start":
            watch.running = entry["case"]
            self.journal.start(entry["case"])
        elif kind == "result":
            watch.running = None
            self.journal.result(results.result(entry))
        self.tell(self.cell, entry)
        watch.heard()

    def _stamp(self, machine: Machine, entry: Mapping[str, Any]) -> dict[str, Any]:
        """What the machine cannot know of itself: how it runs, and which cell it is."""
        binary = self.terms.binaries.get(self.cell.runtime)
        source = {"source": {"path": binary.path, "digest": binary.digest}} if binary else {}
        criu, cell = self.terms.criu, self.cell
        return {
            "accelerator": machine.stamp.get("accelerator"),
            "machine": machine.stamp,
            "cell": {"kernel": cell.kernel, "cgroup": cell.cgroup, "mask": cell.mask, "runtime": cell.runtime},
            "runtime": {**entry["runtime"], **source},
            **({"criu": {"path": criu.path, "digest": criu.digest}} if criu else {}),
        }

    def _fetch_evidence(self, machine: Machine, cases: Sequence[Case]) -> None:
        directory = os.path.join(self.directory, "evidence")
        names = [case.id for case in cases]
        if any((found := self.journal.done.get(name)) and found.evidence for name in names):
            os.makedirs(directory, exist_ok=True)
            with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=directory) as part:
                machine.copy_out(EVIDENCE, os.path.join(part, "evidence"))
                for name in os.listdir(os.path.join(part, "evidence")):
                    os.replace(os.path.join(part, "evidence", name), os.path.join(directory, name))
        self.journal.move_evidence(EVIDENCE, directory, names)

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def _broken_off(self, machine: Machine, status: int, said: str, running: str | None) -> None:
        """The check ended before its end, and the machine is still there."""
        found = machine.diagnose("")
        if "memory" in found.verdict:
            self._note(running, found, "the machine ran out of memory")
        elif status == outcome.ENVIRONMENT and running is None:
            raise EnvironmentProblem(f"{self.cell.label}: {said}")
        elif running is None:
            raise HarnessBug(f"{self.cell.label}: the check ended with status {status}: {said}")
        else:
            self._result(
                running, outcome.HARNESS_BUG, f"the check ended with status {status} while this case ran\n{said}"
            )

    def _note(self, running: str | None, diagnosis: Diagnosis, what: str) -> None:
        """A machine is gone: the outcome of the case that ran, or of the cell when none did."""
        if running is not None:
            reason = f"{what} while this case ran: {diagnosis.verdict}"
            evidence = os.path.join(self.directory, "consoles", running.replace("/", "_"))
            os.makedirs(evidence, exist_ok=True)
            with open(os.path.join(evidence, "console.txt"), "w", encoding="utf-8") as file:
                file.write(f"{diagnosis}\n")
            self._result(running, outcome.ENVIRONMENT_ERROR, f"{reason}\n{diagnosis.console}", evidence)
            self.journal.move_evidence(EVIDENCE, self.directory, list(self.cases))  # the others' went with the machine
            return
        self.given_up = f"{what}: {diagnosis.verdict}"
        result = CaseResult(
            "machine", (), outcome.ENVIRONMENT_ERROR, self.terms.profile, f"{what}: {diagnosis}", 0.0, 0.0, None
        )
        self.journal.trouble.append(result)
        self.tell(self.cell, json.loads(result.line()))

    def _result(self, case: str, verdict: str, reason: str, evidence: str | None = None) -> None:
        requirements = self.cases[case].requirements if case in self.cases else ()
        result = CaseResult(case, requirements, verdict, self.terms.profile, reason, 0.0, 0.0, evidence)
        self.journal.result(result)
        self.tell(self.cell, json.loads(result.line()))


class Stream:
    """Lines from what comes in pieces; `ended` after the line that ends a run."""

    def __init__(self, hear: Callable[[dict[str, Any]], None]) -> None:
        self.hear = hear
        self.ended = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take a piece."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                entry = json.loads(line)
                kind = entry["kind"]
            except (ValueError, KeyError, TypeError) as error:
                raise HarnessBug(f"not a result line from the machine: {line[:200]!r}") from error
            self.ended = self.ended or kind == "end"
            self.hear(entry)


class Watch:
    """Takes a machine away from which nothing has been heard for `silence` seconds; `diagnosis` then says so, and
    `running` is the case that had begun."""

    def __init__(self, machine: Machine, silence: float) -> None:
        self.machine = machine
        self.silence = silence
        self.running: str | None = None
        self.diagnosis: Diagnosis | None = None
        self._last = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def heard(self) -> None:
        """The machine lives."""
        self._last = time.monotonic()

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while (rest := self._last + self.silence - time.monotonic()) > 0:
            if self._closed.wait(rest):
                return
        self.diagnosis = self.machine.diagnose(f"nothing was heard for {self.silence:g} s")
        self.machine.close()
