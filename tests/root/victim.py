"""A host directory that hostile images point at, and what must not change about it."""

from __future__ import annotations

import os
from typing import Any

# Whatever an image may have of these, the host has something of the same name.
FILES = ("ptmx", "null", "console", "zero", "fd", "stdin", "passwd", "group", "file", "kernel/msgmax", "sys/x")
FOLDERS = ("pts", "shm", "mqueue", "self", "net", "dir")


def make_victim(path: str) -> str:
    """A directory full of names that a runtime creates, opens or covers; returns its path."""
    for name in FOLDERS:
        os.makedirs(os.path.join(path, name))
    for name in FILES:
        file = os.path.join(path, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w") as stream:
            stream.write(f"{name} of the host\n")
    return path


def snapshot(path: str) -> dict[str, tuple[Any, ...]]:
    """Everything below a directory: kind, mode, owner, size, change time, link text or content."""
    found: dict[str, tuple[Any, ...]] = {}
    for directory, folders, files in os.walk(path):
        for full in (directory, *(os.path.join(directory, name) for name in folders + files)):
            st = os.lstat(full)
            more: Any = None
            if os.path.islink(full):
                more = os.readlink(full)
            elif os.path.isfile(full):
                with open(full, "rb") as stream:
                    more = stream.read()
            found[full] = (st.st_mode, st.st_uid, st.st_gid, st.st_rdev, st.st_size, st.st_ctime_ns, more)
    return found


def host_state(below: str) -> tuple[str, ...]:
    """What a container must leave of the host: its mounts, its name, its null device, one of its sysctls.

    Of mounts below /tmp those below `below` count: other tests run at the same time.
    """
    with open("/proc/self/mountinfo") as file:
        targets = [line.split()[4] for line in file]
    mounts = " ".join(target for target in targets if target.startswith(below) or not target.startswith("/tmp/"))
    null = os.stat("/dev/null")
    with open("/proc/sys/kernel/msgmax") as file:
        msgmax = file.read()
    return mounts, os.uname().nodename, f"{null.st_mode} {null.st_uid} {null.st_gid} {null.st_rdev}", msgmax


def links_to(path: str, place: str) -> dict[str, str]:
    """Symlink texts that lead from `place` to a host path, by form."""
    return {
        "absolute": path,
        "relative": os.path.relpath(path, os.path.dirname(place)),
        "climbing": "../" * 40 + path.lstrip("/"),
    }
