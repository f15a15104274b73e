"""What a test run left on the host: mounts, cgroups, processes of ours, entries of /run and of /tmp."""

from __future__ import annotations

import os
import tempfile

Snapshot = dict[str, set[str]]
OURS = ("seatrial", "/probe")  # in the command line or the executable of a process


def mounts() -> set[str]:
    """Mount points of this namespace, with what is mounted there."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        fields = [line.split() for line in file]
    return {f"{words[4]} ({words[words.index('-') + 1]})" for words in fields}


def cgroups() -> set[str]:
    """Directories of all hierarchies."""
    return {path for path, _, _ in os.walk("/sys/fs/cgroup")}


def ancestors() -> set[int]:
    """This process and those above it: they run the tests and are not left over."""
    found = set()
    pid = os.getpid()
    while pid > 1:
        found.add(pid)
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
    return found


def processes() -> set[str]:
    """Processes that are a runtime, an executor or a probe, by executable or command line."""
    found = set()
    mine = ancestors()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            program = os.readlink(f"/proc/{name}/exe")
            with open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as file:
                words = file.read().split("\0")
        except OSError:
            continue
        if int(name) not in mine and any(word in text for word in OURS for text in (program, *words[:2])):
            found.add(f"{name} {' '.join(words).strip()}")
    return found


def entries(directory: str, prefix: str = "") -> set[str]:
    """Names in a directory."""
    try:
        return {os.path.join(directory, name) for name in os.listdir(directory) if name.startswith(prefix)}
    except OSError:
        return set()


def snapshot() -> Snapshot:
    """The host as it is now."""
    return {
        "mount": mounts(),
        "cgroup": cgroups(),
        "process": processes(),
        "entry of /run": entries("/run"),
        "temporary directory": entries(tempfile.gettempdir(), "seatrial"),
    }


def compare(before: Snapshot, after: Snapshot) -> list[str]:
    """One line for everything that is there now and was not before."""
    return [f"{kind}: {name}" for kind in before for name in sorted(after[kind] - before[kind])]
