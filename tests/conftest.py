"""Rules for the project's own tests: what needs root is marked, and skipped by name where there is none; a run that
leaves something on the host fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import leftovers
import pytest

_BEFORE = pytest.StashKey[leftovers.Snapshot]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = os.path.dirname(__file__)
    for item in items:
        folder = os.path.relpath(item.path, here).split(os.sep)[0]
        if folder in ("root", "quality", "criu"):
            item.add_marker(pytest.mark.root)
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_configure() -> None:
    """The background job of a shell ignores SIGINT, and so would the commands that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        session.config.stash[_BEFORE] = leftovers.snapshot()


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Compare the host with what it was, once the workers have gone."""
    yield
    before = session.config.stash.get(_BEFORE, None)
    if before is None or os.environ.get("SEATRIAL_SHARED_HOST"):  # somebody else's containers come and go here
        return
    left = leftovers.compare(before, leftovers.snapshot())
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        for line in left:
            reporter.write_line(f"left on the host: {line}", red=True)
