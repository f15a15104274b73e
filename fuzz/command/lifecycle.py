"""`seatrial fuzz lifecycle`: operations in any order, side by side and struck by signals, against the state rules."""

from __future__ import annotations

import argparse
import os
import re
import time
from dataclasses import asdict
from typing import Any

from seatrial.conformance.command import arguments
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

BUDGET = "60s"
TIMEOUT = 10.0  # seconds for one invocation
DIRECTORY = "seatrial-fuzz/lifecycle"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "lifecycle",
        help="operations in any order, at the same time, and struck by signals, against the state rules",
        description="A state machine plays lifecycles on real containers and holds every answer against the rules of "
        "runtime.md. What goes wrong is shrunk to a short script, printed and saved.",
    )
    add = parser.add_argument
    add("--runtime", metavar="PATH", help="the runtime to try (default: the reference runtime)")
    add("--budget", type=arguments.duration, default=BUDGET, metavar="TIME", help="such as 60s, 10m, 8h (default 60s)")
    add("--seed", type=int, default=None, help="the same choices again (default: new ones each time)")
    add("--database", metavar="WHERE", help="Hypothesis' example database: a directory or redis://..., to be shared")
    add("--directory", metavar="DIR", default=DIRECTORY, help=f"where scripts are saved (default: {DIRECTORY})")
    add("-x", "--exitfirst", action="store_true", help="end at the first finding")
    add("--replay", metavar="FILE", help="play a saved script instead")
    add("--repeat", type=arguments.positive, default=1, metavar="N", help="play it N times (with --replay)")
    arguments.add_runs(parser, "lanes", TIMEOUT)
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Search or replay; 0 clean, 1 findings."""
    import random

    from seatrial.conformance.airlock.inside import converse
    from seatrial.conformance.engine.session import resolve_runtime
    from seatrial.fuzz.database import need_hypothesis
    from seatrial.fuzz.lifecycle.worker import Order

    if os.geteuid() != 0:
        raise EnvironmentProblem("lifecycles need root: they watch what stays on the host")
    if not options.replay:
        need_hypothesis()
    seed = random.randrange(1 << 31) if options.seed is None else options.seed
    database = options.database
    if database is not None and "://" not in database:
        database = os.path.abspath(database)
    order = Order(
        runtime=resolve_runtime(options.runtime),
        workdir="",
        output=-1,
        budget=options.budget,
        workers=options.workers,
        seed=seed,
        timeout=options.timeout,
        database=database,
        replay=None if options.replay is None else _read(options.replay),
        repeat=options.repeat,
        first=options.exitfirst,
    )
    tally = Tally(order.runtime, os.path.abspath(options.directory))
    begin = time.monotonic()
    converse("seatrial.fuzz.lifecycle.worker", asdict(order), options.cgroup_view, order.runtime, tally.hear)
    seconds = time.monotonic() - begin
    print(
        f"{order.runtime}: {tally.examples} examples, {tally.steps} steps, {tally.commands} commands in {seconds:.0f} s"
        + ("" if order.replay else f" (seed {seed})")
        + f"; {len(tally.found) or 'no'} finding{'s' * (len(tally.found) != 1)}"
    )
    if not tally.steps:
        raise EnvironmentProblem("no step was played: green must mean that something was tried")
    return outcome.FOUND if tally.found else outcome.CLEAN


class Tally:
    """Adds up what lanes tell, prints findings as they come and saves their scripts."""

    def __init__(self, runtime: str, directory: str) -> None:
        self.runtime = runtime
        self.directory = directory
        self.found: dict[str, dict[str, Any]] = {}
        self.examples = self.steps = self.commands = 0

    def hear(self, entry: dict[str, Any]) -> None:
        """One entry of a lane."""
        if "finding" in entry:
            self._finding(entry)
        elif "condition" in entry:
            print(f"{entry['step']:<60} # {entry['condition']}", flush=True)
        else:
            self.examples += entry.get("examples", 0)
            self.steps += entry.get("steps", 0)
            self.commands += entry.get("commands", 0)

    def _finding(self, entry: dict[str, Any]) -> None:
        from seatrial.fuzz.lifecycle.script import parse, write

        finding = entry["finding"]
        name = finding["identity"]
        known = self.found.get(name)
        if known is not None and len(known["steps"]) <= len(finding["steps"]):
            return
        self.found[name] = finding
        remarks = [f"seatrial fuzz lifecycle: {name}", finding["detail"]]
        if finding["requirement"]:
            remarks.append(f"breaks {finding['requirement']} of the ledger")
        remarks.append(f"seen again in {entry['reproduced']} of {entry['tries']} replays")
        path = os.path.join(self.directory, slug(name) + ".sh")
        remarks.append(f"again: seatrial fuzz lifecycle --runtime {self.runtime} --replay {path}")
        text = write(parse(finding["steps"]), remarks, self.runtime)
        os.makedirs(self.directory, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        print(f"\n{text}", flush=True)


def slug(name: str) -> str:
    """A file name for an identity."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")[:100]


def _read(path: str) -> str:
    from seatrial.fuzz.lifecycle.script import parse

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentProblem(f"cannot read {path}: {error}") from error
    if not parse(text.splitlines()):
        raise EnvironmentProblem(f"{path} has no steps in it")
    return text
