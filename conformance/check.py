"""One conformance run: pytest in the airlock, its result lines through a pipe as they happen."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from seatrial.conformance import cache
from seatrial.conformance.airlock.scratch import Scratch
from seatrial.conformance.engine import needs
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.conformance.verdict import outcome, results
from seatrial.conformance.verdict.results import Run

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "cases")
USAGE = 4  # pytest's exit status for a malformed option, such as -k
STOPPED = 2  # pytest's exit status when -x stops an xdist run
NO_CASES = 5  # pytest's exit status when nothing was selected
PYTEST_DONE = (0, 1, NO_CASES)  # everything else: interrupted, internal error, usage, or our own pytest.exit()


@dataclass(frozen=True, slots=True)
class Selection:
    """What to run and how.  `tests` are paths or node ids; `keyword` is pytest's -k; `timeout` is in seconds."""

    runtime: str
    profile: str = "spec"
    tests: tuple[str, ...] = (CASES,)
    keyword: str | None = None
    workers: int = 1
    shard: str | None = None
    cases: str | None = None  # a file that names the cases to run, one a line
    view: str = "auto"
    timeout: float = 10.0
    evidence: str | None = None
    expect: tuple[str, ...] = ()
    repeat: int = 1
    maxfail: int = 0  # stop after so many findings; 0: never
    last_failed: str | None = None  # a directory that remembers what failed; with `only_last_failed` those run alone
    only_last_failed: bool = False
    masks: tuple[str, ...] = ()


def pytest_command(selection: Selection, workdir: str, results_path: str) -> list[str]:
    """The command line of pytest for a selection: no other plugins, no configuration file of whoever calls us."""
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", HERE]
    if selection.last_failed:
        command += ["-o", f"cache_dir={selection.last_failed}", *(["--lf"] if selection.only_last_failed else [])]
    else:
        command += ["-p", "no:cacheprovider"]
    command += ["-p", "seatrial.conformance.plugin", "--strict-markers", "--color=no", "-q"]
    command += ["--tb=native"]  # the others parse a source file for each of their frames, which takes most of the time
    if selection.workers > 1:
        command += ["-p", "xdist", "-n", str(selection.workers), "--max-worker-restart=2", "--dist", "worksteal"]
    command += ["--runtime", selection.runtime, "--profile", selection.profile, "--workdir", workdir]
    command += ["--runtime-timeout", str(selection.timeout), "--results", results_path]
    for name in selection.masks:
        command += ["--mask", name]
    if selection.evidence:
        command += ["--evidence", selection.evidence]
    if selection.keyword:
        command += ["-k", selection.keyword]
    if selection.shard:
        command += ["--shard", selection.shard]
    if selection.cases:
        command += ["--cases", os.path.abspath(selection.cases)]
    for name in selection.expect:
        command += ["--expect", name]
    if selection.repeat > 1:
        command += ["--repeat", str(selection.repeat)]
    if selection.maxfail:
        command += [f"--maxfail={selection.maxfail}"]
    return [*command, *selection.tests]


def environment() -> dict[str, str]:
    """The environment of the pytest process: without what would change its behaviour behind our back.

    Where bytecode may not be written beside the sources, it goes to the user's cache: to compile and rewrite all cases
    in every worker would take longer than a tenth of the run.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    if kept.pop("PYTHONDONTWRITEBYTECODE", None) and "PYTHONPYCACHEPREFIX" not in kept:
        kept["PYTHONPYCACHEPREFIX"] = os.path.join(cache.directory(kept), "bytecode")
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUNBUFFERED": "1"}


def check(selection: Selection, listen: Callable[[dict[str, Any]], None]) -> Run:
    """Run the selection to its end; `listen` gets each entry of the results (stamp, plan, result, end) as it happens.

    EnvironmentProblem when the run cannot be made or nothing is selected, HarnessBug when pytest or a worker fell
    over.  A KeyboardInterrupt ends the run, cleans up and is passed on.
    """
    reason = needs.unmet("root") if os.geteuid() == 0 else None
    if reason is not None:
        raise EnvironmentProblem(f"the harness runs as root or as an ordinary user, not as something between: {reason}")
    from seatrial.conformance.airlock.opened import opened

    reader, writer = os.pipe()
    trial = os.path.abspath(selection.runtime) if selection.view == "auto" else None

    def command(scratch: Scratch) -> list[str]:
        return pytest_command(selection, scratch.work, f"/proc/self/fd/{writer}")

    with (
        open(reader, encoding="utf-8") as stream,
        opened(command, selection.view, trial, lambda _: environment(), keep=[writer]) as (process, scratch),
    ):
        run = _follow(stream, listen)
        _, complaint = process.communicate()
        status = process.returncode
        with open(scratch.log, encoding="utf-8", errors="replace") as file:
            text = file.read()
    return _judge_end(selection, run, status, text, (complaint or b"").decode("utf-8", "replace").strip())


def stopped_early(selection: Selection, run: Run) -> bool:
    """Whether -x or --maxfail ended the run."""
    bad = sum(result.outcome in (*outcome.FINDINGS, *outcome.TROUBLE) for result in run.results)
    return 0 < selection.maxfail <= bad


def _judge_end(selection: Selection, run: Run | None, status: int, log: str, complaint: str) -> Run:
    done = (*PYTEST_DONE, STOPPED) if run is not None and stopped_early(selection, run) else PYTEST_DONE
    complained = run is not None and any(result.outcome == outcome.ENVIRONMENT_ERROR for result in run.results)
    if complained and status == outcome.ENVIRONMENT:  # the recorder has said why
        done = (*done, status)
    if run is not None and status in done and run.end and (run.results or status == NO_CASES):
        if status == NO_CASES:
            raise EnvironmentProblem("no case matches the selection")
        return run
    if status == USAGE:
        raise EnvironmentProblem(log.strip().splitlines()[-1].removeprefix("ERROR: ") if log.strip() else "usage")
    detail = "\n".join(part for part in (complaint, log[-3000:].strip()) if part)
    if run is not None and any(result.outcome == outcome.HARNESS_BUG for result in run.results):
        return run  # a case that cannot be collected: its line says what is wrong
    if status == outcome.ENVIRONMENT and (run is None or not run.results) and "INTERNALERROR" not in detail:
        raise EnvironmentProblem(detail or "the run could not be started")
    raise HarnessBug(f"pytest ended with status {status} before its end\n{detail}")


def _follow(stream: Iterable[str], listen: Callable[[dict[str, Any]], None]) -> Run | None:
    """Read entries until every writer is gone."""
    run: Run | None = None
    for line in stream:
        found = results.read([line]) if run is None else results.read([line], into=run)
        run = found[0] if found else run
        listen(json.loads(line))
    return run
