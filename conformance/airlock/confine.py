"""Confines a process: its own mount and cgroup namespaces, a cgroup subtree as the root of what it sees, a chosen view.

The view is mounted over /sys/fs/cgroup in the private mount namespace; in the host's tmpfs nothing is made or removed.
"""

from __future__ import annotations

import contextlib
import os

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.airlock.subtree import Hierarchy, Subtree
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.native import mount_api, syscall

VIEWS = ("auto", "host", "v1", "v2", "hybrid")
FLAGS = mount_api.MS_NOSUID | mount_api.MS_NODEV | mount_api.MS_NOEXEC
NAMESPACES = syscall.CLONE_NEWNS | syscall.CLONE_NEWCGROUP


def choose(view: str) -> str:
    """The mode (v1, v2, hybrid) that a wanted view means on this host; EnvironmentProblem when the host cannot show
    it."""
    here = cgroups.read_view()
    mode = here.mode if view in ("host", "auto") else view
    if mode in ("v1", "hybrid") and not here.v1:
        raise EnvironmentProblem(f"no cgroup {mode} view: the host has no v1 hierarchies")
    if mode in ("v2", "hybrid") and here.v2 is None:
        raise EnvironmentProblem(f"no cgroup {mode} view: the host has no v2 hierarchy")
    if mode == "none":
        raise EnvironmentProblem("no cgroup hierarchy is mounted below /sys/fs/cgroup")
    return mode


def enter(subtree: Subtree, mode: str, more_namespaces: int = 0) -> None:
    """Move into the subtree, leave the host's namespaces and mount the view.  EnvironmentProblem says which call
    failed.

    A process with threads may do this: namespaces change for the calling thread, the one that starts the runtimes.
    """
    subtree.join()
    try:
        syscall.unshare(NAMESPACES | more_namespaces)
        mount_api.mount(None, "/", None, mount_api.MS_REC | mount_api.MS_PRIVATE)
        mount_view([hierarchy for hierarchy, _ in subtree.places], mode)
    except OSError as error:
        raise EnvironmentProblem(f"cannot confine the harness: {error}") from error
    root = cgroups.read_view().v2
    if root is not None:
        subtree.settle(root)


def change_view(subtree: Subtree, mode: str) -> None:
    """Replace the view that enter() mounted."""
    try:
        mount_api.umount(cgroups.ROOT, mount_api.MNT_DETACH)
        mount_view([hierarchy for hierarchy, _ in subtree.places], mode)
    except OSError as error:
        raise EnvironmentProblem(f"cannot change the cgroup view: {error}") from error


def mount_view(known: list[Hierarchy], mode: str) -> None:
    """Mount the hierarchies, rooted at our cgroup namespace, over /sys/fs/cgroup.  OSError from mount(2)."""
    mount_api.mount("tmpfs", cgroups.ROOT, "tmpfs", FLAGS, "mode=755,size=1m")
    if mode == "v2":  # over the tmpfs: on another cgroup2 mount it would be EBUSY
        mount_api.mount("cgroup2", cgroups.ROOT, "cgroup2", FLAGS)
        return
    for hierarchy in known:
        if hierarchy.version == 2:
            if mode == "hybrid":
                path = os.path.join(cgroups.ROOT, "unified")
                os.mkdir(path)
                mount_api.mount("cgroup2", path, "cgroup2", FLAGS)
            continue
        name = os.path.basename(hierarchy.mount)
        path = os.path.join(cgroups.ROOT, name)
        os.mkdir(path)
        mount_api.mount("cgroup", path, "cgroup", FLAGS, hierarchy.option)
        for controller in hierarchy.option.removeprefix("none,name=").split(","):
            if controller != name:  # co-mounted controllers are found by their own names, too
                with contextlib.suppress(FileExistsError):
                    os.symlink(name, os.path.join(cgroups.ROOT, controller))
