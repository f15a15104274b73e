"""The agent in a machine, pid 1: starts commands, carries their streams over a virtio-serial port, reaps orphans.

A program of its own: nothing of the package is in the machine when it starts, and `-S` keeps `site` away.  Frames are
kind (u8), channel (u32), length (u32), big endian, then the payload; host side: vm/channel.py.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

PORT = "seatrial.0"
HEADER = struct.Struct(">BII")
# From the host
HELLO, RUN, DATA, SIGNAL, CONNECT, CLOSE, RESIZE = range(1, 8)
# From the guest
READY, OUT, ERR, EXIT, REFUSED, TAKEN, GREETED = range(16, 23)

CHUNK = 1 << 16
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h
WARM = "/run/seatrial-guest/warm"  # sockets by the names of programs: behind each a process waits to be that program
RNDADDENTROPY, RNDRESEEDCRNG = 0x40085203, 0x5207  # linux/random.h


class Command:
    """A running command or connection of one channel."""

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.pid = 0
        self.sink = -1  # where DATA goes: a pipe, a terminal or a socket
        self.pending = bytearray()
        self.ended = False  # no more DATA follows
        self.sources: dict[int, int] = {}  # descriptor -> OUT or ERR


class Agent:
    """The event loop: the port, the pipes of the commands, SIGCHLD.  `out` is where frames go, if not to the port."""

    def __init__(self, port: int, out: int | None = None) -> None:
        self.port = port
        self.out = port if out is None else out
        self.selector = selectors.DefaultSelector()
        self.commands: dict[int, Command] = {}
        self.received = bytearray()
        os.set_blocking(port, True)
        os.set_inheritable(port, False)
        self.selector.register(port, selectors.EVENT_READ, self.read_port)
        self.wake, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(self.wake, selectors.EVENT_READ, self.reap)

    def run(self) -> None:
        self.send(READY, 0, json.dumps({"release": os.uname().release, "python": sys.version_info[:3]}).encode())
        while True:
            for key, mask in self.selector.select():
                if self.selector.get_map().get(key.fd) is key:  # not one that an earlier of these closed
                    key.data(key.fd, mask)

    def send(self, kind: int, channel: int, payload: bytes = b"") -> None:
        view = memoryview(HEADER.pack(kind, channel, len(payload)) + payload)
        while view:
            try:
                view = view[os.write(self.out, view[: 1 << 15]) :]
            except OSError as error:
                if self.out != self.port:
                    self.leave()
                if error.errno not in (errno.EAGAIN, errno.EPIPE):
                    raise
                time.sleep(0.005)  # nobody listens: a snapshot between two hosts

    def leave(self) -> None:
        """End the commands and the agent: a connection other than a port does not come back."""
        for command in self.commands.values():
            try:
                if command.pid:
                    os.killpg(command.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        sys.exit(0)

    # -- from the host -------------------------------------------------------------------------------------------------

    def read_port(self, _fd: int, _mask: int) -> None:
        data = os.read(self.port, CHUNK)
        if not data and self.out != self.port:
            self.leave()
        if not data:
            time.sleep(0.005)  # the host side is closed, or not there yet
            return
        self.received += data
        while len(self.received) >= HEADER.size:
            kind, channel, length = HEADER.unpack_from(self.received)
            if len(self.received) < HEADER.size + length:
                return
            payload = bytes(self.received[HEADER.size : HEADER.size + length])
            del self.received[: HEADER.size + length]
            try:
                self.take(kind, channel, payload)
            except OSError as error:
                told = {"errno": error.errno, "error": error.strerror, "path": str(error.filename or "")}
                self.send(REFUSED, channel, json.dumps(told).encode())

    def take(self, kind: int, channel: int, payload: bytes) -> None:
        command = self.commands.get(channel)
        if kind == HELLO:
            self.greet(json.loads(payload))
            self.send(GREETED, channel)
        elif kind == RUN:
            self.start(channel, json.loads(payload))
        elif kind == CONNECT:
            self.connect(channel, json.loads(payload))
        elif command is None:
            return  # it has ended meanwhile
        elif kind == DATA:
            command.pending += payload
            command.ended = command.ended or not payload
            self.feed(command)
        elif kind == SIGNAL and command.pid:
            os.killpg(command.pid, int(payload))
        elif kind == RESIZE and command.sink >= 0:
            rows, columns = json.loads(payload)
            fcntl.ioctl(command.sink, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        elif kind == CLOSE:
            self.finish(command)

    def greet(self, words: dict[str, object]) -> None:
        """Set the clock, feed the random pool, take a name: a clone must not repeat what another did."""
        time.clock_settime(time.CLOCK_REALTIME, float(str(words["now"])))
        seed = bytes.fromhex(str(words["seed"]))
        with open("/dev/urandom", "wb", buffering=0) as pool:
            fcntl.ioctl(pool, RNDADDENTROPY, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
            try:
                fcntl.ioctl(pool, RNDRESEEDCRNG)
            except OSError:
                pass  # before 4.14
        name = str(words["name"])
        socket.sethostname(name)
        with open("/etc/hosts", "a", encoding="ascii") as file:
            file.write(f"127.0.1.1 {name}\n")  # sudo looks up the name of its machine, and waits where nobody knows it
        for path, text in (("hostname", name), ("machine-id", words["machine_id"])):
            with open(f"/etc/{path}", "w", encoding="ascii") as file:
                file.write(f"{text}\n")

    def start(self, channel: int, words: dict[str, object]) -> None:
        command = Command(channel)
        argv = [str(word) for word in words["argv"]]  # type: ignore[attr-defined]
        env = {str(k): str(v) for k, v in dict(words.get("env") or {}).items()}  # type: ignore[call-overload]
        cwd, size = str(words.get("cwd") or "/"), words.get("terminal")
        if size:
            master, slave = os.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[0], size[1], 0, 0))  # type: ignore[index]
            ends = (slave, slave, slave)
            command.sink = master
            sources = [(master, OUT)]
        else:
            pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
            ends = (pipes[0][0], pipes[1][1], pipes[2][1])
            command.sink = pipes[0][1]
            sources = [(pipes[1][0], OUT), (pipes[2][0], ERR)]
        try:
            everything = {**os.environ, **env}
            command.pid = handed(argv, everything, cwd, ends, bool(size)) or (forked if size else spawned)(
                argv, everything, cwd, ends
            )
        except OSError:
            for number in {command.sink, *(source for source, _ in sources)}:
                os.close(number)
            raise
        finally:
            for number in {*ends}:
                os.close(number)
        self.commands[channel] = command
        os.set_blocking(command.sink, False)
        for source, kind in sources:
            self.listen(command, source, kind)

    def connect(self, channel: int, words: dict[str, object]) -> None:
        command = Command(channel)
        peer = socket.create_connection((str(words["host"]), int(str(words["port"]))), timeout=10)
        command.sink = peer.detach()
        os.set_blocking(command.sink, False)
        self.commands[channel] = command
        self.listen(command, command.sink, OUT)

    # -- streams -------------------------------------------------------------------------------------------------------

    def listen(self, command: Command, source: int, kind: int) -> None:
        command.sources[source] = kind
        os.set_blocking(source, False)
        self.selector.register(source, selectors.EVENT_READ, lambda fd, mask: self.stream(command, fd, mask))

    def stream(self, command: Command, source: int, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self.feed(command)
        if mask & selectors.EVENT_READ and not self.forward(command, source) and not command.pid:
            self.send(EXIT, command.channel, b"0")  # a connection ends when its peer closes
            self.finish(command)

    def forward(self, command: Command, source: int) -> bool:
        """Send on what can be read now; whether more may follow.  What comes after the end of a command, from children
        that it left behind, is read (they must not block) and dropped."""
        try:
            data = os.read(source, CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            data = b""  # EIO: the last holder of the terminal is gone
        if data:
            if command.channel in self.commands:
                self.send(command.sources[source], command.channel, data)
            return True
        self.selector.unregister(source)
        del command.sources[source]
        if source == command.sink:
            command.sink = -1
        os.close(source)
        return False

    def feed(self, command: Command) -> None:
        """Write what is pending; wait for the reader where it is slow, and tell the host what has been taken."""
        taken = 0
        while command.pending and command.sink >= 0:
            try:
                written = os.write(command.sink, command.pending[:CHUNK])
            except BlockingIOError:
                break
            except OSError:  # nobody reads any more
                taken += len(command.pending)
                command.pending.clear()
                break
            taken += written
            del command.pending[:written]
        if taken:
            self.send(TAKEN, command.channel, str(taken).encode())
        self.watch_sink(command)
        if command.ended and not command.pending and command.sink >= 0 and command.sink not in command.sources:
            self.close_sink(command)

    def watch_sink(self, command: Command) -> None:
        """Have select() tell when the sink takes more, as long as something is pending."""
        if command.sink < 0:
            return
        both = command.sink in command.sources
        events = (selectors.EVENT_READ if both else 0) | (selectors.EVENT_WRITE if command.pending else 0)
        registered = command.sink in self.selector.get_map()
        if not events:
            if registered:
                self.selector.unregister(command.sink)
        elif registered:
            self.selector.modify(command.sink, events, self.selector.get_key(command.sink).data)
        else:
            self.selector.register(command.sink, events, lambda fd, mask: self.feed(command))

    def close_sink(self, command: Command) -> None:
        if command.sink >= 0:
            if command.sink in self.selector.get_map():
                self.selector.unregister(command.sink)
            command.sources.pop(command.sink, None)
            os.close(command.sink)
            command.sink = -1

    # -- ends ----------------------------------------------------------------------------------------------------------

    def reap(self, _fd: int, _mask: int) -> None:
        try:
            while os.read(self.wake, 512):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for command in list(self.commands.values()):
                if command.pid == pid:
                    self.exited(command, os.waitstatus_to_exitcode(status))

    def exited(self, command: Command, status: int) -> None:
        """Send what the command has written, then its status."""
        for source in list(command.sources):
            while source in command.sources and readable(source):
                self.forward(command, source)
        self.send(EXIT, command.channel, str(status).encode())
        self.finish(command)

    def finish(self, command: Command) -> None:
        """Forget the command; its streams stay until their last writer is gone."""
        self.commands.pop(command.channel, None)
        if command.sink not in command.sources or not command.pid:
            self.close_sink(command)


def readable(fd: int) -> bool:
    """Whether a read would not block."""
    return bool(select.select([fd], [], [], 0)[0])


def handed(argv: list[str], env: dict[str, str], cwd: str, ends: tuple[int, int, int], terminal: bool) -> int:
    """The pid of a process that was waiting to be this program and is it now, as a child of ours; 0 when none was.
    OSError with errno and path."""
    path = f"{WARM}/{argv[0]}"
    if "/" in argv[0] or not os.path.exists(path):
        return 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        try:
            peer.connect(path)
        except OSError:
            return 0
        words = {"argv": argv, "env": env, "cwd": cwd, "terminal": terminal}
        socket.send_fds(peer, [json.dumps(words).encode()], list(ends))
        answer = peer.recv(CHUNK)
    if not answer:
        raise ChildProcessError(errno.ECHILD, "the process that waited to be it is gone", argv[0])
    told = json.loads(answer)
    if "errno" in told:
        raise OSError(told["errno"], told["error"], told["path"])
    return int(told["pid"])


def spawned(argv: list[str], env: dict[str, str], cwd: str, ends: tuple[int, int, int]) -> int:
    """The pid of a new command.  By vfork(2): in a clone under software emulation, where no code has been translated
    yet, copying our page tables takes longer than all the rest.  OSError with errno and path."""
    process = subprocess.Popen(
        argv, env=env, cwd=cwd, stdin=ends[0], stdout=ends[1], stderr=ends[2], start_new_session=True, close_fds=False
    )
    process.returncode = 0  # the agent reaps
    return process.pid


def forked(argv: list[str], env: dict[str, str], cwd: str, ends: tuple[int, int, int]) -> int:
    """The pid of a new command whose controlling terminal is `ends`.  OSError with errno and path."""
    report, complaint = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        child(argv, env, cwd, ends, complaint)
    os.close(complaint)
    said = os.read(report, 4096)
    os.close(report)
    if said:
        os.waitpid(pid, 0)
        told = json.loads(said)
        raise OSError(told["errno"], told["error"], told["path"])
    return pid


def child(argv: list[str], env: dict[str, str], cwd: str, ends: tuple[int, int, int], complaint: int) -> None:
    """In the forked child: its own session and terminal, execve; tells errno and path over `complaint`."""
    path = argv[0]
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for target, number in enumerate(ends):
            os.dup2(number, target)
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        path = cwd
        os.chdir(cwd)
        path = argv[0]
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        told = {"errno": error.errno, "error": error.strerror, "path": path}
        os.write(complaint, json.dumps(told).encode())
    finally:
        os._exit(127)


def open_port() -> int:
    """The virtio-serial port of that name; it appears when its driver has found it."""
    base = "/sys/class/virtio-ports"
    for _ in range(2000):
        for name in os.listdir(base) if os.path.isdir(base) else ():
            with open(f"{base}/{name}/name", encoding="ascii") as file:
                if file.read().strip() == PORT:
                    return os.open(f"/dev/{name}", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        time.sleep(0.005)
    raise SystemExit("seatrial: boot failed: no virtio-serial port")


def serve() -> None:
    """The agent over its standard input and output, as ssh starts it: then it is one process among others."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(2, 1)
    for name in [name for name in os.environ if name.startswith(("SUDO_", "SSH_"))]:
        del os.environ[name]
    os.environ["LANG"] = "C.UTF-8"
    Agent(source, sink).run()


def raise_loopback() -> None:
    """`ip link set lo up`: ports are forwarded to 127.0.0.1 (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


if __name__ == "__main__":
    raise_loopback()
    Agent(open_port()).run()
