"""The pytest plugin that conformance cases run under: `pytest -p seatrial.conformance.plugin conformance/cases --runtime PATH`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from seatrial.conformance import case as case_module
from seatrial.conformance import checks, ledger, needs, probe
from seatrial.conformance.bundle import Bundle, Workshop
from seatrial.conformance.driver import DEFAULT_TIMEOUT, Runtime
from seatrial.conformance.errors import EnvironmentProblem, Finding, HarnessBug
from seatrial.conformance.execute import Result
from seatrial.conformance.probe import Report

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases")
MARKERS = (
    "covers(*ids): ledger ids that the case verifies",
    "needs(*words): what host or runtime must offer for a verdict",
    "profile(*names): the profiles that the case belongs to",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a conformance run."""
    group = parser.getgroup("seatrial", "OCI runtime conformance")
    group.addoption("--runtime", metavar="PATH", help="the runtime under test (default: seatrial-runtime beside the interpreter)")
    group.addoption("--profile", choices=case_module.PROFILES, default="spec", help="which verdict to give (default: spec)")
    group.addoption("--runtime-timeout", type=float, default=DEFAULT_TIMEOUT, metavar="SECONDS",
                    help=f"limit for one invocation of the runtime (default: {DEFAULT_TIMEOUT:g})")
    group.addoption("--workdir", metavar="DIR", help="where bundles are made (default: a temporary directory)")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; test modules of one name in several topics need importlib mode."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.option.importmode = "importlib"


def default_runtime() -> str:
    """The reference runtime, installed beside the running interpreter."""
    return os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")


def resolve_runtime(name: str | None) -> str:
    """The absolute path of the runtime to test; EnvironmentProblem when it is missing or not executable."""
    wanted = name or default_runtime()
    path = shutil.which(wanted) if os.sep not in wanted else wanted
    if path is None or not os.path.isfile(path):
        raise EnvironmentProblem(f"no runtime at {wanted}")
    if not os.access(path, os.X_OK):
        raise EnvironmentProblem(f"{wanted} is not executable")
    return os.path.abspath(path)


# -- collection ---------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Check the marks of each case while its module is collected, so that a mistake is a collection error."""
    result = yield
    for item in result if isinstance(result, list) else []:
        if isinstance(item, pytest.Function) and is_case(item):
            try:
                check_marks(item)
            except HarnessBug as error:
                raise collector.CollectError(f"{item.nodeid}: {error}") from error
    return result


def is_case(item: pytest.Item) -> bool:
    """Whether an item is a conformance case (other tests may run with the plugin loaded)."""
    return os.path.commonpath([CASES, str(item.path)]) == CASES or item.get_closest_marker("covers") is not None


def case_id(item: pytest.Item) -> str:
    """The stable name of a case: its path below cases/, `::`, its name."""
    relative = os.path.relpath(str(item.path), CASES)
    return f"{relative}::{item.nodeid.partition('::')[2]}"


def mark_words(item: pytest.Item, name: str) -> tuple[str, ...]:
    """Arguments of all marks of that name on a case, its class and its module."""
    return tuple(dict.fromkeys(str(word) for mark in item.iter_markers(name) for word in mark.args))


def check_marks(item: pytest.Item) -> None:
    """HarnessBug unless the case covers something known, and its needs and profiles are known."""
    ids = mark_words(item, "covers")
    if not ids:
        raise HarnessBug("a case must say what it covers: @covers(ledger id, ...)")
    ledger.check_ids(ids)
    for word in mark_words(item, "needs"):
        needs.check_word(word)
    for name in mark_words(item, "profile"):
        if name not in case_module.PROFILES:
            raise HarnessBug(f"unknown profile {name!r}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases of the other profile."""
    wanted = config.getoption("profile")
    other = [item for item in items if (names := mark_words(item, "profile")) and wanted not in names]
    if other:
        config.hook.pytest_deselected(items=other)
        left_out = set(map(id, other))
        items[:] = [item for item in items if id(item) not in left_out]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a case whose needs are not met, before any fixture is made."""
    if not is_case(item):
        return
    words = mark_words(item, "needs")
    runtime = session_of(item.config).runtime if any(_asks_runtime(word) for word in words) else None
    for word in words:
        reason = needs.unmet(word, runtime)
        if reason:
            pytest.skip(f"{word}: {reason}")


def _asks_runtime(word: str) -> bool:
    return word in needs.COMMANDS or word.startswith("command:")


# -- what one worker shares between its cases -----------------------------------------------------------------------------


class Session:
    """The runtime, the workshop and the default report of one worker process."""

    def __init__(self, config: pytest.Config) -> None:
        path = resolve_runtime(config.getoption("runtime"))
        base = config.getoption("workdir")
        self.directory = tempfile.mkdtemp(prefix="seatrial-", dir=base or "/tmp")
        os.chmod(self.directory, 0o755)
        self.workshop = Workshop(os.path.join(self.directory, "bundles"), f"st-{os.getpid()}")
        self.runtime = Runtime(path, self.directory, self.workshop, timeout=config.getoption("runtime_timeout"))
        self._default: Report | Finding | None = None

    def default_report(self) -> Report:
        """The probe's report from the unmodified default bundle: one run for all cases of this worker."""
        if self._default is None:
            bundle = self.workshop.bundle()
            try:
                self._default = run_report(self.runtime, bundle)
            except Finding as error:
                self._default = error
            finally:
                self.workshop.remove(bundle)
        if isinstance(self._default, Finding):
            raise Finding(str(self._default))
        return self._default

    def close(self) -> None:
        """Remove the worker's directory."""
        shutil.rmtree(self.directory, ignore_errors=True)


_SESSION = pytest.StashKey[Session]()


def session_of(config: pytest.Config) -> Session:
    """This worker's session, made when first asked for."""
    if _SESSION not in config.stash:
        config.stash[_SESSION] = Session(config)
    return config.stash[_SESSION]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the session left."""
    if _SESSION in config.stash:
        config.stash[_SESSION].close()


def run_report(runtime: Runtime, bundle: Bundle, **options: Any) -> Report:
    """Run the bundle and read the probe's output; Finding when the run fails or prints nothing readable."""
    result = runtime.run(bundle, **options)
    return probe.parse(result.stdout, result)


# -- fixtures -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """The runtime under test.  Containers that the case leaves are deleted afterwards."""
    driver = session_of(request.config).runtime
    driver.journal.clear()
    yield driver
    for container in reversed(driver.containers):
        container.discard()
    driver.containers.clear()


@pytest.fixture
def make_bundle(request: pytest.FixtureRequest, runtime: Runtime) -> Iterator[Callable[[], Bundle]]:
    """Makes further bundles."""
    workshop = session_of(request.config).workshop
    made: list[Bundle] = []

    def make() -> Bundle:
        made.append(workshop.bundle())
        return made[-1]

    yield make
    for container in runtime.containers:
        container.discard()
    for bundle in made:
        workshop.remove(bundle)


@pytest.fixture
def bundle(make_bundle: Callable[[], Bundle]) -> Bundle:
    """A bundle with the default config, whose process is `/probe report`."""
    return make_bundle()


@pytest.fixture
def report(runtime: Runtime) -> Callable[..., Report]:
    """report(bundle, **options): one `run`, with the probe's report and verb outcomes parsed."""

    def read(bundle: Bundle, **options: Any) -> Report:
        return run_report(runtime, bundle, **options)

    return read


@pytest.fixture
def default_report(request: pytest.FixtureRequest, runtime: Runtime) -> Report:
    """The report of the unmodified default bundle; one run per worker."""
    return session_of(request.config).default_report()


@pytest.fixture
def rejected() -> Callable[..., Result]:
    """rejected(runtime, bundle, ...): see checks.rejected."""
    return checks.rejected
