"""From a bundle to a checked `Config`."""

from __future__ import annotations

import os

from seatrial.runtime import capability, document
from seatrial.runtime.config import NAMESPACE_FLAGS, Config
from seatrial.runtime.convert import convert
from seatrial.runtime.errors import ConfigError, errno_name
from seatrial.runtime.spec import schema
from seatrial.runtime.spec.rules import check
from seatrial.runtime.validate import validate

CONFIG_FILE = "config.json"
_ORDER = list(NAMESPACE_FLAGS)


def load_config(
    bundle: str,
    *,
    no_pivot: bool = False,
    no_new_keyring: bool = False,
    systemd_cgroup: bool = False,
    rootless: str = "auto",
) -> Config:
    """Read, check and convert ``config.json`` of a bundle.

    `bundle` may be relative to the current directory.  `rootless` is "true", "false" or "auto" and says whether
    cgroup failures are tolerated.  Raises ConfigError with the JSON path of what is wrong.
    """
    bundle = os.path.abspath(bundle)
    path = os.path.join(bundle, CONFIG_FILE)
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read()
    except OSError as error:
        hint = "the bundle needs it" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError("", f"read {path}: {errno_name(error.errno or 0)}", hint) from None
    config = parse_config(data or b"", bundle)
    config.no_pivot_root = no_pivot
    config.no_new_keyring = no_new_keyring
    config.cgroups.systemd = systemd_cgroup
    if os.geteuid() != 0:
        config.rootless_euid = True
        config.rootless_cgroups = rootless != "false"
    else:
        config.rootless_cgroups = rootless == "true" or (rootless == "auto" and _in_user_namespace())
    validate(config)
    restrict_capabilities(config)
    config.namespaces.sort(key=lambda namespace: _ORDER.index(namespace.type))
    return config


def parse_config(data: bytes, bundle: str) -> Config:
    """The Config of the text of a config.json, converted but without the rules of `validate`.

    `bundle` is an absolute path.  Raises ConfigError.
    """
    spec = document.loads(data, CONFIG_FILE)
    check(schema.CONFIG, spec)
    config = convert(spec, bundle)
    config.rootfs = os.path.realpath(config.rootfs)
    return config


def restrict_capabilities(config: Config) -> None:
    """Leave out the capabilities that no process of the container can have, with a warning."""
    if config.capabilities is not None:
        available = _available(config.namespace("user") is not None)
        if available is not None:
            capability.restrict(config.capabilities, available, config.warnings)


def _available(in_user_namespace: bool) -> int | None:
    """The capabilities that a process of the container can have; None if /proc does not say.

    Entering a user namespace gives a full bounding set (user_namespaces(7)); otherwise it is the runtime's own.
    """
    try:
        return (2 << capability.last()) - 1 if in_user_namespace else capability.bounding()
    except (OSError, ValueError):
        return None


def _in_user_namespace() -> bool:
    """Whether this is not the initial user namespace, whose uid_map has one line that maps everything."""
    try:
        with open("/proc/self/uid_map", encoding="utf-8") as file:
            return file.read().split() != ["0", "0", "4294967295"]
    except OSError:
        return False  # no /proc, or a kernel without user namespaces
