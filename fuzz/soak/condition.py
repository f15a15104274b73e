"""What is there of what a runtime could leave: counted before and after a soak."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.airlock.leaks import Watch
from seatrial.conformance.airlock.subtree import LEAF

# How much more there may be at the end.  Python's allocator keeps what it once had; the kernel frees a memory cgroup
# when the last page that is charged to it goes, and other programs of the host have cgroups too.
MEMORY_SLACK = 8192  # KiB, for each process of ours
KERNEL_SLACK = 0.2  # cgroups of the kernel for each container


@dataclass(frozen=True, slots=True)
class Condition:
    """`memory` in KiB, of `processes` that are alive; `kernel_cgroups` counts dying ones, of the whole host."""

    fds: int
    memory: int
    processes: int
    zombies: int
    cgroups: int
    mounts: int
    entries: int
    run_files: int
    kernel_cgroups: int = 0

    def growth(self, before: Condition, containers: int) -> list[str]:
        """One line for each number that has grown more than it may."""
        lines = []
        for name, now in asdict(self).items():
            was = getattr(before, name)
            limit = float(was)
            if name == "memory":
                limit += MEMORY_SLACK
            elif name == "kernel_cgroups":
                limit += max(200.0, containers * KERNEL_SLACK)
            if now > limit:
                lines.append(f"{name.replace('_', ' ')}: {was} before, {now} after")
        return lines


def of_lane(watch: Watch) -> Condition:
    """Of this process: its descriptors and memory, its children, and what it sees of the host."""
    seen = watch.take()
    return Condition(
        fds=len(os.listdir("/proc/self/fd")),
        memory=resident(os.getpid()),
        processes=len(seen.processes),
        zombies=sum(state == "Z" for pid, state in _processes() if pid in seen.processes),
        cgroups=len(seen.cgroups),
        mounts=len(seen.mounts),
        entries=len(seen.entries),
        run_files=len(seen.run),
    )


def of_airlock(directory: str) -> Condition:
    """Of everything inside: all processes (a daemon, too), cgroups, mounts, files below /run and `directory`."""
    alive = [(pid, state) for pid, state in _processes() if state != "Z"]
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        mounts = sum(1 for _ in file)
    view = cgroups.read_view()
    return Condition(
        fds=len(os.listdir("/proc/self/fd")),
        memory=sum(resident(pid) for pid, _ in alive),
        processes=len(alive),
        zombies=sum(state == "Z" for _, state in _processes()),
        cgroups=sum(not _own(path) for root in view.hierarchies() for path, _, _ in os.walk(root)),
        mounts=mounts,
        entries=sum(len(names) for _, _, names in os.walk(directory)),
        run_files=sum(len(names) for _, _, names in os.walk("/run")),
        kernel_cgroups=kernel_cgroups(view.v2),
    )


def _own(path: str) -> bool:
    """Whether a cgroup is that of a lane (Session), which goes with the airlock."""
    return os.path.basename(path).startswith("worker-") or os.path.basename(path) == LEAF


def kernel_cgroups(v2: str | None) -> int:
    """The cgroups that the kernel has, dying ones too: of every v1 hierarchy (/proc/cgroups, cgroups(7)), and below the
    root of our v2 view (cgroup.stat, Linux 4.14)."""
    total = 0
    with contextlib.suppress(OSError), open("/proc/cgroups", encoding="ascii") as file:
        total += sum(int(line.split()[2]) for line in file if not line.startswith("#"))
    if v2 is not None:
        with contextlib.suppress(OSError), open(os.path.join(v2, "cgroup.stat"), encoding="ascii") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith(("nr_desc", "nr_dying_desc")))
    return total


def resident(pid: int) -> int:
    """Resident memory of a process in KiB (VmRSS, proc_pid_status(5)); 0 when it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def _processes() -> Iterator[tuple[int, str]]:
    """Pids and states of the processes in our pid namespace."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                yield int(name), file.read().rpartition(")")[2].split()[0]
