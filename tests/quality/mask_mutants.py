"""Mutants whose bug shows on another kernel only: in what is done when clone3 does not do it."""

from __future__ import annotations

from planting import Mutant, applied, replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FALLBACK = "exec/test_fallback.py::"


def _itself(_real: Callable[..., Any], process: Any) -> Any:
    """Process.clone that gives the object of the first attempt."""
    applied()
    return process


def _without_streams(real: Callable[..., Any], process: Any) -> Any:
    """Process.clone that forgets the streams."""
    import os

    applied()
    copy = real(process)
    copy.stdin = copy.stdout = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    return copy


def _nowhere(_real: Callable[..., None], _entry: Any, _pid: int) -> None:
    """Entry.join that leaves the process where the runtime is."""
    applied()


def _with_an_orphan(real: Callable[..., Any], process: Any, spawn: Callable[..., Any], *rest: Any) -> Any:
    """give_birth that leaves a child behind, unreaped, for each attempt but the first."""
    import os

    attempts = 0

    def attempt(*arguments: Any) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            applied()
            os.posix_spawn("/bin/true", ["true"], {})
        return spawn(*arguments)

    return real(process, attempt, *rest)


def _twice(real: Callable[..., None], execution: Any) -> None:
    """Execution.perform that starts the program once more after a fallback."""
    said: list[str] = []
    debug = execution.log.debug

    def listen(text: str) -> None:
        said.append(text)
        debug(text)

    execution.log.debug = listen
    more = type(execution)(
        execution.root, execution.state, execution.status, execution.config, execution.process.clone(), execution.log
    )
    real(execution)
    if any("clone3" in text for text in said):
        applied()
        real(more)


TABLE = (
    Mutant(
        "fallback-reuses-a-started-process",
        "after a refused clone3 the runtime starts the same process object again, which can be started once",
        replaced("process:Process.clone", _itself),
        FALLBACK + "test_exec[no-clone-into-cgroup-v2]",
        FALLBACK + "test_exec[no-clone3-v2]",
        FALLBACK + "test_exec[clone3-eperm-v2]",
    ),
    Mutant(
        "fallback-forgets-the-streams",
        "the process of the second attempt has /dev/null for its streams",
        replaced("process:Process.clone", _without_streams),
        FALLBACK + "test_exec[no-clone-into-cgroup-v2]",
    ),
    Mutant(
        "fallback-outside-the-cgroup",
        "a process that was not born in the cgroup never gets there",
        replaced("cgroup.entry:Entry.join", _nowhere),
        FALLBACK + "test_exec[no-clone-into-cgroup-v2]",
    ),
    Mutant(
        "fallback-leaves-a-zombie",
        "each further attempt leaves a child that nobody waits for",
        replaced("launch:give_birth", _with_an_orphan),
        FALLBACK + "test_detached[no-clone3-v1]",
        FALLBACK + "test_detached[no-clone3-v2]",
    ),
    Mutant(
        "fallback-starts-twice",
        "after a fallback the program is started twice",
        replaced("execution:Execution.perform", _twice),
        FALLBACK + "test_exec[no-clone-into-cgroup-v2]",
    ),
)
