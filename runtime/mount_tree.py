"""Detached mounts that the parent makes for the executor: open_tree(2), mount_setattr(2) with MOUNT_ATTR_IDMAP.

Only who has CAP_SYS_ADMIN in the user namespace of a filesystem may id-map its mounts (Linux 5.12), and a container's
root has that for none of the host's.  So the executor asks, and a thread of this process that has joined the
container's mount namespace (the source means there what it means for every other bind mount) answers with one
descriptor at a time: however many mounts there are, few descriptors are open.
"""

from __future__ import annotations

import _thread
import os

from seatrial.native import channel, mount_api, operations
from seatrial.native.memfd import sealed_memfd
from seatrial.native.spawn import spawn
from seatrial.native.syscall import AT_EMPTY_PATH, AT_RECURSIVE, setns, unshare
from seatrial.runtime.errors import SyscallError, errno_name
from seatrial.runtime.idmap import write_map
from seatrial.runtime.plan import operation as op
from seatrial.runtime.plan.encode import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.launch import Launch
    from seatrial.runtime.plan.operation import Operation

_CLONE_FS = 0x200
_NEWNS = 0x20000
_NEWUSER = 0x10000000
_NAMESPACES_KEPT = 16  # distinct mappings whose namespaces stay open for the next mount

_HINTS = {
    ("open_tree", "ENOSYS"): "this needs Linux 5.2",
    ("mount_setattr", "ENOSYS"): "id-mapped mounts need Linux 5.12",
    ("mount_setattr", "EINVAL"): "this kernel has no id-mapped mounts of that filesystem, or of one mounted below it",
    ("mount_setattr", "EPERM"): "the mount is id-mapped already, or its filesystem belongs to another user namespace",
}


class MountTrees:
    """The trees of one launch; `close` when it is over."""

    def __init__(self) -> None:
        self._namespaces: dict[tuple[str, str], int] = {}

    def open(self, launch: Launch, operation: Operation) -> int:
        """The detached mount that a `bind` or `bind_mapped` operation of a running launch asks for; the caller closes.

        Raises SyscallError.
        """
        values = operation.arguments()
        source = str(values["source"])
        flags = mount_api.OPEN_TREE_CLONE | (AT_RECURSIVE if values["recursive"] else 0)
        if operation.name == "bind_mapped":
            namespace = self._namespace(launch.pid, str(values["uids"]), str(values["gids"]))
            below = AT_RECURSIVE if values["map_recursive"] else 0
        else:
            namespace, below = -1, 0
        mounts = _namespace_of(launch.pid, "mnt")
        try:
            return _in_mount_namespace(mounts, source, flags, namespace, below)
        finally:
            os.close(mounts)

    def _namespace(self, pid: int, uids: str, gids: str) -> int:
        """A user namespace with this mapping; without one that of process `pid`."""
        key = (uids, gids)
        if key not in self._namespaces:
            while len(self._namespaces) >= _NAMESPACES_KEPT:
                os.close(self._namespaces.pop(next(iter(self._namespaces))))
            self._namespaces[key] = user_namespace(uids, gids) if uids else _namespace_of(pid, "user")
        return self._namespaces[key]

    def close(self) -> None:
        """Close the user namespaces."""
        for fd in self._namespaces.values():
            os.close(fd)
        self._namespaces.clear()


def user_namespace(uids: str, gids: str) -> int:
    """A descriptor of a new user namespace with these maps (text of uid_map, gid_map) and without a process.

    The executor is born in it and waits at a sync point until the maps are written; then it ends.  Raises SyscallError.
    """
    from seatrial.runtime.launch import executor

    plan = encode([op.sync(operations.SYNC_IDMAP), op.exec(["(no process)"])])
    ours, theirs = channel.socketpair()
    pid, pidfd = 0, -1
    try:
        try:
            plan_fd = sealed_memfd("seatrial-plan", plan)
            try:
                argv = [b"seatrial-executor", b"3", b"4", b"3"]
                null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
                try:
                    fds = [(0, null), (1, null), (2, null), (3, theirs), (4, plan_fd)]
                    pid, pidfd = spawn(executor(), argv, [], fds, flags=_NEWUSER)
                finally:
                    os.close(null)
            finally:
                os.close(plan_fd)
        finally:
            os.close(theirs)
        channel.receive_message(ours)
        write_map(pid, "uid_map", uids.encode())
        write_map(pid, "gid_map", gids.encode())
        return _namespace_of(pid, "user")
    except OSError as error:
        hint = "is the sysctl user.max_user_namespaces too small?" if errno_name(error.errno or 0) == "ENOSPC" else ""
        raise SyscallError.of("make a user namespace for", f"the mapping {_shown(uids)}", error, hint) from None
    finally:
        os.close(ours)  # which ends the executor
        if pid:
            os.close(pidfd)
            os.waitpid(pid, 0)


def _shown(text: str) -> str:
    return ", ".join(text.splitlines())


def _namespace_of(pid: int, type: str) -> int:
    path = f"/proc/{pid}/ns/{type}"
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SyscallError.of("open", path, error) from None


def _in_mount_namespace(mounts: int, source: str, flags: int, namespace: int, below: int) -> int:
    """open_tree, and with a user namespace mount_setattr, in the mount namespace of a process."""
    results: list[int | OSError] = []
    step = ["unshare"]

    def work() -> None:
        try:
            # The root and the working directory of this thread alone are about to change.
            unshare(_CLONE_FS)
            step[0] = "setns"
            setns(mounts, _NEWNS)
            step[0] = "open_tree"
            tree = mount_api.open_tree(source, flags)
            try:
                if namespace >= 0:
                    step[0] = "mount_setattr"
                    mount_api.mount_setattr(
                        tree, set=mount_api.MOUNT_ATTR_IDMAP, userns=namespace, flags=AT_EMPTY_PATH | below
                    )
            except OSError:
                os.close(tree)
                raise
            results.append(tree)
        except OSError as error:
            results.append(error)
        finally:
            done.release()

    done = _thread.allocate_lock()
    done.acquire()
    _thread.start_new_thread(work, ())
    done.acquire()
    result = results[0]
    if isinstance(result, OSError):
        hint = _HINTS.get((step[0], errno_name(result.errno or 0)), "")
        what = {"open_tree": "open", "mount_setattr": "id-map"}.get(step[0], f"{step[0]} for")
        raise SyscallError.of(f"{what} the mount of", source, result, hint)
    return result
