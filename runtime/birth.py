"""How a container's first process gets into its cgroup: born there, or moved there.

On cgroup v2 clone3(2) with CLONE_INTO_CGROUP (Linux 5.7) starts the process in its cgroup, so that nothing of it ever
runs elsewhere.  Where that is not possible the executor waits at its first operation until it has been written to
cgroup.procs.  Which failure leads where is the table below; nothing else in the runtime decides it.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLASSIC = "classic"  # not supported here: spawn again with clone(2), then join
JOIN = "join"  # supported, but refused for a reason that joining may not have: spawn again, then join
ERROR = "error"  # a real failure

# errno of a spawn into a cgroup -> (what to do, why)
INTO_CGROUP = {
    errno.ENOSYS: (CLASSIC, "no clone3: a kernel before 5.3, or a filter that hides it"),
    errno.E2BIG: (CLASSIC, "clone3 without the cgroup field: Linux 5.3 to 5.6"),
    errno.EINVAL: (CLASSIC, "CLONE_INTO_CGROUP is not known: Linux 5.5 and 5.6"),
    errno.EPERM: (CLASSIC, "clone3 refused, as by the seccomp profile of an older engine"),
    errno.EOPNOTSUPP: (JOIN, "the cgroup is threaded or invalid"),
    errno.EBUSY: (JOIN, "the cgroup delegates domain controllers to children"),
    errno.EACCES: (JOIN, "no write access to the cgroups on the way"),
    errno.ENODEV: (ERROR, "the cgroup has been removed"),
    errno.EAGAIN: (ERROR, "a limit on the number of processes"),
    errno.ENOMEM: (ERROR, "not enough memory"),
}

# errno of clone3 without a cgroup -> the same
PLAIN = {
    errno.ENOSYS: (CLASSIC, "no clone3: a kernel before 5.3, or a filter that hides it"),
    errno.E2BIG: (CLASSIC, "a clone3 that knows fewer fields"),
    errno.EINVAL: (CLASSIC, "a clone3 that knows fewer flags"),
    errno.EPERM: (CLASSIC, "clone3 refused, as by the seccomp profile of an older engine"),
}


class Birth:
    """The result of `give_birth`."""

    __slots__ = ("in_cgroup", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, in_cgroup: bool) -> None:
        self.pid = pid
        self.pidfd = pidfd  # -1 where the kernel has none
        self.in_cgroup = in_cgroup


def give_birth(spawn: Callable[[int, bool], tuple[int, int]], cgroup_fd: int, debug: Callable[[str], None]) -> Birth:
    """Start the process; `spawn(cgroup_fd, classic)` does one attempt, each with everything fresh.

    `cgroup_fd` is -1 where there is no v2 hierarchy to be born in (on v1 alone the child joins by its `tasks` files).
    Raises the OSError of the last attempt.
    """
    attempts: Sequence[tuple[int, bool, dict[int, tuple[str, str]]]] = [(-1, False, PLAIN)]
    if cgroup_fd >= 0:
        attempts = [(cgroup_fd, False, INTO_CGROUP), *attempts]
    for cgroup, classic, table in attempts:
        try:
            pid, pidfd = spawn(cgroup, classic)
        except OSError as error:
            if not (error.strerror or "").startswith("clone3: "):
                raise  # the child was made and failed: chdir, exec ...
            decision, reason = table.get(error.errno or 0, (ERROR, ""))
            if decision == ERROR:
                raise
            debug(f"clone3{' into the cgroup' if cgroup >= 0 else ''}: {errno.errorcode[error.errno or 0]} ({reason})")
            if decision == CLASSIC:
                break
            continue
        if cgroup >= 0:
            debug("born in the cgroup")
        return Birth(pid, pidfd, cgroup >= 0)
    pid, pidfd = spawn(-1, True)
    return Birth(pid, pidfd, False)
