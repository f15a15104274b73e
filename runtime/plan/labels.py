"""Security modules: labels of the program, its keys and its filesystems.  apparmor(7), selinux(8)."""

from __future__ import annotations

from seatrial.runtime.plan import operation as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config
    from seatrial.runtime.plan.operation import Operation

_PROGRAM, _KEYS = 0, 1  # `what` of the selinux operation
# Their labels are the kernel's own business.
_UNLABELLED = ("proc", "sysfs", "cgroup", "cgroup2")


def program_labels(config: Config) -> list[Operation]:
    """What the next execve runs as; before the read-only and masked paths, which may cover parts of /proc."""
    operations = []
    if config.apparmor_profile:
        operations.append(op.apparmor(config.apparmor_profile))
    if config.process_label:
        operations.append(op.selinux(_PROGRAM, config.process_label))
    return operations


def labelled_keyring(config: Config, join: Operation) -> list[Operation]:
    """The session keyring, which the program must be allowed to search."""
    if not config.process_label:
        return [join]
    return [op.selinux(_KEYS, config.process_label), join, op.selinux(_KEYS, "")]


def labelled(operations: list[Operation], label: str) -> list[Operation]:
    """Mount operations with linux.mountLabel: an option of each new filesystem; mqueue, which has none, afterwards."""
    if not label:
        return operations
    result = []
    for operation in operations:
        if operation.name in ("mount", "copy_up"):
            values = operation.arguments()
            fstype, data = str(values.get("fstype", "tmpfs")), str(values["data"])
            if fstype == "mqueue":
                result += [operation, op.relabel(str(values["target"]), label)]
                continue
            if fstype not in _UNLABELLED:
                option = f'context="{label}"'  # quoted: categories have commas
                operation = operation.replace(data=f"{data},{option}" if data else option)
        result.append(operation)
    return result
