"""How to get what a host lacks, for every word of needs.py."""

from __future__ import annotations

VM = "a virtual machine whose kernel has it"

WORDS = {
    "root": "run as root of the host (not of a user namespace) with CAP_SYS_ADMIN: sudo, or a --privileged container",
    "cgroup1": "boot with systemd.unified_cgroup_hierarchy=0 (systemd before 256; 256 and 257 also want "
    "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1; later ones have no v1), or a virtual machine booted so",
    "cgroup2": "mount a v2 hierarchy: mkdir /sys/fs/cgroup/unified; mount -t cgroup2 none /sys/fs/cgroup/unified; for "
    "limits, a host that is v2 only (kernel option cgroup_no_v1=all, or systemd.unified_cgroup_hierarchy=1)",
    "userns": "sysctl -w user.max_user_namespaces=15000, on a kernel with CONFIG_USER_NS",
    "ids": "install newuidmap and newgidmap (Debian: uidmap), and give the user ranges: "
    "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
    "seccomp": f"a kernel with CONFIG_SECCOMP_FILTER, or {VM}",
    "criu": "install criu; where the distribution's is too old for the kernel, put a newer one into PATH, without any "
    "chroot (docs/checkpoint.md), or use a virtual machine",
    "tty": "mount devpts: mount -t devpts devpts /dev/pts",
    "time-ns": f"kernel 5.6 or newer with CONFIG_TIME_NS, or {VM}",
    "hooks": "nothing: every host has it",
    "net": "run with CAP_NET_ADMIN",
    "veth": "install ip, unshare and nsenter (Debian: iproute2, util-linux); a kernel with CONFIG_VETH (modprobe veth)",
    "selinux": "boot with security=selinux on a kernel with CONFIG_SECURITY_SELINUX, and load a policy (Debian: "
    f"selinux-basics, selinux-policy-default; Fedora has it on), or {VM}",
    "apparmor": "boot with apparmor=1 security=apparmor on a kernel with CONFIG_SECURITY_APPARMOR (Debian's and "
    f"Ubuntu's kernels have it), or {VM}",
    "rdt": "a CPU with Intel RDT or AMD QoS, a kernel with CONFIG_X86_CPU_RESCTRL, and "
    "mount -t resctrl resctrl /sys/fs/resctrl",
    "hugetlb": "a kernel with CONFIG_HUGETLBFS and CONFIG_CGROUP_HUGETLB, and that controller in the cgroup view",
    "numa": f"a kernel with CONFIG_NUMA, or {VM}",
    "blkdev": "loop devices (modprobe loop), and the blkio (v1) or io (v2) controller in the cgroup view",
    "systemd": "a host or virtual machine whose init process is systemd",
    "rdma": "an RDMA device, such as one in software (modprobe rdma_rxe; rdma link add rxe0 type rxe netdev DEVICE), "
    "and the rdma controller in the cgroup view",
    "smp": "a second CPU: a machine with more, or a wider affinity (taskset)",
    "swap": "swap space: fallocate -l 64M FILE; chmod 600 FILE; mkswap FILE; swapon FILE (not on tmpfs or overlayfs)",
    "exec": "a runtime that has the command",
    "features": "a runtime that has the command",
}
PACKAGES = {
    "unshare": "util-linux",
    "mount": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ps": "procps",
    "ip": "iproute2",
}
CONTROLLERS = {
    "memory": "CONFIG_MEMCG, and not cgroup_disable=memory on the kernel's command line",
    "cpu": "CONFIG_CGROUP_SCHED and CONFIG_CFS_BANDWIDTH",
    "cpuacct": "CONFIG_CGROUP_CPUACCT",
    "cpuset": "CONFIG_CPUSETS",
    "pids": "CONFIG_CGROUP_PIDS",
    "blkio": "CONFIG_BLK_CGROUP",
    "io": "CONFIG_BLK_CGROUP",
    "devices": "CONFIG_CGROUP_DEVICE",
    "freezer": "CONFIG_CGROUP_FREEZER",
    "net_cls": "CONFIG_CGROUP_NET_CLASSID",
    "net_prio": "CONFIG_CGROUP_NET_PRIO",
    "hugetlb": "CONFIG_CGROUP_HUGETLB",
    "rdma": "CONFIG_CGROUP_RDMA",
    "perf_event": "CONFIG_CGROUP_PERF",
    "misc": "CONFIG_CGROUP_MISC",
}
V1_ONLY = ("cpuacct", "blkio", "devices", "freezer", "net_cls", "net_prio")  # v2 has none of that name


def remedy(word: str, reason: str = "") -> str:
    """What to do about an unmet need."""
    if word in WORDS:
        return WORDS[word]
    if word.startswith("criu>="):
        return f"a criu of at least {word[6:]} in PATH (docs/checkpoint.md)"
    prefix, argument = ("kernel>=", word[8:]) if word.startswith("kernel>=") else word.split(":", 1)
    if prefix == "criu":
        return f"a kernel and a criu with which `criu check --feature {argument}` succeeds: {WORDS['criu']}"
    if prefix == "kernel>=":
        return f"a kernel of at least {argument}: a newer one of the distribution, or a virtual machine"
    if prefix == "cap":
        return (
            f"run with CAP_{argument}: sudo, docker run --cap-add {argument}, or CapabilityBoundingSet= of the service"
        )
    if prefix == "cgroup":
        return _controller(argument, reason)
    if prefix == "program":
        package = PACKAGES.get(argument)
        return f"install {argument}" + (f" (Debian: {package})" if package else "")
    if prefix == "filesystem":
        return f"modprobe {argument}, or a kernel with that file system built in"
    return "a runtime that has the command"


def _controller(name: str, reason: str) -> str:
    if "ordinary user" in reason:
        return "run as root"
    config = CONTROLLERS.get(name, "it")
    first = f"a kernel with {config}; "
    v1 = f"mount it on v1 (mount -t cgroup -o {name} none /sys/fs/cgroup/{name})"
    v2 = (
        f"on v2 echo +{name} to the cgroup.subtree_control of every cgroup above; a controller is in one hierarchy only"
    )
    if name in V1_ONLY:
        return first + v1
    return first + (v2 if name == "io" else f"{v1}, or {v2}")
