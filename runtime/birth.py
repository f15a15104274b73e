"""How a process of a container gets into its cgroup, for `run`, `create` and `exec`: born there, or moved there.

On cgroup v2 clone3(2) with CLONE_INTO_CGROUP (Linux 5.7) starts the process in its cgroup, so that nothing of it ever
runs elsewhere.  Where that is not possible the executor waits at its first operation until it has been written to
cgroup.procs.  Which failure leads where is the table below; nothing else in the runtime decides it.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.runtime.process import Process

CLASSIC = "classic"  # not supported here: spawn again with clone(2), then join
JOIN = "join"  # supported, but refused for a reason that joining may not have: spawn again, then join
INIT = "init"  # exec: be born in the cgroup where the container's init is now; NO_INIT for a container without one
ERROR = "error"  # a real failure

# errno of a spawn into a cgroup -> (what to do, why)
INTO_CGROUP = {
    errno.ENOSYS: (CLASSIC, "no clone3: a kernel before 5.3, or a filter that hides it"),
    errno.E2BIG: (CLASSIC, "clone3 without the cgroup field: Linux 5.3 to 5.6"),
    errno.EINVAL: (CLASSIC, "CLONE_INTO_CGROUP is not known: Linux 5.5 and 5.6"),
    errno.EPERM: (CLASSIC, "clone3 refused, as by the seccomp profile of an older engine"),
    errno.EOPNOTSUPP: (JOIN, "the cgroup is threaded or invalid"),
    errno.EBUSY: (INIT, "the cgroup delegates domain controllers to children"),
    errno.EACCES: (JOIN, "no write access to the cgroups on the way"),
    errno.ENODEV: (INIT, "the cgroup has been removed"),
    errno.EAGAIN: (ERROR, "a limit on the number of processes"),
    errno.ENOMEM: (ERROR, "not enough memory"),
}

# What INIT means without an init to follow: in `run` and `create`, with --cgroup, and when its cgroup refuses as well.
NO_INIT = {errno.EBUSY: JOIN, errno.ENODEV: ERROR}

# errno of clone3 without a cgroup -> the same
PLAIN = {
    errno.ENOSYS: (CLASSIC, "no clone3: a kernel before 5.3, or a filter that hides it"),
    errno.E2BIG: (CLASSIC, "a clone3 that knows fewer fields"),
    errno.EINVAL: (CLASSIC, "a clone3 that knows fewer flags"),
    errno.EPERM: (CLASSIC, "clone3 refused, as by the seccomp profile of an older engine"),
}


class Birth:
    """The result of `give_birth`: the Process that was started (the one given, or its clone) and what runs for it."""

    __slots__ = ("in_cgroup", "pid", "pidfd", "process")

    def __init__(self, process: Process, pid: int, pidfd: int, in_cgroup: bool) -> None:
        self.process = process
        self.pid = pid
        self.pidfd = pidfd  # -1 where the kernel has none
        self.in_cgroup = in_cgroup


def give_birth(
    process: Process,
    spawn: Callable[[Process, int, bool], tuple[int, int]],
    cgroup_fd: int,
    debug: Callable[[str], None],
    init_cgroup: Callable[[], int] | None = None,
) -> Birth:
    """Start a process on which `begin` has been called; `spawn(process, cgroup_fd, classic)` does one attempt.

    Each attempt is made with a Process of its own: the clone for the next one is taken before it, so that nothing a
    failed attempt has used up or changed is used again.  `cgroup_fd` is -1 where there is no v2 hierarchy to be born
    in (on v1 alone the child joins by its `tasks` files).  `init_cgroup` gives a descriptor of init's present cgroup,
    or -1.  Raises the OSError of the last attempt.
    """
    cgroup, classic = cgroup_fd, False
    while True:
        spare = process.clone()
        try:
            pid, pidfd = spawn(process, cgroup, classic)
        except OSError as error:
            number = error.errno or 0
            if classic or not (error.strerror or "").startswith("clone3: "):
                raise  # clone itself, or the child was made and failed: chdir, exec ...
            decision, reason = (INTO_CGROUP if cgroup >= 0 else PLAIN).get(number, (ERROR, ""))
            following = -1
            if decision == INIT:
                following = init_cgroup() if init_cgroup is not None else -1
                init_cgroup = None
                if following < 0:
                    decision = NO_INIT[number]
            if decision == ERROR:
                raise
            call = "clone3 into the cgroup" if cgroup >= 0 else "clone3"
            debug(f"{call}: {errno.errorcode[number]} ({reason}): {decision}")
            cgroup, classic = following, decision == CLASSIC
            spare.begin()
            process = spare
            continue
        if cgroup >= 0:
            debug("born in the cgroup")
        return Birth(process, pid, pidfd, cgroup >= 0)
