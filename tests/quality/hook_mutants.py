"""Mutants of what a failing hook does, to the hooks after it and to the container."""

from __future__ import annotations

import os

from planting import Mutant, applied, dropped, plan, replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

POSITIONS = "hooks/test_failing_positions.py::"


def _all_of_them(real: Callable[..., None], kind: str, hooks: list[Any], state: dict[str, Any], *rest: Any) -> None:
    """run_hooks that tells of a failure when every hook has run."""
    from seatrial.runtime.errors import HookError

    failure = None
    for hook in hooks:
        try:
            real(kind, [hook], state, *rest)
        except HookError as error:
            applied()
            failure = error
    if failure is not None:
        raise failure


def _signals_are_fine(real: Callable[..., int | None], *arguments: Any) -> int | None:
    """A hook's wait status, for which only exit statuses are failures."""
    status = real(*arguments)
    if status is not None and os.WIFSIGNALED(status):
        applied()
        return 0
    return status


def _missing_is_fine(real: Callable[..., None], name: str, hook: Any, *rest: Any) -> None:
    """run_hook for which a program that is not there has nothing to do."""
    if os.path.exists(hook.path):
        return real(name, hook, *rest)
    applied()
    return None


def _not_executable_is_fine(real: Callable[..., None], name: str, hook: Any, *rest: Any) -> None:
    if os.access(hook.path, os.X_OK) or not os.path.exists(hook.path):
        return real(name, hook, *rest)
    applied()
    return None


def _a_pipe_for_the_output(_real: Callable[..., int], name: str, flags: int) -> int:
    """memfd_create for which the output of a hook is a pipe that nobody empties."""
    if name != "output":
        return _real(name, flags)
    applied()
    _read_end, write_end = os.pipe2(os.O_CLOEXEC)
    return write_end


def _piped() -> None:
    real = os.memfd_create
    os.memfd_create = lambda name, flags=0: _a_pipe_for_the_output(real, name, flags)


TABLE = (
    Mutant(
        "hooks-run-on-after-a-failure",
        "a failing prestart or createRuntime hook fails create, after the rest of the list has run",
        replaced("hooks:run_hooks", _all_of_them),
        POSITIONS + "test_create_fails[createRuntime-missing-first]",
    ),
    Mutant(
        "hook-killed-is-no-failure",
        "a hook that a signal has killed counts as one that succeeded",
        replaced("hooks:_wait", _signals_are_fine),
        POSITIONS + "test_create_fails[prestart-signal-middle]",
        POSITIONS + "test_start_fails[poststart-signal-last]",
    ),
    Mutant(
        "hook-missing-is-no-failure",
        "a hook whose program is not there is passed over",
        replaced("hooks:run_hook", _missing_is_fine),
        POSITIONS + "test_create_fails[prestart-missing-last]",
    ),
    Mutant(
        "hook-not-executable-is-no-failure",
        "a hook whose program may not be executed is passed over",
        replaced("hooks:run_hook", _not_executable_is_fine),
        POSITIONS + "test_create_fails[createRuntime-not-executable-middle]",
    ),
    Mutant(
        "hook-output-into-a-full-pipe",
        "the output of a hook goes into a pipe that nobody reads",
        _piped,
        POSITIONS + "test_hooks_that_write_a_lot",
    ),
    Mutant(
        "failing-start-container-hook-skipped",
        "startContainer hooks do not run, and so none fails",
        plan(dropped("hook", where=lambda values: values["name"] == "startContainer")),
        POSITIONS + "test_start_fails[startContainer-exit-first]",
    ),
)
