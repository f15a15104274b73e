"""A program of ours in the airlock: it is given an order as JSON, and tells what happens as JSON lines in a pipe."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from seatrial.conformance.airlock.scratch import Scratch
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.conformance.verdict import outcome

TAIL = 3000  # characters of what the program wrote that an error shows


def converse(
    program: str, order: dict[str, Any], view: str, runtime: str | None, listen: Callable[[dict[str, Any]], None]
) -> None:
    """Run the module `program` to its end; `listen` gets each entry as it comes.

    `order` becomes its only argument, with `workdir` and `output` (a descriptor) filled in.  `runtime` is the one that
    view "auto" is tried with, None where the program sees to that.  EnvironmentProblem or HarnessBug as the program
    said in an entry with `trouble` and `kind`, or by its exit status.  A KeyboardInterrupt ends everything and is
    passed on.
    """
    from seatrial.conformance.airlock.opened import opened
    from seatrial.conformance.check import environment

    reader, writer = os.pipe()

    def command(scratch: Scratch) -> list[str]:
        given = {**order, "workdir": scratch.work, "output": writer}
        return [sys.executable, "-m", program, json.dumps(given)]

    trouble = []
    with (
        open(reader, encoding="utf-8") as stream,
        opened(command, view, runtime, lambda _: environment(), keep=[writer]) as (process, scratch),
    ):
        for line in stream:
            entry = json.loads(line)
            if "trouble" in entry:
                trouble.append((entry["kind"], entry["trouble"]))
            listen(entry)
        _, complaint = process.communicate()
        with open(scratch.log, encoding="utf-8", errors="replace") as file:
            said = "\n".join([(complaint or b"").decode("utf-8", "replace").strip(), file.read()[-TAIL:].strip()])
    for kind, text in trouble:
        raise HarnessBug(text) if kind == "bug" else EnvironmentProblem(text)
    if process.returncode != outcome.CLEAN:
        family = EnvironmentProblem if process.returncode == outcome.ENVIRONMENT else HarnessBug
        raise family(f"{program} ended with status {process.returncode}: {said.strip()}")
