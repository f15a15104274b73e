"""`seatrial fuzz config`: coverage-guided searches in the reference runtime's own loaders, compiler and executor."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from seatrial.conformance.command import arguments
from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.verdict import outcome

if TYPE_CHECKING:
    from seatrial.fuzz.guided.search import Outcome, Search
    from seatrial.fuzz.guided.targets import Target

BUDGET = "60s"
DIRECTORY = "seatrial-fuzz/config"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "config",
        help="coverage-guided searches in the reference runtime's loaders, compiler and plan decoder",
        description="Each target first has to find the bug that is planted in a copy of it, then searches in what is "
        "shipped.  Targets in Python need atheris, those in C need clang.",
    )
    add = parser.add_argument
    add("--budget", type=arguments.duration, default=BUDGET, metavar="TIME", help="for all targets (default 60s)")
    add("--target", action="append", metavar="NAME", help="this target alone (repeatable; default: all)")
    add("--corpus", metavar="DIR", help=f"where inputs are kept for the next time (default: {DIRECTORY}/corpus)")
    add("--directory", metavar="DIR", default=DIRECTORY, help=f"where crashers are saved (default: {DIRECTORY})")
    add("--list", action="store_true", help="list the targets and end")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Search and print; 0 clean, 1 findings, 2 something is not installed, 3 a target does not find its planted bug."""
    import tempfile

    from seatrial.fuzz.guided import build, targets
    from seatrial.fuzz.guided.search import Search

    chosen = targets.choose(options.target or [])
    if options.list:
        for target in chosen:
            print(f"{target.name:<16}{target.about}")
        return outcome.CLEAN
    build.check_hypothesis()
    if any(target.native for target in chosen):
        build.check_source()
        build.check_clang()
    if not all(target.native for target in chosen):
        build.check_atheris()
    directory = os.path.abspath(options.directory)
    with tempfile.TemporaryDirectory(prefix="seatrial-fuzz-") as work:
        build.seeds(work)
        search = Search(work, os.path.abspath(options.corpus or os.path.join(directory, "corpus")), directory)
        print(f"{'target':<16}{'planted bug':<18}{'executions':>12}{'a second':>10}{'coverage':>10}   findings")
        results = [_one(search, target, options.budget / len(chosen)) for target in chosen]
    return outcome.FOUND if any(result.crashers for result in results) else outcome.CLEAN


def _one(search: Search, target: Target, seconds: float) -> Outcome:
    planted = search.run(target, target.smoke, planted=True)
    if not planted.crashers:
        raise HarnessBug(
            f"{target.name}: the planted bug was not found in {target.smoke:.0f} s and {planted.executions} executions"
        )
    found = f"found in {planted.seconds:.1f} s"
    print(f"{target.name:<16}{found:<18}", end="", flush=True)
    result = search.run(target, seconds)
    findings = result.reason or "a crash" if result.crashers else "none"
    print(f"{result.executions:>12}{result.rate:>10.0f}{result.coverage:>10}   {findings}", flush=True)
    for path in result.crashers:
        print(f"    {path}")
    if result.coverage <= 0:
        raise HarnessBug(f"{target.name}: no coverage: the code under test is not instrumented")
    return result
