"""Cases that share a container: each adds its part to one config, and looks at what came of its part.

    @together()
    @covers("config/linux-mount-options/nosuid")
    def test_nosuid(bundle):
        path = bundle.spot()
        bundle.mount(path, "tmpfs", "tmpfs", "nosuid")
        found = yield f"stat {path}"
        assert "nosuid" in found.options(path)

Such a case is a generator.  It changes `bundle`, yields the probe's verbs (or nothing), and is sent what the group's
`look` gives: the report with the outcomes of its own verbs, or the created container, or what a function of the module
has made of the bundle.

The first case of a group that a worker comes to makes one container for all of them, and all look at it.  Who is
content has passed.  Everybody else gets a container of its own, and that alone decides: so a failure is exact, and its
evidence shows one case.  The same when the shared container cannot be made, or leaves something behind.

Cases may share where their parts of the config are apart: other mounts, other files, other limits.  A case that is
about the whole (its user, its namespaces, what happens when), that changes its container, or that waits for a refusal
has its own: it is a plain function.

Plain functions that mostly wait are marked `@at_once()`: the first of them makes all of them run, each in a thread and
with a container of its own, and who is not content runs again, alone.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.probe import Report, Verb, parse
from seatrial.conformance.errors import CaseTimeout, Finding, HarnessBug

if TYPE_CHECKING:
    from seatrial.conformance.engine.session import Session

__all__ = ["Part", "at_once", "created", "reported", "together"]

WORTH_HALVING = 4  # a group of so many, whose container cannot be made, is tried in halves
MARK = "part-"

Part: TypeAlias = Generator[str | None, Any, None]
Look: TypeAlias = Callable[[Runtime, Bundle, list[str | None]], Iterator[Any]]
Key: TypeAlias = tuple[str, str, str]
Group: TypeAlias = "str | Callable[..., str]"
Cases: TypeAlias = dict[str, Callable[[Bundle], Any]]  # by node id
_PASSED = pytest.StashKey[dict[Key, set[str]]]()


# -- what a group sees -------------------------------------------------------------------------------------------------


def reported(runtime: Runtime, bundle: Bundle, verbs: list[str | None]) -> Iterator[Report]:
    """Run the bundle; each case sees the report, with the outcomes of its verbs."""
    words = [" -- ".join([f"print {MARK}{number}", *([text] if text else [])]) for number, text in enumerate(verbs)]
    result = runtime.run(bundle.probe(" -- ".join(words)))
    whole = parse(result.stdout, result)
    for outcomes in _split(whole.verbs, len(verbs)):
        yield Report(whole.data, outcomes, result)


def created(runtime: Runtime, bundle: Bundle, verbs: list[str | None]) -> Iterator[Container]:
    """Create a container whose process is to hold; each case sees it."""
    container = runtime.create(bundle.probe("hold", report=False))
    for _ in verbs:
        yield container


def _split(verbs: list[Verb], count: int) -> list[list[Verb]]:
    """The outcomes that follow each mark; Finding when the probe did not get to the last one."""
    found: list[list[Verb]] = []
    for verb in verbs:
        if verb.verb == "print" and verb.args == (f"{MARK}{len(found)}",):
            found.append([])
        elif found:
            found[-1].append(verb)
    if len(found) != count:
        raise Finding(f"the probe did not get as far as: print {MARK}{len(found)}")
    return found


# -- the decorators ----------------------------------------------------------------------------------------------------


def together(group: Group = "", *, look: Look = reported) -> Callable[[Callable[..., Part]], Callable[..., None]]:
    """Make a case of a generator.  Cases of one module with the same `group` and `look` share a container; a group that
    depends on the parameters is a function of them.

    The generator takes `bundle` and parameters, no other fixture; HarnessBug when it does not yield exactly once."""

    def attempt(session: Session, cases: Cases) -> set[str]:
        return _try(session, cases, look)

    def alone(session: Session, case: Callable[[Bundle], Any]) -> None:
        bundle = session.new_bundle()
        part = case(bundle)
        try:
            views = look(session.runtime, bundle, [_start(part)])
            _send(part, next(views))
        finally:
            part.close()

    return _grouped(look.__name__, group, attempt, alone)


def at_once(group: Group = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let the cases of a module with the same `group` run at the same time, each with a bundle of its own.

    The case takes `runtime`, `bundle` and parameters, no other fixture."""

    def alone(session: Session, case: Callable[[Bundle], Any]) -> None:
        case(session.new_bundle())

    return _grouped("at once", group, _try_at_once, alone)


def _grouped(
    kind: str,
    group: Group,
    attempt: Callable[[Session, Cases], set[str]],
    alone: Callable[[Session, Callable[[Bundle], Any]], None],
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    def decorate(case: Callable[..., Any]) -> Callable[..., None]:
        names = list(inspect.signature(case).parameters)

        @functools.wraps(case)
        def run(request: pytest.FixtureRequest, runtime: Runtime, **parameters: Any) -> None:
            from seatrial.conformance.plugin import session_of

            session, item = session_of(request.config), request.node
            passed = request.config.stash.setdefault(_PASSED, {})
            key = _key(item)
            assert key is not None
            if key not in passed:
                members = [other for other in request.session.items if _key(other) == key and _possible(other, runtime)]
                cases = {other.nodeid: _bind(other, runtime) for other in members}
                passed[key] = attempt(session, cases) if len(cases) > 1 else set()
            if item.nodeid in passed[key]:
                passed[key].remove(item.nodeid)  # tried again, it has a container of its own
            else:
                alone(session, _bind(item, runtime))

        wanted = ["request", "runtime", *(name for name in names if name not in ("bundle", "runtime"))]
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what pytest reads
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in wanted]
        )
        run.shared = (kind, group, case, "runtime" in names)  # type: ignore[attr-defined]
        return run

    return decorate


def _key(item: pytest.Item) -> Key | None:
    """The group of a case; None for one that has its own container."""
    found = getattr(getattr(item, "function", None), "shared", None)
    if found is None:
        return None
    kind, group, _, _ = found
    return str(item.path), kind, group(**_parameters(item)) if callable(group) else group


def _parameters(item: pytest.Item) -> dict[str, Any]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def _bind(item: pytest.Item, runtime: Runtime) -> Callable[[Bundle], Any]:
    """The case as a function of the bundle."""
    assert isinstance(item, pytest.Function)
    _, _, case, takes_runtime = item.function.shared
    parameters = _parameters(item)
    if takes_runtime:
        parameters["runtime"] = runtime
    return lambda bundle: case(bundle=bundle, **parameters)


def _possible(item: pytest.Item, runtime: Runtime) -> bool:
    from seatrial.conformance.engine import needs
    from seatrial.conformance.plugin import mark_words

    return all(needs.unmet(word, runtime) is None for word in mark_words(item, "needs"))


# -- who is content ----------------------------------------------------------------------------------------------------


def _try(session: Session, cases: Cases, look: Look) -> set[str]:
    """Node ids of the cases that are content with a container that they share."""
    session.begin_case()
    bundle = session.new_bundle()
    parts: list[tuple[str, Part, str | None]] = []
    content: set[str] = set()
    made = False
    try:
        for name, case in cases.items():
            part = case(bundle)
            if (prepared := _attempt(functools.partial(_start, part))) is not None:
                parts.append((name, part, prepared[0]))
        views = look(session.runtime, bundle, [verbs for _, _, verbs in parts])
        for name, part, _ in parts:
            view = next(views)
            made = True
            if _attempt(functools.partial(_send, part, view)) is not None:
                content.add(name)
        session.end_case()
    except CaseTimeout:
        raise
    except (Finding, OSError, LookupError):  # refused, crashed, unreadable, or left behind: whose fault, shows alone
        content.clear()
    finally:
        for _, part, _ in parts:
            part.close()
        session.begin_case()
    if made or len(cases) < WORTH_HALVING or not session.runtime.sane():
        return content
    names, half = list(cases), len(cases) // 2
    return set().union(
        *(_try(session, {name: cases[name] for name in some}, look) for some in (names[:half], names[half:]))
    )


def _try_at_once(session: Session, cases: Cases) -> set[str]:
    """Node ids of the cases that are content with containers of their own, all at the same time."""
    session.begin_case()
    steps = {name: functools.partial(case, session.new_bundle()) for name, case in cases.items()}
    if not session.runtime.sane():
        return set()
    content: set[str] = set()
    try:
        with ThreadPoolExecutor(len(steps)) as pool:
            outcomes = dict(zip(steps, pool.map(_attempt, steps.values()), strict=True))
        content = {name for name, outcome in outcomes.items() if outcome is not None}
        session.end_case()
    except CaseTimeout:
        raise
    except Finding:  # something was left behind
        content.clear()
    finally:
        session.begin_case()
    return content


def _attempt(step: Callable[[], Any]) -> tuple[Any] | None:
    """What a step of a case returned, in a tuple; None when it failed or skipped: it will say why when it is alone."""
    try:
        return (step(),)
    except (CaseTimeout, HarnessBug):
        raise
    except (Exception, pytest.skip.Exception, pytest.fail.Exception):
        return None


def _start(part: Part) -> str | None:
    """Let the case prepare the bundle; its verbs."""
    try:
        return next(part)
    except StopIteration:
        raise HarnessBug("a case that shares a container yields the probe's verbs, or nothing") from None


def _send(part: Part, view: Any) -> None:
    """Let the case look; HarnessBug when it yields again."""
    try:
        part.send(view)
    except StopIteration:
        return
    raise HarnessBug("a case that shares a container yields once")
