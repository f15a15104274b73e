"""`seatrial sensitivity`: does the suite notice?  Mutants of the reference runtime, and what the suite says of each."""

from __future__ import annotations

import argparse
import json
import os
import time
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from seatrial.conformance.command.arguments import positive
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

if TYPE_CHECKING:
    from seatrial.conformance.sensitivity.lanes import Lanes
    from seatrial.conformance.sensitivity.survey import Survey

VIEWS = ("host", "v1", "v2", "hybrid")
TARGET = 95.0  # per cent


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "sensitivity",
        help="run the suite against mutants of the reference runtime: does it notice?",
        description="First the suite is run once to see which case exercises what; then every mutant meets the cases "
        "that could notice it, the likeliest first, until one does.  What is known is kept in DIR.",
    )
    add = parser.add_argument
    add("--directory", metavar="DIR", default="seatrial-sensitivity", help="where survey and verdicts are kept")
    add("--resume", action="store_true", help="go on with what DIR has: new cases, survivors, what was not judged")
    add("--cgroup-view", choices=VIEWS, default="host", help="the cgroup hierarchies that the mutants see")
    add("-k", dest="keyword", metavar="EXPR", help="only mutants whose name matches, as pytest's -k")
    add("--cases", metavar="EXPR", help="survey and ask only cases whose name matches, as check's -k")
    add("-n", dest="workers", type=positive, default=None, metavar="N", help="mutants side by side (default: CPUs)")
    add("--shard", metavar="I/N", help="only the I-th of N parts of the mutants")
    add("--sample", type=positive, default=1, metavar="N", help="only every N-th mutant")
    add("--budget", type=positive, metavar="SECONDS", help="begin nothing new after so long")
    add("--first", type=positive, default=5, metavar="N", help="cases that a mutant meets alone (default: 5)")
    add("--rest", type=positive, metavar="N", help="of the other cases only the N likeliest (default: all)")
    add("--likeliest-only", action="store_true", help="leave out the cases beyond these")
    add(
        "--redundant",
        action="store_true",
        help="look for a second case that kills each mutant (of --rest N), to tell which cases are redundant",
    )
    add("--timeout", type=float, default=8.0, metavar="SECONDS", help="for one command of a mutant (default: 8)")
    add("--list", action="store_true", help="print the mutants and how many cases exercise each")
    add("--export", metavar="OUT", help="write the mutants as executables, to measure other suites with")
    add("--figures", metavar="FILE", help="write the figures as JSON")
    add("--fail-under", type=float, default=TARGET, metavar="PERCENT", help="the kill rate to reach (default: 95)")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Survey, campaign, figures."""
    from seatrial.conformance.sensitivity import executables, survey
    from seatrial.conformance.sensitivity.lanes import Lanes

    chosen = _filter(options.keyword, options.shard)
    if not options.resume and os.path.exists(options.directory) and os.listdir(options.directory):
        raise EnvironmentProblem(f"{options.directory} has a campaign in it: add --resume, or name another --directory")
    os.makedirs(options.directory, exist_ok=True)
    started = time.monotonic()
    steps = executables.steps()
    view = _view(options.cgroup_view)
    known = survey.read(options.directory, view)
    wanted = _wanted(options.cases)
    new = _new_cases(known, wanted)
    if not new and (options.list or options.export):
        return _list_or_export(options, known, chosen)
    with Lanes(options.workers or len(os.sched_getaffinity(0)), view, steps) as lanes:
        if new:
            print(f"survey of {len(new)} cases, cgroup {view}", flush=True)
            survey.take(lanes, known, options.directory, new, _every(100, "cases left"))
        if options.list or options.export:
            return _list_or_export(options, known, chosen)
        _campaign(options, lanes, known, chosen, wanted, started)
    return _report(options, list(steps), chosen)


def _view(name: str) -> str:
    from seatrial.conformance.airlock import confine

    return confine.choose(name)


def _filter(keyword: str | None, shard: str | None) -> Callable[[str], bool]:
    import pytest
    from _pytest.mark.expression import Expression

    from seatrial.conformance.plugin import check_keyword, parse_shard

    try:
        check_keyword(keyword or "")
        index, shards = parse_shard(shard)
    except pytest.UsageError as error:
        raise EnvironmentProblem(str(error)) from error
    expression = Expression.compile(keyword) if keyword else None

    def chosen(name: str) -> bool:
        if zlib.crc32(name.encode()) % shards != index:
            return False

        def matches(word: str, /, **_: str | int | bool | None) -> bool:
            return word.lower() in name.lower()

        return expression is None or expression.evaluate(matches)

    return chosen


def _wanted(keyword: str | None) -> dict[str, bool]:
    """Every case there is -> whether its name matches."""
    from seatrial.conformance.engine.collect import collect

    there = [case.id for case in collect("all")]
    matching = {case.id for case in collect("all", keyword)} if keyword else set(there)
    return {case: case in matching for case in there}


def _new_cases(known: Survey, wanted: dict[str, bool]) -> list[str]:
    """Cases that the survey does not have yet, one of each test first; the survey forgets those that are no more."""
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int, str]] = []
    known.keep(wanted)
    for case, matches in wanted.items():
        if matches and case not in known.outcomes:
            test = case.partition("[")[0]
            seen[test] = seen.get(test, 0) + 1
            ranked.append((seen[test], len(ranked), case))
    return [case for _, _, case in sorted(ranked)]


def _every(step: int, what: str) -> Callable[[str, int], None]:
    def hear(_case: str, left: int) -> None:
        if left % step == 0:
            print(f"  {left} {what}", flush=True)

    return hear


def _list_or_export(options: argparse.Namespace, known: Survey, chosen: Callable[[str], bool]) -> int:
    from seatrial.conformance.sensitivity import executables

    mutations = {name: cases for name, cases in known.mutations().items() if chosen(name)}
    if options.export:
        try:
            index = executables.export(options.export, mutations)
        except OSError as error:
            raise EnvironmentProblem(f"cannot write to {options.export}: {error.strerror}") from error
        print(f"{len(index)} mutants and control in {options.export}, with their names in mutants.json")
        return outcome.CLEAN
    for name, cases in mutations.items():
        print(f"{name}  {len(cases)} cases")
    return outcome.CLEAN


def _campaign(
    options: argparse.Namespace,
    lanes: Lanes,
    known: Survey,
    chosen: Callable[[str], bool],
    wanted: dict[str, bool],
    started: float,
) -> None:
    from seatrial.conformance.sensitivity.campaign import Campaign, Settings
    from seatrial.conformance.sensitivity.results import KILLED, Results, Verdict

    results = Results(options.directory)
    dead = {name for name, verdict in results.merged().items() if verdict.verdict == KILLED}
    count = 0

    def hear(verdict: Verdict) -> None:
        nonlocal count
        count += 1
        text = f"killed by {verdict.killer}" if verdict.verdict == KILLED else f"survives {len(verdict.silent)}"
        if verdict.second or verdict.alone:
            text += f" and {verdict.second}" if verdict.second else " alone"
        print(f"  {count} {verdict.mutation}: {text}", flush=True)

    settings = Settings(
        timeout=options.timeout,
        deadline=started + options.budget if options.budget else None,
        first=options.first,
        thorough=not options.likeliest_only,
        rest=options.rest,
        cases=frozenset(case for case, matches in wanted.items() if matches) if options.cases else None,
    )
    campaign = Campaign(lanes, known, results, settings, hear)
    mutations = [name for name in campaign.candidates if chosen(name) and name not in dead][:: options.sample]
    print(f"{len(mutations)} mutants, cgroup {known.view}", flush=True)
    campaign.run(mutations)
    if options.redundant:
        campaign.find_seconds([name for name in campaign.candidates if chosen(name)][:: options.sample])


def _report(options: argparse.Namespace, steps: list[str], chosen: Callable[[str], bool]) -> int:
    from seatrial.conformance.sensitivity import figures, survey
    from seatrial.conformance.sensitivity.results import Results

    surveys = [
        survey.read(options.directory, view)
        for view in VIEWS
        if os.path.exists(survey.path_of(options.directory, view))
    ]
    still = set().union(*(each.mutations() for each in surveys))  # others come from an earlier version
    verdicts = {
        name: verdict for name, verdict in Results(options.directory).merged().items() if chosen(name) and name in still
    }
    if not verdicts:
        raise EnvironmentProblem("no mutant matches the selection")
    found = figures.make(verdicts, surveys, steps)
    print()
    print(figures.text(found))
    if options.figures:
        with open(options.figures, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
            file.write("\n")
    return outcome.CLEAN if found["kill_rate"] >= options.fail_under else outcome.FOUND
