"""A container through the library, after the example in libcontainer's README.

    python docs/examples/container.py [--root DIR] ROOTFS COMMAND [ARGUMENT]...

All seven namespaces, root mapped to uid 100000 of the host, a network namespace with nothing but loopback, the usual
mounts, masked and read-only paths, a few capabilities, limits.  ROOTFS is a directory with a file system, which that
user must be able to reach and read.  Needs root.
"""

from __future__ import annotations

import os
import sys

from seatrial.runtime import Container, Process
from seatrial.runtime.capability import mask
from seatrial.runtime.config import (
    Capabilities,
    Cgroup,
    Config,
    DeviceRule,
    IDMap,
    Mount,
    Namespace,
    Resources,
    Rlimit,
)
from seatrial.runtime.default_devices import complete_rules, with_defaults

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_STRICTATIME = 1, 2, 4, 8, 1 << 24
RLIMIT_NOFILE = 7


def configuration(rootfs: str) -> Config:
    """What is asked of the container; every field is described in seatrial/runtime/config.py."""
    capabilities = mask(["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"], [])
    quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC
    return Config(
        oci_version="1.3.0",
        bundle=os.path.dirname(rootfs),
        rootfs=rootfs,
        namespaces=[Namespace(type=type) for type in ("user", "ipc", "uts", "net", "pid", "mnt", "cgroup")],
        uid_mappings=[IDMap(container_id=0, host_id=100000, size=65536)],
        gid_mappings=[IDMap(container_id=0, host_id=100000, size=65536)],
        hostname="testing",
        mounts=[
            Mount(destination="/proc", source="proc", fstype="proc", flags=quiet),
            Mount(
                destination="/dev", source="tmpfs", fstype="tmpfs", flags=MS_NOSUID | MS_STRICTATIME, data="mode=755"
            ),
            Mount(
                destination="/dev/pts",
                source="devpts",
                fstype="devpts",
                flags=MS_NOSUID | MS_NOEXEC,
                data="newinstance,ptmxmode=0666,mode=0620,gid=5",
            ),
            Mount(destination="/dev/shm", source="shm", fstype="tmpfs", flags=quiet, data="mode=1777,size=65536k"),
            Mount(destination="/dev/mqueue", source="mqueue", fstype="mqueue", flags=quiet),
            Mount(destination="/sys", source="sysfs", fstype="sysfs", flags=quiet | MS_RDONLY),
        ],
        devices=with_defaults([]),
        mask_paths=["/proc/kcore", "/proc/keys", "/sys/firmware"],
        readonly_paths=["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"],
        capabilities=Capabilities(bounding=capabilities, permitted=capabilities, effective=capabilities),
        rlimits=[Rlimit(type=RLIMIT_NOFILE, soft=1025, hard=1025)],
        no_new_privileges=True,
        cgroups=Cgroup(resources=Resources(devices=complete_rules([DeviceRule(allow=False)], set()), pids_limit=100)),
    )


def main() -> int:
    """Run a command in a new container and return its exit status."""
    words = sys.argv[1:]
    root = "/run/seatrial"
    if words[:1] == ["--root"]:
        root = words[1]
        words = words[2:]
    if len(words) < 2:
        print(__doc__, file=sys.stderr)
        return 1
    rootfs, *command = words

    container = Container.create(root, f"example-{os.getpid()}", configuration(os.path.realpath(rootfs)))
    process = Process(command, env=["PATH=/usr/local/bin:/usr/bin:/bin"], cwd="/")
    container.run(process)  # a failure destroys the container
    try:
        print(f"container {container.id} is {container.status()}, pids {container.processes()}", file=sys.stderr)
        return process.wait() or 0
    finally:
        container.destroy(force=True)


if __name__ == "__main__":
    sys.exit(main())
