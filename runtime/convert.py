"""From the OCI document to the `Config` model: mounts, hooks and what is not the process's or Linux's.

The document has passed `seatrial.runtime.spec.schema`, so types are right and required members are there.  Here names
become numbers, relative host paths become absolute, and members that this runtime does not implement yet are refused
by name: none is ignored.
"""

from __future__ import annotations

import os

from seatrial.runtime import mount_options
from seatrial.runtime.config import Config, Hook, Hooks, Mount, MountIDMap
from seatrial.runtime.convert_linux import convert_linux, mappings
from seatrial.runtime.convert_process import convert_process
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.spec.version import problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LONGEST_TIMEOUT = 2**31 - 1  # seconds; 68 years stand for any longer wait


def convert(spec: dict[str, Any], bundle: str) -> Config:
    """The Config of a checked document.  `bundle` is the absolute path that relative paths start from.

    Raises ConfigError with a JSON path, UnsupportedError among them.
    """
    wrong = problem(spec["ociVersion"])
    if wrong:
        raise ConfigError("ociVersion", wrong)
    root = spec["root"]
    if not root["path"]:
        raise ConfigError("root.path", "empty")
    config = Config(
        oci_version=spec["ociVersion"],
        bundle=bundle,
        rootfs=os.path.join(bundle, root["path"]),
        readonlyfs=root.get("readonly", False),
        hostname=spec.get("hostname", ""),
        domainname=spec.get("domainname", ""),
        annotations=spec.get("annotations", {}),
    )
    if "" in config.annotations:
        raise ConfigError("annotations", "a key is empty")
    if "process" in spec:
        convert_process(spec["process"], config)
    config.mounts = [_mount(entry, index, config) for index, entry in enumerate(spec.get("mounts", ()))]
    if "hooks" in spec:
        config.hooks = _hooks(spec["hooks"])
    convert_linux(spec.get("linux", {}), config)
    return config


def _mount(entry: dict[str, Any], index: int, config: Config) -> Mount:
    path = f"mounts[{index}]"
    words = entry.get("options", [])
    options = mount_options.Options(words)
    idmap = None
    if options.idmap is not None or entry.get("uidMappings") or entry.get("gidMappings"):
        idmap = MountIDMap(
            uid_mappings=mappings(entry.get("uidMappings", ())),
            gid_mappings=mappings(entry.get("gidMappings", ())),
            recursive=bool(options.idmap),
        )
    destination = entry["destination"]
    if not destination:
        raise ConfigError(f"{path}.destination", "empty")
    if destination[0] != "/":
        config.warnings.append(f'{path}.destination: "{destination}" is relative, which is deprecated; taken from /')
        destination = "/" + destination
    source = entry.get("source", "")
    fstype = entry.get("type", "")
    if options.flags & mount_options.MS_BIND:
        fstype = "bind"
        if not source:
            raise ConfigError(f"{path}.source", "missing; a bind mount needs it")
        source = os.path.join(config.bundle, source)
    elif not fstype and not options.flags & mount_options.MS_REMOUNT:
        raise ConfigError(f"{path}.type", "missing; only bind mounts go without", "or is the option bind missing?")
    return Mount(
        destination=destination,
        source=source,
        fstype=fstype,
        flags=options.flags,
        cleared_flags=options.cleared_flags,
        propagation_flags=options.propagation_flags,
        data=options.data,
        rec_attr_set=options.rec_attr_set,
        rec_attr_clr=options.rec_attr_clr,
        copy_up=options.copy_up,
        idmap=idmap,
    )


def _hooks(lists: dict[str, Any]) -> Hooks:
    hooks = Hooks()
    for name, attribute in (
        ("prestart", "prestart"),
        ("createRuntime", "create_runtime"),
        ("createContainer", "create_container"),
        ("startContainer", "start_container"),
        ("poststart", "poststart"),
        ("poststop", "poststop"),
    ):
        if name in lists:
            setattr(hooks, attribute, [_hook(entry) for entry in lists[name]])
    return hooks


def _hook(entry: dict[str, Any]) -> Hook:
    timeout = entry.get("timeout")
    return Hook(
        path=entry["path"],
        args=entry.get("args", []),
        env=entry.get("env", []),
        timeout=None if timeout is None else min(timeout, _LONGEST_TIMEOUT),
    )
