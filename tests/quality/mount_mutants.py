"""Mutants whose bug is in id-mapped mounts."""

from __future__ import annotations

from planting import Mutant, applied, changed, plan, replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.runtime.plan.operation import Operation

MAPPED = "mounts/test_idmap.py::test_mappings_of_the_mount"


def _plain_binds(operations: list[Operation]) -> list[Operation]:
    from seatrial.runtime.plan import operation as op

    plain = []
    for entry in operations:
        if entry.name == "bind_mapped":
            source, target, recursive = entry.values[:3]
            entry = op.bind(str(source), str(target), int(recursive))  # type: ignore[arg-type]
        plain.append(entry)
    return plain


def _gids_from_uids(real: Callable[[str, str], int], uids: str, gids: str) -> int:
    if uids != gids:
        applied()
    return real(uids, uids)


TABLE = (
    Mutant(
        "idmap-ignored",
        "an id-mapped mount is a plain bind mount",
        plan(_plain_binds),
        MAPPED + "[idmap]",
    ),
    Mutant(
        "ridmap-not-recursive",
        "ridmap leaves the mounts below as they are",
        plan(changed("bind_mapped", to=lambda values: {"map_recursive": 0})),
        MAPPED + "[ridmap]",
    ),
    Mutant(
        "idmap-recursive",
        "idmap maps the mounts below as well",
        plan(changed("bind_mapped", to=lambda values: {"map_recursive": 1})),
        MAPPED + "[idmap]",
    ),
    Mutant(
        "mount-mappings-ignored",
        "an id-mapped mount takes the container's mapping whatever its own says",
        plan(changed("bind_mapped", to=lambda values: {"uids": "", "gids": ""})),
        MAPPED + "[idmap in a user namespace]",
    ),
    Mutant(
        "mount-gids-from-uids",
        "the gids of an id-mapped mount are mapped like its uids",
        replaced("mount_tree:user_namespace", _gids_from_uids),
        MAPPED + "[idmap]",
    ),
)
