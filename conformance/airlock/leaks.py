"""What a case left behind: state entries, cgroups, mounts, processes.  Found after its containers were deleted, then
removed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from seatrial.conformance.airlock import cgroups, orphans, subtree
from seatrial.conformance.driver.patience import patience
from seatrial.native import mount_api

GRACE = 0.25  # seconds for what the kernel finishes after delete has returned (a killed process, an emptied cgroup)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Sets of names: entries of the runtime's state directory, files below /run that bear our containers' names, cgroup
    directories, mounts as (id, target), pids."""

    entries: frozenset[str]
    run: frozenset[str]
    cgroups: frozenset[str]
    mounts: frozenset[tuple[int, str]]
    processes: frozenset[int]


class Watch:
    """Looks at one worker's surroundings.

    Confined (own mount namespace, own cgroup root), everything new is a leak.  Otherwise others share the host, and
    only what bears our name counts: cgroups whose name starts with `prefix`, mounts below `directory`.
    """

    def __init__(self, state: str, directory: str, prefix: str, confined: bool) -> None:
        self.state = state
        self.directory = directory
        self.prefix = prefix
        self.confined = confined
        self.last: Snapshot | None = None  # what compare() found
        self._mountinfo = ""  # as it was read last, and
        self._known: frozenset[tuple[int, str]] = frozenset()  # what is in it
        self.look_around()

    def look_around(self) -> None:
        """Learn where the hierarchies are mounted, after the view has changed."""
        self.last = None
        self._hierarchies = cgroups.read_view().hierarchies()

    def take(self) -> Snapshot:
        """The present condition."""
        orphans.reap()
        return Snapshot(
            frozenset(state_entries(self.state)),
            frozenset(self._run_files()),
            frozenset(self._cgroups()),
            self._mounts(),
            frozenset(orphans.children()),
        )

    def compare(self, before: Snapshot, excused: Iterable[str] = ()) -> list[str]:
        """One line for each thing that is there now and was not before.  `excused` are values of cgroupsPath whose
        ancestors may stay: a runtime makes them on the way, and another container may use them.  A relative one counts
        from a place that the runtime chooses."""
        now = self.last = self.take()
        parents = {os.path.dirname(os.path.normpath("/" + path.lstrip("/"))) for path in excused}
        chosen = {level for path in excused if path[:1] != "/" for level in _ancestors(os.path.normpath(path))}
        found = [f"state entry {name}" for name in sorted(now.entries - before.entries)]
        found += [f"file {path}" for path in sorted(now.run - before.run)]
        left: dict[str, int] = {}
        for path in sorted(now.cgroups - before.cgroups):
            inner = self._inner(path)
            if any(parent == inner or parent.startswith(inner + "/") for parent in parents):
                continue
            if not any(inner.endswith("/" + level) for level in chosen):
                left[inner] = left.get(inner, 0) + 1
        found += [f"cgroup {inner} in {count} hierarchies" for inner, count in left.items()]
        found += [f"mount {target}" for _, target in sorted(now.mounts - before.mounts)]
        found += [f"process {pid} ({orphans.describe(pid)})" for pid in sorted(now.processes - before.processes)]
        return found

    def clean(self, before: Snapshot) -> None:
        """Remove everything that is there now and was not before."""
        now = self.take()
        for pid in now.processes - before.processes:
            orphans.kill(pid)
        for _, target in sorted(now.mounts - before.mounts, reverse=True):
            with contextlib.suppress(OSError):
                mount_api.umount(target, mount_api.MNT_DETACH)
        for path in sorted(now.cgroups - before.cgroups, reverse=True):
            subtree.remove(path, patience(GRACE))
        for name in now.entries - before.entries:
            remove(os.path.join(self.state, name))
        for path in now.run - before.run:
            remove(path)
        orphans.reap()

    def _run_files(self) -> Iterable[str]:
        """Runtimes and their helpers keep files below /run, at most one directory deep; a name is
        `st-<pid>-<number>`."""
        for path in _entries("/run"):
            if self.prefix in os.path.basename(path):
                yield path
            else:
                yield from (inner for inner in _entries(path) if self.prefix in os.path.basename(inner))

    def _inner(self, path: str) -> str:
        for root in self._hierarchies:
            if path.startswith(root + "/"):
                return path[len(root) :]
        return path

    def _cgroups(self) -> Iterable[str]:
        for root in self._hierarchies:
            stack = [root]
            while stack:
                directory = stack.pop()
                for path in _directories(directory):
                    if self.confined or os.path.basename(path).startswith(self.prefix):
                        yield path
                    if self.confined:
                        stack.append(path)

    def _mounts(self) -> frozenset[tuple[int, str]]:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        if text != self._mountinfo:
            lines = (line.split(" ", 5) for line in text.split("\n") if line)
            ours = [words for words in lines if self.confined or words[4].startswith(self.directory + "/")]
            self._mountinfo, self._known = text, frozenset((int(words[0]), words[4]) for words in ours)
        return self._known


def remove(path: str) -> None:
    """Remove a file or a tree, if it can be removed."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(path)


def settle(look: Callable[[], list[str]], seconds: float = GRACE) -> list[str]:
    """What `look` still finds after a grace."""
    import time

    deadline = time.monotonic() + patience(seconds)
    pause = 0.002
    while (found := look()) and (rest := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, rest))
        pause *= 2
    return found


def _ancestors(path: str) -> list[str]:
    """`a/b` and `a` of `a/b/c`."""
    names = path.split("/")[:-1]
    return ["/".join(names[:count]) for count in range(len(names), 0, -1)]


def state_entries(root: str) -> list[str]:
    """The names in a runtime's root that may be containers'.  One that begins with a dot is what the runtime keeps for
    itself, such as crun's cache of seccomp programs: no case has such an id."""
    return [name for name in _names(root) if not name.startswith(".")]


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _entries(path: str) -> list[str]:
    return [os.path.join(path, name) for name in _names(path)]


def _directories(path: str) -> list[str]:
    """The cgroups in a cgroup.  Its count of links tells whether there are any (kernfs: 2 and one for each), which
    spares most of the listings."""
    try:
        if os.stat(path).st_nlink == 2:
            return []
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
