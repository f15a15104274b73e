"""The bad values of the JSON schema: one small row per schema requirement of the ledger.

A row is (ledger id without its `schema-config-` prefix, JSON path, kind of value, first spec version that has the
field where that is later than 1.0.2).  Paths: `a.b[].c` is member c of an array's entry, `*` stands for several
members that share the requirement.  schema_objects.py knows how to build what lies around a path.
"""

from __future__ import annotations

from typing import Any, NamedTuple

U16, U32, U64 = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1
I32, I64 = ((-(1 << 31)), (1 << 31) - 1), ((-(1 << 63)), (1 << 63) - 1)


class Kind(NamedTuple):
    """A kind of value: what it is called and values that are not of that kind."""

    name: str
    bad: tuple[Any, ...]


STRING = Kind("string", (1, []))  # a scalar and a container: true and {} are told apart from a string no worse
OBJECT = Kind("object", ([], "x", 1))
STRINGS = Kind("array of strings", ({}, "x", [1]))
OBJECTS = Kind("array of objects", ({}, "x", [1]))
BOOLEAN = Kind("boolean", ("true", 1, {}))
STRING_MAP = Kind("object of strings", ([], "x", {"k": 1}))
INTEGER = Kind("integer", (1.5, "1", True))


def integer(low: int, high: int) -> Kind:
    """An integer low..high, both included."""
    return Kind(f"integer {low}..{high}", (low - 1, high + 1, 1.5, "1"))


UINT16, UINT32, UINT64 = integer(0, U16), integer(0, U32), integer(0, U64)
INT32, INT64 = integer(*I32), integer(*I64)


def constant(first: str) -> Kind:
    """One of a list of constants, of which `first` is one.  The empty string, which runtimes take for absent, has cases
    of its own."""
    return Kind("constant", (first.swapcase(), first + "X", 7))


def constants(first: str) -> Kind:
    """An array of constants, of which `first` is one."""
    return Kind("array of constants", ({}, "x", [first.swapcase()]))


def pattern(*bad: Any) -> Kind:
    """A string with a pattern that these values do not match."""
    return Kind("string with a pattern", bad)


class Row(NamedTuple):
    """A schema requirement."""

    id: str
    path: str
    kind: Kind
    since: str = "1.0.2"

    @property
    def ledger_id(self) -> str:
        """The id in the ledger."""
        return f"schema-config-{self.id}"


def _rows(folder: str, *rows: tuple[Any, ...]) -> list[Row]:
    return [Row(f"{folder}/{name}", *rest) for name, *rest in rows]


TOP = [
    *_rows("schema/specification-version", ("oci-version", "ociVersion", STRING)),
    *_rows("schema/annotations", ("annotations", "annotations", STRING_MAP)),
    *_rows("schema/hostname", ("hostname", "hostname", STRING)),
    *_rows("schema/domainname", ("domainname", "domainname", STRING, "1.1.0")),
    *_rows(
        "schema/root",
        ("root", "root", OBJECT),
        ("root-path", "root.path", STRING),
        ("root-readonly", "root.readonly", BOOLEAN),
    ),
    *_rows(
        "schema/posix-platform-hooks",
        ("hooks", "hooks", OBJECT),
        ("hooks-prestart", "hooks.prestart", OBJECTS),
        ("hooks-create-runtime", "hooks.createRuntime", OBJECTS),
        ("hooks-create-container", "hooks.createContainer", OBJECTS),
        ("hooks-start-container", "hooks.startContainer", OBJECTS),
        ("hooks-poststart", "hooks.poststart", OBJECTS),
        ("hooks-poststop", "hooks.poststop", OBJECTS),
        ("hooks-entry-path", "hooks.*[].path", STRING),
        ("hooks-entry-args", "hooks.*[].args", STRINGS),
        ("hooks-entry-env", "hooks.*[].env", STRINGS),
        ("hooks-entry-timeout", "hooks.*[].timeout", Kind("integer from 1", (0, 1.5, "1"))),
    ),
    *_rows(
        "schema/mounts",
        ("mounts", "mounts", OBJECTS),
        ("mounts-source", "mounts[].source", STRING),
        ("mounts-destination", "mounts[].destination", STRING),
        ("mounts-options", "mounts[].options", STRINGS),
    ),
    *_rows(
        "schema/posix-platform-mounts",
        ("mounts-type", "mounts[].type", STRING),
        ("mounts-uid-mappings", "mounts[].uidMappings", OBJECTS, "1.1.0"),
        ("mounts-gid-mappings", "mounts[].gidMappings", OBJECTS, "1.1.0"),
    ),
    *_rows(  # the mappings of mounts came later than those of linux, further down
        "linux/user-namespace-mappings",
        ("id-mapping-container-id", "mounts[].*Mappings[].containerID", UINT32, "1.1.0"),
        ("id-mapping-host-id", "mounts[].*Mappings[].hostID", UINT32, "1.1.0"),
        ("id-mapping-size", "mounts[].*Mappings[].size", UINT32, "1.1.0"),
    ),
]

PROCESS = [
    *_rows(
        "schema/process",
        ("process", "process", OBJECT),
        ("process-args", "process.args", STRINGS),
        ("process-console-size", "process.consoleSize", OBJECT),
        ("process-console-size-height", "process.consoleSize.height", UINT64),
        ("process-console-size-width", "process.consoleSize.width", UINT64),
        ("process-cwd", "process.cwd", STRING),
        ("process-env", "process.env", STRINGS),
        ("process-terminal", "process.terminal", BOOLEAN),
    ),
    *_rows(
        "schema/posix-platform-user",
        ("process-user", "process.user", OBJECT),
        ("process-user-uid", "process.user.uid", UINT32),
        ("process-user-gid", "process.user.gid", UINT32),
        ("process-user-umask", "process.user.umask", UINT32),
        (
            "process-user-additional-gids",
            "process.user.additionalGids",
            Kind("array of integers 0..2^32-1", ({}, "x", [-1], [U32 + 1])),
        ),
    ),
    *_rows(
        "schema/linux-process",
        ("process-capabilities", "process.capabilities", OBJECT),
        ("process-capabilities-bounding", "process.capabilities.bounding", STRINGS),
        ("process-capabilities-permitted", "process.capabilities.permitted", STRINGS),
        ("process-capabilities-effective", "process.capabilities.effective", STRINGS),
        ("process-capabilities-inheritable", "process.capabilities.inheritable", STRINGS),
        ("process-capabilities-ambient", "process.capabilities.ambient", STRINGS),
        ("process-apparmor-profile", "process.apparmorProfile", STRING),
        ("process-selinux-label", "process.selinuxLabel", STRING),
        ("process-oom-score-adj", "process.oomScoreAdj", INTEGER),
        ("process-no-new-privileges", "process.noNewPrivileges", BOOLEAN),
        ("process-io-priority", "process.ioPriority", OBJECT, "1.1.0"),
        ("process-io-priority-class", "process.ioPriority.class", constant("IOPRIO_CLASS_RT"), "1.1.0"),
        ("process-io-priority-priority", "process.ioPriority.priority", INT32, "1.1.0"),
        ("process-scheduler", "process.scheduler", OBJECT, "1.1.0"),
        ("process-scheduler-policy", "process.scheduler.policy", constant("SCHED_OTHER"), "1.1.0"),
        ("process-scheduler-nice", "process.scheduler.nice", INT32, "1.1.0"),
        ("process-scheduler-priority", "process.scheduler.priority", INT32, "1.1.0"),
        ("process-scheduler-flags", "process.scheduler.flags", constants("SCHED_FLAG_RESET_ON_FORK"), "1.1.0"),
        ("process-scheduler-runtime", "process.scheduler.runtime", UINT64, "1.1.0"),
        ("process-scheduler-deadline", "process.scheduler.deadline", UINT64, "1.1.0"),
        ("process-scheduler-period", "process.scheduler.period", UINT64, "1.1.0"),
        ("process-exec-cpu-affinity", "process.execCPUAffinity", OBJECT, "1.2.1"),
        ("process-exec-cpu-affinity-initial", "process.execCPUAffinity.initial", pattern("a", "0;1", 1), "1.2.1"),
        ("process-exec-cpu-affinity-final", "process.execCPUAffinity.final", pattern("a", "0;1", 1), "1.2.1"),
    ),
    *_rows(
        "schema/posix-process",
        ("process-rlimits", "process.rlimits", OBJECTS),
        ("process-rlimits-hard", "process.rlimits[].hard", UINT64),
        ("process-rlimits-soft", "process.rlimits[].soft", UINT64),
        ("process-rlimits-type", "process.rlimits[].type", pattern("rlimit_nofile", "NOFILE", "", 7)),
    ),
]

LINUX = [
    *_rows(
        "linux/devices",
        ("devices", "linux.devices", OBJECTS),
        ("devices-type", "linux.devices[].type", pattern("x", "cb", 7)),
        ("devices-path", "linux.devices[].path", STRING),
        # 512 has a case of its own: the text has no upper bound
        ("devices-file-mode", "linux.devices[].fileMode", Kind("integer from 0", (-1, 1.5, "1"))),
        ("devices-major", "linux.devices[].major", INT64),
        ("devices-minor", "linux.devices[].minor", INT64),
        ("devices-uid", "linux.devices[].uid", UINT32),
        ("devices-gid", "linux.devices[].gid", UINT32),
    ),
    *_rows(
        "linux/network-devices",
        ("net-devices", "linux.netDevices", OBJECT, "1.3.0"),
        ("net-devices-name", "linux.netDevices.*.name", STRING, "1.3.0"),
    ),
    *_rows(
        "linux/user-namespace-mappings",
        ("uid-mappings", "linux.uidMappings", OBJECTS),
        ("gid-mappings", "linux.gidMappings", OBJECTS),
        ("id-mapping-container-id", "linux.*Mappings[].containerID", UINT32),
        ("id-mapping-host-id", "linux.*Mappings[].hostID", UINT32),
        ("id-mapping-size", "linux.*Mappings[].size", UINT32),
    ),
    *_rows(
        "linux/namespaces",
        ("namespaces", "linux.namespaces", OBJECTS),
        ("namespaces-type", "linux.namespaces[].type", Kind("constant", ("MOUNT", "mountX", "", 7))),
        ("namespaces-path", "linux.namespaces[].path", STRING),
    ),
    *_rows(
        "linux/seccomp",
        ("seccomp", "linux.seccomp", OBJECT),
        ("seccomp-default-action", "linux.seccomp.defaultAction", constant("SCMP_ACT_KILL")),
        ("seccomp-default-errno-ret", "linux.seccomp.defaultErrnoRet", UINT32, "1.1.0"),
        ("seccomp-flags", "linux.seccomp.flags", constants("SECCOMP_FILTER_FLAG_TSYNC")),
        ("seccomp-listener-path", "linux.seccomp.listenerPath", STRING, "1.1.0"),
        ("seccomp-listener-metadata", "linux.seccomp.listenerMetadata", STRING, "1.1.0"),
        ("seccomp-architectures", "linux.seccomp.architectures", constants("SCMP_ARCH_X86")),
        ("seccomp-syscalls", "linux.seccomp.syscalls", OBJECTS),
        (
            "seccomp-syscalls-names",
            "linux.seccomp.syscalls[].names",
            Kind("array of at least one string", ({}, "x", [1], [])),
        ),
        ("seccomp-syscalls-action", "linux.seccomp.syscalls[].action", constant("SCMP_ACT_KILL")),
        ("seccomp-syscalls-errno-ret", "linux.seccomp.syscalls[].errnoRet", UINT32, "1.1.0"),
        ("seccomp-syscalls-args", "linux.seccomp.syscalls[].args", OBJECTS),
        ("seccomp-syscalls-args-index", "linux.seccomp.syscalls[].args[].index", UINT32),
        ("seccomp-syscalls-args-value", "linux.seccomp.syscalls[].args[].value", UINT64),
        ("seccomp-syscalls-args-value-two", "linux.seccomp.syscalls[].args[].valueTwo", UINT64),
        ("seccomp-syscalls-args-op", "linux.seccomp.syscalls[].args[].op", constant("SCMP_CMP_NE")),
    ),
    *_rows("linux/cgroups-path", ("cgroups-path", "linux.cgroupsPath", STRING)),
    *_rows("linux/rootfs-mount-propagation", ("rootfs-propagation", "linux.rootfsPropagation", constant("private"))),
    *_rows("linux/sysctl", ("sysctl", "linux.sysctl", STRING_MAP)),
    *_rows("linux/masked-paths", ("masked-paths", "linux.maskedPaths", STRINGS)),
    *_rows("linux/readonly-paths", ("readonly-paths", "linux.readonlyPaths", STRINGS)),
    *_rows("linux/mount-label", ("mount-label", "linux.mountLabel", STRING)),
    *_rows(
        "linux/intelrdt",
        ("intel-rdt", "linux.intelRdt", OBJECT),
        ("intel-rdt-clos-id", "linux.intelRdt.closID", STRING),
        ("intel-rdt-schemata", "linux.intelRdt.schemata", STRINGS, "1.3.0"),
        ("intel-rdt-l3-cache-schema", "linux.intelRdt.l3CacheSchema", STRING),
        ("intel-rdt-mem-bw-schema", "linux.intelRdt.memBwSchema", pattern("L3:0=f", "MB:0=10\nL3:0=f", 7)),
        ("intel-rdt-enable-monitoring", "linux.intelRdt.enableMonitoring", BOOLEAN, "1.3.0"),
    ),
    *_rows(
        "linux/memory-policy",
        ("memory-policy", "linux.memoryPolicy", OBJECT, "1.3.0"),
        ("memory-policy-mode", "linux.memoryPolicy.mode", constant("MPOL_DEFAULT"), "1.3.0"),
        ("memory-policy-nodes", "linux.memoryPolicy.nodes", STRING, "1.3.0"),
        ("memory-policy-flags", "linux.memoryPolicy.flags", constants("MPOL_F_NUMA_BALANCING"), "1.3.0"),
    ),
    *_rows(
        "linux/personality",
        ("personality", "linux.personality", OBJECT),
        ("personality-domain", "linux.personality.domain", constant("LINUX")),
        ("personality-flags", "linux.personality.flags", STRINGS),
    ),
    *_rows(
        "linux/offset-for-time-namespace",
        ("time-offsets", "linux.timeOffsets", OBJECT, "1.1.0"),
        ("time-offsets-boottime", "linux.timeOffsets.boottime", OBJECT, "1.1.0"),
        ("time-offsets-monotonic", "linux.timeOffsets.monotonic", OBJECT, "1.1.0"),
        ("time-offsets-secs", "linux.timeOffsets.*.secs", INT64, "1.1.0"),
        ("time-offsets-nanosecs", "linux.timeOffsets.*.nanosecs", UINT32, "1.1.0"),
    ),
]

RESOURCES = [
    *_rows("linux/control-groups", ("resources", "linux.resources", OBJECT)),
    *_rows("linux/unified", ("resources-unified", "linux.resources.unified", STRING_MAP, "1.1.0")),
    *_rows(
        "linux/allowed-device-list",
        ("resources-devices", "linux.resources.devices", OBJECTS),
        ("resources-devices-allow", "linux.resources.devices[].allow", BOOLEAN),
        ("resources-devices-type", "linux.resources.devices[].type", STRING),
        ("resources-devices-major", "linux.resources.devices[].major", INT64),
        ("resources-devices-minor", "linux.resources.devices[].minor", INT64),
        ("resources-devices-access", "linux.resources.devices[].access", STRING),
    ),
    *_rows(
        "linux/pids",
        ("resources-pids", "linux.resources.pids", OBJECT),
        ("resources-pids-limit", "linux.resources.pids.limit", INT64),
    ),
    *_rows(
        "linux/block-io",
        ("resources-block-io", "linux.resources.blockIO", OBJECT),
        ("resources-block-io-weight", "linux.resources.blockIO.weight", UINT16),
        ("resources-block-io-leaf-weight", "linux.resources.blockIO.leafWeight", UINT16),
        ("resources-block-io-throttle-read-bps-device", "linux.resources.blockIO.throttleReadBpsDevice", OBJECTS),
        ("resources-block-io-throttle-write-bps-device", "linux.resources.blockIO.throttleWriteBpsDevice", OBJECTS),
        ("resources-block-io-throttle-read-iops-device", "linux.resources.blockIO.throttleReadIOPSDevice", OBJECTS),
        ("resources-block-io-throttle-write-iops-device", "linux.resources.blockIO.throttleWriteIOPSDevice", OBJECTS),
        ("resources-block-io-throttle-major", "linux.resources.blockIO.throttle*[].major", INT64),
        ("resources-block-io-throttle-minor", "linux.resources.blockIO.throttle*[].minor", INT64),
        ("resources-block-io-throttle-rate", "linux.resources.blockIO.throttle*[].rate", UINT64),
        ("resources-block-io-weight-device", "linux.resources.blockIO.weightDevice", OBJECTS),
        ("resources-block-io-weight-device-major", "linux.resources.blockIO.weightDevice[].major", INT64),
        ("resources-block-io-weight-device-minor", "linux.resources.blockIO.weightDevice[].minor", INT64),
        ("resources-block-io-weight-device-weight", "linux.resources.blockIO.weightDevice[].weight", UINT16),
        ("resources-block-io-weight-device-leaf-weight", "linux.resources.blockIO.weightDevice[].leafWeight", UINT16),
    ),
    *_rows(
        "linux/cpu",
        ("resources-cpu", "linux.resources.cpu", OBJECT),
        ("resources-cpu-cpus", "linux.resources.cpu.cpus", STRING),
        ("resources-cpu-mems", "linux.resources.cpu.mems", STRING),
        ("resources-cpu-period", "linux.resources.cpu.period", UINT64),
        ("resources-cpu-quota", "linux.resources.cpu.quota", INT64),
        ("resources-cpu-burst", "linux.resources.cpu.burst", UINT64, "1.1.0"),
        ("resources-cpu-realtime-period", "linux.resources.cpu.realtimePeriod", UINT64),
        ("resources-cpu-realtime-runtime", "linux.resources.cpu.realtimeRuntime", INT64),
        ("resources-cpu-shares", "linux.resources.cpu.shares", UINT64),
        ("resources-cpu-idle", "linux.resources.cpu.idle", INT64, "1.1.0"),
    ),
    *_rows(
        "linux/huge-page-limits",
        ("resources-hugepage-limits", "linux.resources.hugepageLimits", OBJECTS),
        (
            "resources-hugepage-limits-page-size",
            "linux.resources.hugepageLimits[].pageSize",
            pattern("2mb", "64kB", "0KB", "2M", 2),
        ),
        ("resources-hugepage-limits-limit", "linux.resources.hugepageLimits[].limit", UINT64),
    ),
    *_rows(
        "linux/memory",
        ("resources-memory", "linux.resources.memory", OBJECT),
        ("resources-memory-kernel", "linux.resources.memory.kernel", INT64),
        ("resources-memory-kernel-tcp", "linux.resources.memory.kernelTCP", INT64),
        ("resources-memory-limit", "linux.resources.memory.limit", INT64),
        ("resources-memory-reservation", "linux.resources.memory.reservation", INT64),
        ("resources-memory-swap", "linux.resources.memory.swap", INT64),
        ("resources-memory-swappiness", "linux.resources.memory.swappiness", UINT64),
        ("resources-memory-disable-oom-killer", "linux.resources.memory.disableOOMKiller", BOOLEAN),
        ("resources-memory-use-hierarchy", "linux.resources.memory.useHierarchy", BOOLEAN),
        ("resources-memory-check-before-update", "linux.resources.memory.checkBeforeUpdate", BOOLEAN, "1.1.0"),
    ),
    *_rows(
        "linux/network",
        ("resources-network", "linux.resources.network", OBJECT),
        ("resources-network-class-id", "linux.resources.network.classID", UINT32),
        ("resources-network-priorities", "linux.resources.network.priorities", OBJECTS),
        ("resources-network-priorities-name", "linux.resources.network.priorities[].name", STRING),
        ("resources-network-priorities-priority", "linux.resources.network.priorities[].priority", UINT32),
    ),
    *_rows(
        "linux/rdma",
        ("resources-rdma", "linux.resources.rdma", OBJECT),
        ("resources-rdma-hca-handles", "linux.resources.rdma.*.hcaHandles", UINT32),
        ("resources-rdma-hca-objects", "linux.resources.rdma.*.hcaObjects", UINT32),
    ),
]

ROWS = [*TOP, *PROCESS, *LINUX, *RESOURCES]

EMPTY = [
    row
    for row in ROWS
    if (row.kind.name == "constant" and "" not in row.kind.bad) or row.id == "linux/devices/devices-type"
]  # rows whose constant or pattern excludes the empty string, tried apart from the other bad values
