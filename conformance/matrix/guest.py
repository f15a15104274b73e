"""The program in a machine: `seatrial check` whose result lines go to standard output as they happen.

python -m seatrial.conformance.matrix.guest SELECTION     the members of check.Selection as JSON
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from seatrial.conformance.check import Selection, check
from seatrial.conformance.engine.session import resolve_runtime
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.conformance.verdict import outcome


def main(argv: Sequence[str]) -> int:
    """Run the selection; the exit status says whether the run as a whole could be made, not what it found."""
    members: dict[str, Any] = json.loads(argv[0])
    try:
        members["runtime"] = resolve_runtime(members["runtime"])
        check(Selection(**members), say)
    except EnvironmentProblem as error:
        print(error, file=sys.stderr)
        return outcome.ENVIRONMENT
    except HarnessBug as error:
        print(error, file=sys.stderr)
        return outcome.BUG
    return outcome.CLEAN


def say(entry: dict[str, Any]) -> None:
    """Write one line at once."""
    print(json.dumps(entry), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
