"""Directories of plain files that stand for cgroups, and a record of what is written to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seatrial.runtime.cgroup import cgroup as cgroup_module
from seatrial.runtime.cgroup import undo
from seatrial.runtime.cgroup.files import write as real_write
from seatrial.runtime.cgroup.v2 import CgroupV2
from seatrial.runtime.errors import SyscallError

V2_FILES = {
    "cgroup.controllers": "cpu cpuset memory pids hugetlb", "cpu.max": "50000 100000", "memory.current": "5000",
    "cpu.weight": "", "cpu.idle": "", "cpu.max.burst": "", "memory.max": "", "memory.low": "", "memory.swap.max": "",
    "pids.max": "", "cpuset.cpus": "", "cpuset.mems": "", "io.max": "", "hugetlb.2MB.max": "",
}  # fmt: skip


class Recorder:
    """In place of files.write: remembers (file, value), and refuses as told, as the kernel would."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, str]] = []
        self.undone: list[tuple[str, str]] = []
        self.refuse: list[tuple[str, int]] = []  # (file, errno), each once; "FILE back": when it is taken back

    def __call__(self, directory: str, name: str, value: Any, hint: str = "") -> None:
        self._refuse(directory, name, value, name)
        if not str(value).count(" "):  # a file with keys keeps its other lines
            real_write(directory, name, value, hint)
        self.writes.append((name, str(value)))

    def back(self, directory: str, name: str, value: Any) -> None:
        """In place of the write of undo.py."""
        self._refuse(directory, name, value, f"{name} back")
        self.undone.append((name, str(value)))

    def _refuse(self, directory: str, name: str, value: Any, what: str) -> None:
        for entry in self.refuse:
            if entry[0] == what:
                self.refuse.remove(entry)
                raise SyscallError("write", f"{value} to {directory}/{name}", entry[1])


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(cgroup_module, "write", recorder)
    monkeypatch.setattr(undo, "write", recorder.back)
    return recorder


def files(directory: Path, content: dict[str, str]) -> str:
    directory.mkdir(exist_ok=True)
    for name, text in content.items():
        (directory / name).write_text(text)
    return str(directory)


@pytest.fixture
def unified(tmp_path: Path) -> CgroupV2:
    return CgroupV2({"": files(tmp_path / "box", V2_FILES)})
