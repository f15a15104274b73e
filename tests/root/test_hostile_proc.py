"""/proc and /dev replaced by the image or by a volume: what the runtime writes and hides does not go astray."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import pytest
from bundles import Bundle, CommandLine
from victim import host_state, make_victim, snapshot

CORE_PATTERN = "/proc/sys/kernel/core_pattern"


@pytest.fixture
def id() -> str:
    return f"hostile-proc-{os.getpid()}"


@pytest.fixture
def volume(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A host directory that is bound into the container, full of what looks like /proc or /dev."""
    path = make_victim(str(tmp_path_factory.mktemp("v") / "volume"))
    os.makedirs(os.path.join(path, "self", "attr"))
    for name in ("self/attr/exec", "self/attr/current", "self/timens_offsets", "self/oom_score_adj"):
        with open(os.path.join(path, name), "w") as file:
            file.write("untouched")
    os.makedirs(os.path.join(path, "sys", "kernel"), exist_ok=True)
    with open(os.path.join(path, "sys", "kernel", "msgmax"), "w") as file:
        file.write("untouched")
    return path


def mount(bundle: Bundle, destination: str, **members: Any) -> None:
    bundle.config["mounts"].append({"destination": destination, **members})


def without(bundle: Bundle, *destinations: str) -> None:
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if one["destination"] not in destinations]


def refused(cli: CommandLine, bundle: Bundle, id: str) -> str:
    """Run; it must be refused, and leave the host as it was.  What the runtime said."""
    before = host_state(bundle.path)
    done = cli("run", "--bundle", bundle.write().path, id, check=False)
    assert done.returncode == 1, done.stdout
    assert host_state(bundle.path) == before
    return done.stderr


# -- something over /proc ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tmpfs", "bind", "overlay of sysfs"])
@pytest.mark.parametrize("way", ["/proc", "/proc/", "/x/../proc", "/link", "/chain"])
def test_nothing_but_a_procfs_is_mounted_on_proc(
    cli: CommandLine, bundle: Bundle, volume: str, id: str, kind: str, way: str
) -> None:
    """CVE-2019-16884: with a volume on /proc, labels and sysctls would be written to files of the volume."""
    os.mkdir(os.path.join(bundle.rootfs, "x"))
    os.symlink("/proc", os.path.join(bundle.rootfs, "link"))
    os.symlink("x/../link", os.path.join(bundle.rootfs, "chain"))
    before = snapshot(volume)
    members: dict[str, Any] = {
        "tmpfs": {"type": "tmpfs", "source": "tmpfs"},
        "bind": {"source": volume, "options": ["rbind"]},
        "overlay of sysfs": {"type": "sysfs", "source": "sysfs"},
    }[kind]
    for instead in (False, True):
        if instead:
            without(bundle, "/proc")
        mount(bundle, way, **members)
        said = refused(cli, bundle, id)
        assert "only a procfs" in said or "is a symlink" in said
        bundle.config["mounts"].pop()
    assert snapshot(volume) == before


@pytest.mark.parametrize(
    "destination",
    ["self/attr", "self/attr/exec", "thread-self/attr", "1", "sys", "sys/kernel", "sysrq-trigger", "net/dev", "bus"],
)
@pytest.mark.parametrize("way", ["/proc/", "/link/"])
def test_nothing_is_mounted_below_proc(
    cli: CommandLine, bundle: Bundle, volume: str, id: str, destination: str, way: str
) -> None:
    """CVE-2025-52881, runc 4817."""
    os.symlink("proc", os.path.join(bundle.rootfs, "link"))
    if not os.path.exists(f"/proc/{destination}"):
        pytest.skip(f"this kernel has no /proc/{destination}")
    source = volume if os.path.isdir(f"/proc/{destination}") else os.path.join(volume, "file")
    mount(bundle, way + destination, source=source, options=["bind"])
    assert "inside of /proc" in refused(cli, bundle, id)
    if os.path.isdir(f"/proc/{destination}"):
        bundle.config["mounts"].pop()
        mount(bundle, way + destination, type="tmpfs", source="tmpfs")
        assert "inside of /proc" in refused(cli, bundle, id)


def test_what_may_be_mounted_below_proc(cli: CommandLine, bundle: Bundle, volume: str, id: str) -> None:
    """lxcfs's files, and two of the kernel's (runc 3493, 4257)."""
    names = ["cpuinfo", "meminfo", "stat", "uptime", "loadavg", "diskstats", "swaps", "sys/kernel/ns_last_pid"]
    names = [name for name in names if os.path.exists(f"/proc/{name}")]
    for name in names:
        mount(bundle, f"/proc/{name}", source=os.path.join(volume, "file"), options=["bind"])
    bundle.args(*" -- ".join(f"read /proc/{name}" for name in names).split())
    done = cli("run", "--bundle", bundle.path, id)
    assert [json.loads(line)["value"] for line in done.stdout.splitlines()] == ["file of the host\n"] * len(names)


def test_sysctls_are_not_written_to_what_looks_like_proc(
    cli: CommandLine, bundle: Bundle, volume: str, id: str
) -> None:
    """CVE-2025-52881: the image's own directory, and a volume, both called /proc."""
    bundle.config["linux"]["sysctl"] = {"kernel.msgmax": "4242"}
    fake = os.path.join(bundle.rootfs, "proc", "sys", "kernel")
    os.makedirs(fake)
    with open(os.path.join(fake, "msgmax"), "w") as file:
        file.write("untouched")
    without(bundle, "/proc")
    assert "procfs" in refused(cli, bundle, id)
    with open(os.path.join(fake, "msgmax")) as file:
        assert file.read() == "untouched"


def test_the_sysctl_is_the_containers(cli: CommandLine, bundle: Bundle, id: str) -> None:
    before = host_state(bundle.path)
    bundle.config["linux"]["sysctl"] = {"kernel.msgmax": "4242"}
    bundle.args("read", "/proc/sys/kernel/msgmax")
    done = cli("run", "--bundle", bundle.path, id)
    assert json.loads(done.stdout)["value"] == "4242\n"
    assert host_state(bundle.path) == before


# -- /dev/null --------------------------------------------------------------------------------------------------------


def false_null(directory: str, kind: str) -> None:
    path = os.path.join(directory, "null")
    if os.path.lexists(path):
        os.unlink(path)
    if kind == "symlink":
        os.symlink(CORE_PATTERN, path)
    elif kind == "file":
        with open(path, "w") as file:
            file.write("written by the image")
    elif kind == "zero":
        os.mknod(path, 0o020666, os.makedev(1, 5))
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)


@pytest.mark.parametrize("where", ["image", "volume"])
@pytest.mark.parametrize("kind", ["symlink", "file", "zero", "fifo", "directory", "nothing"])
def test_a_false_null_device_masks_nothing(
    cli: CommandLine, bundle: Bundle, volume: str, id: str, kind: str, where: str
) -> None:
    """CVE-2025-31133, CVE-2025-62161: a mask is the null device or there is no container."""
    without(bundle, "/dev", "/dev/pts")
    bundle.config["linux"]["maskedPaths"] = ["/proc/version"]
    if where == "volume":
        mount(bundle, "/dev", source=volume, options=["bind"])
        false_null(volume, kind)
    else:
        os.makedirs(os.path.join(bundle.rootfs, "dev"), exist_ok=True)
        false_null(os.path.join(bundle.rootfs, "dev"), kind)
    if where == "image" and kind == "nothing":  # then the runtime makes one
        bundle.args("stat", "/proc/version", "--", "read", "/proc/version")
        done = cli("run", "--bundle", bundle.path, id)
        stat, read = (json.loads(line)["value"] for line in done.stdout.splitlines())
        assert ((stat["type"], stat["major"], stat["minor"]), read) == (("c", 1, 3), "")
        return
    with open(CORE_PATTERN) as file:
        pattern = file.read()
    refused(cli, bundle.args("write", "/proc/version", "x", "--", "append", CORE_PATTERN, "x"), id)
    with open(CORE_PATTERN) as file:
        assert file.read() == pattern


# -- the console ------------------------------------------------------------------------------------------------------


def with_terminal(cli: CommandLine, bundle: Bundle, id: str, directory: str) -> tuple[int, str]:
    """create with a console socket: the exit status and what was said; the container is deleted."""
    where = os.path.join(directory, "c.sock")
    bundle.config["process"]["terminal"] = True
    bundle.args("hold")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(where)
        listener.listen()
        done = cli("create", "--bundle", bundle.path, "--console-socket", where, id, check=False)
    os.unlink(where)
    return done.returncode, done.stderr


@pytest.mark.parametrize("target", ["/proc/sys/kernel/core_pattern", "/proc/1/mem", "host"])
def test_a_false_slave_is_not_the_console(
    cli: CommandLine, bundle: Bundle, volume: str, id: str, tmp_path: os.PathLike[str], target: str
) -> None:
    """CVE-2025-52565: /dev/pts of the image is a directory of symlinks; nothing of it is mounted on /dev/console."""
    without(bundle, "/dev", "/dev/pts")
    pts = os.path.join(bundle.rootfs, "dev", "pts")
    os.makedirs(pts)
    for name in [*map(str, range(10)), "ptmx"]:
        os.symlink(os.path.join(volume, "console") if target == "host" else target, os.path.join(pts, name))
    before, host = snapshot(volume), host_state(bundle.path)
    status, said = with_terminal(cli, bundle, id, str(tmp_path))
    assert status == 1
    assert "console" in said
    assert (snapshot(volume), host_state(bundle.path)) == (before, host)


@pytest.mark.parametrize("target", ["/proc/sys/kernel/core_pattern", "/etc/passwd", "host", "loop"])
def test_the_console_is_not_mounted_through_a_symlink(
    cli: CommandLine, bundle: Bundle, volume: str, id: str, tmp_path: os.PathLike[str], target: str
) -> None:
    without(bundle, "/dev")
    os.makedirs(os.path.join(bundle.rootfs, "dev", "pts"))
    text = {"host": os.path.join(volume, "console"), "loop": "console"}.get(target, target)
    os.symlink(text, os.path.join(bundle.rootfs, "dev", "console"))
    before, host = snapshot(volume), host_state(bundle.path)
    status, _ = with_terminal(cli, bundle, id, str(tmp_path))
    assert status == 1
    assert (snapshot(volume), host_state(bundle.path)) == (before, host)


def test_the_console_is_a_pty_of_the_container(
    cli: CommandLine, bundle: Bundle, id: str, tmp_path: os.PathLike[str]
) -> None:
    """With a devpts, and whatever the image has at /dev/console that is no symlink."""
    without(bundle, "/dev")
    os.makedirs(os.path.join(bundle.rootfs, "dev", "pts"))
    with open(os.path.join(bundle.rootfs, "dev", "console"), "w") as file:
        file.write("of the image")
    status, said = with_terminal(cli, bundle, id, str(tmp_path))
    assert status == 0, said
    pid = cli.state(id)["pid"]
    console = os.stat(f"/proc/{pid}/root/dev/console")
    assert os.major(console.st_rdev) == 136
    with open(os.path.join(bundle.rootfs, "dev", "console")) as file:
        assert file.read() == "of the image"


@pytest.mark.parametrize("kind", ["symlink", "node", "file"])
def test_ptmx_of_the_image_is_replaced(cli: CommandLine, bundle: Bundle, volume: str, id: str, kind: str) -> None:
    """A node 5:2 in the image would open the host's terminals; a symlink is removed, not followed."""
    without(bundle, "/dev")
    path = os.path.join(bundle.rootfs, "dev", "ptmx")
    os.makedirs(os.path.join(bundle.rootfs, "dev", "pts"))
    if kind == "symlink":
        os.symlink(os.path.join(volume, "ptmx"), path)
    elif kind == "node":
        os.mknod(path, 0o020666, os.makedev(5, 2))
    else:
        with open(path, "w"):
            pass
    before = snapshot(volume)
    done = cli("run", "--bundle", bundle.args("readlink", "/dev/ptmx").path, id)
    assert json.loads(done.stdout)["value"] == "pts/ptmx"
    assert snapshot(volume) == before
