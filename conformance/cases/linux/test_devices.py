"""config-linux.md#devices, #default-devices and #default-filesystems."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.engine.checks import proper_refusal
from seatrial.conformance.engine.together import Part, together

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
ROW = "config-linux/devices/"

DEFAULT = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}


def defaults() -> list[object]:
    return [
        pytest.param(name, marks=covers(f"config-linux/default-devices/{row}"), id=name)
        for row, name in enumerate(DEFAULT, 1)
    ]


@pytest.mark.parametrize("name", defaults())
def test_default_device(default_report: Report, name: str) -> None:
    """The device is there with type, number and mode (config-linux.md#default-devices)."""
    entry = default_report.device(f"/dev/{name}")
    assert (entry["type"], entry["major"], entry["minor"]) == ("c", *DEFAULT[name])
    assert entry["mode"] & 0o777 == 0o666


@together()
@pytest.mark.parametrize("name", defaults())
def test_default_device_works(bundle: Bundle, name: str) -> Part:
    """The device can be opened and behaves (config-linux.md#default-devices)."""
    verbs = {
        "null": "open /dev/null rdwr -- write /dev/null x",
        "zero": "open /dev/zero rdwr",
        "full": "open /dev/full rdwr -- write /dev/full x",
        "random": "open /dev/random rdonly",
        "urandom": "open /dev/urandom rdonly",
        "tty": "open /dev/tty rdwr",
    }[name]
    expected = {"null": [None, None], "full": [None, "ENOSPC"], "tty": ["ENXIO"]}.get(name, [None])
    found = yield verbs
    assert [verb.errno for verb in found.verbs] == expected


@together()
@covers("config-linux/default-devices/8")
def test_ptmx_is_that_of_the_container(bundle: Bundle) -> Part:
    """/dev/ptmx is the container's /dev/pts/ptmx (config-linux.md#default-devices)."""
    found = yield "stat /dev/ptmx -- stat /dev/pts/ptmx -- open /dev/ptmx rdwr"
    entry = found.device("/dev/ptmx")
    if entry["type"] == "l":
        assert entry["text"] in ("pts/ptmx", "/dev/pts/ptmx")
    else:
        assert (entry["type"], entry["major"], entry["minor"]) == ("c", 5, 2)
        assert found.mount("/dev/ptmx")["fstype"] == "devpts"
    assert found.verbs[2].errno is None


FILESYSTEMS = {"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs"}


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(target, marks=covers(f"config-linux/default-filesystems/{row}"), id=target)
        for row, target in enumerate(FILESYSTEMS, 1)
    ],
)
def test_default_filesystem_is_available(default_report: Report, target: str) -> None:
    """The filesystem is there in a container that an engine would ask for (config-linux.md#default-filesystems)."""
    assert default_report.mount(target)["fstype"] == FILESYSTEMS[target]


# A character device that opens for anybody whom the device rules let through, and in no default list: loop-control.
MAJOR, MINOR = 10, 237


def node(bundle: Bundle) -> None:
    """Make the node /node in the rootfs."""
    path = os.path.join(bundle.rootfs, "node")
    os.mknod(path, 0o020666, os.makedev(MAJOR, MINOR))
    os.chmod(path, 0o666)


def device(path: str, type: str = "c", major: int = 1, minor: int = 3, **members: Any) -> dict[str, Any]:
    entry = {"path": path, "type": type, **members}
    return entry if type == "p" else {**entry, "major": major, "minor": minor}


def add(bundle: Bundle, *entries: dict[str, Any]) -> None:
    """Ask for devices."""
    bundle.linux.setdefault("devices", []).extend(entries)


@together()
@needs("root")
@pytest.mark.parametrize(
    ("type", "shown", "numbers"),
    [
        pytest.param("c", "c", (1, 3), marks=covers(ROW + "4")),
        pytest.param("b", "b", (7, 0), marks=covers(ROW + "5")),
        pytest.param("u", "c", (1, 5), marks=covers(ROW + "6")),
        pytest.param("p", "p", (0, 0), marks=covers(ROW + "7")),
    ],
)
@covers(ROW + "1")
def test_device_of_each_type(bundle: Bundle, type: str, shown: str, numbers: tuple[int, int]) -> Part:
    """The device is of the type, with major and minor (config-linux.md#devices)."""
    add(bundle, device(f"/dev/type-{type}", type, *numbers))
    found = yield None
    entry = found.device(f"/dev/type-{type}")
    assert entry["type"] == shown
    if type != "p":
        assert (entry["major"], entry["minor"]) == numbers


@together()
@needs("root")
@covers(ROW + "1", ROW + "10", ROW + "8")
def test_device_outside_dev_in_new_directories(bundle: Bundle) -> Part:
    """The device may be anywhere; missing directories are made (config-linux.md#devices)."""
    add(bundle, device("/opt/x/y/null"))
    found = yield "stat /opt/x/y/null -- write /opt/x/y/null text"
    assert found.verbs[0].value["type"] == "c"
    assert (found.verbs[0].value["major"], found.verbs[0].value["minor"]) == (1, 3)
    assert found.verbs[1].errno is None


@needs("root")
@pytest.mark.parametrize(
    "member",
    [
        pytest.param("type", marks=covers(ROW + "3")),
        pytest.param("path", marks=covers(ROW + "8")),
    ],
)
def test_incomplete_device_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, member: str) -> None:
    """type and path are required (config-linux.md#devices)."""
    entry = device("/dev/trial")
    del entry[member]
    bundle.linux["devices"] = [entry]
    rejected(runtime, bundle)


@needs("root")
@pytest.mark.parametrize("kind", ["file", "fifo", "other device"])
@covers(ROW + "9")
def test_other_file_at_the_path_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, kind: str) -> None:
    """A file that is not the device is refused and stays (config-linux.md#devices)."""
    path = bundle.file("opt/trial", "content")
    if kind != "file":
        os.unlink(path)
    if kind == "fifo":
        os.mkfifo(path)
    if kind == "other device":
        os.mknod(path, 0o020666, os.makedev(1, 5))
    before = os.lstat(path)
    bundle.linux["devices"] = [device("/opt/trial")]
    rejected(runtime, bundle)
    after = os.lstat(path)
    assert (after.st_mode, after.st_rdev, after.st_size) == (before.st_mode, before.st_rdev, before.st_size)


@needs("root")
@covers(ROW + "16")
def test_two_paths_of_one_device(runtime: Runtime, bundle: Bundle) -> None:
    """One device at two paths: it SHOULD NOT be asked for, and is refused, or is at both of them
    (config-linux.md#devices)."""
    runtime.prove_sane()
    bundle.linux["devices"] = [device("/dev/one", minor=5), device("/dev/two", minor=5)]
    result = runtime.run(bundle, check=False)
    if not result.ok:
        proper_refusal(result)
        return
    found = parse(result.stdout, result)
    for path in ("/dev/one", "/dev/two"):
        entry = found.device(path)
        assert (entry["type"], entry["major"], entry["minor"]) == ("c", 1, 5)


@together()
@needs("root")
@covers(ROW + "11", ROW + "12")
def test_fifo_needs_no_numbers(bundle: Bundle) -> Part:
    """type p works without major and minor (config-linux.md#devices)."""
    add(bundle, {"path": "/dev/fifo", "type": "p"})
    found = yield None
    assert found.device("/dev/fifo")["type"] == "p"


@needs("root")
@pytest.mark.parametrize(
    "member", [pytest.param("major", marks=covers(ROW + "11")), pytest.param("minor", marks=covers(ROW + "12"))]
)
def test_device_without_number_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, member: str) -> None:
    """Types other than p need major and minor (config-linux.md#devices)."""
    entry = device("/dev/trial")
    del entry[member]
    bundle.linux["devices"] = [entry]
    rejected(runtime, bundle)


@needs("root")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000], ids=oct)
@covers(ROW + "13")
def test_file_mode_is_exact(bundle: Bundle, report: Reader, umask: int) -> None:
    """fileMode holds whatever the umask (config-linux.md#devices)."""
    bundle.linux["devices"] = [device("/dev/trial", fileMode=0o660)]
    old = os.umask(umask)
    try:
        found = report(bundle)
    finally:
        os.umask(old)
    assert found.device("/dev/trial")["mode"] & 0o7777 == 0o660


@together()
@needs("root")
@pytest.mark.parametrize(
    "member", [pytest.param("uid", marks=covers(ROW + "14")), pytest.param("gid", marks=covers(ROW + "15"))]
)
def test_owner_of_a_device(bundle: Bundle, member: str) -> Part:
    """uid and gid are the node's owner; 0 where they are absent (config-linux.md#devices)."""
    mine, other = f"/dev/{member}", f"/dev/not-{member}"
    add(bundle, device(mine) | {member: 1234}, device(other, minor=5))
    found = yield None
    assert found.device(mine)[member] == 1234
    assert found.device(other)[member] == 0


@needs("root", "userns")
@covers(ROW + "2")
def test_device_in_a_user_namespace(bundle: Bundle, report: Reader) -> None:
    """In a user namespace, where mknod is refused, the device is there all the same (config-linux.md#devices)."""
    bundle.user_namespace().linux["devices"] = [device("/dev/zero", minor=5)]
    bundle.linux["resources"]["devices"].append(allow(type="c", major=1, minor=5, access="rwm"))
    found = report(bundle.probe("stat /dev/zero -- open /dev/zero rdonly"))
    value = found.verbs[0].value
    assert (value["type"], value["major"], value["minor"]) == ("c", 1, 5)
    assert found.verbs[1].errno is None


@needs("root")
@covers(ROW + "17")
def test_other_devices_cannot_be_opened(bundle: Bundle, report: Reader) -> None:
    """A node of a device that is in no list cannot be opened (config-linux.md#devices)."""
    node(bundle)
    assert report(bundle.probe("open /node rdonly")).verbs[0].errno == "EPERM"


# -- the allowed device list -----------------------------------------------------------------------------------------

LIST = "config-linux/allowed-device-list/"
DENY_ALL = {"allow": False, "access": "rwm"}


def rules(bundle: Bundle, *entries: dict[str, Any]) -> Bundle:
    """A bundle with these device rules and the node /node."""
    node(bundle)
    bundle.linux["resources"] = {"devices": list(entries)}
    return bundle


def allow(**members: Any) -> dict[str, Any]:
    return {"allow": True, **members}


@needs("root")
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([DENY_ALL, allow(type="c", major=MAJOR, minor=MINOR, access="r")], None, id="deny then allow"),
        pytest.param([allow(type="c", major=MAJOR, minor=MINOR, access="r"), DENY_ALL], "EPERM", id="allow then deny"),
    ],
)
@covers(LIST + "2")
def test_rules_are_applied_in_order(
    bundle: Bundle, report: Reader, entries: list[dict[str, Any]], expected: str | None
) -> None:
    """The last rule about a device decides (config-linux.md#allowed-device-list)."""
    assert report(rules(bundle, *entries).probe("open /node rdonly")).verbs[0].errno == expected


@needs("root")
@covers(LIST + "1")
def test_device_list_may_be_left_out(bundle: Bundle, report: Reader) -> None:
    """Without a list the default devices work (config-linux.md#allowed-device-list)."""
    bundle.linux["resources"] = {}
    found = report(bundle.probe("open /dev/null rdwr -- open /dev/zero rdonly -- open /dev/urandom rdonly"))
    assert [verb.errno for verb in found.verbs] == [None] * 3


@needs("root")
@pytest.mark.parametrize(
    ("access", "expected"),
    [("r", [None, "EPERM"]), ("w", ["EPERM", None]), ("rw", [None, None]), ("m", ["EPERM", "EPERM"])],
)
@covers(LIST + "6")
def test_access(bundle: Bundle, report: Reader, access: str, expected: list[str | None]) -> None:
    """r allows reading, w writing, m neither (config-linux.md#allowed-device-list)."""
    rules(bundle, DENY_ALL, allow(type="c", major=MAJOR, minor=MINOR, access=access))
    found = report(bundle.probe("open /node rdonly -- open /node wronly"))
    assert [verb.errno for verb in found.verbs] == expected


@needs("root")
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"major": MAJOR}, id="major only"),
        pytest.param({"minor": MINOR}, id="minor only"),
        pytest.param({}, id="neither"),
    ],
)
@covers(LIST + "5")
def test_numbers_left_out_mean_all(bundle: Bundle, report: Reader, entry: dict[str, int]) -> None:
    """major and minor that are absent match everything (config-linux.md#allowed-device-list)."""
    rules(bundle, DENY_ALL, allow(type="c", access="rw", **entry))
    assert report(bundle.probe("open /node rdonly")).verbs[0].errno is None


@needs("root")
@covers(LIST + "4")
def test_type_left_out_means_all(bundle: Bundle, report: Reader) -> None:
    """Without type the rule is about devices of every type (config-linux.md#allowed-device-list)."""
    rules(bundle, DENY_ALL, allow(access="rwm"))
    assert report(bundle.probe("open /node rdonly")).verbs[0].errno is None


@needs("root")
@covers(LIST + "3")
def test_rule_without_allow_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """Every rule needs allow (config-linux.md#allowed-device-list)."""
    rejected(runtime, rules(bundle, {"type": "c", "major": MAJOR, "minor": MINOR, "access": "r"}))


@needs("root")
@covers(LIST + "4")
def test_unknown_type_of_a_rule_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """A type other than a, b and c is refused (config-linux.md#allowed-device-list)."""
    rejected(runtime, rules(bundle, allow(type="x", major=MAJOR, minor=MINOR, access="r")))


@needs("root")
@covers(LIST + "6")
def test_unknown_access_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """Access is made of r, w and m only (config-linux.md#allowed-device-list)."""
    rejected(runtime, rules(bundle, allow(type="c", major=MAJOR, minor=MINOR, access="x")))


@needs("root")
@covers(LIST + "6")
def test_mknod_under_device_rules(bundle: Bundle, report: Reader) -> None:
    """Without m a node of the device cannot be made either (config-linux.md#allowed-device-list).  The default rules,
    which runtimes add, allow mknod of everything: so this asks for an explicit refusal."""
    bundle.capabilities("CAP_MKNOD")
    rules(bundle, DENY_ALL, allow(type="c", major=MAJOR, minor=MINOR, access="rwm"))
    found = report(bundle.probe("mknod /made c 10 237 -- open /made rdonly"))
    assert [verb.errno for verb in found.verbs] == [None, None]
