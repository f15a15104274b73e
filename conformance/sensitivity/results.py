"""What became of each mutant, as JSON lines; the last line about a mutant counts."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field

from seatrial.conformance.errors import EnvironmentProblem

KILLED, SURVIVED = "killed", "survived"
FILE = "results.jsonl"


@dataclass(slots=True)
class Verdict:
    """`killer` and `reason`: the case that noticed, and what it said; `second`: another one that does.  `silent`: the
    cases that ran and did not notice (of a mutant that was killed: since then); `candidates`: how many could have.
    `applied`: the mutation was seen to change something.  `seconds` were spent."""

    mutation: str
    view: str
    verdict: str
    killer: str = ""
    reason: str = ""
    candidates: int = 0
    applied: bool = False
    seconds: float = 0.0
    silent: list[str] = field(default_factory=list)
    second: str = ""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to be asked."""
        return self.verdict == KILLED or len(self.silent) >= self.candidates

    @property
    def alone(self) -> bool:
        """Whether the killer is the only case that notices: every other one that could has been asked."""
        return self.verdict == KILLED and not self.second and len(self.silent) + 1 >= self.candidates


class Results:
    """The file, and the last verdict of each mutant and view."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, FILE)
        self.verdicts: dict[tuple[str, str], Verdict] = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    try:
                        self._keep(Verdict(**json.loads(line)))
                    except (ValueError, TypeError) as error:
                        raise EnvironmentProblem(f"{self.path}:{number}: not a verdict: {error}") from error

    def _keep(self, verdict: Verdict) -> None:
        self.verdicts[verdict.mutation, verdict.view] = verdict

    def add(self, verdict: Verdict) -> None:
        """One more line."""
        self._keep(verdict)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(verdict)) + "\n")

    def merged(self) -> dict[str, Verdict]:
        """One verdict for each mutant: killed if it was killed in some view."""
        found: dict[str, Verdict] = {}
        for (mutation, _), verdict in sorted(self.verdicts.items()):
            if mutation not in found or (found[mutation].verdict != KILLED and verdict.verdict == KILLED):
                found[mutation] = verdict
        return found
