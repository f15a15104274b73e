"""Containers: libcontainer's operations.

    container = Container.create("/run/demo", "c1", config)
    process = Process(["/bin/sh", "-c", "echo hello"], env=["PATH=/bin"])
    container.run(process)
    process.wait()
    container.destroy()

`start` sets a process up and leaves it waiting (status created), `release` lets it go, `run` does both at once; `exec`
starts further processes in a container that is there.  Objects may be used from several threads, and several objects or
programs may work on one container: operations that change it exclude each other, and processes start side by side.
Nothing here changes the working directory, the umask or the environment of the calling process.
"""

from __future__ import annotations

import _thread
import os

from seatrial.runtime.errors import ConfigError, ContainerNotFoundError, StateError
from seatrial.runtime.log import Log
from seatrial.runtime.state import (
    CREATED,
    CREATING,
    PAUSED,
    RUNNING,
    STOPPED,
    State,
    StateDirectory,
    check_id,
    init_alive,
    now,
    report,
    status_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from seatrial.runtime.cgroup.cgroup import Cgroup
    from seatrial.runtime.checkpoint import CriuOptions
    from seatrial.runtime.config import Config, Resources
    from seatrial.runtime.notify import Notification
    from seatrial.runtime.process import Process
    from seatrial.runtime.stats import Stats
else:
    import _signal

_LOCK_SECONDS = 10.0


class Container:
    """A container beneath a root directory.  Close it (or use it in a with statement): it holds a descriptor."""

    def __init__(self, directory: StateDirectory, state: State, config: Config | None, log: Log) -> None:
        self._directory = directory
        self._state = state
        self._config = config
        self._log = log
        self._mutex = _thread.allocate_lock()
        self._process: Process | None = None

    @classmethod
    def create(cls, root: str, id: str, config: Config, *, checked: bool = False, log: Log | None = None) -> Container:
        """Reserve an id for a container.  Nothing runs yet; its status is creating until `start` or `run`.

        `checked`: the configuration comes from `load_config`, which has validated it.

        Raises ConfigError, UsageError (the id), ContainerExistsError, StateError (its cgroup is in use), SyscallError.
        """
        from seatrial.runtime.cgroup.hierarchy import detect
        from seatrial.runtime.cgroup.place import place

        check_id(id)
        if not checked:
            from seatrial.runtime.validate import validate

            if os.geteuid() != 0 and not config.rootless_euid:
                config = config.replace(rootless_euid=True, rootless_cgroups=True)
            validate(config)
        log = log or Log()
        for warning in config.warnings:
            log.warning(warning)
        directory = StateDirectory.reserve(os.path.abspath(root), id)
        try:
            state = State(id, config.to_json())
            state.created = now()
            state.rootless = config.rootless_cgroups
            cgroup: Cgroup
            if config.cgroups.systemd:
                from seatrial.runtime.cgroup.systemd import place_scope

                cgroup = scope = place_scope(config, id, detect())
                state.systemd_unit, state.systemd_user = scope.unit, scope.user
            else:
                cgroup = place(config.cgroups.path, id, detect(), rootless=config.rootless_cgroups)
            if cgroup.exists() and cgroup.pids():
                # Before state.json names the cgroup: whoever cleans up kills what is in it.
                where = cgroup.directories()[0]
                raise StateError(f"the cgroup {where} has processes in it", "another container may use it")
            state.cgroup_paths = cgroup.paths
            directory.save(state)
        except BaseException:
            directory.remove()
            directory.close()
            raise
        return cls(directory, state, config, log)

    @classmethod
    def load(cls, root: str, id: str, *, log: Log | None = None) -> Container:
        """An existing container.  Raises UsageError (the id), ContainerNotFoundError, StateError (damaged state)."""
        directory = StateDirectory.open(os.path.abspath(root), id)
        try:
            state = directory.load()
            if state is None:
                hint = f"an interrupted create left its directory: `delete --force {id}` removes it"
                raise ContainerNotFoundError(f"container {id} does not exist", hint)
        except BaseException:
            directory.close()
            raise
        return cls(directory, state, None, log or Log())

    @property
    def id(self) -> str:
        """The container's id."""
        return self._state.id

    @property
    def config(self) -> Config:
        """The configuration, as it was given to `create`.  A copy: changing it changes nothing."""
        if self._config is None:
            from seatrial.runtime.config import Config

            self._config = Config.from_json(self._state.config)
        return self._config.copy()

    @property
    def process(self) -> Process | None:
        """The process that this object has started."""
        return self._process

    def status(self) -> str:
        """creating, created, running, paused or stopped: from the disk and the kernel, each time anew."""
        state = self._reload()
        return STOPPED if state is None else status_of(self._directory, state)

    def state(self) -> dict[str, Any]:
        """The State of the runtime-spec, with runc's additions.  Raises ContainerNotFoundError after a destroy."""
        state = self._existing()
        return report(state, status_of(self._directory, state))

    def start(self, process: Process | None = None) -> None:
        """Set the container and a process up; the process waits for `release`.  None: the one of the configuration.

        A failure destroys the container, with its poststop hooks.  Raises LaunchError, HookError, SyscallError,
        ConfigError, and StateError when the container or the process has been started before.
        """
        self._launch(process, gate=True)

    def run(self, process: Process | None = None) -> None:
        """`start` and `release` in one go; returns when the program runs and the poststart hooks have ended."""
        self._launch(process, gate=False)

    def _launch(self, process: Process | None, gate: bool) -> None:
        from seatrial.runtime.creation import Creation
        from seatrial.runtime.process import Process

        with Operation(self):
            state = self._state
            if state.ready or state.init_process_pid:
                raise StateError(f"container {self.id} has been started already")
            config = self._config if self._config is not None else self.config
            if process is None:
                process = Process.from_config(config.process)
            elif process.differs_from(config):
                config = config.copy()
                process.apply_to(config)
                if config.process is not None:
                    from seatrial.runtime.validate_process import validate_process

                    validate_process(config)
                state.config = config.to_json()
                self._config = config
            process.begin()
            self._process = process
            creation = Creation(self._directory, state, config, process, self._log)
            try:
                creation.perform(gate)
                if not gate:
                    from seatrial.runtime.release import release_here

                    release_here(creation)
                creation.finish()
            except BaseException:
                creation.undo()
                raise

    def release(self) -> None:
        """Let the process of a created container go: startContainer hooks, the program, poststart hooks.

        A failing hook destroys the container (runtime-spec, runtime.md#lifecycle); a program that cannot be executed
        leaves it stopped.  Raises StateError unless the container is created, HookError, LaunchError.
        """
        from seatrial.runtime.release import release

        # What holds a made container, such as `update`, is waited for; while `create` is under way start is an error.
        with Operation(self, seconds=_LOCK_SECONDS if self._state.ready else 0):
            state = self._reload()
            status = STOPPED if state is None else status_of(self._directory, state)
            if state is None or status != CREATED:
                raise StateError(f"container {self.id} is {status}", "only a created container can be started")
            if "process" not in state.config:
                raise StateError(f"container {self.id} has no process", "config.json has no member process")
            release(self._directory, state, self._log)

    def exec(self, process: Process, *, ignore_paused: bool = False) -> None:
        """Start an additional process in a created or running container; returns when its program is executed.

        What the process leaves unset comes from the container's configuration.  In a paused container it would start
        only when that is resumed, and so is refused unless `ignore_paused`.  A failure leaves nothing behind.

        Raises StateError (status; a process that has been started before), ConfigError, UsageError, LaunchError,
        SyscallError.
        """
        from seatrial.runtime.execution import Execution
        from seatrial.runtime.validate_process import validate_process

        state = self._reload()
        status = STOPPED if state is None else status_of(self._directory, state)
        if state is None or status not in (CREATED, RUNNING, PAUSED):
            raise StateError(f"container {self.id} is {status}", "exec needs a created or running container")
        if status == PAUSED and not ignore_paused:
            raise StateError(f"container {self.id} is paused", "resume it, or exec with --ignore-paused")
        from seatrial.runtime.config import Config

        config = Config.from_json(state.config)
        process.apply_to(config)
        if config.process is None:
            raise ConfigError("process.args", "empty; it names the program")
        validate_process(config)
        process.begin()
        Execution(self._directory.root, state, status, config, process, self._log).perform()

    def processes(self) -> list[int]:
        """The pids of every process in the container's cgroup and below, as this process sees them."""
        from seatrial.runtime.cgroup.place import from_paths

        return from_paths(self._state.cgroup_paths).pids() if self._state.cgroup_paths else []

    def stats(self) -> Stats:
        """What the container has used so far: its cgroup, and the network interfaces that the runtime put into it.

        Raises StateError when it has no cgroup (any more), SyscallError.
        """
        from seatrial.runtime.cgroup.place import from_paths
        from seatrial.runtime.network.statistics import container_interfaces

        cgroup = from_paths(self._state.cgroup_paths) if self._state.cgroup_paths else None
        if cgroup is None or not cgroup.exists():
            raise StateError(f"container {self.id} has no cgroup", "it has been deleted, or never had one")
        result = cgroup.stats()
        state = self._reload()
        if state is not None and init_alive(state):
            result.network_interfaces = container_interfaces(state.config, state.init_process_pid)
        if state is not None and state.intel_rdt_path:
            from seatrial.runtime.resctrl import mount_point
            from seatrial.runtime.resctrl_stats import rdt_stats

            result.intel_rdt = rdt_stats(state, mount_point() or "/sys/fs/resctrl")
        return result

    def notify_oom(self) -> Notification:
        """Be told when the container runs out of memory: see `notify`.  Raises StateError, SyscallError."""
        from seatrial.runtime.notify import oom

        return oom(self._state.cgroup_paths)

    def notify_memory_pressure(self, level: str) -> Notification:
        """Be told of memory pressure: ``low``, ``medium`` or ``critical``, as v1 defines them.

        On v2 these are pressure stall triggers: within 2 s some process waited 0.1 s for memory, 0.5 s, or every one
        did for 0.5 s.  Raises UsageError (the level), StateError, SyscallError.
        """
        from seatrial.runtime.notify import memory_pressure

        return memory_pressure(self._state.cgroup_paths, level)

    def notify_end(self) -> Notification | None:
        """Be told of the end alone, where the memory controller is not to be had; None where the kernel cannot."""
        from seatrial.runtime.notify import end

        return end(self._state.cgroup_paths)

    def signal(self, number: int, *, all: bool = False) -> None:
        """Send a signal to the init process; with `all` to every process of the container.

        SIGKILL reaches every process also when the container has no pid namespace of its own: nobody else would end
        them.  Raises StateError when the container is not created, running or paused.
        """
        from seatrial.runtime.teardown import signal_all, signal_init

        state = self._reload()
        status = STOPPED if state is None else status_of(self._directory, state)
        if state is None or status == CREATING or (status == STOPPED and not all):
            raise StateError(f"container {self.id} is {status}", "only a created or running container can be signalled")
        if state.cgroup_paths and (all or (number == _signal.SIGKILL and not has_own_pids(state))):
            signal_all(state, number)  # init is one of them
        elif status != STOPPED:
            signal_init(state, number)

    def pause(self) -> None:
        """Freeze every process of the container; on return none of them runs.  Status paused.

        Raises StateError unless the container is created or running (so also when it is paused: runc's practice, on
        which engines rely), or when it has no freezer; SyscallError ETIMEDOUT when a process does not stop within
        10 s.  After a failure the container runs on.
        """
        from seatrial.runtime.pause import pause

        with Operation(self, seconds=_LOCK_SECONDS):
            pause(self._directory, self._existing())

    def resume(self) -> None:
        """Let a paused container go on: it is created or running again.  Raises StateError unless it is paused."""
        from seatrial.runtime.pause import resume

        with Operation(self, seconds=_LOCK_SECONDS):
            resume(self._directory, self._existing())

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the end of the init process; its exit status as a shell gives it: 0 to 255, 128 + signal.

        None when it still runs after `seconds`.  -1 when it has ended and is not a child of this process: the kernel
        tells the status to the parent alone.  Raises StateError when the container has not been started.
        """
        if self._process is not None and self._process.started:
            return self._process.wait(seconds)
        from seatrial.runtime.teardown import await_death

        state = self._reload()
        if state is not None and not state.init_process_pid:
            raise StateError(f"container {self.id} has not been started")
        if state is not None and not await_death(state, seconds):
            return None
        return -1

    def checkpoint(self, options: CriuOptions) -> None:
        """Dump the container's processes to images; then they end, unless they are left running.

        The container is stopped then, and `destroy` removes it.  A pre-dump takes memory alone and leaves the
        processes running.  After a failure they go on as before.

        Raises StateError unless the container is running or paused, CriuError (the program is missing or too old, or
        could not dump: the message has the last errors of its log), UsageError, SyscallError.
        """
        from seatrial.runtime.criu.dump import Dump

        with Operation(self, seconds=_LOCK_SECONDS):
            state = self._existing()
            status = status_of(self._directory, state)
            if status not in (RUNNING, PAUSED):
                raise StateError(f"container {self.id} is {status}", "only a running container can be checkpointed")
            Dump(state, options, self._log, paused=status == PAUSED).perform()
            if not (options.leave_running or options.pre_dump):
                from seatrial.runtime.teardown import await_death

                await_death(state, _LOCK_SECONDS)

    def restore(self, process: Process, options: CriuOptions) -> None:
        """Bring dumped processes back to life in this container, which has been created and not started.

        `process` has the descriptors and the console of the new init, whose program and user are those of the image.
        A failure destroys the container.

        Raises CriuError, ConfigError (the image was made with another configuration), HookError, SyscallError,
        UsageError, and StateError when the container or the process has been started before.
        """
        from seatrial.runtime.criu.restore import Restoration

        with Operation(self):
            state = self._state
            if state.ready or state.init_process_pid:
                raise StateError(f"container {self.id} has been started already")
            process.begin()
            self._process = process
            config = self.config
            restoration = Restoration(self._directory, state, config, process, options, self._log)
            try:
                restoration.perform()
            except BaseException:
                restoration.undo()
                raise
            self._config = config

    def set(self, change: Config | Resources, *, l3_cache_schema: str = "", mem_bw_schema: str = "") -> None:
        """Change the container's limits; a paused container stays paused.

        Resources: what they give (is not None, not empty) is written, the rest stays.  Config: the container's
        configuration with other ``cgroups.resources``; a member that has become None is forgotten, not reset.  Device
        rules are replaced when they are given and differ.  The schemas are for a container with linux.intelRdt, ""
        leaves one as it is.  All or nothing: after an error the limits are as before.

        Raises StateError when the container is stopped or not yet created, ConfigError, UsageError (a Config that
        differs in more than limits), SyscallError.
        """
        from seatrial.runtime.update import update

        with Operation(self, seconds=_LOCK_SECONDS):
            state = self._existing()
            status = status_of(self._directory, state)
            if status in (STOPPED, CREATING):
                raise StateError(f"container {self.id} is {status}", "only a created or running container has limits")
            if not (l3_cache_schema or mem_bw_schema):
                self._config = update(self._directory, state, change, self._log)
                return
            from seatrial.runtime import resctrl

            undo = resctrl.change(state, l3_cache_schema, mem_bw_schema)
            try:
                self._config = update(self._directory, state, change, self._log)
            except BaseException:
                undo()
                raise

    def destroy(self, *, force: bool = False) -> None:
        """Remove a stopped container: what is left in its cgroups, the cgroups, its state; then run poststop hooks.

        With `force` kill it first if it lives.  Raises StateError when it lives, ContainerNotFoundError when gone.
        """
        from seatrial.runtime.teardown import destroy, kill

        with Operation(self, force=force):
            state = self._existing()
            status = status_of(self._directory, state)
            if self._process is not None and status == CREATING:
                status = STOPPED  # reserved by this object, and nothing runs
            if status not in (STOPPED, CREATING) and not force:
                raise StateError(f"container {self.id} is {status}", "stop it, or force its removal")
            if init_alive(state):
                kill(state)
            destroy(self._directory, state, self._log)
            if self._process is not None and self._process.started:
                self._process.collect()
        self.close()

    def close(self) -> None:
        """Release the descriptor and with it the lock; the container stays as it is.  Twice is fine."""
        self._directory.close()

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        directory = getattr(self, "_directory", None)
        if directory is not None:
            directory.close()

    def _existing(self) -> State:
        """What the disk says now.  Raises ContainerNotFoundError when the container is gone."""
        state = self._reload()
        if state is None:
            raise ContainerNotFoundError(f"container {self.id} does not exist")
        return state

    def _reload(self) -> State | None:
        """What the disk says now; None when the container is gone."""
        if self._directory.fd < 0:
            return None
        state = self._directory.load()
        if state is not None:
            self._state = state
        return state


def has_own_pids(state: State) -> bool:
    """Whether the container has a new pid namespace, whose end is the end of every process in it."""
    return any(entry["type"] == "pid" and not entry.get("path") for entry in state.config.get("namespaces", []))


class Operation:
    """A with block that changes a container: one at a time, among threads and among programs.

    Another operation that is under way is waited for, `seconds` at most.  With `force` whoever holds the container is
    broken off: its processes are killed until it lets go.
    """

    def __init__(self, container: Container, force: bool = False, seconds: float = 0) -> None:
        self.container = container
        self.force = force
        self.seconds = seconds
        self.locked = False

    def __enter__(self) -> None:
        self.container._mutex.acquire()
        try:
            directory = self.container._directory
            if directory.fd < 0:
                raise ContainerNotFoundError(f"container {self.container.id} does not exist")
            if not directory.locked:
                lock(directory, self.force, self.seconds)
                self.locked = True
        except BaseException:
            self.container._mutex.release()
            raise

    def __exit__(self, *_exception: object) -> None:
        directory = self.container._directory
        try:
            if directory.locked and directory.fd >= 0:
                directory.unlock()
        finally:
            self.container._mutex.release()


def lock(directory: StateDirectory, force: bool, seconds: float = 0) -> None:
    """Take the lock.  With `force` kill what the holder is setting up, so that it fails and lets go."""
    if not force or directory.try_lock():
        directory.lock(seconds if not force else _LOCK_SECONDS)
        return
    from seatrial.runtime.teardown import break_off

    break_off(directory)
    directory.lock(_LOCK_SECONDS)


def _readable(directory: StateDirectory, force: bool, log: Log | None = None) -> State | None:
    """The state on disk.  With `force` one that is damaged counts as none, which the log is told."""
    try:
        return directory.load()
    except StateError as error:
        if not force:
            raise
        if log is not None:
            log.warning(f"{error.message}; removing the container without it")
        return None


def delete(root: str, id: str, *, force: bool, log: Log) -> None:
    """`delete` of the command line: like `destroy`, and able to remove what an interrupted create left."""
    try:
        directory = StateDirectory.open(root, id)
    except ContainerNotFoundError:
        if force:
            return
        raise
    with directory:
        try:
            state = _readable(directory, force)
            if state is None:
                lock(directory, force)
                state = _readable(directory, force, log)  # a create that had the lock may have ended well
        except ContainerNotFoundError:
            if not force:
                raise
            return
        if state is None:
            directory.remove()
            if not force:
                hint = "what an interrupted create left is removed"
                raise ContainerNotFoundError(f"container {id} does not exist", hint)
            return
        try:
            with Container(directory, state, None, log) as container:
                container.destroy(force=force)
        except ContainerNotFoundError:
            if not force:
                raise
