"""Which security modules are on.  apparmor(7), selinux(8)."""

from __future__ import annotations

import os

from seatrial.runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config

_APPARMOR = "/sys/module/apparmor/parameters/enabled"
_SELINUX = "/sys/fs/selinux/enforce"  # selinuxfs is mounted where SELinux is on


def apparmor_enabled() -> bool:
    """Whether the kernel has AppArmor and it is on."""
    try:
        with open(_APPARMOR, "rb", buffering=0) as file:
            return bool((file.read() or b"").startswith(b"Y"))
    except OSError:
        return False


def selinux_enabled() -> bool:
    """Whether the kernel has SELinux and it is on, permissive or not."""
    return os.path.exists(_SELINUX)


def check_labels(config: Config) -> None:
    """Raise ConfigError for a label that this host could not apply: without it the program would be unconfined."""
    if config.apparmor_profile and not apparmor_enabled():
        raise ConfigError("process.apparmorProfile", "AppArmor is not enabled on this host")
    for path, label in (("process.selinuxLabel", config.process_label), ("linux.mountLabel", config.mount_label)):
        if label and not selinux_enabled():
            raise ConfigError(path, "SELinux is not enabled on this host")
    if '"' in config.mount_label:
        raise ConfigError("linux.mountLabel", "has a quotation mark in it")
