"""NOTIFY_SOCKET: what the program tells about its start is passed on to the service manager.  sd_notify(3).

The program gets a socket of its own, in ``<root>/<id>/notify``, mounted on /run/notify: the service manager's lies
outside of the container, and takes messages only from processes that it knows.  Of what the program says the line
READY=... goes on, and MAINPID=... with the host's pid follows.
"""

from __future__ import annotations

import os
import time

from seatrial.native import channel
from seatrial.runtime.config import Mount
from seatrial.runtime.errors import SyscallError
from seatrial.runtime.mount_options import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from seatrial.runtime.wait import open_pidfd, wait_readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config
    from seatrial.runtime.log import Log

DIRECTORY = "notify"
SOCKET = "notify.sock"
INSIDE = "/run/notify"
BARRIER_SECONDS = 30.0


def add_to_config(config: Config, root: str, id: str) -> bool:
    """Let the container's program see its socket; False where it cannot be given one."""
    if config.process is None or not config.private("mnt"):
        return False
    flags = MS_BIND | MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY
    source = os.path.join(root, id, DIRECTORY)
    config.mounts.append(Mount(destination=INSIDE, source=source, fstype="bind", flags=flags))
    config.init_env.append(f"NOTIFY_SOCKET={INSIDE}/{SOCKET}")
    return True


def make_directory(root: str, id: str) -> None:
    """Make the directory that is mounted.  Raises SyscallError."""
    path = os.path.join(root, id, DIRECTORY)
    try:
        os.mkdir(path, 0o755)
        os.chmod(path, 0o755)  # mkdir heeds the umask
    except OSError as error:
        raise SyscallError.of("mkdir", path, error) from None


class NotifySocket:
    """The program's socket.  Open it before the program runs; close it at the end."""

    def __init__(self, root: str, id: str, manager: str, log: Log) -> None:
        """`manager` is the caller's NOTIFY_SOCKET.  Raises SyscallError."""
        self.manager = manager
        self.log = log
        path = os.path.join(root, id, DIRECTORY)
        try:
            # sun_path holds 108 bytes, and roots can be longer.
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise SyscallError.of("open", path, error) from None
        try:
            try:
                os.unlink(SOCKET, dir_fd=directory)  # of a `start` that failed
            except FileNotFoundError:
                pass
            self.fd = channel.listen(f"/proc/self/fd/{directory}/{SOCKET}", channel.SOCK_DGRAM)
            os.chmod(SOCKET, 0o777, dir_fd=directory)  # whatever user the program runs as
        except OSError as error:
            raise SyscallError.of("bind", os.path.join(path, SOCKET), error) from None
        finally:
            os.close(directory)

    def wait(self, pid: int) -> None:
        """Wait until the program is ready or has ended, and tell the manager; `pid` is its main process."""
        try:
            pidfd = open_pidfd(pid)
        except ProcessLookupError:
            return
        try:
            while True:
                ready = wait_readable([self.fd] + ([pidfd] if pidfd >= 0 else []), 0.1 if pidfd < 0 else None)
                if self.fd in ready:
                    if self.take(pid):
                        return
                elif pidfd in ready or (pidfd < 0 and not os.path.exists(f"/proc/{pid}")):
                    return
        finally:
            if pidfd >= 0:
                os.close(pidfd)

    def take(self, pid: int) -> bool:
        """Read one message; whether it said READY, which is then passed on with MAINPID=`pid`."""
        try:
            data, fds = channel.receive(self.fd)
        except OSError:  # longer than anything that sd_notify(3) sends
            return False
        for fd in fds:  # of a barrier: it is passed when nobody holds the descriptor any more
            os.close(fd)
        for line in data.split(b"\n"):
            if line.startswith(b"READY="):
                self._tell(line, pid)
                return True
        return False

    def _tell(self, ready: bytes, pid: int) -> None:
        """Send the lines, and wait until the manager has read them: afterwards this process may be gone."""
        read, write = os.pipe2(os.O_CLOEXEC)
        manager = -1
        try:
            manager = channel.connect(self.manager, channel.SOCK_DGRAM)
            channel.send(manager, ready + b"\n")
            channel.send(manager, b"MAINPID=%d\n" % pid)
            channel.send(manager, b"BARRIER=1", [write])
            os.close(write)
            write = -1
            deadline = time.monotonic() + BARRIER_SECONDS
            answered: list[int] = []
            while not answered and (left := deadline - time.monotonic()) > 0:  # signals cut a wait short
                answered = wait_readable([read], left)
            if not answered:
                self.log.warning(f"NOTIFY_SOCKET {self.manager}: no answer to BARRIER=1 after {BARRIER_SECONDS:g} s")
        except OSError as error:
            self.log.warning(str(SyscallError.of("sendmsg to NOTIFY_SOCKET", self.manager, error)))
        finally:
            for fd in (read, write, manager):
                if fd >= 0:
                    os.close(fd)

    def close(self) -> None:
        """Close the socket; twice is fine."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def open_socket(root: str, id: str, log: Log) -> NotifySocket | None:
    """The socket of a container that was made for one, where the caller has a service manager; else None."""
    manager = os.environ.get("NOTIFY_SOCKET", "")
    if not manager or not os.path.isdir(os.path.join(root, id, DIRECTORY)):
        return None
    return NotifySocket(root, id, manager, log)
