"""Ending a container: signals, killing what is left, removing what was made, poststop hooks."""

from __future__ import annotations

import os
import time

from seatrial.runtime.cgroup.place import from_paths, of_container
from seatrial.runtime.errors import SeatrialError, StateError, SyscallError
from seatrial.runtime.state import STOPPED, frozen, init_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from seatrial.runtime.config import Config
    from seatrial.runtime.log import Log
    from seatrial.runtime.state import State, StateDirectory
else:
    import _signal

KILL_SECONDS = 10.0
_NO_SUCH_PROCESS = 3


def signal_init(state: State, number: int) -> None:
    """Send a signal to init, and to nobody who got its pid later.  Raises StateError when it is gone, SyscallError.

    The start time is compared after pidfd_open(2) (Linux 5.3): the descriptor then stands for that very process.
    """
    from seatrial.runtime.wait import open_pidfd

    pid = state.init_process_pid
    gone = StateError(f"container {state.id} is stopped", "only a created or running container can be signalled")
    pidfd = -1
    try:
        pidfd = open_pidfd(pid)
        if not init_alive(state):
            raise gone
        if pidfd >= 0:
            _signal.pidfd_send_signal(pidfd, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        raise gone from None
    except OSError as error:
        raise SyscallError.of("kill", f"{pid} with signal {number}", error) from None
    finally:
        if pidfd >= 0:
            os.close(pidfd)
    if number == _signal.SIGKILL and frozen(state.cgroup_paths):
        from_paths(state.cgroup_paths).thaw()  # on v1 a frozen process dies only when it thaws


def signal_all(state: State, number: int) -> None:
    """Send a signal to every process in the container's cgroup."""
    if state.cgroup_paths:
        from_paths(state.cgroup_paths).kill_all(number)


def kill(state: State) -> None:
    """SIGKILL init and every process of the container, and wait until init is dead.  Raises StateError after 10 s."""
    try:
        signal_all(state, _signal.SIGKILL)
    except SeatrialError:
        if not init_alive(state):
            raise
    try:
        signal_init(state, _signal.SIGKILL)
    except StateError:
        return
    if not await_death(state, KILL_SECONDS):
        hint = "a cgroup above it is frozen: thaw that" if _held_from_above(state) else ""
        raise StateError(f"init of container {state.id} (pid {state.init_process_pid}) does not die", hint)


def await_death(state: State, seconds: float | None) -> bool:
    """Wait for the end of init, which need not be our child; whether it has ended after `seconds`."""
    from seatrial.runtime.wait import open_pidfd, wait_readable

    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        pidfd = open_pidfd(state.init_process_pid)
    except ProcessLookupError:
        return True
    try:
        while init_alive(state):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            if pidfd >= 0:
                wait_readable([pidfd], left)
            else:
                time.sleep(0.005)
        return True
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _held_from_above(state: State) -> bool:
    from seatrial.runtime.cgroup.freezer import above_is_frozen

    directory = state.cgroup_paths.get("freezer") or state.cgroup_paths.get("")
    return directory is not None and above_is_frozen(directory)


def break_off(directory: StateDirectory) -> None:
    """Kill what another runtime is setting up or starting, until that runtime lets go of the container."""
    deadline = time.monotonic() + KILL_SECONDS
    while not directory.try_lock() and time.monotonic() < deadline:
        state = directory.load()
        if state is not None:
            try:
                kill(state)
            except SeatrialError:
                pass  # it may be gone by now; who holds the lock cleans up
        time.sleep(0.02)


def destroy(directory: StateDirectory, state: State, log: Log, *, config: Config | None = None) -> None:
    """Remove cgroups, resctrl groups, network devices and state, in this order; then run the poststop hooks.

    The order is the runtime-spec's (poststop: after the delete).  Processes that are left in the cgroup are killed.
    Raises SyscallError, with the state still there, when the cgroup cannot be removed; hooks that fail are warnings.
    """
    if state.cgroup_paths:
        cgroup = of_container(state)
        if cgroup.exists() and cgroup.populated():
            cgroup.kill_all()
        cgroup.remove()  # also when it is gone: a scope's failure outlives its cgroup
    if state.intel_rdt_path:
        from seatrial.runtime import resctrl

        resctrl.remove(state)
    if state.interfaces:
        from seatrial.runtime.network.veth import remove

        remove(state.interfaces, log.warning)
    directory.remove()
    if config is None and "poststop" in state.config.get("hooks", ()):
        from seatrial.runtime.config import Config

        config = Config.from_json(state.config)
    if config is not None and config.hooks.poststop:
        from seatrial.runtime.hooks import run_poststop, state_document

        run_poststop(config.hooks.poststop, state_document(config, state.id, STOPPED, None), log.warning)
