"""Whether a container's processes run: their processor time and context switches, as the kernel counts them."""

from __future__ import annotations

import os
import time

from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import alive
from seatrial.conformance.driver.patience import patience
from seatrial.conformance.errors import Finding

SECONDS = 5.0
STILL = 0.05  # seconds in which a program that computes is seen to run, on a host that is not overloaded


def computing(runtime: Runtime, bundle: Bundle) -> Container:
    """A running container whose init waits for a child that computes without end."""
    container = runtime.create(bundle.probe("print here -- child cpu 1000", report=False))
    container.start()
    container.wait_output("here")
    deadline = time.monotonic() + patience(SECONDS)
    while not below(container.pid):
        if time.monotonic() > deadline:
            raise Finding("the container's process has no child")
        time.sleep(0.002)
    return container


def below(pid: int) -> list[int]:
    """The children of a process."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def activity(pids: list[int]) -> list[str]:
    """What grows whenever one of the processes runs.  Finding when one of them is gone."""
    found = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
                found.append(file.read())
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                found += [line for line in file if "ctxt_switches" in line]
        except OSError as error:
            raise Finding(f"process {pid} is gone: {error.strerror}") from error
    return found


def is_still(pids: list[int]) -> bool:
    """Whether nothing of them runs for a moment."""
    before = activity(pids)
    time.sleep(STILL)
    return activity(pids) == before


def wait_moving(pids: list[int]) -> None:
    """Wait until one of them runs again; Finding after a while."""
    before = activity(pids)
    deadline = time.monotonic() + patience(SECONDS)
    while activity(pids) == before:
        if time.monotonic() > deadline:
            raise Finding(f"the processes {pids} do not run")
        time.sleep(0.005)


def wait_gone(pid: int) -> None:
    """Wait for the end of a process that need not be our child; Finding after a while."""
    deadline = time.monotonic() + patience(SECONDS)
    while os.path.exists(f"/proc/{pid}/exe") and alive(pid):
        if time.monotonic() > deadline:
            raise Finding(f"process {pid} still lives")
        time.sleep(0.005)
