"""Mutants whose bug is in id-mapped mounts and in the memory policy."""

from __future__ import annotations

from planting import Mutant, applied, changed, dropped, plan, replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.runtime.plan.operation import Operation

POLICY = "linux/test_memory_policy.py::"
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
    Mutant(
        "memory-policy-ignored",
        "linux.memoryPolicy is ignored",
        plan(dropped("memory_policy")),
        POLICY + "test_mode_with_a_node[BIND-0]",
    ),
    Mutant(
        "memory-policy-without-flags",
        "linux.memoryPolicy.flags is ignored",
        plan(changed("memory_policy", to=lambda values: {"mode": values["mode"] & 7})),
        POLICY + "test_flag[STATIC_NODES]",
    ),
    Mutant(
        "memory-policy-without-nodes",
        "linux.memoryPolicy.nodes is ignored where the mode allows it",
        plan(changed("memory_policy", to=lambda values: {"nodes": []}, where=lambda values: values["mode"] == 1)),
        POLICY + "test_mode_with_a_node[PREFERRED-0]",
    ),
    Mutant(
        "memory-policy-default-inherited",
        "MPOL_DEFAULT leaves what the runtime has inherited",
        plan(dropped("memory_policy", where=lambda values: values["mode"] == 0)),
        POLICY + "test_default",
    ),
)
