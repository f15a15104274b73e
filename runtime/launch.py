"""One launch of the executor: descriptors, plan, spawn, and serving its messages until the program may start."""

from __future__ import annotations

import _thread
import errno
import os
import time

from seatrial.native import channel, operations
from seatrial.native.memfd import sealed_memfd
from seatrial.native.spawn import spawn
from seatrial.runtime.birth import give_birth
from seatrial.runtime.deferral import Deferred
from seatrial.runtime.errors import SeatrialError, StateError, SyscallError
from seatrial.runtime.plan.environment import Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Sequence

    from seatrial.runtime.config import Config
    from seatrial.runtime.log import Log
    from seatrial.runtime.mount_tree import MountTrees
    from seatrial.runtime.plan.plan import Plan
    from seatrial.runtime.process import Process
else:
    import _signal

_LEAVE_SECONDS = 1.0
_executor_lock = _thread.allocate_lock()
_executor_fd = -1


def receive(socket: int) -> channel.Message | None:
    """The next message; None at the end.  A signal's handler may run meanwhile, and may raise."""
    while True:
        try:
            return channel.receive_message(socket)
        except InterruptedError:
            pass


class LaunchError(SeatrialError):
    """The executor reported a failed operation, or died.  `name` is the operation's name in the table, if known."""

    def __init__(self, message: str, name: str = "", hint: str = "") -> None:
        super().__init__(message, hint)
        self.name = name


def executor() -> int:
    """The executor's program in a sealed memory file: one for the life of this process.

    Sealed, because a container that opens /proc/PID/exe of what became its init must not reach a file of the host.
    """
    global _executor_fd  # made once, never closed
    with _executor_lock:
        if _executor_fd < 0:
            from seatrial.native.programs import path

            file = path("executor")
            try:
                source = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    _executor_fd = sealed_memfd("seatrial-executor", source, executable=True)
                finally:
                    os.close(source)
            except OSError as error:
                hint = "is the sysctl vm.memfd_noexec 2?" if isinstance(error, PermissionError) else ""
                raise SyscallError.of("load the executor", file, error, hint) from None
        return _executor_fd


class Launch:
    """A running executor, from its spawn to its exec.

    `compile` makes the plan of each attempt; `namespaces` are the ones to join, with descriptors that stay the
    caller's, `root` is a root directory to enter, or -1.  `handlers` are called for the points of `sync`, with this
    object; `listener` is the gate's socket, -1 for `run` and `exec`.  `init_cgroup` is `give_birth`'s.
    `cache_root` is `Environment.cache_root`.
    `announce` gets the pid and the listener of a seccomp filter that notifies.
    After a failure call `abort`; at the end, always `close`.
    """

    def __init__(
        self,
        id: str,
        config: Config,
        process: Process,
        log: Log,
        *,
        compile: Callable[[Config, Environment], Plan],
        cgroup_fd: int,
        tasks: list[int],
        handlers: dict[int, Callable[[Launch], None]],
        namespaces: list[tuple[str, int]],
        root: int = -1,
        cwd: str = "/",
        listener: int = -1,
        complete_environment: Callable[[Environment], None] | None = None,
        init_cgroup: Callable[[], int] | None = None,
        announce: Callable[[int, int], None] | None = None,
        cache_root: str = "",
    ) -> None:
        self.id = id
        self.config = config
        self.process = process
        self.log = log
        self.compile = compile
        self.cgroup_fd = cgroup_fd  # of the v2 hierarchy, or -1
        self.tasks = tasks  # of the v1 hierarchies
        self.handlers = handlers
        self.namespaces = namespaces
        self.root = root
        self.cwd = cwd
        self.listener = listener
        self.complete_environment = complete_environment
        self.init_cgroup = init_cgroup
        self.announce = announce
        self.cache_root = cache_root
        self.pid = 0
        self.pidfd = -1
        self.channel = -1
        self.master_name = ""
        self.plan: Plan | None = None
        self.reached = 0
        self._stages: list[int] = []
        self._clones = 0  # stages that `clone` made
        self._trees: MountTrees | None = None

    def start(self) -> None:
        """Spawn the executor.  Raises SyscallError, and what the plan compiler raises."""
        if self.cgroup_fd < 0:
            way = "enters its cgroups by their tasks files" if self.tasks else "is moved to its cgroups, if it has any"
            self.log.debug(f"no cgroup v2 to be born in: the process {way}")
        with Deferred():
            try:
                birth = give_birth(self.process, self._spawn, self.cgroup_fd, self.log.debug, self.init_cgroup)
            except OSError as error:
                call = (error.strerror or "spawn").partition(":")[0]
                raise SyscallError.of(call, error.filename or "the executor", error) from None
            self.process = birth.process
            self.pid = birth.pid
            self.pidfd = birth.pidfd
            self._stages.append(birth.pid)

    def _spawn(self, process: Process, cgroup_fd: int, classic: bool) -> tuple[int, int]:
        """One attempt, with a process, a plan, a socket and descriptors of its own."""
        keep = 3 + len(process.extra_fds)
        # On a hybrid host both kinds of hierarchies have to work; else SYNC_CGROUP does all of it.
        born = cgroup_fd >= 0 if self.cgroup_fd >= 0 else bool(self.tasks)
        tasks = self.tasks if born else []
        environment = Environment(id=self.id, keep=keep, born_in_cgroup=born, cache_root=self.cache_root)
        ours, theirs = channel.socketpair()
        plan_fd = -1
        try:
            fds = [(0, process.stdin), (1, process.stdout), (2, process.stderr)]
            fds += [(3 + index, fd) for index, fd in enumerate(process.extra_fds)]
            fds.append((keep, theirs))
            if self.listener >= 0:
                environment.gate = keep + 2
                fds.append((keep + 2, self.listener))
            if self.root >= 0:
                environment.root_fd = keep + 3
                fds.append((keep + 3, self.root))
            for index, (type, fd) in enumerate(self.namespaces, keep + 4):
                environment.namespace_fds[type] = index
                fds.append((index, fd))
            describe_host(environment, self.config)
            if self.complete_environment is not None:
                self.complete_environment(environment)
            self.plan = self.compile(self.config, environment)
            plan_fd = sealed_memfd("seatrial-plan", self.plan.encode())
            fds.append((keep + 1, plan_fd))
            argv = [b"seatrial-executor", b"%d" % keep, b"%d" % (keep + 1), b"%d" % keep]
            pid, pidfd = spawn(
                executor(), argv, [], fds, cgroup_fd=cgroup_fd, tasks=tasks, cwd=self.cwd, classic=classic
            )  # fmt: skip
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
            if plan_fd >= 0:
                os.close(plan_fd)
        self.channel = ours
        return pid, pidfd

    def serve(self) -> None:
        """Serve the executor until it waits for the start signal.  Raises LaunchError, and what the handlers raise."""
        while True:
            message = self._next()
            if message is None:
                if self.reached >= operations.SYNC_READY and self.listener >= 0:
                    return  # at the gate, where the executor closes this socket
                raise self._died()
            if message.kind == operations.MESSAGE_SYNC:
                self.reached = message.value
                if message.value == operations.SYNC_START:
                    return
                handler = self.handlers.get(message.value)
                if handler is not None:
                    handler(self)
                self._go()
            elif message.kind == operations.MESSAGE_CHILD:
                continue  # adopted
            elif message.kind == operations.MESSAGE_TREE:
                self._send_tree(message.operation)
            else:
                self._other(message)

    def _next(self) -> channel.Message | None:
        """The next message, or None at the end; the child that one tells of is adopted."""
        from seatrial.runtime.wait import wait_readable

        while not wait_readable([self.channel], None):
            pass
        with Deferred():
            message = receive(self.channel)
            if message is not None and message.kind == operations.MESSAGE_CHILD:
                self._adopt(message.value)
        return message

    def release(self) -> None:
        """`run`: let the program start, and wait until it is executed.  Raises LaunchError."""
        self._go()
        while (message := receive(self.channel)) is not None:
            self._other(message)

    def _go(self) -> None:
        self._send(operations.MESSAGE_GO)

    def _send(self, kind: int, error: int = 0, fds: Sequence[int] = ()) -> None:
        """One message.  Raises what the executor has said if it is gone, SyscallError."""
        try:
            channel.send_message(self.channel, kind, error=error, fds=fds)
        except (BrokenPipeError, ConnectionResetError) as broken:
            from seatrial.runtime.wait import wait_readable

            if not wait_readable([self.channel], 0):  # it is there all the same, and waits for us
                raise SyscallError.of("send", "the executor", broken) from None
            message = receive(self.channel)
            if message is not None:
                self._other(message)
            raise self._died() from None
        except OSError as failed:
            raise SyscallError.of("send", "the executor", failed) from None

    def _send_tree(self, index: int) -> None:
        """Answer an operation that needs a mount made with this process's privileges."""
        from seatrial.runtime.mount_tree import MountTrees

        assert self.plan is not None
        operation = self.plan.operation(index)
        assert operation is not None
        if self._trees is None:
            self._trees = MountTrees()
        try:
            tree = self._trees.open(self, operation)
        except SyscallError as error:
            if operation.name != "bind":
                raise
            # It had tried by itself and been refused: that is the failure to report.
            self.log.debug(str(error))
            self._send(operations.MESSAGE_TREE, error=errno.EACCES)
            return
        try:
            self._send(operations.MESSAGE_TREE, fds=[tree])
        finally:
            os.close(tree)

    def _other(self, message: channel.Message) -> None:
        """Messages that may come at any time."""
        text = message.text.decode("utf-8", "replace")
        if message.kind == operations.MESSAGE_CONSOLE and message.fds:
            self.process.master = message.fds.pop(0)
            self.master_name = text
        elif message.kind == operations.MESSAGE_WARNING:
            self.log.warning(text)
        try:
            if message.kind == operations.MESSAGE_LISTENER and message.fds and self.announce is not None:
                self.announce(self.pid, message.fds[0])
        finally:
            for fd in message.fds:
                os.close(fd)
        if message.kind == operations.MESSAGE_ERROR:
            assert self.plan is not None
            operation = self.plan.operation(message.operation)
            sentence = self.plan.failure(message.operation, message.error, text)
            if operation is None:
                raise LaunchError(sentence)
            from seatrial.runtime.hints import hint

            raise LaunchError(sentence, operation.name, hint(operation, message.error))

    def _adopt(self, pid: int) -> None:
        """The executor went on in a sibling, which is our child too."""
        from seatrial.runtime.wait import open_pidfd

        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        self.pid = pid
        self._stages.append(pid)
        self._clones += 1
        self.pidfd = open_pidfd(pid)

    def _died(self) -> LaunchError:
        from seatrial.runtime.wait import describe_exit, wait_child

        end = ""
        if self.pid:
            status = wait_child(self.pid, self.pidfd, 5)
            if status is not None:
                self._stages.remove(self.pid)
                end = f" ({describe_exit(status)})"
        return LaunchError(f"the process died while it was being set up{end}", hint=self._died_hint())

    def _died_hint(self) -> str:
        limit = self.config.cgroups.resources.memory_limit
        return f"the memory limit of {limit} bytes may be too small" if limit is not None and limit > 0 else ""

    def reap_stages(self) -> None:
        """Reap the executor's earlier processes, which exit as soon as their sibling goes on."""
        for pid in self._stages[:]:
            if pid != self.pid:
                os.waitpid(pid, 0)
                self._stages.remove(pid)

    def abort(self) -> None:
        """Kill what was started and reap it.

        A stage that has yet to clone is asked to leave first: if it were killed between clone and MESSAGE_CHILD, nobody
        would know the sibling, which is our child too.
        """
        planned = self.plan.operations if self.plan is not None else []
        if self._clones < sum(operation.name == "clone" for operation in planned):
            try:
                channel.send_message(self.channel, operations.MESSAGE_ABORT)
            except OSError:
                pass  # it has ended
            self._adopt_late(_LEAVE_SECONDS)
        self._kill_stages()
        self._adopt_late(None)
        self._kill_stages()

    def _kill_stages(self) -> None:
        for pid in self._stages:
            try:
                os.kill(pid, _signal.SIGKILL)  # our children, not reaped: nobody else can have these pids
            except ProcessLookupError:
                pass
        for pid in self._stages:
            os.waitpid(pid, 0)
        self._stages.clear()

    def _adopt_late(self, seconds: float | None) -> None:
        """Read what is left on the socket, for so long at most: children that it tells of are stages too."""
        from seatrial.runtime.wait import wait_readable

        deadline = None if seconds is None else time.monotonic() + seconds
        while self.channel >= 0:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait_readable([self.channel], left):
                if left == 0:
                    return
                continue  # a signal's handler has run
            message = receive(self.channel)
            if message is None:
                return
            if message.kind == operations.MESSAGE_CHILD:
                self._stages.append(message.value)
            for fd in message.fds:
                os.close(fd)

    def close(self) -> None:
        """Close the socket, and the pidfd if nobody has taken it."""
        if self._trees is not None:
            self._trees.close()
            self._trees = None
        if self.channel >= 0:
            os.close(self.channel)
            self.channel = -1
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def take_back(launch: Launch | None, process: Process, pid_file_written: bool) -> None:
    """Undo what a failed `create` or `exec` has started: the executor, the terminal's master, the pid file."""
    if launch is not None:
        process.adopt(launch.process)
        launch.abort()
        launch.close()
    if process.master >= 0:
        os.close(process.master)
        process.master = -1
    if pid_file_written:
        try:
            os.unlink(process.pid_file)
        except OSError:
            pass


def describe_host(environment: Environment, config: Config) -> None:
    """Fill in what the plan needs to know about this host and this process."""
    environment.privileged = os.geteuid() == 0
    environment.kcore = os.access("/proc/kcore", os.F_OK)
    try:
        fd = os.open("/proc/self/uid_map", os.O_RDONLY | os.O_CLOEXEC)
        try:
            environment.in_user_namespace = os.read(fd, 4096).split() != [b"0", b"0", b"4294967295"]
        finally:
            os.close(fd)
    except OSError:  # no user namespaces in this kernel
        environment.in_user_namespace = False
    if environment.in_user_namespace:
        try:
            fd = os.open("/proc/self/setgroups", os.O_RDONLY | os.O_CLOEXEC)
            try:
                environment.setgroups_denied = os.read(fd, 16).startswith(b"deny")
            finally:
                os.close(fd)
        except OSError:  # before Linux 3.19
            pass
    if config.rlimits and config.private("user"):
        from seatrial.native.syscall import prlimit

        for limit in config.rlimits:
            environment.hard_limits[limit.type] = prlimit(0, limit.type)[1]


def open_joined(config: Config) -> list[tuple[str, int]]:
    """The namespaces that a new container joins by path, as (type, descriptor); the caller closes them."""
    opened: list[tuple[str, int]] = []
    try:
        for namespace in config.namespaces:
            if namespace.path:
                opened += [(namespace.type, _open_namespace(namespace.type, namespace.path))]
    except BaseException:
        for _type, fd in opened:
            os.close(fd)
        raise
    return opened


def preview(id: str, config: Config) -> Plan:
    """The plan that `create` would run, with invented descriptors and nothing opened."""
    from seatrial.runtime.plan.compile import compile_init

    environment = Environment(id=id, gate=5)
    for index, namespace in enumerate(config.namespaces):
        if namespace.path:
            environment.namespace_fds[namespace.type] = 6 + index
    describe_host(environment, config)
    return compile_init(config, environment)


def preview_exec(id: str, config: Config) -> Plan:
    """The plan that `exec` would run for the container's own program, with invented descriptors and nothing opened."""
    from seatrial.runtime.plan.exec import compile_exec

    environment = Environment(id=id, root_fd=None if config.private("mnt") else 6)
    for index, namespace in enumerate(config.namespaces, 7):
        environment.namespace_fds[namespace.type] = index
    describe_host(environment, config)
    return compile_exec(config, environment)


def _open_namespace(type: str, path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SyscallError.of(f"open the {type} namespace", path, error) from None


__all__ = ["Launch", "LaunchError", "StateError", "executor", "preview", "take_back"]
