"""The program in the airlock that compares runtimes: lanes that draw until the time is up, or one bundle again.

The order as the only argument, as JSON; what happens as JSON lines on a descriptor.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from seatrial.conformance.airlock import cgroups, lanes
from seatrial.conformance.airlock.airlock import VIEW_ENV
from seatrial.conformance.airlock.lanes import Voice
from seatrial.conformance.engine.session import Session
from seatrial.conformance.verdict import outcome
from seatrial.fuzz.diff import archive, identity
from seatrial.fuzz.diff.archive import Archive
from seatrial.fuzz.diff.bench import Bench
from seatrial.fuzz.diff.corpus import Corpus
from seatrial.fuzz.diff.identity import Identity
from seatrial.fuzz.diff.observe import Place, base

CHUNK = 100  # draws of one seed; a resumed campaign begins with the next chunk
REPLAYS = 3
WARM_UP = 30  # draws before there are lanes: Hypothesis' tables, which take a second or two, are made once for all


@dataclass(frozen=True, slots=True)
class Order:
    """What to compare.  `directory` is the campaign's; `database` what database.open_database takes; `chunk` the first
    one; `replay` a saved divergence to run again instead."""

    runtimes: list[str]
    workdir: str
    output: int
    directory: str
    database: str
    budget: float
    workers: int
    seed: int
    timeout: float
    chunk: int = 0
    replay: str | None = None


class Stop(BaseException):
    """The time is up in the middle of a chunk.  (Hypothesis passes on what is no Exception.)"""


def open_bench(order: Order, stack: contextlib.ExitStack) -> Bench:
    """The runtimes of a lane, in a view of cgroups that suits them all."""
    session = Session(order.runtimes[0], order.workdir, order.timeout, os.environ.get(VIEW_ENV))
    stack.callback(session.close)

    def look() -> Bench:
        warm = order.replay is None  # a replay is of the command as people run it
        places = [Place(session, path, number, order.timeout, warm) for number, path in enumerate(order.runtimes)]
        return Bench(places, base())

    bench = look()
    if not bench.sane() and cgroups.read_view().mode == "hybrid":  # crun refuses hybrid hosts
        stack.enter_context(session.cgroup_view("v1"))
        bench = look()
    return bench


def search(order: Order, number: int, voice: Voice) -> int:
    """One lane, until the time is up."""
    from seatrial.fuzz.database import open_database
    from seatrial.fuzz.diff import draws

    database = open_database(order.database)
    assert database is not None
    corpus = Corpus(database)
    kept = Archive(order.directory)
    with contextlib.ExitStack() as stack:
        bench = open_bench(order, stack)
        told = 0

        def tell(**entry: Any) -> None:
            nonlocal told
            voice.say(comparisons=bench.comparisons - told, **entry)
            told = bench.comparisons

        def learn() -> None:
            for divergence in kept.fresh():
                name = Identity(divergence["kind"], divergence["where"], tuple(divergence["features"]))
                bench.known.setdefault(name, 1)

        def use(entry: dict[str, Any]) -> None:
            if bench.over():
                raise Stop
            new, traits = bench.examine(entry)
            for divergence in new:
                voice.say(divergence=divergence)
            corpus.offer(entry, traits)

        learn()
        for divergence in bench.settle():
            voice.say(divergence=divergence)
        told = bench.comparisons  # those of the default config are before the time begins
        begun = time.monotonic()
        bench.deadline = begun + order.budget
        chunk = order.chunk + number
        with contextlib.suppress(Stop):
            for entry in corpus.learn()[number :: order.workers]:
                use(entry)
            tell()
            while not bench.over():
                draws.generate(order.seed * 1_000_003 + chunk, CHUNK, use)
                tell(chunk=chunk)
                chunk += order.workers
                learn()
                corpus.learn()
        seconds = time.monotonic() - begun
        hits = {str(name): count for name, count in bench.known.items()}
        tell(seconds=seconds, hits=hits, view=cgroups.read_view().mode)
    return outcome.CLEAN


def replay(order: Order, voice: Voice) -> int:
    """Run a saved divergence again, some times."""
    assert order.replay is not None
    divergence = archive.read(order.replay)
    wanted = (divergence["kind"], divergence["where"])
    with contextlib.ExitStack() as stack:
        bench = open_bench(order, stack)
        bench.settle()
        plain = not divergence["features"]
        for _ in range(REPLAYS):
            seen = bench.observe(divergence["config"], divergence["flow"])
            found = identity.differences(seen) if plain else bench.differences(seen, divergence["flow"])
            group = [
                one
                for area in identity.by_area(found).values()
                for one in area
                if (one.kind, identity.identify(area, ()).where) == wanted
            ]
            voice.say(
                replayed=[str(one) for one in group],
                answers=[one.answer for one in seen],
                said=[one.said for one in seen],
            )
    return outcome.CLEAN


def main() -> int:
    """Do what the order says; the worst exit status of the lanes."""
    order = Order(**json.loads(sys.argv[1]))
    voice = Voice(order.output, order.workdir)
    if order.replay is not None:
        return lanes.join([lanes.begin(voice, lambda: replay(order, voice), "replay")])
    from seatrial.fuzz.diff import draws

    draws.generate(order.seed, WARM_UP, lambda entry: None)
    return lanes.run(voice, order.workers, lambda number: search(order, number, voice))


if __name__ == "__main__":
    sys.exit(main())
