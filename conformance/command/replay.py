"""`seatrial replay`: run the case of an evidence directory again."""

from __future__ import annotations

import argparse
import os
from typing import Any

from seatrial.conformance.verdict import outcome


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("replay", help="run the case of an evidence directory again")
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument("--runtime", metavar="PATH", help="another runtime than the recorded one")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Run one recorded case again: same case, runtime, profile, view and masks."""
    from seatrial.conformance.check import Selection, check
    from seatrial.conformance.engine.progress import header
    from seatrial.conformance.engine.session import resolve_runtime
    from seatrial.conformance.verdict import evidence, stamp

    case = evidence.read_case(options.directory)
    runtime = resolve_runtime(options.runtime or case["runtime"])
    digest = stamp.digest(os.path.realpath(runtime))
    if case["digest"] not in (None, digest):
        print(f"note: {runtime} is another binary than the recorded one ({case['digest'][:19]}, now {digest[:19]})")
    target = os.path.abspath(os.path.join(options.directory, "replay"))

    def hear(entry: dict[str, Any]) -> None:
        if entry["kind"] == "stamp":
            print(header(entry))

    selection = Selection(
        runtime=runtime,
        profile=case["profile"],
        tests=(case["test"],),
        view=case["view"] or "auto",
        timeout=case["timeout"],
        evidence=target,
        masks=tuple(case.get("masks", ())),
    )
    run = check(selection, hear)
    for result in run.results:
        print(f"{result.outcome}: {result.case}")
        if result.reason:
            print("\n".join("    " + line for line in result.reason.splitlines()))
        if result.evidence:
            print(f"    evidence {result.evidence}")
    status = run.exit_status()
    print("not reproduced" if status == outcome.CLEAN else "reproduced" if status == outcome.FOUND else "no verdict")
    return status
