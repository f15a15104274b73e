"""What `seatrial-runtime features` prints: what this build can do, on any host (features.md, features-linux.md)."""

from __future__ import annotations

from seatrial.runtime import capability, mount_options
from seatrial.runtime.spec import names
from seatrial.runtime.spec.version import SPEC_VERSION_MIN
from seatrial.runtime.version import SPEC_VERSION, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNSUPPORTED_ACTIONS = ("SCMP_ACT_NOTIFY",)
UNSUPPORTED_FLAGS = ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",)  # it is about SCMP_ACT_NOTIFY


def features() -> dict[str, Any]:
    """The Features structure.  A capability that is not implemented is said to be absent: false, or not in its list."""
    flags = sorted(name for name in names.SECCOMP_FLAGS if name not in UNSUPPORTED_FLAGS)
    return {
        "ociVersionMin": SPEC_VERSION_MIN,
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(names.HOOKS),
        "mountOptions": mount_options.known(),
        "linux": {
            "namespaces": sorted(names.NAMESPACES),
            "capabilities": list(capability.NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": sorted(name for name in names.SECCOMP_ACTIONS if name not in UNSUPPORTED_ACTIONS),
                "operators": sorted(names.SECCOMP_OPERATORS),
                "archs": sorted(names.SECCOMP_ARCHITECTURES),
                "knownFlags": flags,
                "supportedFlags": flags,
            },
            "apparmor": {"enabled": False},
            "selinux": {"enabled": False},
            "intelRdt": {"enabled": False},
            "memoryPolicy": {"modes": sorted(names.MEMORY_POLICY_MODES), "flags": sorted(names.MEMORY_POLICY_FLAGS)},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {"org.seatrial.runtime.version": VERSION},
        "potentiallyUnsafeConfigAnnotations": [],
    }
