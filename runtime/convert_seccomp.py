"""linux.seccomp."""

from __future__ import annotations

import os

from seatrial.runtime.config import Seccomp, SeccompArgument, SeccompRule
from seatrial.runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")


def convert_seccomp(block: dict[str, Any], bundle: str) -> Seccomp:
    """The profile of a checked seccomp block.  Raises ConfigError."""
    listener = block.get("listenerPath", "")
    if listener and not listener.startswith("@"):  # an abstract name, as Go's net package has it
        listener = os.path.join(bundle, listener)
    if block.get("listenerMetadata") and not block.get("listenerPath"):
        raise ConfigError("linux.seccomp.listenerMetadata", "comes without listenerPath")
    _check_action(block, "defaultAction", "defaultErrnoRet", "linux.seccomp")
    return Seccomp(
        default_action=block["defaultAction"],
        default_errno=block.get("defaultErrnoRet"),
        architectures=block.get("architectures", []),
        flags=block.get("flags"),
        syscalls=[
            _rule(entry, f"linux.seccomp.syscalls[{index}]") for index, entry in enumerate(block.get("syscalls", ()))
        ],
        listener_path=listener,
        listener_metadata=block.get("listenerMetadata", ""),
    )


def _check_action(block: dict[str, Any], action: str, errno: str, path: str) -> None:
    name = block[action]
    if errno in block:
        if name not in _WITH_ERRNO:
            raise ConfigError(f"{path}.{errno}", f"{name} takes no errno")
        if block[errno] > 0xFFFF:
            raise ConfigError(f"{path}.{errno}", "more than 65535: a filter's return value has 16 bits for it")


def _rule(entry: dict[str, Any], path: str) -> SeccompRule:
    _check_action(entry, "action", "errnoRet", path)
    if "" in entry["names"]:
        raise ConfigError(f"{path}.names[{entry['names'].index('')}]", "empty")
    args = []
    for index, condition in enumerate(entry.get("args", ())):
        if condition["index"] > 5:
            raise ConfigError(f"{path}.args[{index}].index", "more than 5: a system call has six arguments")
        args.append(
            SeccompArgument(
                index=condition["index"],
                value=condition["value"],
                op=condition["op"],
                value_two=condition.get("valueTwo", 0),
            )
        )
    return SeccompRule(names=entry["names"], action=entry["action"], errno=entry.get("errnoRet"), args=args)
