"""What a change of limits has overwritten, so that it can be taken back.

The kernel lets every write pass only in an order that keeps its rules (memory <= memory + swap, burst <= quota ...).
Going back through the same values in reverse order passes through states that it has held before, so it can do that.
"""

from __future__ import annotations

from seatrial.runtime.cgroup.files import write
from seatrial.runtime.errors import SeatrialError


class Undo:
    """(directory, file, lines that restore it), in the order of the writes."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps: list[tuple[str, str, list[str]]] = []

    def note(self, directory: str, name: str, lines: list[str]) -> None:
        """Remember how to restore a file that has been written just now."""
        self.steps.append((directory, name, lines))

    def run(self) -> list[str]:
        """Write everything back; what cannot be is told, one sentence each, and does not keep the rest from it."""
        problems = []
        for directory, name, lines in reversed(self.steps):
            for line in lines:
                try:
                    write(directory, name, line or "\n")  # an empty write(2) would do nothing
                except SeatrialError as error:
                    problems.append(f"could not be taken back: {error}")
        self.steps.clear()
        return problems
