"""`events`: what a container uses, and when it runs out of memory, as lines of JSON."""

from __future__ import annotations

import time

from seatrial.runtime.cli.duration import seconds
from seatrial.runtime.cli.main import Context, one_id, write_stdout
from seatrial.runtime.cli.options import Options
from seatrial.runtime.cli.stats_document import document
from seatrial.runtime.container import Container
from seatrial.runtime.document import dumps, for_go
from seatrial.runtime.errors import SeatrialError, StateError, UsageError
from seatrial.runtime.state import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.log import Log
    from seatrial.runtime.notify import Notification

OPTIONS = {"interval": ("interval", "text"), "stats": ("stats", "flag")}

USAGE = """\
usage: seatrial-runtime events [OPTIONS] ID

Print what a container uses every now and then, and each time that it runs out of memory, as one JSON object a line,
until its cgroup is gone.

options:
  --interval DURATION    time between two statistics (default: 5s)
  --stats                print the statistics once, and leave
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    id = one_id("events", arguments)
    interval = seconds(options.text("interval", "5s"))
    if interval <= 0:
        raise UsageError("option --interval takes a duration above 0")
    with Container.load(context.root, id, log=context.log) as container:
        if container.status() == STOPPED:
            raise StateError(f"container {id} is stopped", "only a container with processes has events")
        if options.flag("stats"):
            _print("stats", id, document(container.stats()))
            return 0
        notification = _subscribe(container, context.log)
        try:
            _watch(container, notification, interval)
        finally:
            if notification is not None:
                notification.close()
    return 0


def _subscribe(container: Container, log: Log) -> Notification | None:
    try:
        return container.notify_oom()
    except SeatrialError as error:
        log.warning(f"out of memory will not be told of: {error}")
    return container.notify_end()


def _watch(container: Container, notification: Notification | None, interval: float) -> None:
    """Print until the end; without a notification the end is seen at the next statistics."""
    due = time.monotonic() + interval
    while notification is None or not notification.ended:
        left = due - time.monotonic()
        if left > 0:
            if notification is None:
                time.sleep(left)
            else:
                for _ in range(notification.wait(left)):
                    _print("oom", container.id)
            continue
        due += interval
        try:
            data = document(container.stats())
        except StateError:
            return  # the cgroup is gone
        _print("stats", container.id, data)


def _print(type: str, id: str, data: dict[str, Any] | None = None) -> None:
    event: dict[str, Any] = {"type": type, "id": id}
    if data is not None:
        event["data"] = data
    write_stdout(for_go(dumps(event)) + "\n")
