"""`seatrial soak`: thousands of containers, and everything as it was."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from dataclasses import asdict
from typing import Any

from seatrial.conformance.command import arguments
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

CONTAINERS = 10_000
TIMEOUT = 30.0  # seconds for one invocation: a busy host must not look like a hang
SHOWN = 5  # failures of one kind that are printed


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "soak",
        help="thousands of containers side by side; afterwards everything is as it was",
        description="Containers with mixed lives (programs beside them, pauses, kills, deletes by force, some never "
        "started). At the end memory, descriptors, processes, zombies, cgroups, mounts and state are as at the start.",
    )
    add = parser.add_argument
    add("--runtime", metavar="PATH", help="the runtime to try (default: the reference runtime)")
    add("--containers", type=arguments.positive, default=CONTAINERS, metavar="N", help="so many (default 10000)")
    add("--budget", type=arguments.duration, default=None, metavar="TIME", help="end it earlier, such as 10m")
    add("--seed", type=int, default=1, help="which lives (default 1)")
    arguments.add_runs(parser, "lanes", TIMEOUT)
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Soak and print; 0 clean, 1 findings."""
    from seatrial.conformance.airlock.inside import converse
    from seatrial.conformance.engine.session import resolve_runtime
    from seatrial.fuzz.soak.worker import Order

    if os.geteuid() != 0:
        raise EnvironmentProblem("a soak needs root: it counts what stays on the host")
    order = Order(
        runtime=resolve_runtime(options.runtime),
        workdir="",
        output=-1,
        containers=options.containers,
        workers=min(options.workers, options.containers),
        seed=options.seed,
        timeout=options.timeout,
        budget=options.budget,
    )
    tally = Tally()
    converse("seatrial.fuzz.soak.worker", asdict(order), options.cgroup_view, order.runtime, tally.hear)
    seconds = tally.seconds or 1.0
    tally.table()
    failed = sum(tally.failures.values())
    print(
        f"{order.runtime}: {tally.containers} containers, {tally.commands} commands in {seconds:.1f} s: "
        f"{tally.containers / seconds:.1f} containers/s, {tally.commands / seconds:.1f} commands/s; "
        f"{failed or 'no'} failure{'s' * (failed != 1)}, {len(tally.growth) or 'no'} growth"
    )
    if not tally.containers:
        raise EnvironmentProblem("no container was made: green must mean that something was tried")
    return outcome.FOUND if failed or tally.growth else outcome.CLEAN


class Tally:
    """Adds up what lanes tell."""

    def __init__(self) -> None:
        self.containers = self.commands = 0
        self.seconds = 0.0  # of the slowest lane, warm
        self.failures: Counter[str] = Counter()
        self.growth: list[str] = []
        self.conditions: dict[int, tuple[dict[str, int], dict[str, int]]] = {}

    def hear(self, entry: dict[str, Any]) -> None:
        """One entry of a lane."""
        if "failure" in entry:
            text = entry["failure"]
            self.failures[text] += 1
            if self.failures[text] <= SHOWN and len(self.failures) <= 4 * SHOWN:
                print(text, flush=True)
        elif "growth" in entry:
            where = "all together" if entry["lane"] == 0 else f"lane {entry['lane']}"
            self.conditions[entry["lane"]] = entry["before"], entry["after"]
            self.seconds = max(self.seconds, entry.get("seconds", 0.0))
            self.growth += [f"{where}: {line}" for line in entry["growth"]]
        else:
            self.containers += entry.get("containers", 0)
            self.commands += entry.get("commands", 0)

    def table(self) -> None:
        """What there was before and after, and what has grown."""
        for number, (before, after) in sorted(self.conditions.items()):
            words = [f"{name.replace('_', ' ')} {before[name]}>{after[name]}" for name in before]
            print(("all:    " if number == 0 else f"lane {number}: ") + ", ".join(words))
        for line in self.growth:
            print(f"grown: {line}")
