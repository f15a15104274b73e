"""The container's configuration as the runtime works with it: libcontainer's model in Python names.

`seatrial.runtime.convert` makes a `Config` from an OCI document, and library users make one by hand; then
`seatrial.runtime.validate` checks it and `seatrial.runtime.plan` compiles it.  Everything is plain data: `to_json` and
`from_json` round-trip through state.json.  Flags and numbers are the kernel's own (mount(2), mount_setattr(2),
setrlimit(2), sched_setattr(2)), so that nothing is looked up again later.
"""

from __future__ import annotations

from seatrial.runtime.record import Record

# Namespace types by /proc/PID/ns name, with the CLONE_NEW* flag (clone(2), clone3(2) for time).
NAMESPACE_FLAGS = {
    "user": 0x10000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "net": 0x40000000,
    "pid": 0x20000000,
    "mnt": 0x00020000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
}


class IDMap(Record):
    """One line of uid_map or gid_map (user_namespaces(7)).  All three are 32-bit."""

    container_id: int
    host_id: int
    size: int


class Namespace(Record):
    """A namespace of the container: new, or joined when `path` is given."""

    type: str  # a key of NAMESPACE_FLAGS
    path: str | None = None  # absolute host path of a namespace file


class MountIDMap(Record):
    """An id-mapped bind mount (mount_setattr(2), MOUNT_ATTR_IDMAP, Linux 5.12)."""

    uid_mappings: list[IDMap] = []  # both empty: those of the container's user namespace
    gid_mappings: list[IDMap] = []
    recursive: bool = False  # the mounts below it too (ridmap)


class Mount(Record):
    """One mount, in the order in which they are made."""

    destination: str  # absolute path in the container
    source: str = ""  # host path of a bind mount (absolute), else the kernel's source string
    fstype: str = ""  # filesystem type; "bind" when flags has MS_BIND
    flags: int = 0  # MS_* to set, without propagation bits
    cleared_flags: int = 0  # MS_* that an option (such as `exec` or `rw`) explicitly cleared
    propagation_flags: list[int] = []  # MS_PRIVATE | MS_REC ..., applied in order after the mount
    data: str = ""  # filesystem options, comma separated
    rec_attr_set: int = 0  # MOUNT_ATTR_* to set recursively (bind mounts)
    rec_attr_clr: int = 0  # MOUNT_ATTR_* to clear recursively; MOUNT_ATTR__ATIME with any atime member
    copy_up: bool = False  # tmpcopyup
    idmap: MountIDMap | None = None


class Device(Record):
    """A device node or fifo to create in the container."""

    path: str  # absolute path in the container
    type: str  # "c", "b" or "p"
    major: int = 0
    minor: int = 0
    mode: int = 0o666  # permission bits only
    uid: int = 0  # as seen in the container
    gid: int = 0


class DeviceRule(Record):
    """A rule of the device cgroup; later rules win."""

    allow: bool
    type: str = "a"  # "a" (all), "b" or "c"
    major: int | None = None  # None: any
    minor: int | None = None
    access: str = "rwm"  # letters of "rwm", each at most once


class WeightDevice(Record):
    """The share of one block device."""

    major: int
    minor: int
    weight: int | None = None  # 10 to 1000
    leaf_weight: int | None = None  # v1 with the CFQ scheduler (before Linux 5.0)


class ThrottleDevice(Record):
    """A limit for one block device."""

    major: int
    minor: int
    rate: int  # bytes or operations per second


class HugepageLimit(Record):
    """A limit on huge pages of one size."""

    page_size: str  # as the cgroup files have it: "2MB", "1GB"
    limit: int  # bytes


class InterfacePriority(Record):
    """The priority of the traffic through one network interface."""

    name: str
    priority: int


class RdmaLimit(Record):
    """Limits on an RDMA device."""

    hca_handles: int | None = None
    hca_objects: int | None = None


class Resources(Record):
    """Cgroup limits.  None means: leave the kernel's value alone.  Bytes, microseconds, counts; -1 is unlimited."""

    devices: list[DeviceRule] = []  # complete: starts with "deny all" and has the default devices; []: no filter
    memory_limit: int | None = None
    memory_reservation: int | None = None
    memory_swap: int | None = None  # memory + swap, as in OCI and v1
    memory_kernel: int | None = None  # v1, kernels before 5.16
    memory_kernel_tcp: int | None = None  # v1
    memory_swappiness: int | None = None  # v1
    memory_disable_oom_killer: bool | None = None
    memory_use_hierarchy: bool | None = None  # v1; kernels since 5.11 know nothing else
    memory_check_before_update: bool = False
    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_burst: int | None = None
    cpu_period: int | None = None
    cpu_realtime_runtime: int | None = None
    cpu_realtime_period: int | None = None
    cpu_idle: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids_limit: int | None = None
    blkio_weight: int | None = None  # 10 to 1000
    blkio_leaf_weight: int | None = None  # v1 with the CFQ scheduler (before Linux 5.0)
    blkio_weight_devices: list[WeightDevice] = []
    blkio_read_bps: list[ThrottleDevice] = []
    blkio_write_bps: list[ThrottleDevice] = []
    blkio_read_iops: list[ThrottleDevice] = []
    blkio_write_iops: list[ThrottleDevice] = []
    hugepage_limits: list[HugepageLimit] = []
    net_class_id: int | None = None  # v1 only
    net_priorities: list[InterfacePriority] = []  # v1 only
    rdma: dict[str, RdmaLimit] = {}  # device -> limits
    unified: dict[str, str] = {}  # cgroup v2 file -> value, written last

    def blocks(self) -> set[str]:
        """The kinds of limits that are given: first words of fields (memory, cpu, cpuset, pids, blkio, net ...)."""
        fields = self._fields
        return {name.partition("_")[0] for name, default in fields.items() if getattr(self, name) != default}


class Cgroup(Record):
    """Where the container's cgroup is and what it limits."""

    path: str | None = None  # linux.cgroupsPath as given (absolute: from the hierarchy's root); None: runtime's choice
    resources: Resources = Resources()
    systemd: bool = False  # --systemd-cgroup


class Capabilities(Record):
    """Five masks, bit N = capability N (capabilities(7))."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0


class Rlimit(Record):
    """A resource limit; infinity is 2**64 - 1."""

    type: int  # RLIMIT_* number of this architecture
    soft: int
    hard: int


class Hook(Record):
    """A program to run at a point of the lifecycle."""

    path: str  # absolute
    args: list[str] = []  # including args[0]; empty: the path alone
    env: list[str] = []
    timeout: int | None = None  # seconds


class Hooks(Record):
    """The six lists, each in config order."""

    prestart: list[Hook] = []
    create_runtime: list[Hook] = []
    create_container: list[Hook] = []
    start_container: list[Hook] = []
    poststart: list[Hook] = []
    poststop: list[Hook] = []


class SeccompArgument(Record):
    """A condition on one syscall argument."""

    index: int  # 0 to 5
    value: int
    op: str  # SCMP_CMP_*
    value_two: int = 0  # the value to compare with, for SCMP_CMP_MASKED_EQ (`value` is the mask)


class SeccompRule(Record):
    """The action for some syscalls."""

    names: list[str]
    action: str  # SCMP_ACT_*
    errno: int | None = None  # for SCMP_ACT_ERRNO and SCMP_ACT_TRACE; None: EPERM
    args: list[SeccompArgument] = []


class Seccomp(Record):
    """A seccomp profile, in libseccomp's names."""

    default_action: str
    default_errno: int | None = None
    architectures: list[str] = []  # SCMP_ARCH_*; the native one is always in the filter
    flags: list[str] | None = None  # SECCOMP_FILTER_FLAG_*; None: the member is absent
    syscalls: list[SeccompRule] = []
    listener_path: str = ""  # unix socket that gets the listener of SCMP_ACT_NOTIFY
    listener_metadata: str = ""


class TimeOffset(Record):
    """An offset of a clock in a new time namespace (time_namespaces(7))."""

    secs: int = 0
    nanosecs: int = 0


class Scheduler(Record):
    """Arguments of sched_setattr(2)."""

    policy: int  # SCHED_* number
    nice: int = 0
    priority: int = 0
    flags: int = 0  # SCHED_FLAG_*
    runtime: int = 0  # nanoseconds
    deadline: int = 0
    period: int = 0


class IOPriority(Record):
    """Arguments of ioprio_set(2)."""

    io_class: int  # 1 real-time, 2 best effort, 3 idle
    priority: int = 0

    @property
    def value(self) -> int:
        """The number that ioprio_set(2) takes."""
        return self.io_class << 13 | self.priority


class CPUAffinity(Record):
    """The CPUs of a process that `exec` starts, as lists ("0-3,7"); "": unset (config.md#posix-process)."""

    initial: str = ""  # until it is in its cgroup
    final: str = ""


class MemoryPolicy(Record):
    """Arguments of set_mempolicy(2)."""

    mode: int  # MPOL_*
    flags: int = 0  # MPOL_F_*
    nodes: str = ""  # "0-3,7"


class NetDevice(Record):
    """A network device of the runtime's namespace that moves into the container's."""

    name: str = ""  # its name there; "": the same


class Network(Record):
    """A network interface that the runtime makes for the container (libcontainer's model; not in OCI documents).

    A veth pair: `name` goes into the container, `host_name` stays, attached to `bridge` if one is named.  "loopback" is
    in every new network namespace, up; the entry is there for libcontainer's users.
    """

    type: str  # "veth" or "loopback"
    name: str = ""
    host_name: str = ""
    bridge: str = ""
    address: str = ""  # "10.0.0.2/24"
    gateway: str = ""  # of the default route in the container
    mac_address: str = ""
    mtu: int = 0  # of both ends; 0: the kernel's


class IntelRdt(Record):
    """A class of service of resctrl (Documentation/arch/x86/resctrl.rst)."""

    clos_id: str = ""  # "": named after the container, and removed with it
    schemata: list[str] = []
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    enable_monitoring: bool = False


class Process(Record):
    """The program of the container, and who runs it."""

    args: list[str]
    cwd: str  # absolute path in the container
    env: list[str] = []  # "NAME=value"
    uid: int = 0  # in the container's user namespace
    gid: int = 0
    user: str = ""  # a name, NAME:GROUP ...: looked up in the container, in place of uid and gid
    additional_gids: list[int] = []
    umask: int | None = None  # None: the caller's stays
    terminal: bool = False
    console_width: int = 0  # 0 x 0: not given
    console_height: int = 0


class Config(Record):
    """Everything that is asked of a container."""

    oci_version: str
    bundle: str  # absolute
    rootfs: str  # absolute
    readonlyfs: bool = False
    process: Process | None = None  # needed by `start` at the latest
    namespaces: list[Namespace] = []  # user first, then ipc, uts, net, pid, mnt, cgroup, time
    uid_mappings: list[IDMap] = []
    gid_mappings: list[IDMap] = []
    time_offsets: dict[str, TimeOffset] = {}  # "monotonic", "boottime"
    hostname: str = ""  # "": not set
    domainname: str = ""
    mounts: list[Mount] = []
    devices: list[Device] = []  # the default ones, then linux.devices; same path: linux.devices replaces
    mask_paths: list[str] = []
    readonly_paths: list[str] = []
    rootfs_propagation: int = 0  # MS_SHARED, MS_SLAVE | MS_REC ...; 0: not given
    sysctl: dict[str, str] = {}  # dotted key -> value
    cgroups: Cgroup = Cgroup()
    capabilities: Capabilities | None = None  # None: leave the process's sets alone
    rlimits: list[Rlimit] = []
    no_new_privileges: bool = False
    oom_score_adj: int | None = None
    personality: int | None = None  # personality(2): PER_LINUX 0, PER_LINUX32 8
    scheduler: Scheduler | None = None
    io_priority: IOPriority | None = None
    exec_cpu_affinity: CPUAffinity | None = None  # for `exec`, not for init
    memory_policy: MemoryPolicy | None = None
    apparmor_profile: str = ""
    process_label: str = ""  # SELinux
    mount_label: str = ""
    net_devices: dict[str, NetDevice] = {}  # name in the runtime's namespace -> what it becomes
    networks: list[Network] = []
    intel_rdt: IntelRdt | None = None
    seccomp: Seccomp | None = None
    hooks: Hooks = Hooks()
    annotations: dict[str, str] = {}
    init_env: list[str] = []  # for the first process, after its env: NOTIFY_SOCKET, LISTEN_FDS
    no_pivot_root: bool = False
    no_new_keyring: bool = False
    rootless_euid: bool = False  # the runtime's effective uid is not 0
    rootless_cgroups: bool = False  # cgroup failures are tolerated
    warnings: list[str] = []  # for the log: unknown capabilities and the like

    def namespace(self, type: str) -> Namespace | None:
        """The entry of this type, or None: the container shares the runtime's."""
        for namespace in self.namespaces:
            if namespace.type == type:
                return namespace
        return None

    def is_new(self, type: str) -> bool:
        """Whether the container gets a new namespace of this type."""
        namespace = self.namespace(type)
        return namespace is not None and not namespace.path

    def private(self, type: str) -> bool:
        """Whether the container has a namespace entry of this type, new or joined."""
        return self.namespace(type) is not None
