"""`seatrial matrix`: the suite over kernels, cgroup modes, masks and runtimes, in disposable machines."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING, Any

from seatrial.conformance.command.arguments import FORMATS, check_writable, positive, report, seconds, shard
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

if TYPE_CHECKING:
    from seatrial.conformance.matrix.plan import Plan
    from seatrial.conformance.matrix.schedule import Schedule

DIRECTORY = "seatrial-matrix"
# What --preset stands for.  Under software emulation the whole suite takes more than an hour in a machine: a cell of
# the reference matrix runs one part of REFERENCE_PARTS, each day another (docs/matrix.md).
KERNELS = "5.10,6.1,6.12,7.2"
REFERENCE_PARTS = 32
# Cases that wait, and the time that the harness itself takes, beside one invocation of the runtime.
SILENT_INVOCATIONS = 7
AXES = ("kernel", "cgroup", "mask", "runtime")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("matrix", help="run the suite over kernels, cgroup modes, masks and runtimes")
    axes = parser.add_argument_group("axes", "words separated by commas, and options given again for more")
    axis = axes.add_argument
    axis("--kernel", action="append", default=[], metavar="NAME", help="as for seatrial vm (default: 6.1)")
    axis("--cgroup", action="append", default=[], metavar="MODE", help="v1, hybrid or v2 (default: v2)")
    axis("--mask", action="append", default=[], metavar="NAME", help="none, a mask, or some with + (default: none)")
    runtime = "a name in the machine's image (runc, crun), a path of this host, or reference (default: reference)"
    axis("--runtime", action="append", default=[], metavar="NAME", help=runtime)
    axis("--preset", choices=("reference",), help=f"{KERNELS} x v1,hybrid,v2, reference and runc, spread over days")
    _add_selection(parser.add_argument_group("which cases, and how they are judged"))
    _add_running(parser.add_argument_group("how it runs"))
    parser.set_defaults(action=run)


def _add_selection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--profile", choices=("spec", "runc-compat"), help="by the document (default), or by what engines rely on")
    add("-k", dest="keyword", metavar="EXPR", help="only cases whose name matches, as pytest's -k")
    add("--shard", type=shard, metavar="I/N", help="only the I-th of N parts of the cases, in every cell the same")
    add("--spread", type=positive, metavar="N", help="each cell runs one of N parts, another from cell to cell")
    add("--round", type=_round, metavar="R", help="with --spread: shift the parts (default: the number of the day)")
    add("--expect", action="append", default=[], metavar="FILE", help="known failures: a file, or one of those shipped")
    add("--fail-on-skip", action="store_true", help="a skipped case counts as a finding")


def _add_running(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-n", dest="jobs", type=positive, metavar="N", help="machines side by side (default: by CPUs and memory)")
    add("--timeout", type=seconds, metavar="SECONDS", help="for one invocation of the runtime (60)")
    silence = f"a machine that says nothing for so long hangs (default: {SILENT_INVOCATIONS} times --timeout)"
    add("--hang", dest="silence", type=seconds, metavar="SECONDS", help=silence)
    add("--criu", metavar="PROGRAM", help="a criu of this host, in place of the image's")
    add("--memory", type=positive, metavar="MIB", help="of a machine (2048)")
    add("--driver", default="qemu", metavar="NAME", help="of the machines (qemu)")
    add("--directory", metavar="DIR", help=f"for results, evidence, consoles (default: {DIRECTORY}/START-PID)")
    add("--resume", action="store_true", help="go on with the matrix in --directory, or with the newest")
    add("--list", "--dry-run", dest="dry", action="store_true", help="print the cells and how long they may take")
    metavar = "FORMAT=PATH"
    add("--report", action="append", default=[], type=report, metavar=metavar, help=f"one of {', '.join(FORMATS)}")


def _round(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: a number is expected")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run what is left of the matrix, print a line for each cell, write the reports."""
    from seatrial.conformance.matrix.live import Live
    from seatrial.conformance.matrix.part import Terms
    from seatrial.conformance.matrix.plan import load
    from seatrial.conformance.matrix.schedule import Schedule, capacity
    from seatrial.conformance.report.views import write_reports
    from seatrial.conformance.verdict import expect
    from seatrial.vm.machine import drivers, pool

    if options.driver not in drivers():
        raise EnvironmentProblem(f"driver {options.driver!r}: one of {', '.join(drivers())}")
    check_writable(options.report)
    directory = options.directory or (_newest() if options.resume else _fresh())
    plan = _resumed(options, load(directory)) if options.resume else _plan(options)
    entries = expect.load(plan.expect)
    cases = plan.cases()
    _refuse_stale(plan, entries)
    jobs = options.jobs or capacity(plan.memory)
    if options.dry:
        return _list(plan, jobs)
    binaries = plan.binaries()
    if not options.resume:
        plan.store(directory)
    criu = binaries[plan.criu] if plan.criu else None
    terms = Terms(plan.profile, plan.timeout, plan.silence, plan.expect, plan.memory, binaries, criu)
    live: Live | None = None
    schedule = Schedule(cases, terms, directory, lambda cell, entry: live.hear(cell, entry) if live else None)
    live = Live({cell: len(schedule.left(cell)) for cell in cases}, jobs)
    print(_headline(schedule, jobs, directory), flush=True)
    try:
        schedule.run(lambda: pool(options.driver), jobs)
    except BaseException:
        print(f"goes on with   seatrial matrix --resume --directory {directory}", flush=True)
        raise
    finally:
        live.close()
    runs = schedule.runs()
    status = _print_summary(schedule, fail_on_skip=options.fail_on_skip)
    write_reports(runs, options.report)
    return status


def _plan(options: argparse.Namespace) -> Plan:
    from dataclasses import replace

    from seatrial.conformance.matrix import axes
    from seatrial.conformance.matrix.binary import examine
    from seatrial.conformance.matrix.plan import Plan, today
    from seatrial.conformance.verdict import expect

    reference = options.preset == "reference"
    cells = axes.cells(
        axes.words(options.kernel, KERNELS if reference else "6.1"),
        axes.words(options.cgroup, "v1,hybrid,v2" if reference else "v2"),
        axes.words(options.mask, axes.NO_MASK),
        axes.words(options.runtime, "reference,runc" if reference else "reference"),
    )
    spread = options.spread or (REFERENCE_PARTS if reference and options.shard is None else 1)
    timeout = options.timeout or 60.0
    plan = Plan(
        tuple(cells),
        options.profile or "spec",
        options.keyword,
        options.shard,
        spread,
        (today() if options.round is None else options.round) if spread > 1 else 0,
        timeout,
        options.silence or SILENT_INVOCATIONS * timeout,
        options.memory or 2048,
        tuple(os.path.abspath(path) if os.path.exists(path := expect.find(name)) else name for name in options.expect),
        criu=_criu(options.criu),
    )
    return replace(plan, digests={path: examine(path).digest for path in plan.files()})


def _criu(name: str | None) -> str | None:
    """The absolute path of a program that --criu names; EnvironmentProblem when there is none."""
    import shutil

    if name is None:
        return None
    found = shutil.which(name)
    if found is None:
        raise EnvironmentProblem(f"--criu {name}: no such program")
    return os.path.abspath(found)


def _resumed(options: argparse.Namespace, kept: Plan) -> Plan:
    """The plan that is kept; EnvironmentProblem when the command line asks for another."""
    from dataclasses import fields, replace

    given = {name: value for field in fields(kept) if (value := getattr(options, name := field.name, None))}
    changes: dict[str, Any] = {"cells": kept.cells, "digests": kept.digests}
    asked = _plan(options)
    named = [name for name in given if name != "cells"]
    if options.preset or any(getattr(options, axis) for axis in AXES):
        named.append("cells")
        changes["cells"] = asked.cells
    other = [name for name in named if getattr(replace(asked, **changes), name) != getattr(kept, name)]
    if other:
        raise EnvironmentProblem(f"--resume goes on with what was begun, and {', '.join(other)} was another then")
    return kept


def _refuse_stale(plan: Plan, entries: list[Any]) -> None:
    """EnvironmentProblem when an expectation is about no case at all."""
    from seatrial.conformance.engine.collect import collect
    from seatrial.conformance.verdict import expect

    if entries and (stale := expect.stale(entries, [case.id for case in collect("all")])):
        raise EnvironmentProblem("\n".join(stale))


def _fresh() -> str:
    return os.path.join(DIRECTORY, f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}")


def _newest() -> str:
    try:
        found = sorted(os.scandir(DIRECTORY), key=lambda entry: entry.stat().st_mtime)
    except OSError as error:
        raise EnvironmentProblem(f"no matrix to resume: {DIRECTORY}: {error.strerror}") from error
    if not found:
        raise EnvironmentProblem(f"no matrix to resume in {DIRECTORY}")
    return found[-1].path


def _list(plan: Plan, jobs: int) -> int:
    from seatrial.conformance.matrix.live import duration, estimate

    cases = plan.cases()
    for cell, chosen in cases.items():
        print(f"{cell.label:<40} {len(chosen):>5} cases")
    total = sum(map(len, cases.values()))
    print(f"{len(cases)} cells, {total} cases, {jobs} machines at once: ", end="")
    print(f"about {duration(estimate(len(cases), total, jobs))} under software emulation on idle cores")
    if plan.spread > 1:
        print(f"each cell runs one of {plan.spread} parts of the suite, round {plan.round}")
    return outcome.CLEAN


def _headline(schedule: Schedule, jobs: int, directory: str) -> str:
    left = sum(len(schedule.left(cell)) for cell in schedule.cases)
    total = sum(map(len, schedule.cases.values()))
    of = "" if left == total else f"{left} of "
    return f"{len(schedule.cases)} cells, {of}{total} cases, {jobs} machines at once; results in {directory}"


def _print_summary(schedule: Schedule, *, fail_on_skip: bool) -> int:
    """A line for each cell; the exit status of all."""
    from collections import Counter

    from seatrial.conformance.report.text import visible
    from seatrial.conformance.verdict import summary

    status = outcome.CLEAN
    print()
    for cell, journal in schedule.journals.items():
        planned = len(schedule.cases[cell])
        found = journal.run(planned)
        if found is not None:
            status = max(status, found.exit_status(fail_on_skip=fail_on_skip))
        counts = Counter(result.outcome for result in journal.done.values())
        missing = planned - len(journal.done)
        told = summary.counts_line(counts, outcome.OUTCOMES)
        print(f"{cell.label:<40} {told}{f', {missing} not run' if missing else ''}")
        for result in journal.trouble:
            print(visible(f"    {result.outcome}: {summary.first_line(result.reason, 300)}"))
            status = max(status, outcome.exit_status([result.outcome]))
        if missing:
            status = max(status, outcome.ENVIRONMENT)
    return status
