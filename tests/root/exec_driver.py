"""exec_driver.py ROOT ID ERRNO all|into SEQUENTIAL CONCURRENT: many processes in a container, with clone3 failing.

A program of its own, because a filter cannot be taken off again.  Prints one JSON object: what became of the processes,
and what is left of them here.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import threading
from collections.abc import Callable

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "native"))

from old_clone3 import refuse_clone3

from seatrial.runtime import Container, Process
from seatrial.runtime.errors import SeatrialError
from seatrial.runtime.log import Log


class Notes(Log):
    """Keeps what --debug would print."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: set[str] = set()

    def debug(self, message: str) -> None:
        """Keep it."""
        self.lines.add(message)


def left() -> tuple[int, int]:
    """Open descriptors and children, zombies among them."""
    gc.collect()
    children = 0
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/self/task/{task}/children") as file:
            children += len(file.read().split())  # (a thread may have ended since)
    return len(os.listdir("/proc/self/fd")), children


def main(root: str, id: str, errno: str, which: str, sequential: str, concurrent: str) -> None:
    notes = Notes()
    null = os.open("/dev/null", os.O_RDWR)
    wrong: list[str] = []
    errors: set[str] = set()

    def one(number: int) -> None:
        status = number % 250
        process = Process(["/probe", "exit", str(status)], stdin=null, stdout=null, stderr=null)
        try:
            container.exec(process)
        except SeatrialError as error:
            errors.add(f"{type(error).__name__}: {error}")
            return
        found = process.wait(30)
        if found != status:
            wrong.append(f"process {number}: {found}, not {status}")

    def waiting(gate: threading.Event, number: int) -> Callable[[], None]:
        def body() -> None:
            gate.wait()
            one(number)

        return body

    with Container.load(root, id, log=notes) as container:
        one(0)  # what is imported and opened once
        gate = threading.Event()
        # Before the filter: the C library starts threads by clone3, too.
        threads = [threading.Thread(target=waiting(gate, number)) for number in range(int(concurrent))]
        for thread in threads:
            thread.start()
        before = left()
        notes.lines.clear()
        if int(errno):
            refuse_clone3(int(errno), which == "into")
        for number in range(int(sequential)):
            one(number)
        sequence = left()
        gate.set()
        for thread in threads:
            thread.join(60)
        result = {
            "wrong": wrong,
            "errors": sorted(errors),
            "notes": sorted(notes.lines),
            "before": before,
            "after": [sequence, left()],
            "hanging": sum(thread.is_alive() for thread in threads),
            "state": container.status(),
        }
    print(json.dumps(result), flush=True)
    os._exit(0)  # whatever hangs


main(*sys.argv[1:])
