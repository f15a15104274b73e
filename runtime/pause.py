"""Pausing and resuming a container: runc's operations, which engines use; the runtime-spec has none of them."""

from __future__ import annotations

from seatrial.runtime.cgroup.place import from_paths
from seatrial.runtime.errors import StateError
from seatrial.runtime.state import CREATED, PAUSED, RUNNING, frozen, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.state import State, StateDirectory

_SIGKILL_BIT = 1 << (9 - 1)


def pause(directory: StateDirectory, state: State) -> None:
    """Freeze a created or running container.  StateError for any other, SyscallError when it does not freeze.

    A container that was killed meanwhile is let go again: on v1 a frozen process would keep its SIGKILL waiting, and
    who sent it may have looked for a freezer to thaw before there was reason to (`teardown.signal_init`).
    """
    status = status_of(directory, state)
    if status not in (CREATED, RUNNING):
        raise StateError(f"container {state.id} is {status}", "only a created or running container can be paused")
    if not state.cgroup_paths:
        raise StateError(f"container {state.id} has no cgroup to freeze", "give it a linux.cgroupsPath of its own")
    cgroup = from_paths(state.cgroup_paths)
    cgroup.freeze()
    if sigkill_pending(state.init_process_pid):
        cgroup.thaw()
        raise StateError(f"container {state.id} was killed while it was being paused")


def resume(directory: StateDirectory, state: State) -> None:
    """Thaw a paused container.  StateError for any other.

    A container whose cgroup lies below a frozen one does not run yet, though it is not paused any more.
    """
    status = status_of(directory, state)
    # A dead init in a frozen cgroup is stopped; others of its processes may wait there.
    if status != PAUSED and not (state.ready and frozen(state.cgroup_paths)):
        raise StateError(f"container {state.id} is {status}", "only a paused container can be resumed")
    from_paths(state.cgroup_paths).thaw()


def sigkill_pending(pid: int) -> bool:
    """Whether SIGKILL waits for a process (proc_pid_status(5): SigPnd, ShdPnd); False when it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    pending = 0
    for line in lines:
        name, _, value = line.partition(b":")
        if name in (b"SigPnd", b"ShdPnd"):
            pending |= int(value, 16)
    return bool(pending & _SIGKILL_BIT)
