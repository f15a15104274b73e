"""Kernel parameters that belong to a namespace, and so may be set for a container (linux.sysctl)."""

from __future__ import annotations

import os

from seatrial.runtime.config import Config
from seatrial.runtime.errors import ConfigError

# ipc_namespaces(7)
IPC = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
)


def normal_key(key: str) -> str:
    """The dotted form of a key: ``net/ipv4/conf/eth0.1/forwarding`` is ``net.ipv4.conf.eth0/1.forwarding``.

    As sysctl(8): where the first separator is a slash, slashes separate and dots are part of a name.
    """
    slash, dot = key.find("/"), key.find(".")
    if slash != -1 and (dot == -1 or slash < dot):
        return key.translate({ord("/"): ".", ord("."): "/"})
    return key


def key_path(key: str) -> str:
    """The path below /proc/sys of a key in dotted form."""
    return key.translate({ord("/"): ".", ord("."): "/"})


def is_key(key: str) -> bool:
    """Whether a key in dotted form names a file below /proc/sys, and nothing outside of it."""
    parts = key_path(key).split("/")
    return not ("" in parts or "." in parts or ".." in parts)


def check(config: Config, key: str, path: str) -> None:
    """Raise ConfigError (at JSON path `path`) unless the parameter belongs to a namespace that the container has."""
    if not is_key(key):
        raise ConfigError(path, "not the name of a kernel parameter")
    if key in IPC or key.startswith("fs.mqueue."):
        needed = "ipc"
    elif key.startswith("net."):
        needed = "net"
    elif key.startswith("user."):
        needed = "user"
    elif key == "kernel.domainname":
        needed = "uts"
    elif key == "kernel.hostname":
        raise ConfigError(path, "the host name is not set as a sysctl", "use hostname")
    else:
        raise ConfigError(path, "this parameter belongs to no namespace: setting it would change the host")
    namespace = config.namespace(needed)
    if namespace is None or (needed == "net" and namespace.path and _is_own("net", namespace.path)):
        raise ConfigError(path, f"needs a {needed} namespace of the container's own", "see linux.namespaces")


def _is_own(name: str, path: str) -> bool:
    """Whether a namespace file is the runtime's own namespace."""
    try:
        other, own = os.stat(path), os.stat(f"/proc/self/ns/{name}")
    except OSError:
        return False  # joining it will say what is wrong
    return (other.st_dev, other.st_ino) == (own.st_dev, own.st_ino)
