"""A host that has cgroup v2 alone, and a filter around a command: how the other half of the fallback table is reached.

The view is a mount over /sys/fs/cgroup in a mount namespace of its own: nothing is made or removed in the shared tmpfs.
"""

from __future__ import annotations

import os
import sys

from bundles import CommandLine

VIEW = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
NATIVE_TESTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "native")
FILTERED = f"""
import os, sys
sys.path.insert(0, {NATIVE_TESTS!r})
from old_clone3 import refuse_clone3
refuse_clone3(int(sys.argv[1]), sys.argv[2] == "into")
os.execvp(sys.argv[3], sys.argv[3:])
"""


def v2_only(words: list[str]) -> list[str]:
    """The command, in the view."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", VIEW, "sh", *words]


def refusing(errno: int, words: list[str], which: str = "all") -> list[str]:
    """The command with clone3 failing: "all" of them, or those that carry a cgroup ("into")."""
    return [sys.executable, "-c", FILTERED, str(errno), which, *words]


class V2CommandLine(CommandLine):
    """The runtime's command line on a host with cgroup v2 alone; with `errno`, clone3 fails."""

    def __init__(self, root: str, errno: int = 0, which: str = "all") -> None:
        super().__init__(root)
        self.errno = errno
        self.which = which

    def argv(self, *words: str) -> list[str]:
        command = super().argv(*words)
        return v2_only(refusing(self.errno, command, self.which) if self.errno else command)

    def refusing(self, errno: int, which: str = "all") -> V2CommandLine:
        """The same containers, with clone3 failing."""
        return V2CommandLine(self.root, errno, which)
