"""The probe's workloads: kinds of state that a process sets up, and what it says about them whenever it is asked.

The probe puts its report and the state of each kind into the files 1, 2, ... of a directory, the first when it is
ready, one more for each SIGUSR1 (docs/probe.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.errors import EnvironmentProblem, Finding

DIRECTORY = "/answers"  # in the container


class Answers:
    """Reads the answers in a host directory, one after the other."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.taken = 0  # so many have been read

    def take(self, timeout: float, alive: Callable[[], bool]) -> Report:
        """The next answer.  Finding after `timeout` seconds, or when the process is no longer `alive`; an
        EnvironmentProblem when a kind could not be set up."""
        path = os.path.join(self.directory, str(self.taken + 1))
        deadline = time.monotonic() + timeout
        while not os.path.exists(path):
            if not alive() and not os.path.exists(path):
                raise Finding("the process with the workload is gone")
            if time.monotonic() > deadline:
                raise Finding(f"the process with the workload does not answer within {timeout:g} s")
            time.sleep(0.01)
        self.taken += 1
        with open(path, encoding="utf-8") as file:
            report = parse(file.read())
        for verb in report.verbs:
            if not verb.ok:
                raise EnvironmentProblem(f"the workload {' '.join(verb.args)} cannot be set up: {verb.errno}")
        return report

    def again_from(self, number: int) -> Answers:
        """For a process that is restored once more, as it was when it had given `number` answers."""
        for later in range(number + 1, self.taken + 1):
            os.unlink(os.path.join(self.directory, str(later)))
        self.taken = number
        return self


def state(report: Report, kind: str) -> object:
    """What an answer says about one kind."""
    return report.verb("workload", kind).value
