"""What `seatrial-runtime features` prints: what this build can do, on any host (features.md, features-linux.md)."""

from __future__ import annotations

from seatrial.runtime import capability, mount_options
from seatrial.runtime.spec import names
from seatrial.runtime.spec.version import SPEC_VERSION_MIN
from seatrial.runtime.version import SPEC_VERSION, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def features() -> dict[str, Any]:
    """The Features structure.  A capability that is not implemented is said to be absent: false, or not in its list."""
    return {
        "ociVersionMin": SPEC_VERSION_MIN,
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(names.HOOKS),
        "mountOptions": mount_options.known(),
        "linux": {
            "namespaces": sorted(names.NAMESPACES),
            "capabilities": list(capability.NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": sorted(names.SECCOMP_ACTIONS),
                "operators": sorted(names.SECCOMP_OPERATORS),
                "archs": sorted(names.SECCOMP_ARCHITECTURES),
                "knownFlags": sorted(names.SECCOMP_FLAGS),
                "supportedFlags": sorted(names.SECCOMP_FLAGS),
            },
            "apparmor": {"enabled": False},
            "selinux": {"enabled": False},
            "intelRdt": {"enabled": False},
            "memoryPolicy": {"modes": sorted(names.MEMORY_POLICY_MODES), "flags": sorted(names.MEMORY_POLICY_FLAGS)},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {"org.seatrial.runtime.version": VERSION},
        "potentiallyUnsafeConfigAnnotations": ["org.systemd.property."],
    }
