"""config.md#posix-process, rlimits: they are the program's, however little they leave for setting the container up."""

from __future__ import annotations

from collections.abc import Callable

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.probe import Report


@needs("root", "userns")
@covers("config/posix-process/7", "config/posix-process/9")
def test_few_descriptors_in_a_user_namespace(bundle: Bundle, report: Callable[..., Report]) -> None:
    """Where a runtime raises limits before it enters the user namespace, it must not lower others already then."""
    bundle.user_namespace()
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 6, "hard": 6}]
    assert report(bundle).rlimit("RLIMIT_NOFILE") == (6, 6)
