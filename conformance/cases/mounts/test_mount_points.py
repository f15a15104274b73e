"""What a mount does to the place that it is made on, and what that place does to the mount."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report

Reader = Callable[..., Report]
ROW = "config/linux-mount-options/"


@profile("runc-compat")
@covers("config/mounts/1")
def test_mode_of_a_tmpfs(bundle: Bundle, report: Reader) -> None:
    """A tmpfs has the mode of the directory that it covers, sticky bit included; 1777 where there was none; and that
    of its option, if it has one (runc 3916, 3952, 4971)."""
    bundle.directory("sticky", 0o1777)
    bundle.directory("closed", 0o711)
    bundle.directory("other", 0o700)
    for target in ("/sticky", "/closed", "/missing"):
        bundle.mount(target, "tmpfs", "tmpfs", "nosuid")
    bundle.mount("/other", "tmpfs", "tmpfs", "mode=0751")
    found = report(bundle.probe("stat /sticky -- stat /closed -- stat /missing -- stat /other"))
    assert [oct(verb.value["mode"]) for verb in found.verbs] == ["0o1777", "0o711", "0o1777", "0o751"]


@covers(ROW + "tmpcopyup", "config-linux/default-devices/1", "config-linux/devices/8")
def test_umask_of_the_caller_changes_no_modes(runtime: Runtime, bundle: Bundle) -> None:
    """Called with umask 077, the runtime makes devices and copies for tmpcopyup with their own modes (runc 3991, crun
    before 1.14)."""
    runtime.prove_sane()
    bundle.directory("data/open", 0o755)
    bundle.file("data/open/file", "x", 0o644)
    bundle.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    bundle.probe("stat /dev/null -- stat /dev/shm -- stat /data/open -- stat /data/open/file -- hold", report=False)
    previous = os.umask(0o077)
    try:
        container = runtime.create(bundle)
        container.start()
    finally:
        os.umask(previous)
    from seatrial.conformance.driver.probe import parse

    found = parse(container.wait_output('"verb":"hold"'))
    assert [oct(verb.value["mode"]) for verb in found.verbs[:4]] == ["0o666", "0o1777", "0o755", "0o644"]


@covers(ROW + "ro", "config-linux/default-devices/1")
def test_read_only_dev(bundle: Bundle, report: Reader) -> None:
    """A tmpfs on /dev with the option ro has its devices, and takes no others (runc 3276, crun 1.4.2)."""
    for entry in bundle.config["mounts"]:
        if entry["destination"] == "/dev":
            entry["options"] = [*entry.get("options", []), "ro"]
    found = report(bundle.probe("write /dev/null x -- list /dev/pts -- touch /dev/new"))
    assert [verb.errno for verb in found.verbs] == [None, None, "EROFS"]


@needs("root", "kernel>=5.12")
@covers(ROW + "rro", ROW + "rbind")
def test_recursive_options_on_files(bundle: Bundle, report: Reader) -> None:
    """rro of a file, a FIFO and a socket works as that of a directory does (crun 1.14.4)."""
    paths = {name: bundle.outside(name) for name in ("file", "fifo", "socket")}
    with open(paths["file"], "w", encoding="ascii") as file:
        file.write("text")
    os.mkfifo(paths["fifo"])
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(paths["socket"])
    for name, path in paths.items():
        bundle.mount(f"/mnt/{name}", "bind", path, "rbind", "rro")
    found = report(bundle.probe("write /mnt/file x -- stat /mnt/fifo -- stat /mnt/socket"))
    assert found.verbs[0].errno == "EROFS"
    assert [verb.value["type"] for verb in found.verbs[1:]] == ["p", "s"]
    assert all("ro" in found.mount_options(f"/mnt/{name}") for name in paths)


@covers(ROW + "unknown")
def test_acl_is_for_the_filesystem(runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result]) -> None:
    """`acl` is no flag of mount(2): a filesystem that does not know it refuses it (runc 3739)."""
    rejected(runtime, bundle.mount("/mnt", "tmpfs", "tmpfs", "acl"))


@profile("runc-compat")
@covers("config/mounts/4")
def test_dangling_link_in_a_destination(bundle: Bundle, report: Reader) -> None:
    """A destination below a link that leads nowhere is made in the rootfs where the link says (runc 4359)."""
    bundle.symlink("/nowhere/deep", "link")
    found = report(bundle.mount("/link/made", "tmpfs", "tmpfs"))
    assert found.mount("/nowhere/deep/made")["fstype"] == "tmpfs"


@needs("root", "userns")
@covers("config/mounts/1")
def test_cgroup_mount_after_a_closed_directory(bundle: Bundle, report: Reader) -> None:
    """In a user namespace, a bind mount of a directory that its root may not enter does not become the source of the
    cgroup mount after it (runc 3511)."""
    bundle.user_namespace()
    closed = bundle.outside("closed")
    os.mkdir(closed)
    os.chmod(closed, 0o700)
    bundle.without_mount("/sys/fs/cgroup")
    bundle.mount("/mnt", "bind", closed, "rbind")
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev")
    found = report(bundle)
    assert found.mount("/sys/fs/cgroup")["fstype"] in ("cgroup2", "tmpfs")
    assert any(mount["fstype"].startswith("cgroup") for mount in found["mounts"])


@covers("config-linux/masked-paths/1")
def test_masked_directories_share_nothing(bundle: Bundle, report: Reader) -> None:
    """Several masked directories are empty, and nothing can be left in one to be found in another (runc 5275, crun
    1.24)."""
    for name in ("one", "two", "three"):
        bundle.file(f"{name}/secret", "secret")
    bundle.linux["maskedPaths"] = ["/one", "/two", "/three"]
    verbs = " -- ".join(f"touch /{name}/x -- mkdir /{name}/y" for name in ("one", "two", "three"))
    found = report(bundle.probe(verbs + " -- list /one -- list /two -- list /three"))
    assert {verb.errno for verb in found.verbs[:6]} == {"EROFS"}
    assert [verb.value for verb in found.verbs[6:]] == [[], [], []]


@needs("userns")
@covers("config/mounts/1", ROW + "ro")
def test_kernel_filesystems_in_a_user_namespace(bundle: Bundle, report: Reader) -> None:
    """proc, sysfs and mqueue have the modes that the kernel gives them, and a read-only /sys is read-only (crun
    1.29)."""
    found = report(bundle.user_namespace().probe("stat /proc -- stat /dev/mqueue -- stat /sys -- mkdir /sys/fs/made"))
    assert [oct(verb.value["mode"]) for verb in found.verbs[:3]] == ["0o555", "0o1777", "0o555"]
    assert not found.verbs[3].ok
    assert "ro" in found.mount_options("/sys")


@pytest.mark.parametrize("member", ["destination", "source", "type"])
@covers("config/valid-values/1")
def test_null_character_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], member: str
) -> None:
    """A string with U+0000 in it cannot reach mount(2) whole: refused, not cut short (runc 3287)."""
    entry = {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"}
    entry[member] += "\0rest"
    bundle.config["mounts"].append(entry)
    rejected(runtime, bundle)


@needs("cap:MKNOD")
@covers("config-linux/devices/1", "config-linux/default-devices/1")
def test_devices_that_are_there_by_default(bundle: Bundle, report: Reader) -> None:
    """linux.devices may repeat /dev/null, /dev/tty and /dev/zero."""
    bundle.linux["devices"] = [
        {"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor, "fileMode": 0o666, "uid": 0, "gid": 0}
        for name, major, minor in (("null", 1, 3), ("tty", 5, 0), ("zero", 1, 5))
    ]
    bundle.linux["resources"]["devices"] += [
        {"allow": True, "type": "c", "major": device["major"], "minor": device["minor"], "access": "rwm"}
        for device in bundle.linux["devices"]
    ]
    found = report(bundle.probe("write /dev/null x"))
    assert found.verbs[0].ok
    shown = [found.device(f"/dev/{name}") for name in ("null", "tty", "zero")]
    assert [(device["major"], device["minor"]) for device in shown] == [(1, 3), (5, 0), (1, 5)]


@profile("runc-compat")
@needs("cap:MKNOD")
@covers("config-linux/devices/1")
def test_mode_of_a_device_without_one(bundle: Bundle, report: Reader) -> None:
    """Without fileMode a device is for everybody, as runtimes do it (youki 3276)."""
    bundle.linux["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3}]
    assert oct(report(bundle).device("/dev/mine")["mode"]) == "0o666"
