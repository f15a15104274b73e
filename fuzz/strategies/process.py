"""The process block, as part of a config.json and as the process.json of `exec --process`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from seatrial.fuzz.strategies import text
from seatrial.fuzz.strategies.draft import Document, Draft, Part

# capabilities(7); the newest is CAP_CHECKPOINT_RESTORE, Linux 5.9.
CAPABILITIES = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
        "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
        "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL "
        "SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
    ).split()
)
INFINITY = 2**64 - 1
# Type -> (least, most): below the least a static program may fail to start; more than the most, which is no more than
# the hard limit that the kernel gives to init, takes CAP_SYS_RESOURCE.
RLIMITS = {
    "RLIMIT_CORE": (0, INFINITY),
    "RLIMIT_NOFILE": (64, 1024),
    "RLIMIT_CPU": (600, INFINITY),
    "RLIMIT_FSIZE": (2**24, INFINITY),
    "RLIMIT_DATA": (2**28, INFINITY),
    "RLIMIT_STACK": (2**20, INFINITY),
    "RLIMIT_RSS": (0, INFINITY),
    "RLIMIT_NPROC": (2**9, 2**10),
    "RLIMIT_MEMLOCK": (0, 2**16),
    "RLIMIT_AS": (2**32, INFINITY),
    "RLIMIT_LOCKS": (0, INFINITY),
    "RLIMIT_SIGPENDING": (64, 1024),
    "RLIMIT_MSGQUEUE": (0, 819200),
    "RLIMIT_RTTIME": (10**7, INFINITY),
}
RAISED = {
    "RLIMIT_NOFILE": (2**16, 2**20),  # fs.nr_open
    "RLIMIT_NPROC": (2**16, INFINITY),
    "RLIMIT_MEMLOCK": (2**26, INFINITY),
    "RLIMIT_SIGPENDING": (2**20, INFINITY),
    "RLIMIT_MSGQUEUE": (2**20, INFINITY),
    "RLIMIT_NICE": (1, 40),
    "RLIMIT_RTPRIO": (1, 99),
}
DIRECTORIES = ("/", "/tmp", "/etc", "/dev", "/proc")


def environment(draw: st.DrawFn, draft: Draft) -> None:
    """More variables, none of which replaces one that is there."""
    env = draft.process.setdefault("env", [])
    taken = {entry.partition("=")[0] for entry in env} | {"HOME", "PATH"}
    names = draw(st.lists(text.variables.filter(lambda name: name not in taken), min_size=1, max_size=4, unique=True))
    env += [f"{name}={draw(text.values)}" for name in names]


def directory(draw: st.DrawFn, draft: Draft) -> None:
    """A working directory that every container has."""
    draft.process["cwd"] = draw(st.sampled_from(DIRECTORIES))


def user(draw: st.DrawFn, draft: Draft) -> None:
    """Ids, groups and umask: ids that the container's user namespace maps."""
    uids, gids = draft.mapped("uid"), draft.mapped("gid")

    def id(end: int) -> int:
        return draw(st.one_of(st.sampled_from([0, 1, 1000, 65534]), st.integers(0, end - 1)).filter(lambda n: n < end))

    block: Document = {"uid": id(uids), "gid": id(gids)}
    if draw(st.booleans()):
        block["additionalGids"] = [id(gids) for _ in range(draw(st.integers(0, 4)))]
    if draw(st.booleans()):
        block["umask"] = draw(st.integers(0, 0o777))
    draft.process["user"] = block


def capabilities(draw: st.DrawFn, draft: Draft) -> None:
    """Five sets as capabilities(7) wants them: effective within permitted, ambient within permitted and inheritable."""

    def subset(of: list[str]) -> list[str]:
        return draw(st.lists(st.sampled_from(of), unique=True, max_size=8)) if of else []

    bounding = subset(list(CAPABILITIES))
    permitted, inheritable = subset(bounding), subset(bounding)
    block = {"bounding": bounding, "permitted": permitted, "inheritable": inheritable}
    block["effective"] = subset(permitted)
    block["ambient"] = subset([name for name in permitted if name in inheritable])
    absent = draw(st.sets(st.sampled_from(["ambient", "inheritable"])))
    if "inheritable" in absent:
        absent = {"ambient", "inheritable"}  # an ambient capability is inheritable
    draft.process["capabilities"] = {name: names for name, names in block.items() if name not in absent}


def rlimits(draw: st.DrawFn, draft: Draft) -> None:
    """Each type at most once, soft at most hard, and no higher than any runtime's own."""
    draft.process["rlimits"] = _limits(draw, RLIMITS)


def raised_rlimits(draw: st.DrawFn, draft: Draft) -> None:
    """Hard limits above the runtime's own: needs CAP_SYS_RESOURCE on the host."""
    draft.process["rlimits"] = _limits(draw, RAISED)


def _limits(draw: st.DrawFn, bounds: dict[str, tuple[int, int]]) -> list[Document]:
    entries = []
    for kind in draw(st.lists(st.sampled_from(list(bounds)), min_size=1, max_size=4, unique=True)):
        least, most = bounds[kind]
        hard = draw(st.one_of(st.integers(least, most), st.just(most)))
        entries.append({"type": kind, "hard": hard, "soft": draw(st.integers(least, hard))})
    return entries


def privileges(draw: st.DrawFn, draft: Draft) -> None:
    """noNewPrivileges, either way."""
    draft.process["noNewPrivileges"] = draw(st.booleans())


def oom_score(draw: st.DrawFn, draft: Draft) -> None:
    """oomScoreAdj of a program that is killed rather than others."""
    draft.process["oomScoreAdj"] = draw(st.integers(0, 1000))


def lowered_oom_score(draw: st.DrawFn, draft: Draft) -> None:
    """Lowering it needs CAP_SYS_RESOURCE on the host (proc_pid_oom_score_adj(5))."""
    draft.process["oomScoreAdj"] = draw(st.integers(-1000, -1))


def scheduler(draw: st.DrawFn, draft: Draft) -> None:
    """The ordinary policies of sched(7)."""
    block: Document = {"policy": draw(st.sampled_from(["SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"]))}
    if block["policy"] != "SCHED_IDLE" and draw(st.booleans()):
        block["nice"] = draw(st.integers(0, 19) | st.integers(-20, -1))
    if draw(st.booleans()):
        block["flags"] = ["SCHED_FLAG_RESET_ON_FORK"]
    draft.process["scheduler"] = block


def realtime(draw: st.DrawFn, draft: Draft) -> None:
    """SCHED_FIFO and SCHED_RR: a kernel with RT_GROUP_SCHED refuses them in a cgroup without a share of real time."""
    policy = draw(st.sampled_from(["SCHED_FIFO", "SCHED_RR"]))
    draft.process["scheduler"] = {"policy": policy, "priority": draw(st.integers(1, 99))}


def io_priority(draw: st.DrawFn, draft: Draft) -> None:
    """Class and level of ioprio_set(2)."""
    kind = draw(st.sampled_from(["IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE", "IOPRIO_CLASS_RT"]))
    draft.process["ioPriority"] = {"class": kind, "priority": draw(st.integers(0, 7))}


def affinity(draw: st.DrawFn, draft: Draft) -> None:
    """CPU 0, which every host has; it is for `exec`."""
    kinds = draw(st.lists(st.sampled_from(["initial", "final"]), min_size=1, unique=True))
    draft.process["execCPUAffinity"] = dict.fromkeys(kinds, "0")


def console_size(draw: st.DrawFn, draft: Draft) -> None:
    """A size without a terminal, which is ignored (config.md#process)."""
    sizes = st.integers(0, 2**16 - 1)
    draft.process["consoleSize"] = {"height": draw(sizes), "width": draw(sizes)}


PARTS: dict[str, Part] = {
    "environment": environment,
    "directory": directory,
    "user ids": user,
    "capabilities": capabilities,
    "rlimits": rlimits,
    "noNewPrivileges": privileges,
    "oomScoreAdj": oom_score,
    "scheduler": scheduler,
    "ioPriority": io_priority,
    "execCPUAffinity": affinity,
    "consoleSize": console_size,
}
HOST_PARTS: dict[str, Part] = {
    "raised rlimits": raised_rlimits,
    "lowered oomScoreAdj": lowered_oom_score,
    "real-time scheduler": realtime,
}


@st.composite
def processes(draw: st.DrawFn, base: Document | None = None) -> Any:
    """Process blocks that a correct runtime accepts, for `exec --process`; `base` is what they shrink to."""
    draft = Draft({"process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}} if base is None else base})
    chosen = draw(st.lists(st.sampled_from(list(PARTS)), unique=True, max_size=5))
    for name in PARTS:
        if name in chosen:
            PARTS[name](draw, draft)
    return draft.process
