"""A directory that behaves like a resctrl mount, for tests on hosts without the hardware.

The kernel's part is played by the functions that the runtime calls: a new directory comes with its files, one goes
with its files in it, `tasks` moves a process, `schemata` takes one line a write and refuses what the hardware lacks.
"""

from __future__ import annotations

import errno
import os
import shutil
from typing import Any

import pytest

from seatrial.runtime import resctrl

DEFAULT = "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n"


class ResctrlTree:
    """The tree and what was written to it, in order."""

    def __init__(self, root: str, monkeypatch: pytest.MonkeyPatch, groups: int = 8) -> None:
        self.root = root
        self.left = groups  # of hardware
        self.written: list[tuple[str, str]] = []
        os.mkdir(root)
        self._fill(root)
        os.mkdir(os.path.join(root, "info"))
        self._put(os.path.join(root, "info", "last_cmd_status"), "ok\n")
        shadow = _Shadow(self)
        monkeypatch.setattr(resctrl, "os", shadow)
        monkeypatch.setattr(resctrl, "_write", self._write)
        monkeypatch.setattr(resctrl, "mount_point", lambda *_: root)

    def path(self, *names: str) -> str:
        return os.path.join(self.root, *names)

    def read(self, *names: str) -> str:
        with open(self.path(*names)) as file:
            return file.read()

    def group(self, name: str, schemata: str = DEFAULT) -> None:
        """Make a class of service by hand."""
        self.mkdir(self.path(name))
        self._put(self.path(name, "schemata"), schemata)

    def groups(self) -> list[str]:
        return sorted(set(os.listdir(self.root)) - {"info", "mon_groups", "schemata", "tasks"})

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        os.mkdir(path, mode)
        self.left -= 1
        self._fill(path, monitor=os.path.basename(os.path.dirname(path)) == "mon_groups")

    def rmdir(self, path: str) -> None:
        if not os.path.isdir(path):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        shutil.rmtree(path)
        self.left += 1

    def _fill(self, path: str, monitor: bool = False) -> None:
        self._put(os.path.join(path, "tasks"), "")
        if not monitor:
            self._put(os.path.join(path, "schemata"), DEFAULT)
            os.mkdir(os.path.join(path, "mon_groups"))

    def _put(self, path: str, text: str) -> None:
        with open(path, "w") as file:
            file.write(text)

    def _write(self, path: str, text: str) -> None:
        from seatrial.runtime.errors import SyscallError

        self.written.append((os.path.relpath(path, self.root), text))
        status = self.path("info", "last_cmd_status")
        self._put(status, "ok\n")
        if os.path.basename(path) == "tasks":
            with open(path, "a") as file:
                file.write(text)
            return
        resource, _, values = text.strip().partition(":")
        with open(path) as file:
            lines = dict(line.strip().split(":") for line in file)
        if resource not in lines:
            self._put(status, f"unknown resource {resource!r}\n")
            raise SyscallError("write", path, errno.EINVAL, resctrl.last_status(path))
        now = dict(entry.split("=") for entry in lines[resource].split(";"))
        now |= dict(entry.split("=") for entry in values.split(";"))
        lines[resource] = ";".join(f"{domain}={value}" for domain, value in now.items())
        self._put(path, "".join(f"    {name}:{value}\n" for name, value in lines.items()))


class _Shadow:
    """The module os for the runtime's resctrl module, with our mkdir and rmdir."""

    def __init__(self, tree: ResctrlTree) -> None:
        self.mkdir = tree.mkdir
        self.rmdir = tree.rmdir

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)
