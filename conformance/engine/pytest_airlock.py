"""The airlock for a pytest that `seatrial check` did not start: it runs again, with the same arguments, inside.

The first process only waits.  Without an airlock (--pdb and plugins that are objects cannot go there) the cases run
where pytest is, and the header says what that means.
"""

from __future__ import annotations

import os
import sys

import pytest

from seatrial.conformance.airlock.airlock import INSIDE_ENV
from seatrial.conformance.airlock.confine import VIEWS
from seatrial.conformance.airlock.opened import opened
from seatrial.conformance.airlock.scratch import Scratch
from seatrial.conformance.engine.session import resolve_runtime
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.hosts import plugin as hosts
from seatrial.conformance.hosts import specs


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that only make sense for the process that opens the airlock."""
    group = parser.getgroup("seatrial")
    group.addoption("--cgroup-view", choices=VIEWS, default="auto", help="the cgroup hierarchies that the runtime sees")
    group.addoption("--no-airlock", action="store_true", help="run the cases in pytest's own surroundings")


def why_not(config: pytest.Config) -> str | None:
    """Why this run gets no airlock; None when it should have one."""
    if config.option.usepdb or config.option.trace:
        return "--pdb needs the terminal"
    if config.getoption("no_airlock"):
        return "--no-airlock"
    if config.invocation_params.plugins:
        return "pytest.main() was given plugins"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Run pytest in the airlock and pass its exit status on; None (pytest goes on here) where there is no need."""
    option = config.option
    idle = option.collectonly or option.help or option.version or getattr(option, "showfixtures", False)
    if INSIDE_ENV in os.environ or idle or option.markers or hasattr(config, "workerinput") or why_not(config):
        return None
    if specs.remote(config):
        hosts.register(config)  # each worker has its airlock, on its machine
        return None
    try:
        runtime = resolve_runtime(config.getoption("runtime"))
        return _run_inside(list(config.invocation_params.args), option.cgroup_view, runtime)
    except EnvironmentProblem as error:
        raise pytest.UsageError(str(error)) from error


def _run_inside(arguments: list[str], view: str, runtime: str) -> int:
    def command(scratch: Scratch) -> list[str]:
        return [sys.executable, "-m", "pytest", *arguments, "--workdir", scratch.work]

    trial = runtime if view == "auto" else None
    sys.stdout.flush()
    try:
        with opened(command, view, trial, lambda _: dict(os.environ), log=False) as (process, _):
            return process.wait()
    except KeyboardInterrupt:
        return pytest.ExitCode.INTERRUPTED


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Where the cases run."""
    if INSIDE_ENV in os.environ or (specs.remote(config) and not config.getoption("no_airlock")):
        return []
    reason = why_not(config)
    return [f"seatrial: no airlock ({reason}): what the runtime leaves behind stays on this host"] if reason else []
