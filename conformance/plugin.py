"""The pytest plugin for conformance cases: `pytest -p seatrial.conformance.plugin conformance/cases --runtime PATH`."""

from __future__ import annotations

import contextlib
import os
import signal
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from seatrial.conformance import case as case_module
from seatrial.conformance.airlock.airlock import VIEW_ENV
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime, default_runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.patience import DEFAULT_TIMEOUT, adapt
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine import checks, needs
from seatrial.conformance.engine.session import WORKDIR_ENV, Session, run_report
from seatrial.conformance.errors import CaseTimeout, EnvironmentProblem, HarnessBug
from seatrial.conformance.hosts import specs
from seatrial.conformance.ledger import ledger, museum
from seatrial.conformance.mask.names import resolve_all
from seatrial.conformance.verdict import expect, repeat

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases")
FOLDER = "cases/"  # after it, a node id is a case's name
PACKAGE = "seatrial.conformance"
CASE_TIMEOUTS = 6  # a case may take as long as so many timeouts of the runtime
MARKERS = (
    "covers(*ids): ledger ids that the case verifies",
    "needs(*words): what host or runtime must offer for a verdict",
    "profile(*names): the profiles that the case belongs to",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a conformance run."""
    group = parser.getgroup("seatrial", "OCI runtime conformance")
    add = group.addoption
    add("--runtime", metavar="PATH", help="the runtime under test (default: seatrial-runtime beside the interpreter)")
    add("--profile", choices=(*case_module.PROFILES, "all"), default="spec", help="which verdict to give")
    add("--shard", metavar="I/N", help="only the I-th of N parts of the cases")
    add("--cases", metavar="FILE", help="only the cases that this file names, one a line")
    add("--expect", metavar="FILE", action="append", default=[], help="known failures, again for more (docs/gating.md)")
    add("--repeat", metavar="N", type=int, default=1, help="run each case N times; passes among failures are flaky")
    limit = f"limit for one invocation of the runtime (default: {DEFAULT_TIMEOUT:g})"
    add("--runtime-timeout", type=float, default=DEFAULT_TIMEOUT, metavar="SECONDS", help=limit)
    add("--workdir", metavar="DIR", help="where bundles are made (default: /tmp)")
    add("--results", metavar="FILE", help="append the stamp and the result lines to this file")
    add("--mask", action="append", default=[], metavar="NAME", help="run the runtime behind this mask, again for more")
    add("--evidence", metavar="DIR", help="write a directory for each failure below this one")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and the recorder; test modules of one name in several topics need importlib mode."""
    from seatrial.conformance.verdict.recorder import Recorder

    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.option.importmode = "importlib"
    parse_shard(config.getoption("shard"))
    config.stash[_LISTED] = read_cases(config.getoption("cases"))
    check_keyword(config.option.keyword)
    if config.getoption("repeat") < 1:
        raise pytest.UsageError("--repeat: a number above 0 is expected")
    limit = config.getoption("runtime_timeout")
    if not 0 < limit < float("inf"):
        raise pytest.UsageError(f"--runtime-timeout {limit:g}: seconds above 0 are expected")
    adapt(limit)
    try:
        resolve_all(config.getoption("mask"))
        worker = getattr(config, "workerinput", {})
        told = worker.get("seatrial_expect")  # on another machine, where the files are not
        files = told if told is not None else expect.texts(config.getoption("expect"))
        config.stash[_EXPECTATIONS] = [entry for name, text in files for entry in expect.parse(text, name)]
    except EnvironmentProblem as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(Recorder(config), "seatrial-recorder")


def pytest_report_header(config: pytest.Config) -> str:
    """What is tested, and where."""
    option = config.getoption
    where = f"in the airlock, cgroup {view}" if (view := os.environ.get(VIEW_ENV)) else "without an airlock"
    if specs.remote(config):
        where = f"workers on other machines: {', '.join(config.option.tx)}"
    return f"seatrial: runtime {option('runtime') or default_runtime()}, profile {option('profile')}, {where}"


_EXPECTATIONS = pytest.StashKey[list[expect.Expectation]]()
_STALE = pytest.StashKey[list[str]]()
_LISTED = pytest.StashKey[frozenset[str] | None]()


def expectations(config: pytest.Config) -> list[expect.Expectation]:
    """The entries of all expectation files."""
    return config.stash[_EXPECTATIONS]


def stale_expectations(config: pytest.Config) -> list[str]:
    """Complaints about entries that are about no case; none when not all cases were collected."""
    return config.stash.get(_STALE, [])


def parse_shard(text: str | None) -> tuple[int, int]:
    """(index from 0, number of shards) of `I/N`; pytest.UsageError when it is not of that form."""
    if not text:
        return 0, 1
    part, _, whole = text.partition("/")
    if not (part.isdigit() and whole.isdigit() and 1 <= int(part) <= int(whole)):
        raise pytest.UsageError(f"--shard {text}: expected I/N with 1 <= I <= N")
    return int(part) - 1, int(whole)


def read_cases(path: str | None) -> frozenset[str] | None:
    """The case ids in a file, None without one; pytest.UsageError when it cannot be read."""
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return frozenset(line.strip() for line in file if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise pytest.UsageError(f"--cases {path}: {reason}") from error


def check_keyword(text: str) -> None:
    """pytest.UsageError for a malformed -k, before xdist's workers stumble over it (pytest has no public parser for
    it)."""
    try:
        from _pytest.mark.expression import Expression
    except ImportError:
        return
    try:
        Expression.compile(text or "x")
    except SyntaxError as error:
        raise pytest.UsageError(f"-k {text}: {error}") from error


# -- collection --------------------------------------------------------------------------------------------------------


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


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Generator[None, Any, Any]:
    """Give a module of cases a node id that has its topic.  Outside of the rootdir pytest counts from what the command
    line names: nothing is left of a module, and of a folder its topic is missing."""
    module = yield
    path = str(module_path)
    if path.startswith(CASES + os.sep) and FOLDER not in module.nodeid:
        name = FOLDER + os.path.relpath(path, CASES)
        module = type(module).from_parent(parent, path=module_path, nodeid=name)
    return module


def is_case(item: pytest.Item) -> bool:
    """Whether an item is a conformance case (other tests may run with the plugin loaded)."""
    return item.get_closest_marker("covers") is not None or str(item.path).startswith(CASES + os.sep)


def case_id(item: pytest.Item) -> str:
    """The stable name of a case: its path below cases/, `::`, its name."""
    return f"{os.path.relpath(str(item.path), CASES)}::{repeat.without(item.nodeid.partition('::')[2])}"


def repetition(item: pytest.Item) -> int | None:
    """Which repetition of its case an item is, from 1; None without --repeat."""
    found = getattr(item, "callspec", None)
    return found.indices[repeat.FIXTURE] + 1 if found is not None and repeat.FIXTURE in found.indices else None


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat each case, as pytest-repeat does: by a parameter that nobody looks at."""
    times = metafunc.config.getoption("repeat")
    if times > 1:
        metafunc.fixturenames.append(repeat.FIXTURE)
        names = repeat.parameters(times)
        metafunc.parametrize(repeat.FIXTURE, range(times), ids=names, indirect=True)


@pytest.fixture(name=repeat.FIXTURE)
def _repetition(request: pytest.FixtureRequest) -> int:
    return int(request.param)


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


def pytest_itemcollected(item: pytest.Item) -> None:
    """-k finds cases by the museum's exhibits too."""
    if is_case(item):
        item.extra_keyword_matches.update(museum.keywords(case_id(item)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases of the other profile, of the other shards (a case's shard follows from its name alone), and
    those that are not listed."""
    if whole_suite(config):
        config.stash[_STALE] = expect.stale(expectations(config), [case_id(item) for item in items])
    wanted, listed = config.getoption("profile"), config.stash.get(_LISTED, None)
    index, shards = parse_shard(config.getoption("shard"))
    kept: list[pytest.Item] = []
    other: list[pytest.Item] = []
    for item in items:
        names = mark_words(item, "profile")
        in_profile = not names or wanted in names or wanted == "all"
        in_shard = zlib.crc32(case_id(item).encode()) % shards == index
        is_listed = listed is None or case_id(item) in listed
        (kept if in_profile and in_shard and is_listed else other).append(item)
    if other:
        config.hook.pytest_deselected(items=other)
        items[:] = kept


def whole_suite(config: pytest.Config) -> bool:
    """Whether all cases are collected (before any is deselected)."""
    names = (CASES, os.path.dirname(CASES), PACKAGE, f"{PACKAGE}.cases")
    given = [os.path.normpath(name) if os.sep in name else name for name in config.args]
    return any(name in names for name in given) and not config.getoption("lf", False)


# -- running -----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a case whose needs are not met, before any fixture is made."""
    if not is_case(item):
        return
    session = session_of(item.config)  # first: it confines this process, which decides what the host seems to offer
    for word in mark_words(item, "needs"):
        reason = needs.unmet(word, session.runtime)
        if reason:
            pytest.skip(f"{word}: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Limit the time of a case: one that waits for ever (for a file, a socket) is a finding, not a stuck run."""
    limit = item.config.getoption("runtime_timeout") * CASE_TIMEOUTS

    def expired(number: int, frame: object) -> None:
        raise CaseTimeout(f"the case is not finished after {limit:g} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        return (yield)
    except PermissionError as error:
        # proc(5): a process that is not dumpable, as one that a runtime prepares may be, shows itself to root alone.
        if os.geteuid() == 0 or not str(error.filename).startswith("/proc/"):
            raise
        pytest.skip(f"root: an ordinary user may not look at {error.filename}: the process is not dumpable")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


_SESSION = pytest.StashKey[Session | EnvironmentProblem]()


def session_of(config: pytest.Config) -> Session:
    """This worker's session, made when first asked for; EnvironmentProblem, each time, when it cannot be made."""
    if _SESSION not in config.stash:
        option = config.getoption
        view = os.environ.get(VIEW_ENV)
        workdir = option("workdir") or os.environ.get(WORKDIR_ENV)
        try:
            made: Session | EnvironmentProblem = Session(
                option("runtime"), workdir, option("runtime_timeout"), view, tuple(option("mask"))
            )
        except EnvironmentProblem as error:
            made = error
        config.stash[_SESSION] = made
    session = config.stash[_SESSION]
    if isinstance(session, EnvironmentProblem):
        raise EnvironmentProblem(str(session))
    return session


def existing_session(config: pytest.Config) -> Session | None:
    """This worker's session if it could be made."""
    session = config.stash.get(_SESSION, None)
    return session if isinstance(session, Session) else None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the session left."""
    session = existing_session(config)
    if session is not None:
        session.close()


# -- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """The runtime under test.  Containers that the case leaves are deleted afterwards, and what is left then is a
    finding."""
    session = session_of(request.config)
    session.begin_case()
    yield session.runtime
    session.end_case()


@pytest.fixture
def cgroup_view(request: pytest.FixtureRequest) -> Iterator[str]:
    """The cgroup view of a case, "v1" or "v2", by indirect parametrization; name it before `runtime` (usefixtures
    does).  The case is skipped where the run's view has no such hierarchies."""
    mode = str(request.param)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(session_of(request.config).cgroup_view(mode))
        except EnvironmentProblem as error:
            pytest.skip(f"cgroup{mode[1:]}: {error}")
        yield mode


@pytest.fixture
def make_bundle(request: pytest.FixtureRequest, runtime: Runtime) -> Callable[[], Bundle]:
    """Makes further bundles."""
    return session_of(request.config).new_bundle


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
