"""What a stopped call is about: an object of the runtime's or of the container's, in words that are the same in every
run (ids, pids and random names left out)."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass

from seatrial.conformance.sweep.calls import PRCTL, Call
from seatrial.native.seccomp import Notification

AT_FDCWD = 0xFFFFFF9C  # -100, as a register of 32 bits shows it
PATH_LIMIT = 4096
OWN = ("state", "cgroup", "proc", "dev", "bundle", "sys")  # what `narrow` calls must be about

_OWN_FD = re.compile(r"/proc/(?:self|thread-self)/fd/(\d+)(/.*)?$")
_NUMBERS = re.compile(r"(?<![A-Za-z0-9.])\d+(?![A-Za-z0-9])")
_RANDOM = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b")


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie: the runtime's --root, the bundle, the container's id, the cgroup hierarchies' mount points."""

    state: str
    bundle: str
    id: str
    hierarchies: tuple[str, ...]


class Eye:
    """Looks into the processes whose calls are stopped."""

    def __init__(self, places: Places) -> None:
        self.places = places

    def describe(self, call: Call, notification: Notification) -> str | None:
        """The object of a call, "" for one that has none; None for a call that is not to be touched."""
        pid, arguments = notification.pid, notification.arguments
        if call.name == "prctl":
            return PRCTL.get(arguments[0] & 0xFFFFFFFF)
        if call.name == "prlimit64":
            return None if arguments[2] == 0 else f"resource {arguments[1]}"
        if call.name == "kill" and arguments[1] & 0xFFFFFFFF == 0:
            return "signal 0"
        if call.path is not None:
            where, which = call.path
            path = self._path(pid, None if where is None else arguments[where], arguments[which])
        elif call.fd is not None:
            path = self._link(f"/proc/{pid}/fd/{arguments[call.fd] & 0xFFFFFFFF}")
        else:
            return ""
        name = self.name(path)
        if call.narrow and name.partition(" ")[0].partition("/")[0] not in OWN:
            return None
        return name

    def program(self, pid: int) -> str:
        """The file name of the program that a process runs, "" when it is gone."""
        return os.path.basename(self._link(f"/proc/{pid}/exe"))

    def name(self, path: str) -> str:
        """A path in words that are the same in every run: `cgroup/pids/ID/pids.max`."""
        places = self.places
        for mount in places.hierarchies:
            if path == mount or path.startswith(mount + "/"):
                return self._plain("cgroup/" + os.path.basename(mount) + path[len(mount) :])
        for word, prefix in (("bundle", places.bundle), ("state", places.state)):
            if path == prefix or path.startswith(prefix + "/"):
                return self._plain(word + path[len(prefix) :])
        return self._plain(path.lstrip("/"))

    def _plain(self, text: str) -> str:
        text = text.replace(self.places.id, "ID")
        return _NUMBERS.sub("N", _RANDOM.sub("RANDOM", text))

    def _path(self, pid: int, directory: int | None, address: int) -> str:
        text = self._text(pid, address)
        link = _OWN_FD.match(text)
        if link:
            return self._link(f"/proc/{pid}/fd/{link[1]}") + (link[2] or "")
        if text.startswith("/"):
            return os.path.normpath(text)
        if directory is None or directory & 0xFFFFFFFF == AT_FDCWD:
            base = self._link(f"/proc/{pid}/cwd")
        else:
            base = self._link(f"/proc/{pid}/fd/{directory & 0xFFFFFFFF}")
        return os.path.normpath(os.path.join(base, text)) if text else base

    @staticmethod
    def _text(pid: int, address: int) -> str:
        """The string at an address of another process; "" where there is none."""
        if address == 0:
            return ""
        with contextlib.suppress(OSError, OverflowError):
            fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
            try:
                found = b""
                while b"\0" not in found and len(found) < PATH_LIMIT:
                    size = 256 - (address + len(found)) % 256  # a read must not go on into a page that is not there
                    part = os.pread(fd, size, address + len(found))
                    if not part:
                        break
                    found += part
                return os.fsdecode(found.partition(b"\0")[0])
            finally:
                os.close(fd)
        return ""

    @staticmethod
    def _link(path: str) -> str:
        with contextlib.suppress(OSError):
            return os.readlink(path)
        return ""
