"""`seatrial replay` of a divergence that `seatrial fuzz diff` has saved; other directories are the harness' own."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from typing import Any

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

TIMEOUT = 10.0  # seconds for one invocation


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Take over the command of the harness, which knows nothing of divergences."""
    commands.choices["replay"].set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Run what a directory has saved again; 0 not reproduced, 1 reproduced."""
    from seatrial.fuzz.diff.archive import DIVERGENCE

    if not os.path.exists(os.path.join(options.directory, DIVERGENCE)):
        from seatrial.conformance.command import replay

        return replay.run(options)
    return _divergence(options)


def _divergence(options: argparse.Namespace) -> int:
    from seatrial.conformance.airlock.inside import converse
    from seatrial.conformance.engine.session import resolve_runtime
    from seatrial.fuzz.diff import archive
    from seatrial.fuzz.diff.worker import Order

    if os.geteuid() != 0:
        raise EnvironmentProblem("comparing needs root: the bundles' configs are for root")
    saved = archive.read(options.directory)
    runtimes = [resolve_runtime(name) for name in saved["runtimes"]]
    if options.runtime:
        runtimes[0] = resolve_runtime(options.runtime)
    print(archive.describe({**saved, "runtimes": runtimes}))
    directory = os.path.abspath(options.directory)
    order = Order(runtimes, "", -1, directory, "", 0.0, 1, 0, TIMEOUT, replay=directory)
    rounds: list[dict[str, Any]] = []

    def hear(entry: dict[str, Any]) -> None:
        if "replayed" in entry:
            rounds.append(entry)
            print(f"again: {'; '.join(entry['replayed'][:6]) or 'no difference'} ({' / '.join(entry['answers'])})")

    converse("seatrial.fuzz.diff.worker", asdict(order), "auto", None, hear)
    hits = sum(bool(entry["replayed"]) for entry in rounds)
    print(f"reproduced in {hits} of {len(rounds)}" if hits else "not reproduced")
    return outcome.FOUND if hits else outcome.CLEAN
