"""`CriuOptions` as CRIU's own options, as far as dump and restore have them in common."""

from __future__ import annotations

import os

from seatrial.runtime.criu.messages import CGROUP_MODES, NETWORK_LOCKS
from seatrial.runtime.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.checkpoint import CriuOptions
    from seatrial.runtime.config import Config

CONFIG_ANNOTATION = "org.criu.config"
CONFIG_FILE = "/etc/criu/runc.conf"
LOG_LEVEL = 4  # everything: what CRIU logs is all there is to go by
_IPTABLES = "iptables-restore"
_UNLOCKS_TWICE = (4, 2, 0)
EXTERNAL_NAMESPACES = {"net": "extRootNetNS", "pid": "extRootPidNS"}  # libcontainer's keys


def common(options: CriuOptions, config: Config) -> dict[str, Any]:
    """Options that dump and restore share.  Raises UsageError for an unknown mode."""
    if options.manage_cgroups_mode not in CGROUP_MODES:
        modes = "|".join(name for name in CGROUP_MODES if name)
        raise UsageError(f"the mode for cgroups is {modes}, not {options.manage_cgroups_mode!r}")
    if options.network_lock and options.network_lock not in NETWORK_LOCKS:
        raise UsageError(f"the network lock is {'|'.join(NETWORK_LOCKS)}, not {options.network_lock!r}")
    chosen: dict[str, Any] = {
        "log_level": LOG_LEVEL,
        "manage_cgroups": True,
        "manage_cgroups_mode": CGROUP_MODES[options.manage_cgroups_mode or "soft"],
        "notify_scripts": True,
        "orphan_pts_master": True,
        "shell_job": options.shell_job,
        "tcp_established": options.tcp_established,
        "ext_unix_sk": options.external_unix_connections,
        "file_locks": options.file_locks,
        "auto_dedup": options.auto_dedup,
        "lazy_pages": options.lazy_pages,
        "empty_ns": options.empty_namespaces,
    }
    file = config.annotations.get(CONFIG_ANNOTATION, CONFIG_FILE)
    if file:  # an annotation without a value: none at all
        chosen["config_file"] = file
    return chosen


def network_lock(options: CriuOptions, version: tuple[int, int, int], path: str) -> int:
    """The lock for packets, for CRIU; 0: its own, by iptables.

    Without an iptables-restore in `path` that would fail every dump of a network namespace: then nftables, which CRIU
    3.17 and newer do without any program.
    """
    if options.network_lock:
        return NETWORK_LOCKS[options.network_lock]
    if version < (3, 17, 0) or any(os.access(f"{place}/{_IPTABLES}", os.X_OK) for place in path.split(":")):
        return 0
    return NETWORK_LOCKS["nftables"]


def leaves_network(options: CriuOptions, config: Config, version: tuple[int, int, int]) -> bool:
    """Whether CRIU is not to hear of an empty network namespace on restore, because the container joins one.

    It restores nothing in that one anyhow; but for an empty one it keeps packets away a second time, above the lock
    that the dump has left there, and before 4.2 it undoes only one of the two (its pull requests 2323 for iptables and
    2653 for nftables): nobody reaches anybody in that namespace any more.  A newer one keeps packets away from
    connections that are not there yet, where the namespace is another one than that of the dump.
    """
    if config.is_new("net"):
        return False
    return not options.tcp_established or version < _UNLOCKS_TWICE


def in_foreign_cgroup(proc_cgroup: str, paths: dict[str, str]) -> bool:
    """Whether a process is in a cgroup that is not the container's, in some v1 hierarchy.

    `proc_cgroup`: text of /proc/PID/cgroup; `paths`: of state.json.  CRIU takes the whole tree from there on for the
    container's: it would dump everybody's cgroups, and on restore make those anew that have gone.
    """
    for line in proc_cgroup.splitlines():
        _number, controllers, _path = line.split(":", 2)
        if controllers and not any(name in paths for name in controllers.split(",")):
            return True
    return False


def log_path(options: CriuOptions, name: str) -> str:
    """Where CRIU's log is."""
    return os.path.join(os.path.abspath(options.work_directory or options.images_directory), name)
