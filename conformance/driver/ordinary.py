"""An ordinary user for the cases of a run by root: the runtime is started under another uid, where that user can work.

    with Quarters(directory, ranges=True) as quarters:         a private mount namespace, kept by a process of ours
        runtime = OrdinaryRuntime(path, quarters, timeout=10)  a Runtime (driver.py) whose commands run as the user

The quarters have what a login has and a test host lacks: an entry in /etc/passwd (newuidmap wants one), ranges in
/etc/subuid and /etc/subgid where they are asked for, and a way to the runtime's files where a directory above them
keeps others out.  The host's own files stay as they are.  The commands enter by nsenter(1), which costs 1 ms.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from seatrial.conformance.airlock import subtree
from seatrial.conformance.driver import defaults
from seatrial.conformance.driver.bundle import PROBE, Bundle, Workshop
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.native import mount_api, syscall

USER = "seatrial"
FIRST_ID = 600000  # nobody's, one hopes; each process has one of its own above it
RANGE = 65536
LOCKED = "locked"  # a tmpfs below the user's home whose flags a user namespace cannot take off
# Enters cgroups, given before `--`, and becomes the rest of its arguments.
JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'
PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def bind(source: str, target: str) -> None:
    """A recursive bind mount.  OSError from mount(2)."""
    mount_api.mount(source, target, None, mount_api.MS_BIND | mount_api.MS_REC)


def open_the_way(trees: Iterable[str]) -> None:
    """Let everybody reach `trees`, in this mount namespace: what is above them and keeps others out is covered by a
    tmpfs with just those trees.  OSError from mount(2)."""
    blocked: dict[str, list[str]] = {}
    for tree in trees:
        path = ""
        for part in tree.strip("/").split("/")[:-1]:
            path += f"/{part}"
            if not os.stat(path).st_mode & 0o001:
                blocked.setdefault(path, []).append(tree)
                break
    if not blocked:
        return
    mount_api.mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755")
    for top, inner in blocked.items():
        kept = [(tempfile.mkdtemp(dir="/mnt"), tree) for tree in inner]
        for place, tree in kept:
            bind(tree, place)
        mount_api.mount("tmpfs", top, "tmpfs", 0, "mode=755")
        for place, tree in kept:
            os.makedirs(tree, exist_ok=True)
            bind(place, tree)
    mount_api.umount("/mnt", mount_api.MNT_DETACH)


def give_name(directory: str, user: str, id: int, ranges: str) -> None:
    """A user's entries in /etc/passwd and, with `ranges` (FIRST:COUNT), in /etc/subuid and /etc/subgid, in this mount
    namespace.  The files are kept in `directory`.  OSError from mount(2)."""
    with open("/etc/passwd", encoding="utf-8") as file:
        users = file.read()
    entries = {"passwd": f"{users}{user}:x:{id}:{id}::{directory}:/bin/sh\n"}
    line = f"{user}:{ranges}\n" if ranges else ""
    entries.update(subuid=line, subgid=line)
    for name, text in entries.items():
        target = f"/etc/{name}"
        if not os.path.exists(target):
            continue  # newuidmap will say so
        copy = os.path.join(directory, f".{name}")
        with open(copy, "w", encoding="utf-8") as file:
            file.write(text)
        bind(copy, target)


def trees_of(runtime: str) -> list[str]:
    """What a user needs of the host to start a runtime: its directory, and for one that is a script of ours the
    interpreter and the package."""
    return [os.path.dirname(os.path.realpath(runtime)), PACKAGE, sys.prefix, sys.base_prefix]


class Quarters:
    """The user's home (below `directory`) and mount namespace.  EnvironmentProblem when they cannot be made."""

    def __init__(self, directory: str, runtime: str, *, ranges: bool) -> None:
        self.uid = FIRST_ID + os.getpid() % 100000 * 2 + ranges
        self.ranges = (FIRST_ID * 2 + (self.uid - FIRST_ID) * RANGE, RANGE) if ranges else None
        self.home = os.path.join(directory, f"home-{self.uid}")
        for path in (self.home, *(os.path.join(self.home, name) for name in ("run", "state", LOCKED))):
            os.mkdir(path, 0o700 if path.endswith(("run", "state")) else 0o755)
            os.chown(path, self.uid, self.uid)
        text = "{}:{}".format(*self.ranges) if self.ranges else ""
        words = [self.home, str(self.uid), text, *trees_of(runtime)]
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", __name__, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline().strip()
        if said != "ready":
            self.close()
            raise EnvironmentProblem(f"no place for an ordinary user: {said}")

    def __enter__(self) -> Quarters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def locked(self) -> str:
        """A directory with a mount whose nosuid, nodev and noexec a user namespace cannot take off."""
        return os.path.join(self.home, LOCKED)

    def enter(self, uid: int | None = None) -> list[str]:
        """The words that start a command as the user (or another one) in this mount namespace."""
        wanted = self.uid if uid is None else uid
        space = f"--mount=/proc/{self._keeper.pid}/ns/mnt"
        return ["nsenter", space, f"--setgid={wanted}", f"--setuid={wanted}", "--"]

    def mounts(self) -> list[str]:
        """The mount points in the namespace."""
        with open(f"/proc/{self._keeper.pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return [line.split(" ", 5)[4] for line in file]

    def mappings(self) -> list[dict[str, int]]:
        """The mappings of a container: its root is the user, then come the ids of the ranges."""
        own = [{"containerID": 0, "hostID": self.uid, "size": 1}]
        if self.ranges is None:
            return own
        first, count = self.ranges
        return [*own, {"containerID": 1, "hostID": first, "size": count - 1}]

    def close(self) -> None:
        """End the process that keeps the namespace."""
        self._keeper.kill()
        for stream in (self._keeper.stdin, self._keeper.stdout):
            if stream is not None:
                stream.close()
        self._keeper.wait()


class OrdinaryWorkshop(Workshop):
    """Makes bundles of the user's: the config that engines send for one, a rootfs that is the user's own."""

    def __init__(self, directory: str, prefix: str, quarters: Quarters) -> None:
        super().__init__(directory, prefix)
        self.quarters = quarters
        self.bundles: list[Bundle] = []

    def bundle(self) -> Bundle:
        """A new bundle of the user's."""
        bundle = super().bundle()
        bundle.config = defaults.rootless(defaults.document(), self.quarters.mappings())
        give(bundle.path, self.quarters.uid)
        self.bundles.append(bundle)
        return bundle


def give(tree: str, uid: int) -> None:
    """Make a bundle's tree a user's; the probe, a hard link that all bundles share, stays root's."""
    for directory, _, files in os.walk(tree):
        os.lchown(directory, uid, uid)
        for name in files:
            if f"/{name}" != PROBE:
                os.lchown(os.path.join(directory, name), uid, uid)


class OrdinaryRuntime(Runtime):
    """The runtime under test, started by the user.  `cgroups` are directories that each command enters first."""

    def __init__(self, path: str, quarters: Quarters, prefix: str, *, timeout: float) -> None:
        workshop = OrdinaryWorkshop(os.path.join(quarters.home, "bundles"), prefix, quarters)
        super().__init__(path, quarters.home, workshop, timeout=timeout)
        self.bundles = workshop.bundles  # of the user's, all of them
        self.quarters = quarters
        self.uid = quarters.uid
        run = os.path.join(quarters.home, "run")
        self.env.update(HOME=quarters.home, XDG_RUNTIME_DIR=run, USER=USER, TMPDIR=run)
        self.cgroups: list[str] = []

    def argv(self, *words: str) -> list[str]:
        """The command line: as the user, in its mount namespace and cgroups."""
        join = ["sh", "-c", JOIN, "sh", *self.cgroups, "--"] if self.cgroups else []
        return [*join, *self.quarters.enter(self.uid), *super().argv(*words)]


@contextlib.contextmanager
def delegated(name: str, uid: int) -> Iterator[tuple[list[str], list[str]]]:
    """A cgroup of the user's in every hierarchy (cgroups(7), "Delegation"), and one in it to work from: their
    directories.  Both are removed at the end, with every process in them.  EnvironmentProblem when they cannot be
    made."""
    place = subtree.Subtree(name)
    try:
        tops = [path for _, path in place.places]
        leaves = [os.path.join(path, "caller") for path in tops]
        for (hierarchy, top), leaf in zip(place.places, leaves, strict=True):
            os.mkdir(leaf)
            if hierarchy.version == 1 and "cpuset" in hierarchy.option.split(","):
                subtree.copy_cpuset(top, leaf)
            for directory in (top, leaf):
                for file in (".", "cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"):
                    with contextlib.suppress(FileNotFoundError):
                        os.chown(os.path.join(directory, file), uid, uid)
        yield tops, leaves
    finally:
        place.destroy()


def keep(home: str, uid: int, ranges: str, trees: list[str]) -> None:
    """Make the quarters in a new mount namespace, say so, and keep them until the standard input ends."""
    syscall.prctl(syscall.PR_SET_PDEATHSIG, 9)
    try:
        syscall.unshare(syscall.CLONE_NEWNS)
        mount_api.mount(None, "/", None, mount_api.MS_REC | mount_api.MS_PRIVATE)
        give_name(home, USER, uid, ranges)
        open_the_way([home, *trees])
        flags = mount_api.MS_NOSUID | mount_api.MS_NODEV | mount_api.MS_NOEXEC
        mount_api.mount("tmpfs", os.path.join(home, LOCKED), "tmpfs", flags, f"mode=755,uid={uid},gid={uid},size=64k")
    except OSError as error:
        print(error, flush=True)
        return
    print("ready", flush=True)
    sys.stdin.read()


def main(arguments: list[str]) -> Any:
    """HOME UID RANGES TREES..."""
    home, uid, ranges, *trees = arguments
    keep(home, int(uid), ranges, trees)


if __name__ == "__main__":
    main(sys.argv[1:])
