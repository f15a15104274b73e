"""What the compiler must know besides the Config: facts of the host and of this launch, gathered by the launcher."""

from __future__ import annotations

from seatrial.runtime.record import Record


class CgroupHierarchy(Record):
    """One cgroup v1 hierarchy of the host, for mounts of type `cgroup`."""

    name: str  # directory name below the cgroup mount, e.g. "cpu,cpuacct" or "systemd"
    options: str  # mount(2) data that selects it, e.g. "cpu,cpuacct" or "none,name=systemd"
    path: str  # host path of the container's own directory in it


class Environment(Record):
    """Host and launch facts.

    Descriptors are numbers in the child, as given to `seatrial.native.spawn`.  The fields about cgroups matter only
    when the config has a mount of type `cgroup`; they may stay empty otherwise.
    """

    id: str  # container id: names the session keyring
    cache_root: str = ""  # the runtime's root, below which compiled seccomp profiles are kept; "": they are not
    keep: int = 3  # first descriptor that the program does not get: 3 + preserved ones
    born_in_cgroup: bool = False  # clone3(CLONE_INTO_CGROUP) worked: no SYNC_CGROUP
    gate: int | None = None  # listening socket for `start`; None (run): SYNC_START in its place
    namespace_fds: dict[str, int] = {}  # namespace type -> descriptor, for every namespace that is joined
    root_fd: int | None = None  # exec: the root of an init without a mount namespace of its own
    privileged: bool = True  # euid 0 with the capabilities of its user namespace
    in_user_namespace: bool = False  # the runtime itself is not in the initial user namespace: no mknod
    setgroups_denied: bool = False  # /proc/self/setgroups of the runtime: every namespace below inherits it
    hard_limits: dict[int, int] = {}  # RLIMIT_* -> hard limit of the runtime, where known; used with a user namespace
    kcore: bool = False  # /proc/kcore exists: /dev/core points to it
    state_creating: tuple[bytes, bytes] = (b"{}", b"")  # state before and after the pid, status "creating"
    state_created: tuple[bytes, bytes] = (b"{}", b"")  # the same with status "created"
    cgroup_version: int = 1  # 2: unified; 1: v1 and hybrid
    cgroup_hierarchies: list[CgroupHierarchy] = []  # v1: in the order of /proc/self/cgroup
    cgroup_path: str = ""  # v2: host path of the container's own cgroup directory
    cgroup_root: str = "/sys/fs/cgroup"  # v2: where the host has the unified hierarchy
