"""Mutants that pause, resume, kill paused containers or list processes wrongly."""

from __future__ import annotations

from planting import Mutant, applied, replaced, skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _running(real: Callable[..., str], *arguments: Any) -> str:
    status = real(*arguments)
    if status != "paused":
        return status
    applied()
    return "running"


def _never_frozen(real: Callable[..., bool], paths: dict[str, str]) -> bool:
    if real(paths):
        applied()
    return False


def _first_only(real: Callable[..., list[int]], container: Any) -> list[int]:
    pids = real(container)
    if len(pids) > 1:
        applied()
    return sorted(pids)[:1]


TABLE = (
    Mutant(
        "pause-does-nothing",
        "pause returns without having frozen anybody",
        replaced("cgroup.v1:CgroupV1.freeze", skipped),
        "pause/test_pause.py::test_paused_container_does_not_run",
    ),
    Mutant(
        "resume-does-nothing",
        "resume returns without having thawed anybody",
        replaced("pause:resume", skipped),
        "pause/test_pause.py::test_paused_container_does_not_run",
    ),
    Mutant(
        "paused-is-unknown",
        "a frozen container is said to be running, or created",
        replaced("state:status_of", _running),
        "pause/test_pause.py::test_created_container_can_be_paused",
        "pause/test_pause.py::test_paused_container_does_not_run",
    ),
    Mutant(
        "sigkill-waits-for-resume",
        "SIGKILL leaves a container frozen, and so alive on v1",
        replaced("teardown:frozen", _never_frozen),
        "pause/test_pause.py::test_sigkill_ends_a_paused_container[own pids]",
    ),
    Mutant(
        "ps-of-init-only",
        "ps lists the init process alone",
        replaced("container:Container.processes", _first_only),
        "pause/test_processes.py::test_ps_lists_the_pids",
    ),
)
