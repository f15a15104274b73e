"""What the host shows of a container, for cases that ask what is left of it."""

from __future__ import annotations

import os


def groups_of(name: str) -> list[str]:
    """The directories of that name in all cgroup hierarchies."""
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(path) == name]
