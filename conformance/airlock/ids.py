"""The ids that an ordinary user can map into a user namespace: the own ones, and ranges by newuidmap and newgidmap."""

from __future__ import annotations

import os
import pwd
import shutil
from functools import cache

MOST = 65535  # ids beside the own one that a bundle maps, at most
LEAST = 65534  # and at least: cases use some up to this one


def ranges(table: str, user: str, uid: int) -> list[tuple[int, int]]:
    """(first, count) of the ranges that a file in the format of subuid(5) gives to a user; none when it is missing."""
    found = []
    try:
        with open(table, encoding="utf-8", errors="replace") as file:
            for line in file:
                owner, _, rest = line.strip().partition(":")
                first, _, count = rest.partition(":")
                if owner in (user, str(uid)) and first.isdecimal() and count.isdecimal() and int(count) > 0:
                    found.append((int(first), int(count)))
    except OSError:
        return []
    return found


@cache
def lacking() -> str | None:
    """Why only the own ids can be mapped; None where more can."""
    for program in ("newuidmap", "newgidmap"):
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/bin:/bin") is None:
            return f"no program {program}"
    user = _user()
    if user is None:
        return f"uid {os.getuid()} has no name"
    for table in ("/etc/subuid", "/etc/subgid"):
        if not any(count >= LEAST for _, count in ranges(table, user, os.getuid())):
            return f"{table} has no range of {LEAST} ids for {user}"
    return None


def mappings() -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """uidMappings and gidMappings for a container of this user: its own ids are root, then come those of its ranges."""
    made = []
    for table, own in (("/etc/subuid", os.geteuid()), ("/etc/subgid", os.getegid())):
        lines = [{"containerID": 0, "hostID": own, "size": 1}]
        if lacking() is None:
            first, count = max(ranges(table, _user() or "", os.getuid()), key=lambda one: one[1])
            lines.append({"containerID": 1, "hostID": first, "size": min(count, MOST)})
        made.append(lines)
    return made[0], made[1]


def _user() -> str | None:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None
