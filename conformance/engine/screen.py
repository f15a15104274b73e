"""Where progress is shown: lines on a stream, and on a terminal a bar below them."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any

from seatrial.conformance.report.text import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class Screen:
    """`live` says whether it is a terminal.  Without start() it has no bar, and move() does nothing."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    @property
    def moving(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def start(self, total: int, width: int, *more: str, **fields: Any) -> None:
        """Show a bar to `total`, with a description of `width` characters; `more` are formats of further columns, as
        rich's TextColumn takes them, `fields` what they show at first."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = [TextColumn(f"{{task.description:<{width}}}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
        columns += [TextColumn(text) for text in more]
        self._bar = Progress(*columns, console=Console(file=self.stream), transient=True)
        self._task = self._bar.add_task("", total=total, **fields)
        self._bar.start()

    def move(self, **given: Any) -> None:
        """As rich's Progress.update: `advance`, `completed`, `description`, and the fields of start()."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, **given)

    def say(self, text: str) -> None:
        """A line, above the bar; control characters are shown, not obeyed."""
        if self._bar is not None:
            self._bar.console.print(visible(text), markup=False, highlight=False, soft_wrap=True)
        else:
            print(visible(text), file=self.stream, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
