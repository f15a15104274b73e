"""Whether this kernel id-maps mounts of a directory's file system: mount_setattr(2) with MOUNT_ATTR_IDMAP (5.12)."""

from __future__ import annotations

import os
import signal

from seatrial.native import mount_api, syscall
from seatrial.native.syscall import AT_EMPTY_PATH, AT_RECURSIVE


def refusal(path: str) -> str:
    """Why the kernel maps no detached copy of the mount at `path`; "" where it does.  Needs root."""
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:  # in a user namespace of its own, until it is killed
        try:
            syscall.unshare(syscall.CLONE_NEWUSER)
            os.write(ready[1], b"x")
            os.read(done[0], 1)
        finally:
            os._exit(0)
    os.close(ready[1])
    os.close(done[0])
    try:
        if not os.read(ready[0], 1):
            return "no user namespaces"
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{name}", "w", encoding="ascii") as file:
                file.write("0 1000 10\n")
        namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            tree = mount_api.open_tree(path, mount_api.OPEN_TREE_CLONE | AT_RECURSIVE)
            try:
                mount_api.mount_setattr(tree, set=mount_api.MOUNT_ATTR_IDMAP, userns=namespace, flags=AT_EMPTY_PATH)
            finally:
                os.close(tree)
        finally:
            os.close(namespace)
    except OSError as error:
        return os.strerror(error.errno or 0)
    finally:
        os.close(done[1])
        os.close(ready[0])
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return ""
