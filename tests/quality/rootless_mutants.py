"""Mutants whose bug shows when an ordinary user starts the runtime."""

from __future__ import annotations

from planting import Mutant, applied, changed, plan, replaced, without

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIFECYCLE = "rootless/test_lifecycle.py::"
REFUSALS = "rootless/test_refusals.py::"
SURROUNDINGS = "rootless/test_surroundings.py::"
_MS_RDONLY = 1


def _groups_dropped(real: Callable[..., None], config: Any) -> None:
    """validate_rootless that leaves out what the user cannot have."""
    if config.process is not None and config.process.additional_gids:
        applied()
        config.process.additional_gids.clear()
    real(config)


def _first_map_only(real: Callable[..., None], program: str, pid: int, mappings: list[Any], own: int) -> None:
    if len(mappings) > 1:
        applied()
    real(program, pid, mappings[:1], own)


def _limits_dropped(real: Callable[..., Any], config: Any) -> None:
    """validate_rootless that lets limits be forgotten."""
    real(config)
    if config.cgroups.path:
        applied()
        config.cgroups = type(config.cgroups)()


TABLE = (
    Mutant(
        "rootless-groups-dropped",
        "supplementary groups that a user cannot have are left out without a word",
        replaced("validate_rootless:validate_rootless", _groups_dropped),
        REFUSALS + "test_is_refused",
    ),
    Mutant(
        "rootless-ranges-ignored",
        "only the user's own id is mapped, whatever the mappings say",
        replaced("idmap:_ask", _first_map_only),
        LIFECYCLE + "test_ranges_of_ids",
    ),
    Mutant(
        "rootless-limits-dropped",
        "limits that a user without a cgroup asks for are left out without a word",
        replaced("validate_rootless:validate_rootless", _limits_dropped),
        REFUSALS + "test_limit_without_a_cgroup_is_an_error",
    ),
    Mutant(
        "rootless-cgroups-writable",
        "the mounts of cgroup hierarchies are never read-only (CVE-2023-25809)",
        plan(
            changed(
                "mount",
                "remount",
                to=without(_MS_RDONLY, "flags", "set"),
                where=lambda values: "cgroup" in str(values.get("target", "")),
            )
        ),
        SURROUNDINGS + "test_cgroups_cannot_be_written",
    ),
)
