"""An additional process in a container that is there.  Nothing of the container is changed, and no lock is held:
processes start side by side, and `delete --force` does not wait for them (it kills what is in the cgroup)."""

from __future__ import annotations

import os

from seatrial.native import operations
from seatrial.runtime.cgroup.entry import Entry
from seatrial.runtime.errors import StateError, SyscallError
from seatrial.runtime.launch import Launch, take_back
from seatrial.runtime.plan.exec import compile_exec
from seatrial.runtime.state import init_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config
    from seatrial.runtime.log import Log
    from seatrial.runtime.process import Process
    from seatrial.runtime.state import State

_O_PATH = 0o10000000


class Execution:
    """One attempt to start a process in a container below `root`, whose status is `status`; `config` is the container's
    with the process put in."""

    def __init__(self, root: str, state: State, status: str, config: Config, process: Process, log: Log) -> None:
        self.root = root
        self.state = state
        self.status = status
        self.config = config
        self.process = process
        self.log = log
        self.launch: Launch | None = None
        self.pid_file_written = False

    def perform(self) -> None:
        """Everything, until the program is executed.  After a failure nothing of it is left.

        Raises StateError (init has ended), LaunchError, SyscallError, UsageError, and what the plan compiler raises.
        """
        try:
            self._perform()
        except BaseException:
            self._undo()
            raise

    def _perform(self) -> None:
        process, state = self.process, self.state
        entry = Entry(
            state.cgroup_paths,
            process.sub_cgroups,
            state.init_process_pid,
            tolerant=state.rootless and not process.sub_cgroups,
            debug=self.log.debug,
            warning=self.log.warning,
            attach=self._attach if state.systemd_user else None,
        )
        opened: list[int] = []
        try:
            console = -1
            if process.console_socket:
                from seatrial.runtime.peer import connect

                console = connect("console socket", process.console_socket)
                opened.append(console)
            pidfd_socket = -1
            if process.pidfd_socket:
                from seatrial.runtime.peer import connect

                pidfd_socket = connect("pidfd socket", process.pidfd_socket)
                opened.append(pidfd_socket)
            entry.open()
            tasks = entry.tasks()
            opened += tasks
            namespaces, root = self._open_init(opened)
            self.launch = launch = Launch(
                state.id,
                self.config,
                process,
                self.log,
                compile=compile_exec,
                cgroup_fd=entry.fd,
                tasks=tasks,
                namespaces=namespaces,
                root=root,
                handlers={operations.SYNC_CGROUP: lambda launch: entry.join(launch.pid)},
                init_cgroup=entry.init_fd,
                announce=self._announce,
                cache_root=self.root,
            )
            with InitialAffinity(self.config):
                launch.start()
            launch.serve()
            launch.reap_stages()
            process.adopt(launch.process)
            if console >= 0:
                from seatrial.runtime.console import hand_over

                hand_over(console, process, launch.master_name)
            if pidfd_socket >= 0:
                from seatrial.runtime.peer import send_pidfd

                send_pidfd(pidfd_socket, b"setns", launch.pidfd)
            if process.pid_file:
                from seatrial.runtime.pid_file import write_pid_file

                write_pid_file(process.pid_file, launch.pid)
                self.pid_file_written = True
            if state.intel_rdt_path:
                from seatrial.runtime.resctrl import join

                join(state, launch.pid)
            launch.release()
            process.began(launch.pid, launch.pidfd)
            launch.pidfd = -1
            self.launch = None
            launch.close()
        finally:
            for fd in opened:
                os.close(fd)
            entry.close()
            process.close_child_ends()

    def _announce(self, pid: int, listener: int) -> None:
        from seatrial.runtime.seccomp.agent import announce

        announce(self.config, self.state.id, self.status, self.state.init_process_pid, pid, listener)

    def _attach(self, pid: int) -> None:
        from seatrial.runtime.cgroup.systemd import scope

        scope(self.state.cgroup_paths, self.state.systemd_unit, True).attach(pid)

    def _open_init(self, opened: list[int]) -> tuple[list[tuple[str, int]], int]:
        """The namespaces of init to join, and its root if it has no mount namespace; descriptors go to `opened` too.

        The paths go by a pid.  That init is alive with its own start time afterwards says that they were its all along.
        """
        pid = self.state.init_process_pid
        namespaces: list[tuple[str, int]] = []
        root = -1
        gone = StateError(f"container {self.state.id} is stopped", "its init has just ended")
        try:
            for namespace in self.config.namespaces:
                path = f"/proc/{pid}/ns/{namespace.type}"
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                opened.append(fd)
                # Joining one's own user namespace is an error (setns(2)); for the others it is only pointless.
                if not os.path.samestat(os.fstat(fd), os.stat(f"/proc/self/ns/{namespace.type}")):
                    namespaces.append((namespace.type, fd))
            if not self.config.private("mnt"):
                path = f"/proc/{pid}/root"
                root = os.open(path, _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.append(root)
        except OSError as error:
            if not init_alive(self.state):
                raise gone from None
            raise SyscallError.of("open", path, error) from None
        if not init_alive(self.state):
            raise gone
        return namespaces, root

    def _undo(self) -> None:
        launch, self.launch = self.launch, None
        take_back(launch, self.process, self.pid_file_written)


class InitialAffinity:
    """A with block in which this thread, and with it what it spawns, runs on execCPUAffinity.initial.

    Before the process is in its cgroup: config.md#posix-process.  The executor sets the final affinity itself.
    """

    def __init__(self, config: Config) -> None:
        self.text = config.exec_cpu_affinity.initial if config.exec_cpu_affinity is not None else ""
        self.saved: set[int] = set()

    def __enter__(self) -> None:
        if not self.text:
            return
        from seatrial.runtime.cpus import parse_cpus

        self.saved = os.sched_getaffinity(0)  # of the calling thread
        try:
            os.sched_setaffinity(0, parse_cpus(self.text))
        except OSError as error:
            self.saved = set()
            hint = "process.execCPUAffinity.initial"
            raise SyscallError.of("sched_setaffinity", self.text, error, hint) from None

    def __exit__(self, *_exception: object) -> None:
        if self.saved:
            os.sched_setaffinity(0, self.saved)
