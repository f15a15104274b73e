"""Setting a container up: from a reserved id to a process that waits for the start signal, or runs.

Order of the parent's steps (runtime-spec, runtime.md#lifecycle 2 to 5): cgroup, spawn, id maps, limits, prestart and
createRuntime hooks, record of the state.  The first save of state.json comes before anything else exists, so that
`delete --force` can clean up after a creator that was killed.
"""

from __future__ import annotations

import os

from seatrial.native import channel, operations
from seatrial.runtime.cgroup.place import of_container
from seatrial.runtime.errors import StateError, SyscallError
from seatrial.runtime.launch import Launch, executor, open_joined, take_back
from seatrial.runtime.plan.compile import compile_init
from seatrial.runtime.state import CREATED, CREATING, GATE_SOCKET, process_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.cgroup import Cgroup
    from seatrial.runtime.config import Config
    from seatrial.runtime.creation_network import ContainerNetwork
    from seatrial.runtime.log import Log
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.plan import Plan
    from seatrial.runtime.process import Process
    from seatrial.runtime.resctrl import Group
    from seatrial.runtime.state import State, StateDirectory

NAMESPACE_KEYS = {
    "cgroup": "NEWCGROUP",
    "ipc": "NEWIPC",
    "mnt": "NEWNS",
    "net": "NEWNET",
    "pid": "NEWPID",
    "time": "NEWTIME",
    "user": "NEWUSER",
    "uts": "NEWUTS",
}


class Creation:
    """One attempt to set a container up.  `finish` or `undo` ends it."""

    def __init__(self, directory: StateDirectory, state: State, config: Config, process: Process, log: Log) -> None:
        self.directory = directory
        self.state = state
        self.config = config
        self.process = process
        self.log = log
        tolerant = config.rootless_cgroups and not config.cgroups.path
        self.cgroup: Cgroup = of_container(state, tolerant=tolerant)
        self.cgroup.prepare(config, state.id)
        self.launch: Launch | None = None
        self.network: ContainerNetwork | None = None
        self.rdt: Group | None = None
        self.pid_file_written = False

    def perform(self, gate: bool) -> None:
        """Everything up to the start signal; with `gate` that comes from another process, else from `run`."""
        try:
            self.cgroup.create(self.config.cgroups.resources)
        except BaseException:
            self._disown_cgroup()
            raise
        self.state.cgroup_paths = self.cgroup.paths
        if self.config.intel_rdt is not None:
            from seatrial.runtime import resctrl

            self.rdt = resctrl.Group(self.state.id, self.config.intel_rdt, resctrl.mount_point())
            self.rdt.create(self.state, self.directory)
        console = pidfd_socket = listener = cgroup_fd = -1
        tasks: list[int] = []
        namespaces: list[tuple[str, int]] = []
        try:
            if self.process.console_socket:
                from seatrial.runtime.peer import connect

                console = connect("console socket", self.process.console_socket)
            if self.process.pidfd_socket:
                from seatrial.runtime.peer import connect

                pidfd_socket = connect("pidfd socket", self.process.pidfd_socket)
            if gate:
                listener = self._listen()
            cgroup_fd = self.cgroup.fd()
            tasks = self.cgroup.tasks()
            namespaces = open_joined(self.config)
            self.launch = Launch(
                self.state.id,
                self.config,
                self.process,
                self.log,
                compile=compile_init,
                cgroup_fd=cgroup_fd,
                tasks=tasks,
                namespaces=namespaces,
                cwd=self.config.rootfs,
                listener=listener,
                complete_environment=self._complete,
                handlers={
                    operations.SYNC_CGROUP: self._join_cgroup,
                    operations.SYNC_IDMAP: self._write_maps,
                    operations.SYNC_NETWORK: self._connect,
                    operations.SYNC_RUNTIME_HOOKS: self._limits_and_hooks,
                    operations.SYNC_READY: self._record,
                },
                announce=self._announce,
                cache_root=self.directory.root,
            )
            self.launch.start()
            if not gate:
                # What comes after the executor's work, imported while it works.
                import seatrial.runtime.release
                import seatrial.runtime.teardown  # noqa: F401
            self.launch.serve()
            self.process.adopt(self.launch.process)
            if console >= 0:
                from seatrial.runtime.console import hand_over

                hand_over(console, self.process, self.launch.master_name)
            if pidfd_socket >= 0:
                from seatrial.runtime.peer import send_pidfd

                send_pidfd(pidfd_socket, b"standard", self.launch.pidfd)
            if self.process.pid_file:
                from seatrial.runtime.pid_file import write_pid_file

                write_pid_file(self.process.pid_file, self.launch.pid)
                self.pid_file_written = True
            if self.network is not None:
                self.network.settle()
        finally:
            for fd in (listener, cgroup_fd, console, pidfd_socket, *tasks, *(fd for _type, fd in namespaces)):
                if fd >= 0:
                    os.close(fd)
            self.process.close_child_ends()

    def finish(self) -> None:
        """Hand the process over to its Process object and close the rest."""
        launch, self.launch = self.launch, None  # else a cycle, which keeps descriptors until the collector comes by
        assert launch is not None
        self.process.began(launch.pid, launch.pidfd)
        launch.pidfd = -1
        launch.close()

    def undo(self) -> None:
        """Destroy what there is (runtime.md#lifecycle 12 and 13: the container, then poststop hooks)."""
        from seatrial.runtime.teardown import destroy

        launch, self.launch = self.launch, None
        take_back(launch, self.process, self.pid_file_written)
        if self.network is not None:
            self.network.give_back()
        if self.rdt is not None:
            self.rdt.discard()
        destroy(self.directory, self.state, self.log, config=self.config)

    def _disown_cgroup(self) -> None:
        """It is not ours: the teardown must not touch it."""
        self.state.cgroup_paths = {}
        self.state.systemd_unit = ""

    def _listen(self) -> int:
        path = self.directory.socket_path()
        try:
            listener = channel.listen(path)
            os.chmod(path, 0o600)
        except OSError as error:
            raise SyscallError.of("bind", os.path.join(self.directory.path, GATE_SOCKET), error) from None
        return listener

    def _complete(self, environment: Environment) -> None:
        """What the plan needs to know about this container's cgroup and state."""
        if self.config.hooks.create_container or self.config.hooks.start_container:
            from seatrial.runtime.hooks import state_around_pid

            environment.state_creating = state_around_pid(self.config, self.state.id, CREATING)
            environment.state_created = state_around_pid(self.config, self.state.id, CREATED)
        if any(mount.fstype in ("cgroup", "cgroup2") for mount in self.config.mounts):
            from seatrial.runtime.creation_cgroup import describe_cgroups

            describe_cgroups(environment, self.cgroup)

    def _join_cgroup(self, launch: Launch) -> None:
        try:
            self.cgroup.join(launch.pid)
        except StateError:  # another one's scope of the same name
            self._disown_cgroup()
            raise

    def _write_maps(self, launch: Launch) -> None:
        from seatrial.runtime.idmap import write_maps

        write_maps(launch.pid, self.config)

    def _connect(self, launch: Launch) -> None:
        from seatrial.runtime.creation_network import ContainerNetwork

        self.network = ContainerNetwork(self.config, launch.pid, self.log.warning)
        self.network.set_up(self.state, self.directory)

    def _limits_and_hooks(self, launch: Launch) -> None:
        """The namespaces and mounts are there, the root has not changed yet."""
        if self.rdt is not None:
            from seatrial.runtime.resctrl import join

            join(self.state, launch.pid)
        self.cgroup.apply(self.config.cgroups.resources)
        if self.cgroup.version == 2 and self.config.uid_mappings:
            from seatrial.runtime.creation_cgroup import owner

            uid = owner(self.config)
            if uid is not None:
                self.cgroup.delegate(uid)
        hooks = self.config.hooks
        if not (hooks.prestart or hooks.create_runtime):
            return
        from seatrial.runtime.hooks import run_hooks, state_document

        self._name_init(launch.pid)
        self.directory.save(self.state)  # `state`, called by a hook, tells the pid
        document = state_document(self.config, self.state.id, CREATING, launch.pid)
        run_hooks("prestart", hooks.prestart, document, launch.pidfd)
        run_hooks("createRuntime", hooks.create_runtime, document, launch.pidfd)

    def _record(self, launch: Launch) -> None:
        """Everything is set up: from here on the container is created."""
        launch.reap_stages()
        state = self.state
        self._name_init(launch.pid)
        state.namespace_paths = {key: f"/proc/{launch.pid}/ns/{type}" for type, key in NAMESPACE_KEYS.items()}
        state.external_descriptors = [
            _target(fd) for fd in (self.process.stdin, self.process.stdout, self.process.stderr)
        ]
        assert launch.plan is not None
        state.late_operations = late_operations(launch.plan)
        state.ready = True
        self.directory.save(state)

    def _announce(self, pid: int, listener: int) -> None:
        from seatrial.runtime.seccomp.agent import announce

        announce(self.config, self.state.id, CREATING, pid, pid, listener)

    def _name_init(self, pid: int) -> None:
        self.state.init_process_pid = pid
        stat = process_stat(pid)
        if stat is None:
            raise StateError(f"container {self.state.id} cannot be set up", "its init has just ended")
        self.state.init_process_start = stat[1]
        program = os.fstat(executor())
        self.state.executor = [program.st_dev, program.st_ino]


def late_operations(plan: Plan) -> dict[str, str]:
    """What comes after the start signal, by plan index: for the messages of `start`, which has no plan."""
    late: dict[str, str] = {}
    for index in range(len(plan.operations) - 1, -1, -1):
        operation = plan.operations[index]
        if operation.name in ("gate", "sync"):
            break
        if operation.name == "hook":
            late[str(index)] = f"{operation.values[0]!s} hook ({operation.values[1]!s})"
        else:
            late[str(index)] = operation.name
    return late


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
