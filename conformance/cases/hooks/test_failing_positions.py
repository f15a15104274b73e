"""runtime.md#lifecycle: a failing hook in every position of a list of three, by every way of failing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.hooks.records import KINDS
from seatrial.conformance.cases.lifecycle.surroundings import groups_of
from seatrial.conformance.cases.lifecycle.test_failing_hooks import gone
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Runtime

pytestmark = needs("hooks")

POSITIONS = ("first", "middle", "last")
FAILURES = ("exit", "signal", "missing", "not-executable")
AT_CREATE = ("prestart", "createRuntime", "createContainer")
ROWS = {"prestart": 7, "createRuntime": 11, "createContainer": 15, "startContainer": 19, "poststart": 23}


def failing(bundle: Bundle, kind: str, failure: str) -> None:
    """Append a hook that fails."""
    inside = kind == "startContainer"
    if failure == "exit":
        bundle.hook(kind, "fail", "1")
    elif failure == "signal":
        bundle.hook(kind, "kill", "self", "KILL")
    else:
        path = "/broken" if inside else bundle.outside("broken")
        if failure == "not-executable":
            with open(bundle.rootfs + path if inside else path, "w", encoding="ascii") as file:
                file.write("#!/probe\n")
        bundle.hook(kind, path, path=path)


def mark(bundle: Bundle, kind: str, name: str) -> None:
    """Append a hook that leaves a mark."""
    bundle.hook(kind, "append", "/marks" if kind == "startContainer" else bundle.outside("marks"), f"{kind}-{name} ")


def marks(bundle: Bundle) -> list[str]:
    """The marks so far."""
    found = []
    for path in (bundle.outside("marks"), os.path.join(bundle.rootfs, "marks")):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                found += file.read().split()
    return found


def prepare(bundle: Bundle, kind: str, failure: str, position: str) -> tuple[list[str], list[str]]:
    """One hook of every kind; of one kind three, of which one fails.  The marks of the hooks before the failing one,
    and of those that come after it, without poststop's."""
    before: list[str] = []
    after: list[str] = []
    for each in KINDS:
        into = before if KINDS.index(each) < KINDS.index(kind) else after
        if each != kind:
            mark(bundle, each, "other")
            if each != "poststop":
                into.append(f"{each}-other")
            continue
        for place in POSITIONS:
            if place == position:
                failing(bundle, kind, failure)
            else:
                mark(bundle, kind, place)
                (before if POSITIONS.index(place) < POSITIONS.index(position) else after).append(f"{kind}-{place}")
    bundle.probe("append /marks program -- hold", report=False)
    return before, after


def parameters(kinds: tuple[str, ...]) -> list[Any]:
    """Each kind with each failure, in positions that take turns: each kind sees every position."""
    found = []
    for number, kind in enumerate(kinds):
        for turn, failure in enumerate(FAILURES):
            position = POSITIONS[(number + turn) % 3]
            ids = [f"runtime/lifecycle/{ROWS[kind] + offset}" for offset in range(3)]
            marked = covers(*ids, "config/posix-platform-hooks/14")
            found.append(pytest.param(kind, failure, position, id=f"{kind}-{failure}-{position}", marks=marked))
    return found


def differences(bundle: Bundle, runtime: Runtime, container: Container, expected: dict[str, bool]) -> list[str]:
    """What is not as it should be once the operation has failed: each line with what was found."""
    found = [text for text, right in expected.items() if not right]
    if runtime.state(container.id).ok:
        found.append("the container has a state")
    if groups_of(bundle.name):
        found.append("its cgroup is there")
    if marks(bundle).count("poststop-other") != 1:
        found.append(f"poststop hooks ran {marks(bundle).count('poststop-other')} times")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        if any(bundle.path + "/" in line for line in file):
            found.append("a mount of it is there")
    return found


@pytest.mark.parametrize(("kind", "failure", "position"), parameters(AT_CREATE))
def test_create_fails(runtime: Runtime, bundle: Bundle, kind: str, failure: str, position: str) -> None:
    """The hooks before the failing one have run, those after it have not, nor the program; create fails, and what is
    left is what a delete would leave: nothing, with the poststop hooks run."""
    runtime.prove_sane()
    before, after = prepare(bundle, kind, failure, position)
    container = runtime.create(bundle, check=False)
    seen = marks(bundle)
    expected = {
        "create succeeded": not container.created.ok,
        "create crashed": not container.created.crashed,
        f"of the hooks before it, {before}, not each has run once in order: {seen}": seen[: len(before)] == before,
        f"what comes after it ran: {seen}": not {*after, "program"} & set(seen),
    }
    wrong = differences(bundle, runtime, container, expected)
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize(("kind", "failure", "position"), parameters(("startContainer", "poststart")))
def test_start_fails(runtime: Runtime, bundle: Bundle, kind: str, failure: str, position: str) -> None:
    """The same of start: the process has ended too (runtime.md#lifecycle, steps 8 and 10)."""
    before, after = prepare(bundle, kind, failure, position)
    container = runtime.create(bundle)
    pid = container.pid
    result = container.start(check=False)
    seen = marks(bundle)
    if kind == "startContainer":
        after = [*after, "program"]
    expected = {
        "start succeeded": not result.ok,
        "start crashed": not result.crashed,
        f"of the hooks before it, {before}, not each has run: {seen}": set(before) <= set(seen),
        f"what comes after it ran: {seen}": not set(after) & set(seen),
        "its process lives": gone(pid, bundle.rootfs),
    }
    wrong = differences(bundle, runtime, container, expected)
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize(
    ("failure", "position"),
    [(failure, POSITIONS[turn % 3]) for turn, failure in enumerate(FAILURES)],
    ids=lambda word: str(word),
)
@covers("runtime/lifecycle/31", "runtime/lifecycle/29", "config/posix-platform-hooks/14")
def test_delete_goes_on(runtime: Runtime, bundle: Bundle, failure: str, position: str) -> None:
    """A poststop hook that fails stops nothing: every other one runs, delete succeeds, the container is gone."""
    prepare(bundle, "poststop", failure, position)
    container = runtime.create(bundle.probe("exit 0", report=False))
    container.start()
    container.wait_status("stopped")
    result = container.delete(check=False)
    seen = [word for word in marks(bundle) if word.startswith("poststop")]
    assert seen == [f"poststop-{place}" for place in POSITIONS if place != position]
    assert result.ok, result.describe()
    assert not runtime.state(container.id).ok
    assert groups_of(bundle.name) == []


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
@covers("config/posix-platform-hooks/12", "config/posix-platform-hooks/14")
def test_create_fails_at_a_timeout(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """A hook that is aborted after its timeout is a failure as any other: the next one does not run, and nothing is
    left."""
    runtime.prove_sane()
    mark(bundle, kind, "first")
    bundle.hook(kind, "sleep", "60", timeout=1)
    mark(bundle, kind, "last")
    mark(bundle, "poststop", "other")
    container = runtime.create(bundle.probe("append /marks program", report=False), check=False)
    seen = marks(bundle)
    expected = {
        "create succeeded": not container.created.ok,
        f"marks {seen}": [word for word in seen if word != "poststop-other"] == [f"{kind}-first"],
    }
    wrong = differences(bundle, runtime, container, expected)
    assert not wrong, "; ".join(wrong)


@covers(*(f"config/posix-platform-hooks/{row}" for row in (2, 3, 4, 5, 6, 7, 15)))
def test_hooks_that_write_a_lot(runtime: Runtime, bundle: Bundle, make_bundle: Callable[[], Bundle]) -> None:
    """A hook of each kind floods its standard output and error with more than a pipe takes: nobody waits for a reader,
    and the next hook runs."""
    bundle.file("/flood", "x" * 200000)
    for kind in KINDS:
        path = "/flood" if kind == "startContainer" else os.path.join(bundle.rootfs, "flood")
        program = PROBE if kind == "startContainer" else bundle.hook_program
        words = [program, "read-fd", "0", "--", "read", path, "200000", "--", "read", path, "200000"]
        bundle.hook(kind, *words, path=program)
        mark(bundle, kind, "after")
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    container.kill("KILL")
    container.wait_status("stopped")
    container.delete()
    assert sorted(marks(bundle)) == sorted(f"{kind}-after" for kind in KINDS)
