"""The schema of config.json for Linux: types, ranges, constants and required members.

It follows schema/config-schema.json and schema/config-linux.json of the runtime-spec; members that the text calls
REQUIRED are required here even where the JSON schema is laxer.  A null is refused everywhere: the schema has no null,
and a member that is not wanted is left out.  What depends on other members is in `seatrial.runtime.validate`.
"""

from __future__ import annotations

from seatrial.runtime.spec import names
from seatrial.runtime.spec.rules import AnyText, Array, Boolean, Integer, Map, Object, OneOf, Pattern, Rule, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TEXT = Text()
TEXTS = Array(TEXT)
BOOLEAN = Boolean()
WHOLE = Integer("an integer", -(2**63), 2**64 - 1)
I32 = Integer("a signed 32-bit integer", -(2**31), 2**31 - 1)
I64 = Integer("a signed 64-bit integer", -(2**63), 2**63 - 1)
U16 = Integer("an unsigned 16-bit integer", 0, 2**16 - 1)
U32 = Integer("an unsigned 32-bit integer", 0, 2**32 - 1)
U64 = Integer("an unsigned 64-bit integer", 0, 2**64 - 1)


def _is_cpu_text(text: str) -> bool:
    return not text.strip("0123456789, -")


def is_page_size(text: str) -> bool:
    """Whether `text` is a page size as the hugetlb files have it: digits and KB, MB or GB."""
    digits = text[:-2]
    return text[-2:] in ("KB", "MB", "GB") and digits.isascii() and digits.isdigit() and digits[0] != "0"


CPU_TEXT = Pattern("a list of CPU numbers and ranges", _is_cpu_text)
PAGE_SIZE = Pattern("a page size such as 2MB", is_page_size)
MB_SCHEMA = Pattern("one line that starts with MB:", lambda text: text.startswith("MB:") and "\n" not in text)
ONE_LINE = Pattern("one line", lambda text: "\n" not in text)


class FileMode(Rule):
    """Permission bits; podman sends the type of the device along, as stat(2) has it, and that is no harm."""

    __slots__ = ()
    expected = "permission bits, 0 to 511 (octal 777)"

    def check(self, value: Any) -> None:
        """See Rule.check."""
        # S_IFMT must be nothing, a fifo, a character or a block device; the bits from setuid to sticky are refused.
        if type(value) is not int or value & ~0o170777 or value & 0o170000 not in (0, 0o010000, 0o020000, 0o060000):
            raise self.refuse(value)


RLIMIT_TYPE = OneOf(tuple(names.RLIMITS))

ID_MAPPINGS = Array(Object({"containerID": U32, "hostID": U32, "size": U32}, ("containerID", "hostID", "size")))

MOUNT = Object(
    {
        "destination": TEXT,
        "type": TEXT,
        "source": TEXT,
        "options": TEXTS,
        "uidMappings": ID_MAPPINGS,
        "gidMappings": ID_MAPPINGS,
    },
    ("destination",),
)

HOOK = Object(
    {"path": TEXT, "args": TEXTS, "env": TEXTS, "timeout": Integer("an integer of at least 1", 1, 2**63 - 1)}, ("path",)
)

PROCESS = Object(
    {
        "terminal": BOOLEAN,
        "consoleSize": Object({"height": U64, "width": U64}),
        "cwd": TEXT,
        "env": TEXTS,
        "args": TEXTS,
        "user": Object({"uid": U32, "gid": U32, "umask": U32, "additionalGids": Array(U32)}, ("uid", "gid")),
        "rlimits": Array(Object({"type": RLIMIT_TYPE, "soft": U64, "hard": U64}, ("type", "soft", "hard"))),
        "apparmorProfile": TEXT,
        "capabilities": Object(
            {
                "bounding": TEXTS,
                "effective": TEXTS,
                "permitted": TEXTS,
                "inheritable": TEXTS,
                "ambient": TEXTS,
            }
        ),
        "noNewPrivileges": BOOLEAN,
        "oomScoreAdj": WHOLE,
        "selinuxLabel": TEXT,
        "scheduler": Object(
            {
                "policy": OneOf(tuple(names.SCHEDULER_POLICIES)),
                "nice": I32,
                "priority": I32,
                "flags": Array(OneOf(tuple(names.SCHEDULER_FLAGS))),
                "runtime": U64,
                "deadline": U64,
                "period": U64,
            },
            ("policy",),
        ),
        "ioPriority": Object(
            {"class": OneOf(tuple(names.IO_CLASSES)), "priority": I32}, ("class", "priority")
        ),
        "execCPUAffinity": Object({"initial": CPU_TEXT, "final": CPU_TEXT}),
    },
    ("cwd", "args"),
)

_THROTTLE = Array(Object({"major": I64, "minor": I64, "rate": U64}, ("major", "minor", "rate")))

BLOCK_IO = Object(
    {
        "weight": U16,
        "leafWeight": U16,
        "weightDevice": Array(
            Object({"major": I64, "minor": I64, "weight": U16, "leafWeight": U16}, ("major", "minor"))
        ),
        "throttleReadBpsDevice": _THROTTLE,
        "throttleWriteBpsDevice": _THROTTLE,
        "throttleReadIOPSDevice": _THROTTLE,
        "throttleWriteIOPSDevice": _THROTTLE,
    }
)

RESOURCES = Object(
    {
        "devices": Array(
            Object({"allow": BOOLEAN, "type": TEXT, "major": I64, "minor": I64, "access": TEXT}, ("allow",))
        ),
        "memory": Object(
            {
                "limit": I64,
                "reservation": I64,
                "swap": I64,
                "kernel": I64,
                "kernelTCP": I64,
                "swappiness": U64,
                "disableOOMKiller": BOOLEAN,
                "useHierarchy": BOOLEAN,
                "checkBeforeUpdate": BOOLEAN,
            }
        ),
        "cpu": Object(
            {
                "shares": U64,
                "quota": I64,
                "burst": U64,
                "period": U64,
                "realtimeRuntime": I64,
                "realtimePeriod": U64,
                "cpus": TEXT,
                "mems": TEXT,
                "idle": I64,
            }
        ),
        "pids": Object({"limit": I64}),
        "blockIO": BLOCK_IO,
        "hugepageLimits": Array(Object({"pageSize": PAGE_SIZE, "limit": U64}, ("pageSize", "limit"))),
        "network": Object(
            {
                "classID": U32,
                "priorities": Array(Object({"name": TEXT, "priority": U32}, ("name", "priority"))),
            }
        ),
        "rdma": Map(Object({"hcaHandles": U32, "hcaObjects": U32})),
        "unified": Map(TEXT),
    }
)

SECCOMP = Object(
    {
        "defaultAction": OneOf(names.SECCOMP_ACTIONS),
        "defaultErrnoRet": U32,
        "architectures": Array(OneOf(names.SECCOMP_ARCHITECTURES)),
        "flags": Array(OneOf(names.SECCOMP_FLAGS)),
        "listenerPath": TEXT,
        "listenerMetadata": TEXT,
        "syscalls": Array(
            Object(
                {
                    "names": Array(TEXT, least=1),
                    "action": OneOf(names.SECCOMP_ACTIONS),
                    "errnoRet": U32,
                    "args": Array(
                        Object(
                            {"index": U32, "value": U64, "valueTwo": U64, "op": OneOf(names.SECCOMP_OPERATORS)},
                            ("index", "value", "op"),
                        )
                    ),
                },
                ("names", "action"),
            )
        ),
    },
    ("defaultAction",),
)

_TIME_OFFSET = Object({"secs": I64, "nanosecs": U32})

LINUX = Object(
    {
        "namespaces": Array(Object({"type": OneOf(tuple(names.NAMESPACES)), "path": TEXT}, ("type",))),
        "uidMappings": ID_MAPPINGS,
        "gidMappings": ID_MAPPINGS,
        "timeOffsets": Map(_TIME_OFFSET),
        "devices": Array(
            Object(
                {
                    "type": OneOf(("c", "b", "u", "p")),
                    "path": TEXT,
                    "major": I64,
                    "minor": I64,
                    "fileMode": FileMode(),
                    "uid": U32,
                    "gid": U32,
                },
                ("type", "path"),
            )
        ),
        "netDevices": Map(Object({"name": TEXT})),
        "cgroupsPath": TEXT,
        "resources": RESOURCES,
        "intelRdt": Object(
            {
                "closID": TEXT,
                "schemata": Array(ONE_LINE),
                "l3CacheSchema": TEXT,
                "memBwSchema": MB_SCHEMA,
                "enableMonitoring": BOOLEAN,
            }
        ),
        "memoryPolicy": Object(
            {
                "mode": OneOf(tuple(names.MEMORY_POLICY_MODES)),
                "nodes": TEXT,
                "flags": Array(OneOf(tuple(names.MEMORY_POLICY_FLAGS))),
            },
            ("mode",),
        ),
        "sysctl": Map(TEXT),
        "seccomp": SECCOMP,
        "rootfsPropagation": OneOf(names.ROOTFS_PROPAGATIONS),
        "maskedPaths": TEXTS,
        "readonlyPaths": TEXTS,
        "mountLabel": TEXT,
        "personality": Object({"domain": OneOf(tuple(names.PERSONALITIES)), "flags": TEXTS}, ("domain",)),
    }
)

CONFIG: Rule = Object(
    {
        "ociVersion": TEXT,
        "root": Object({"path": TEXT, "readonly": BOOLEAN}, ("path",)),
        "mounts": Array(MOUNT),
        "process": PROCESS,
        "hostname": TEXT,
        "domainname": TEXT,
        "hooks": Object({name: Array(HOOK) for name in names.HOOKS}),
        "annotations": Map(AnyText()),
        "linux": LINUX,
    },
    ("ociVersion", "root"),
)
