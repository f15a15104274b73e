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


def _devices_opened_by_update(real: Callable[..., Any], directory: Any, state: Any, *rest: Any) -> Any:
    """update that lets the container have every device, as one that sets what it was not given."""
    import os

    config = real(directory, state, *rest)
    if "devices" in state.cgroup_paths:
        applied()
        with open(os.path.join(state.cgroup_paths["devices"], "devices.allow"), "w", encoding="ascii") as file:
            file.write("a")
    return config


def _memory_later(real: Callable[..., Any], directory: Any, state: Any, change: Any, log: Any) -> Any:
    """update that does not lower a memory limit."""
    import os

    path = os.path.join(state.cgroup_paths.get("memory", ""), "memory.limit_in_bytes")
    if change.memory_limit and os.path.exists(path):
        with open(path, encoding="ascii") as file:
            if change.memory_limit < int(file.read()):
                applied()
                change.memory_limit = change.memory_swap = None
    return real(directory, state, change, log)


def _above_too(real: Callable[[dict[str, str]], bool], paths: dict[str, str]) -> bool:
    """frozen that takes the word of freezer.state, which counts the cgroups above."""
    import os

    with open(os.path.join(paths["freezer"], "freezer.state"), encoding="ascii") as file:
        found = file.read().strip() != "THAWED"
    if found != real(paths):
        applied()
    return found


TABLE = (
    Mutant(
        "update-opens-the-devices",
        "update without device rules allows every device",
        replaced("update:update", _devices_opened_by_update),
        "pause/test_under_load.py::test_updates_keep_the_device_rules",
        view="v1",
    ),
    Mutant(
        "update-never-lowers-memory",
        "update raises memory limits, and does not lower them",
        replaced("update:update", _memory_later),
        "pause/test_under_load.py::test_twenty_updates",
        view="v1",
    ),
    Mutant(
        "frozen-parent-is-a-pause",
        "a container below a frozen cgroup is said to be paused",
        replaced("state:frozen", _above_too),
        "pause/test_under_load.py::test_frozen_parent_is_no_pause",
        view="v1",
    ),
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
