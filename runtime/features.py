"""What `seatrial-runtime features` prints: what this build can do, on any host (features.md, features-linux.md); of
the seccomp flags also what this kernel supports.

Next to nothing here says what is implemented: the converter is asked, with names from the tables that the code itself
works with.  It refuses a member, an action or a flag that this runtime does not implement with UnsupportedError, and
with that alone, so whoever implements one and removes its refusal has listed it as well.
"""

from __future__ import annotations

from seatrial.native.seccomp import supported_flags
from seatrial.runtime import capability, mount_options
from seatrial.runtime.cgroup.systemd_properties import ANNOTATION
from seatrial.runtime.cgroup.v1 import CgroupV1
from seatrial.runtime.cgroup.v2 import CgroupV2
from seatrial.runtime.convert import convert
from seatrial.runtime.criu.options import CONFIG_ANNOTATION
from seatrial.runtime.errors import ConfigError, UnsupportedError
from seatrial.runtime.seccomp import filter
from seatrial.runtime.seccomp.libseccomp import COMPARE
from seatrial.runtime.spec import names
from seatrial.runtime.spec.schema import CONFIG
from seatrial.runtime.spec.version import SPEC_VERSION_MIN
from seatrial.runtime.version import SPEC_VERSION, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_MAPPING = [{"containerID": 0, "hostID": 1, "size": 1}]
_MAPPED = {"destination": "/m", "source": "/", "options": ["bind"], "uidMappings": _MAPPING, "gidMappings": _MAPPING}


def takes(*, linux: dict[str, Any] | None = None, process: dict[str, Any] | None = None, **members: Any) -> bool:
    """Whether the converter takes a document with these members: whether they are implemented."""
    document: dict[str, Any] = {"ociVersion": SPEC_VERSION, "root": {"path": "/"}, **members}
    if linux is not None:
        document["linux"] = linux
    if process is not None:
        document["process"] = {"args": ["/x"], "cwd": "/", **process}
    CONFIG.check(document)  # a Mismatch would be a mistake of ours, not an answer
    try:
        convert(document, "/")
    except UnsupportedError:
        return False
    except ConfigError:  # implemented; what is missing is the host's: an LSM, a controller
        return True
    return True


def _each(known: Iterable[str], document: Callable[[str], dict[str, Any]]) -> list[str]:
    """Those names with which the converter takes the linux block that `document` makes of them, sorted."""
    return sorted(name for name in known if takes(linux=document(name)))


def _seccomp(**members: Any) -> dict[str, Any]:
    return {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", **members}}


def _action(name: str) -> dict[str, Any]:
    return _seccomp(syscalls=[{"names": ["acct"], "action": name}], listenerPath="/listener")


def _operator(name: str) -> dict[str, Any]:
    condition = {"index": 0, "value": 0, "op": name}
    return _seccomp(syscalls=[{"names": ["acct"], "action": "SCMP_ACT_ALLOW", "args": [condition]}])


def features() -> dict[str, Any]:
    """The Features structure.  A capability that is not implemented is said to be absent: false, or not in its list."""
    flags = _each(filter.FLAGS, lambda name: _seccomp(flags=[name]))
    supported = supported_flags()
    return {
        "ociVersionMin": SPEC_VERSION_MIN,
        "ociVersionMax": SPEC_VERSION,
        "hooks": [name for name in names.HOOKS if takes(hooks={name: [{"path": "/x"}]})],
        "mountOptions": mount_options.known(),
        "linux": {
            "namespaces": _each(names.NAMESPACES, lambda name: {"namespaces": [{"type": name}]}),
            "capabilities": list(capability.NAMES),
            "cgroup": {
                "v1": CgroupV1.version == 1,
                "v2": CgroupV2.version == 2,
                "systemd": True,
                "systemdUser": True,
                "rdma": takes(linux={"resources": {"rdma": {"device": {"hcaHandles": 1}}}}),
            },
            "seccomp": {
                "enabled": takes(linux=_seccomp()),
                "actions": _each(filter.ACTIONS, _action),
                "operators": _each(COMPARE, _operator),
                "archs": _each(names.SECCOMP_ARCHITECTURES, lambda name: _seccomp(architectures=[name])),
                "knownFlags": flags,
                "supportedFlags": [name for name in flags if filter.FLAGS[name] & supported],
            },
            "apparmor": {"enabled": takes(process={"apparmorProfile": "x"})},
            "selinux": {"enabled": takes(process={"selinuxLabel": "x"})},
            "intelRdt": _intel_rdt(),
            "memoryPolicy": {
                "modes": _each(names.MEMORY_POLICY_MODES, lambda name: {"memoryPolicy": {"mode": name}}),
                "flags": _each(
                    names.MEMORY_POLICY_FLAGS, lambda name: {"memoryPolicy": {"mode": "MPOL_BIND", "flags": [name]}}
                ),
            },
            "mountExtensions": {"idmap": {"enabled": takes(mounts=[_MAPPED])}},
            "netDevices": {"enabled": takes(linux={"netDevices": {"eth0": {}}})},
        },
        "annotations": {
            "org.seatrial.runtime.version": VERSION,
            "org.seatrial.runtime.checkpoint.enabled": "true",  # given CRIU, as with runc
        },
        "potentiallyUnsafeConfigAnnotations": [ANNOTATION, CONFIG_ANNOTATION],
    }


def _intel_rdt() -> dict[str, bool]:
    """Without the class of service there is nothing more to say."""
    said = {"enabled": takes(linux={"intelRdt": {"closID": "x"}})}
    if said["enabled"]:
        said["schemata"] = takes(linux={"intelRdt": {"schemata": ["L3:0=f"]}})
        said["monitoring"] = takes(linux={"intelRdt": {"enableMonitoring": True}})
    return said
