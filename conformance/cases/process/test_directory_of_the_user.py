"""config.md#process, cwd: a directory that the program's user may enter, and root of the container may not.

In a user namespace CAP_DAC_OVERRIDE holds for files whose owner and group are both mapped (user_namespaces(7)): a
volume whose group is none of the container's opens for its owner alone.  Whoever changes to the directory before it is
that user has to try again afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.exec.executing import executed
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import Report

pytestmark = needs("root", "userns")
FIRST, UID = 100000, 1000
INSIDE = "/volume/of-the-user"


@pytest.fixture
def volume(bundle: Bundle) -> Bundle:
    """A user namespace, a user in it, and a directory of that user's; its group is root of the host."""
    bundle.user_namespace(FIRST)
    bundle.process["user"] = {"uid": UID, "gid": UID}
    path = bundle.directory(INSIDE)
    os.chown(path, FIRST + UID, 0)
    os.chmod(path, 0o700)
    return bundle


@covers("config/process/9")
def test_working_directory(volume: Bundle, report: Callable[..., Report]) -> None:
    """The program starts there."""
    volume.process["cwd"] = INSIDE
    assert report(volume)["cwd"] == INSIDE


@needs("exec")
@covers("config/process/9")
def test_working_directory_of_an_executed_program(runtime: Runtime, volume: Bundle) -> None:
    """So does one that `exec` starts with --cwd."""
    container = runtime.create(volume.probe("hold", report=False))
    assert executed(container, cwd=INSIDE)["cwd"] == INSIDE
