"""Rules for a runtime that does not run as root (its effective uid is not 0): what the kernel would refuse anyway, said
before anything is made, with the member's JSON path.  user_namespaces(7)
"""

from __future__ import annotations

import os

from seatrial.runtime.config import Config, IDMap
from seatrial.runtime.document import member
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.idmap import only_own


def validate_rootless(config: Config) -> None:
    """Raise ConfigError for what an ordinary user cannot have."""
    if config.namespace("user") is None:
        raise ConfigError(
            "linux.namespaces",
            "the runtime does not run as root: a user namespace is needed",
            "`seatrial-runtime spec --rootless` writes an example",
        )
    for name in config.net_devices:
        raise ConfigError(
            member("linux.netDevices", name), "moving a network device needs CAP_NET_ADMIN on the host: run as root"
        )
    for index, mount in enumerate(config.mounts):
        if mount.idmap is not None:
            raise ConfigError(
                f"mounts[{index}]", "an id-mapped mount needs CAP_SYS_ADMIN where its file system is: run as root"
            )
    if config.is_new("user"):
        _mounts(config)
        _process(config)


def _mounts(config: Config) -> None:
    for index, mount in enumerate(config.mounts):
        for word in mount.data.split(","):
            key, _, text = word.partition("=")
            if key not in ("uid", "gid") or not (text.isascii() and text.isdigit()):
                continue  # what is no number is the file system's to judge
            mappings = config.uid_mappings if key == "uid" else config.gid_mappings
            if not mapped(int(text), mappings):
                raise ConfigError(
                    f"mounts[{index}].options",
                    f"{word}: no such {key} in linux.{key}Mappings",
                    "leave the option out, or map the id",
                )


def _process(config: Config) -> None:
    process = config.process
    if process is None or process.user:  # names are looked up in the container
        return
    for where, number, mappings, name in (
        ("uid", process.uid, config.uid_mappings, "uidMappings"),
        ("gid", process.gid, config.gid_mappings, "gidMappings"),
        *(
            (f"additionalGids[{index}]", gid, config.gid_mappings, "gidMappings")
            for index, gid in enumerate(process.additional_gids)
        ),
    ):
        if not mapped(number, mappings):
            raise ConfigError(f"process.user.{where}", f"{number} is not in linux.{name}")
    if process.additional_gids and only_own(config.gid_mappings, os.getegid()):
        raise ConfigError(
            "process.user.additionalGids",
            "with only its own gid mapped, a user may not call setgroups(2)",
            "leave them out, or map more gids: newgidmap does it with ranges from /etc/subgid",
        )


def mapped(number: int, mappings: list[IDMap]) -> bool:
    """Whether an id of the container is in the mappings."""
    return any(line.container_id <= number < line.container_id + line.size for line in mappings)
