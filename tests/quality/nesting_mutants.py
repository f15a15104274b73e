"""Mutants whose bug shows when the runtime works inside a container, or has a container with a runtime in it."""

from __future__ import annotations

from planting import Mutant, applied, changed, dropped, plan, replaced, without

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NEW_CGROUP = 0x2000000
NESTED = "nesting/test_nested.py::"


def _flat(_real: Callable[[str], None], directory: str) -> None:
    """remove_tree that minds no cgroup below."""
    import contextlib
    import os

    with os.scandir(directory) as entries:
        if any(entry.is_dir(follow_symlinks=False) for entry in entries):
            applied()
    with contextlib.suppress(OSError):
        os.rmdir(directory)


TABLE = (
    Mutant(
        "nested-cgroups-stay",
        "delete removes the container's own cgroup only: what a runtime inside made keeps it there",
        replaced("cgroup.cgroup:remove_tree", _flat),
        NESTED + "test_outer_delete_ends_the_inner_container",
    ),
    Mutant(
        "nested-cgroup-namespace-shared",
        "a container's cgroup namespace is the host's: a runtime in it makes cgroups beside the container's",
        plan(changed("clone", "unshare", to=without(_NEW_CGROUP, "flags"))),
        NESTED + "test_inner_cgroup_is_below_the_outer",
    ),
    Mutant(
        "nested-filter-missing",
        "seccomp filters are not loaded: an outer container's does not hold in an inner one",
        plan(dropped("seccomp")),
        NESTED + "test_outer_filter_holds_inside",
    ),
)
