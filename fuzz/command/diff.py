"""`seatrial fuzz diff`: the same bundle on several runtimes, and where they part."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from seatrial.conformance.command import arguments
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

if TYPE_CHECKING:
    from seatrial.fuzz.diff.archive import Archive

BUDGET = "60s"
TIMEOUT = 10.0  # seconds for one invocation
DIRECTORY = "seatrial-fuzz/diff"
LANES = 3  # for a CPU: a lane waits a third of its time for the kernel (namespaces and cgroups that end)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "diff",
        help="the same bundles on several runtimes: what differs, and who is right",
        description="Draws bundles, runs each on all runtimes and compares whether they take it, how it ends, "
        "the states on the way and what the program sees. Each divergence is made small, judged and saved; "
        "`seatrial replay` runs it again.",
    )
    add = parser.add_argument
    add(
        "--runtime",
        action="append",
        metavar="PATH",
        help="a runtime, at least two (with one: the reference runtime, too)",
    )
    add("--budget", type=arguments.duration, default=BUDGET, metavar="TIME", help="such as 60s, 10m, 8h (default 60s)")
    add("--seed", type=int, default=None, help="the same draws again (default: new ones each time)")
    add("--directory", metavar="DIR", default=DIRECTORY, help=f"where everything is kept (default: {DIRECTORY})")
    add("--resume", action="store_true", help="go on with what DIR has")
    add("--database", metavar="WHERE", help="where the corpus is: a directory or redis://... (default: DIR/corpus)")
    add("--baseline", metavar="FILE", help="known divergences: only others end with exit status 1")
    add("--write-baseline", metavar="FILE", help="write what is known and what was found")
    arguments.add_runs(parser, "lanes", TIMEOUT, LANES)
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Compare until the time is up; 0 nothing new, 1 new divergences."""
    import random

    from seatrial.conformance.airlock.inside import converse
    from seatrial.fuzz.database import need_hypothesis
    from seatrial.fuzz.diff import baseline
    from seatrial.fuzz.diff.archive import Archive
    from seatrial.fuzz.diff.worker import Order

    if os.geteuid() != 0:
        raise EnvironmentProblem("comparing needs root: the bundles' configs are for root")
    need_hypothesis()
    known = baseline.read(options.baseline) if options.baseline else {}
    directory = os.path.abspath(options.directory)
    archive = Archive(directory)
    state = archive.state()
    if state and not options.resume:
        raise EnvironmentProblem(f"{directory} has a campaign in it: add --resume, or name another --directory")
    if options.resume and not state:
        raise EnvironmentProblem(f"{directory} has no campaign to resume")
    runtimes = _runtimes(options.runtime, state)
    seed = options.seed if options.seed is not None else state.get("seed", random.randrange(1 << 31))
    state = {
        "runtimes": runtimes,
        "seed": seed,
        "chunk": state.get("chunk", 0),
        "comparisons": state.get("comparisons", 0),
    }
    archive.keep_state(state)
    order = Order(
        runtimes=runtimes,
        workdir="",
        output=-1,
        directory=directory,
        database=_database(options.database, directory),
        budget=options.budget,
        workers=options.workers,
        seed=seed,
        timeout=options.timeout,
        chunk=state["chunk"],
    )
    tally = Tally(archive, state, known)
    print(f"{' / '.join(runtimes)} (seed {seed})", flush=True)
    try:
        converse("seatrial.fuzz.diff.worker", asdict(order), options.cgroup_view, None, tally.hear)
    finally:
        archive.keep_state(state)
    _end(order, tally)
    if options.write_baseline:
        added = baseline.write(options.write_baseline, known, tally.found.values())
        print(f"{options.write_baseline}: {added} added")
    return outcome.FOUND if any(name not in known for name in tally.found) else outcome.CLEAN


def _end(order: Any, tally: Tally) -> None:
    from seatrial.fuzz.database import open_database
    from seatrial.fuzz.diff.corpus import Corpus

    database = open_database(order.database)
    assert database is not None
    corpus = Corpus(database)
    dropped = corpus.minimise()
    entries = len(corpus.entries())
    new = sum(name not in tally.known for name in tally.found)
    rate = f", {tally.comparisons / tally.seconds:.1f} a second" if tally.seconds else ""
    print(
        f"{tally.comparisons} comparisons{rate}, cgroup {tally.view}; {len(tally.found)} divergences, {new} new; "
        f"corpus {entries} ({dropped} dropped); {order.directory}"
    )
    for name, count in tally.hits.most_common(10):
        print(f"{count:>7} x {name}")
    if not tally.comparisons:
        raise EnvironmentProblem("nothing was compared: green must mean that something was tried")


class Tally:
    """Adds up what lanes tell; saves and prints divergences as they come."""

    def __init__(self, archive: Archive, state: dict[str, Any], known: dict[str, Any]) -> None:
        self.archive = archive
        self.state = state
        self.known = known
        self.found: dict[str, dict[str, Any]] = {entry["identity"]: entry for entry in archive.fresh()}
        self.hits: Counter[str] = Counter()
        self.comparisons = 0
        self.seconds = 0.0
        self.view = ""

    def hear(self, entry: dict[str, Any]) -> None:
        """One entry of a lane."""
        if "divergence" in entry:
            self._divergence(entry["divergence"])
            return
        self.comparisons += entry.get("comparisons", 0)
        self.state["comparisons"] += entry.get("comparisons", 0)
        if "chunk" in entry:
            self.state["chunk"] = max(self.state["chunk"], entry["chunk"] + 1)
            self.archive.keep_state(self.state)
        if "hits" in entry:
            self.hits.update(entry["hits"])
            self.seconds = max(self.seconds, entry["seconds"])
            self.view = entry["view"]

    def _divergence(self, divergence: dict[str, Any]) -> None:
        from seatrial.fuzz.diff.archive import describe

        if divergence["identity"] in self.found:
            return
        self.found[divergence["identity"]] = divergence
        directory = self.archive.keep(divergence)
        mark = "" if divergence["identity"] not in self.known else "known: "
        print(f"\n{mark}{describe(divergence)}\n  seatrial replay {directory}", flush=True)


def _runtimes(given: list[str] | None, state: dict[str, Any]) -> list[str]:
    from seatrial.conformance.engine.session import resolve_runtime

    if not given:
        given = state.get("runtimes")
    if not given:
        raise EnvironmentProblem("name at least one --runtime; a single one is compared with the reference runtime")
    paths = [resolve_runtime(name) for name in given]
    paths = paths if len(paths) > 1 else [*paths, resolve_runtime(None)]
    if state and state["runtimes"] != paths:
        raise EnvironmentProblem(f"the campaign compares {' and '.join(state['runtimes'])}: resume it with these")
    if len(set(paths)) < len(paths):
        raise EnvironmentProblem(f"the same runtime twice: {paths[0]}")
    return paths


def _database(name: str | None, directory: str) -> str:
    if name is None:
        return os.path.join(directory, "corpus")
    return name if "://" in name else os.path.abspath(name)
