"""Control groups that an engine leaves: its parent cgroups, in every hierarchy."""

from __future__ import annotations

import glob
import os


def remove_cgroups(path: str) -> None:
    """Remove a cgroup path, which has no processes any more, with all below it from every hierarchy."""
    for top in glob.glob(f"/sys/fs/cgroup{path}") + glob.glob(f"/sys/fs/cgroup/*{path}"):
        for directory, _, _ in os.walk(top, topdown=False):
            os.rmdir(directory)
