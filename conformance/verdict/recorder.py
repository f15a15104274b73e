"""Turns pytest's reports into result lines: classifies in the worker, writes in the controlling process."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from typing import IO, Any

import pytest

from seatrial.conformance import plugin
from seatrial.conformance.airlock.airlock import VIEW_ENV
from seatrial.conformance.engine.session import Session, resolve_runtime
from seatrial.conformance.errors import CaseTimeout, EnvironmentProblem, HarnessBug, RuntimeTimeout
from seatrial.conformance.hosts import parcel
from seatrial.conformance.hosts import plugin as hosts
from seatrial.conformance.verdict import evidence, expect, outcome, repeat, stamp
from seatrial.conformance.verdict.expect import CRASHED, TIMEOUT, Expectations, Facts
from seatrial.conformance.verdict.gate import Gate
from seatrial.conformance.verdict.results import CaseResult

PROPERTY = "seatrial"
EXHAUSTED = (errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EDQUOT)
MISSING = (OSError, LookupError, json.JSONDecodeError)  # a case looked for what the runtime should have brought about
MACHINERY = re.compile(r'  File "[^"\n]*/(_pytest/|pluggy/|conformance/plugin\.py", line \d+, in pytest_)')
REASON_LIMIT = 1000  # characters of a reason in a result line


class Recorder:
    """One per process.  In a worker (or without xdist) it attaches what it knows to each report; in the controlling
    process it merges the phases of a case and writes its line."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.is_worker = worker is not None
        self.is_remote = worker is not None and "seatrial_expect" in worker  # on another machine
        self.stamp: dict[str, Any] | None = json.loads(worker["seatrial_stamp"]) if worker is not None else None
        self._file: IO[str] | None = None
        self._phases: dict[str, list[dict[str, Any]]] = {}
        self._seconds: dict[str, float] = {}
        self._started = time.monotonic()
        self._runtime_mark = 0.0
        self._repetitions: dict[str, list[CaseResult]] = {}
        self._tolerated: set[str] = set()
        self._stale: list[str] = []
        self._digests: set[str | None] = set()  # of the runtime, at the end, on the machines of the workers
        self._gate: Gate | None = None
        self.problems: list[str] = []

    # -- the controlling process ---------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Make the stamp, and write it before anything is judged."""
        if self.is_worker or self.config.option.collectonly:
            return
        path = self.config.getoption("results")
        try:
            if path:
                self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115  (closed in sessionfinish)
            if hosts.of(self.config) is None:  # otherwise the machines of the workers make it
                runtime, profile = resolve_runtime(self.config.getoption("runtime")), self.config.getoption("profile")
                self._begin(stamp.make(runtime, profile, VIEW_ENV in os.environ, self.config.getoption("mask")))
        except EnvironmentProblem as error:
            pytest.exit(str(error), returncode=outcome.ENVIRONMENT)
        except OSError as error:
            pytest.exit(f"cannot write {path}: {error.strerror}", returncode=outcome.ENVIRONMENT)

    def _begin(self, made: dict[str, Any]) -> None:
        self.stamp = made
        if self._file is not None:
            self._write({"kind": "stamp", **made})

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """xdist: give each worker the stamp, for its evidence, and one on another machine what lies here."""
        remote = hosts.of(self.config)
        if remote is not None:
            made = remote.stamp_of(node)
            if self.stamp is None:
                self._begin(made)
            node.workerinput["seatrial_expect"] = expect.texts(self.config.getoption("expect"))
        node.workerinput["seatrial_stamp"] = json.dumps(self.stamp)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """xdist: the first worker's collection says how many cases there are."""
        self._announce(ids)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without xdist: say how many cases there are."""
        if not self.is_worker and session.items:
            self._announce([item.nodeid for item in session.items])

    def _announce(self, ids: list[str]) -> None:
        if self._file is not None and not getattr(self, "_announced", False):
            self._announced = True
            cases = dict.fromkeys(case_of_nodeid(name) for name in ids)
            topics = Counter(case.partition("/")[0] for case in cases)
            self._write({"kind": "plan", "cases": len(cases), "topics": dict(sorted(topics.items()))})

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be collected is a bug of ours."""
        if report.failed and self._file is not None:
            payload = _payload(outcome.HARNESS_BUG, _tail(report.longreprtext))
            self._put(self._result(case_of_nodeid(report.nodeid), [payload]))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which case begins: whoever follows the stream knows what ran when the machine went away."""
        if self._file is not None:
            self._write({"kind": "start", "case": case_of_nodeid(nodeid)})

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the phases; after the last one write the line."""
        payloads = [value for name, value in report.user_properties if name == PROPERTY and isinstance(value, dict)]
        if not self.is_worker:
            for payload in payloads:
                self._unpack(payload)
        if self._file is None:
            return
        crashed = report.when not in ("setup", "call", "teardown")
        if crashed:
            payloads = [_payload(outcome.HARNESS_BUG, _tail(report.longreprtext))]
        phases = self._phases.setdefault(report.nodeid, [])
        phases += payloads
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if phases and (crashed or report.when == "teardown"):
            del self._phases[report.nodeid]
            self._finish(case_of_nodeid(report.nodeid), phases, self._seconds[report.nodeid])

    def _unpack(self, payload: dict[str, Any]) -> None:
        """Evidence that came with the report of a worker on another machine is written here."""
        files, base = payload.pop("parcel", None), self.config.getoption("evidence")
        if files is not None and base:
            try:
                payload["evidence"] = parcel.unpack(files, base, payload["evidence"])
            except OSError as error:
                payload["evidence"] = None
                payload["reason"] += f" (no evidence: {error})"

    def _finish(self, case: str, phases: list[dict[str, Any]], seconds: float) -> None:
        """A case has ended: write its line, after the last of its repetitions."""
        if any(phase["tolerated"] for phase in phases):
            self._tolerated.add(case)
        results = self._repetitions.setdefault(case, [])
        results.append(self._result(case, phases, seconds))
        if len(results) >= self.config.getoption("repeat"):
            self._put(repeat.merge(self._repetitions.pop(case), case in self._tolerated))

    def _result(self, case: str, phases: list[dict[str, Any]], seconds: float = 0.0) -> CaseResult:
        final = outcome.heaviest(phase["outcome"] for phase in phases)
        decisive = [phase for phase in phases if phase["outcome"] == final]

        def first(name: str, among: list[dict[str, Any]]) -> Any:
            return next((phase[name] for phase in among if phase[name]), None)

        return CaseResult(
            case=case,
            requirements=tuple(dict.fromkeys(name for phase in phases for name in phase["requirements"])),
            outcome=final,
            profile=str(self.config.getoption("profile")),
            reason="; ".join(dict.fromkeys(phase["reason"] for phase in decisive if phase["reason"])),
            seconds=round(seconds, 6),
            runtime_seconds=round(sum(phase["runtime_seconds"] for phase in phases), 6),
            evidence=first("evidence", phases),
            failure=first("failure", decisive),
            expected=first("expected", decisive),
        )

    def _put(self, result: CaseResult) -> None:
        assert self._file is not None
        self._file.write(result.line() + "\n")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """xdist: a worker tells at its end which expectations are about no case."""
        told = getattr(node, "workeroutput", {})
        self._stale = self._stale or list(told.get("seatrial_stale", ()))
        self._digests.add(told.get("seatrial_digest"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Check that the binary is still the one that was stamped and that every expectation is about something, and
        close the file."""
        if self.is_worker:
            told: dict[str, Any] = {"seatrial_stale": plugin.stale_expectations(self.config)}
            if self.is_remote:
                told["seatrial_digest"] = self._digest()
            self.config.workeroutput.update(told)  # type: ignore[attr-defined]
            return
        if self.stamp is None:
            return
        complaints = self._stale or plugin.stale_expectations(self.config)
        runtime = self.stamp["runtime"]
        remote = hosts.of(self.config) is not None
        same = (self._digests - {None} if remote else {self._digest()}) <= {runtime["digest"]}
        problems = [("expectations", "\n".join(complaints))] if complaints else []
        if not same:
            problems.append(("runtime", f"{runtime['path']} changed during the run"))
        for name, problem in problems:
            self._complain(session, name, problem)
        if self._file is None:
            return
        for case, results in self._repetitions.items():  # the run was stopped between repetitions
            self._put(repeat.merge(results, case in self._tolerated))
        seconds = round(time.monotonic() - self._started, 3)
        self._write({"kind": "end", "seconds": seconds, "workers": self._workers()})
        self._file.close()
        self._file = None

    def _digest(self) -> str:
        """The runtime's digest now; empty when it cannot be read."""
        try:
            return stamp.digest(self.stamp["runtime"]["realpath"]) if self.stamp is not None else ""
        except EnvironmentProblem:
            return ""

    def _complain(self, session: pytest.Session, name: str, problem: str) -> None:
        """A line for what is wrong with the run as a whole; pytest's own exit status follows."""
        if self._file is not None:
            self._put(self._result(name, [_payload(outcome.ENVIRONMENT_ERROR, problem)]))
        self.problems.append(problem)
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = outcome.ENVIRONMENT

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show what is wrong with the run as a whole."""
        for problem in self.problems:
            terminalreporter.section("seatrial", sep="=", red=True, bold=True)
            terminalreporter.write_line(problem)

    def _workers(self) -> int:
        """How many processes run the cases: those of xdist, or this one."""
        remote = hosts.of(self.config)
        return remote.workers if remote is not None else len(getattr(self.config.option, "tx", None) or [None])

    def _write(self, entry: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(entry) + "\n")

    # -- the process that runs the cases -------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach outcome, reason, requirements and evidence to the report of each phase."""
        report = yield
        if plugin.is_case(item):
            payload = self._examine(item, call, report)
            payload["requirements"] = list(plugin.mark_words(item, "covers"))
            self._weigh(item, report, payload)
            report.user_properties = [*report.user_properties, (PROPERTY, payload)]
        return report

    def _weigh(self, item: pytest.Item, report: pytest.TestReport, payload: dict[str, Any]) -> None:
        entries = plugin.expectations(self.config)
        if entries and self.stamp is not None:
            if self._gate is None:
                self._gate = Gate(Expectations(entries, Facts.of(self.stamp)))
            self._gate.weigh(plugin.case_id(item), report, payload)

    def _examine(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> dict[str, Any]:
        session = plugin.existing_session(item.config)
        directory, files = None, None
        found, reason = outcome.PASSED, ""
        if call.excinfo is not None:
            found, reason = self._classify(call.excinfo, report)
            base = item.config.getoption("evidence")
            if base and found != outcome.SKIPPED:
                try:
                    directory, files = self._evidence(base, item, report, session)
                except OSError as error:
                    reason += f" (no evidence: {error})"
            unforeseen = found == outcome.HARNESS_BUG and not isinstance(call.excinfo.value, HarnessBug)
            if unforeseen and session is not None and not session.runtime.sane():
                found = outcome.FAILED  # a runtime that cannot run the default bundle surprises cases in many ways
        payload = _payload(found, reason, directory)
        if files is not None:
            payload["parcel"] = files
        if found == outcome.FAILED and call.excinfo is not None:
            payload["failure"] = failure_kind(call.excinfo.value, item, session)
        if session is not None:
            payload["runtime_seconds"] = session.runtime.seconds - self._runtime_mark
            self._runtime_mark = session.runtime.seconds
        return payload

    def _classify(self, excinfo: pytest.ExceptionInfo[BaseException], report: pytest.TestReport) -> tuple[str, str]:
        error = excinfo.value
        if isinstance(error, pytest.skip.Exception):
            return outcome.SKIPPED, str(error.msg)
        if isinstance(error, AssertionError | pytest.fail.Exception):
            return outcome.FAILED, _message(excinfo)
        if isinstance(error, EnvironmentProblem):
            return outcome.ENVIRONMENT_ERROR, _message(excinfo)
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            return outcome.ENVIRONMENT_ERROR, _message(excinfo)
        if isinstance(error, MISSING):
            return outcome.FAILED, f"{excinfo.typename}: {_message(excinfo)}"
        return outcome.HARNESS_BUG, f"{excinfo.typename}: {_message(excinfo)}"

    def _evidence(
        self, base: str, item: pytest.Item, report: pytest.TestReport, session: Any
    ) -> tuple[str, dict[str, str] | None]:
        """The directory of the evidence; on another machine its name and the files, which go with the report."""
        option = self.config.getoption
        description = {
            "case": plugin.case_id(item),
            "test": str(item.path) + "::" + repeat.without(item.nodeid.partition("::")[2]),
            "repetition": plugin.repetition(item),
            "requirements": list(plugin.mark_words(item, "covers")),
            "phase": report.when,
            "profile": option("profile"),
            "runtime": session.runtime.path if session is not None else option("runtime"),
            "digest": self.stamp["runtime"]["digest"] if self.stamp else None,
            "view": os.environ.get(VIEW_ENV),
            "timeout": option("runtime_timeout"),
            "masks": list(option("mask")),
        }
        runtime = session.runtime if session is not None else None
        failure = own_frames(report.longreprtext)
        if not self.is_remote:
            return evidence.collect(os.path.abspath(base), description, failure, runtime, self.stamp), None
        with tempfile.TemporaryDirectory(prefix="seatrial-evidence-") as work:
            description["machine"] = os.uname().nodename
            directory = evidence.collect(work, description, failure, runtime, self.stamp)
            return os.path.basename(directory), parcel.pack(directory)


def failure_kind(error: BaseException, item: pytest.Item, session: Session | None) -> str | None:
    """`timeout` when the case or an invocation of the runtime took too long, `crashed` when a signal ended one that the
    case made, else None: a plain failure."""
    journal = session.runtime.journal if session is not None and "runtime" in getattr(item, "fixturenames", ()) else []
    if isinstance(error, CaseTimeout | RuntimeTimeout) or any(result.timed_out for result in journal):
        return TIMEOUT
    return CRASHED if any(result.crashed for result in journal) else None


def case_of_nodeid(nodeid: str) -> str:
    """The stable name of a case, from pytest's node id (relative to whatever rootdir)."""
    path, separator, name = repeat.without(nodeid).partition("::")
    return path.rpartition(plugin.FOLDER)[2] + separator + name


def own_frames(trace: str) -> str:
    """A traceback in Python's own form without the frames of pytest, by which every traceback of a case begins."""
    kept = []
    beginning = True
    for part in re.split(r'^(?=  File ")', trace, flags=re.MULTILINE):
        if not (beginning and MACHINERY.match(part)):
            kept.append(part)
            beginning = "Traceback (most recent call last):" in part
    return "".join(kept)


def _payload(found: str, reason: str, directory: str | None = None) -> dict[str, Any]:
    return {
        "outcome": found,
        "reason": reason,
        "requirements": [],
        "runtime_seconds": 0.0,
        "evidence": directory,
        "failure": None,
        "expected": None,
        "tolerated": False,
    }


def _message(excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(excinfo.value).strip() or excinfo.typename
    return text if len(text) <= REASON_LIMIT else text[:REASON_LIMIT] + " ..."


def _tail(text: str) -> str:
    return text[-REASON_LIMIT:].strip()
