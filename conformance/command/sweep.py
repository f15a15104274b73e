"""`seatrial sweep`: each system call of an operation fails once, or is the last one before a crash."""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import IO, TYPE_CHECKING, Any

from seatrial.conformance.command import arguments
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

if TYPE_CHECKING:
    from seatrial.conformance.sweep.campaign import Tally

OPERATIONS = ("create", "start", "run", "exec", "update", "pause", "resume", "checkpoint", "kill", "delete")
TIMEOUT = 10.0  # seconds for one invocation


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "sweep",
        help="make each system call of a runtime fail once, or kill the runtime there",
        description="faults: the k-th call fails with each errno that its man page lists, for every k; the runtime "
        "must end with an error or do it right all the same.  crash: the process that makes the call is killed; other "
        "commands must be able to go on.  Either way `delete --force` must leave nothing behind.",
    )
    add = parser.add_argument
    add("kind", choices=("faults", "crash"))
    add("--runtime", metavar="PATH", help="the runtime to try (default: the reference runtime)")
    add("--op", action="append", choices=OPERATIONS, help="an operation (repeatable; default: all)")
    add("--errno", action="append", metavar="NAME", help="this errno alone, e.g. ENOMEM (repeatable; commas)")
    add("--call", action="append", metavar="NAME", help="this system call alone, e.g. mount (repeatable; commas)")
    add("--point", metavar="TEXT", help="the points with this text alone, as the output names them: to try one again")
    add("--shard", type=arguments.shard, default="1/1", metavar="I/N", help="the I-th of N parts of the points")
    arguments.add_runs(parser, "points", TIMEOUT)
    add("--results", metavar="FILE", help="write everything to a file, as JSON lines")
    add("--resume", action="store_true", help="go on: without the points that FILE has")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Sweep and print; 0 clean, 1 findings."""
    from seatrial.conformance.engine.session import resolve_runtime
    from seatrial.conformance.sweep import campaign
    from seatrial.conformance.sweep.worker import Order

    order = Order(
        runtime=resolve_runtime(options.runtime),
        workdir="",
        operations=list(dict.fromkeys(options.op or OPERATIONS)),
        crash=options.kind == "crash",
        errnos=_names(options.errno, str.upper),
        calls=_names(options.call, str.lower),
        only=options.point,
        shard=[int(word) for word in options.shard.split("/")],
        workers=options.workers,
        timeout=options.timeout,
        output=-1,
        before=_before(options.results, options.resume),
    )
    _check(order)
    start = time.monotonic()

    def listen(entry: dict[str, Any]) -> None:
        print(json.dumps(entry), file=results, flush=True)
        if "points" in entry:
            print(f"{entry['operation']}: {len(entry['points'])} points", flush=True)
        for kind, detail in entry.get("findings", ()):
            print(f"{entry['operation']} {entry['point']}: {kind}: {detail}", flush=True)

    with _open(options.results or os.devnull, "a" if options.resume else "w") as results:
        tallies = campaign.run(order, options.cgroup_view, listen)
    _summary(order.runtime, tallies, time.monotonic() - start)
    if order.before and not any(tally.points for tally in tallies.values()):
        return outcome.CLEAN  # everything was tried before
    if not any(tally.tried - tally.endings["not reached"] for tally in tallies.values()):
        raise EnvironmentProblem("no point was reached: green must mean that something was tried")
    return outcome.FOUND if any(tally.findings for tally in tallies.values()) else outcome.CLEAN


def _before(results: str | None, resume: bool) -> str:
    if not resume:
        return ""
    if results is None or not os.path.isfile(results):
        raise EnvironmentProblem("--resume goes on with what the --results FILE has: there is none")
    return os.path.abspath(results)


def _open(path: str, mode: str) -> IO[str]:
    try:
        return open(path, mode, encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"--results {path}: {error.strerror}") from None


def _names(given: list[str] | None, change: Any) -> list[str]:
    return [change(name) for words in given or () for name in words.split(",") if name]


def _check(order: Any) -> None:
    import errno

    from seatrial.conformance.sweep.calls import CALLS

    for name in order.errnos:
        if not hasattr(errno, name):
            raise EnvironmentProblem(f"--errno {name}: no such errno")
    for name in order.calls:
        if name not in CALLS:
            raise EnvironmentProblem(f"--call {name}: not in the table; there are {', '.join(sorted(CALLS))}")


def _summary(runtime: str, tallies: dict[str, Tally], seconds: float) -> None:
    print(f"\n{runtime}")
    print(f"{'operation':<10}{'points':>8}{'error exit':>12}{'right':>8}{'killed':>8}{'not reached':>13}   findings")
    for name, tally in tallies.items():
        if tally.skipped is not None:
            print(f"{name:<10}{'-':>8}   {tally.skipped}")
            continue
        ends = tally.endings
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.findings.items())) or "none"
        print(
            f"{name:<10}{tally.points:>8}{ends['error exit']:>12}{ends['right result']:>8}{ends['killed']:>8}"
            f"{ends['not reached']:>13}   {found}"
        )
    tried = sum(tally.tried for tally in tallies.values())
    print(f"{tried} points in {seconds:.1f} s" + (f", {seconds / tried * 1000:.0f} ms each" if tried else ""))
