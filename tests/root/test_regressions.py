"""What other runtimes once got wrong, and no other test of ours covers; docs/security.md has the whole list."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from bundles import Bundle, CommandLine, Running
from reachable import reachable_directory
from victim import host_state

from seatrial.native import mount_api


@pytest.fixture
def id() -> str:
    return f"regression-{os.getpid()}"


@pytest.fixture
def guarded() -> Iterator[str]:
    """A host filesystem mounted nosuid, nodev and noatime."""
    with reachable_directory() as path:
        flags = mount_api.MS_NOSUID | mount_api.MS_NODEV | 0x400
        mount_api.mount("tmpfs", path, "tmpfs", flags, "mode=755")
        yield path
        mount_api.umount(path, mount_api.MNT_DETACH)


def mount(bundle: Bundle, destination: str, **members: Any) -> Bundle:
    bundle.config["mounts"].append({"destination": destination, **members})
    return bundle


def values(text: str) -> list[Any]:
    return [entry["value"] if entry["ok"] else entry["errno"] for entry in map(json.loads, text.splitlines())]


def options(report: dict[str, Any], target: str) -> set[str]:
    return set([entry for entry in report["mounts"] if entry["target"] == target][-1]["options"].split(","))


def mapped(bundle: Bundle) -> Bundle:
    """With a user namespace, whose root owns the rootfs and reaches it."""
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.config["linux"].update(uidMappings=ids, gidMappings=ids)
    for name in ("", *os.listdir(bundle.rootfs)):
        os.chown(os.path.join(bundle.rootfs, name), 100000, 100000)
    return bundle


def test_a_bind_mount_with_a_cleared_flag_only(cli: CommandLine, bundle: Bundle, id: str, guarded: str) -> None:
    """runc 3967: suid alone, on a source that is nosuid."""
    mount(bundle, "/m", source=guarded, options=["bind", "suid"])
    report = json.loads(cli("run", "--bundle", bundle.args("report").path, id).stdout)
    assert "nosuid" not in options(report, "/m")


def test_a_read_only_dev_has_its_devices(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """runc 3355, crun 1.4.2."""
    for entry in bundle.config["mounts"]:
        if entry["destination"] == "/dev":
            entry["options"].append("ro")
    bundle.args("stat", "/dev/null", "--", "write", "/dev/null", "x", "--", "touch", "/dev/x")
    stat, written, touched = values(cli("run", "--bundle", bundle.path, id).stdout)
    assert (stat["type"], written, touched) == ("c", 1, "EROFS")


def test_a_read_only_root_with_a_terminal(
    cli: CommandLine, bundle: Bundle, id: str, tmp_path: os.PathLike[str]
) -> None:
    """crun 1.27: /dev/console is made before the root becomes read-only, with and without a mount on /dev."""
    bundle.config["root"]["readonly"] = True
    bundle.config["process"]["terminal"] = True
    bundle.args("hold")
    os.makedirs(os.path.join(bundle.rootfs, "dev", "pts"))
    for _ in range(2):
        where = os.path.join(tmp_path, "c.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(where)
            listener.listen()
            cli("create", "--bundle", bundle.write().path, "--console-socket", where, id)
        os.unlink(where)
        root = f"/proc/{cli.state(id)['pid']}/root"
        assert os.major(os.stat(f"{root}/dev/console").st_rdev) == 136
        with pytest.raises(OSError, match="Read-only"):
            os.mkdir(f"{root}/made")
        cli("delete", "--force", id)
        bundle.config["mounts"] = [one for one in bundle.config["mounts"] if one["destination"] != "/dev"]


@pytest.mark.parametrize("kind", ["file", "fifo", "socket", "device"])
def test_recursive_attributes_of_what_is_no_directory(
    cli: CommandLine, bundle: Bundle, id: str, tmp_path: os.PathLike[str], kind: str
) -> None:
    """crun 1.14.4, 1.16."""
    source = os.path.join(tmp_path, "source")
    if kind == "fifo":
        os.mkfifo(source)
    elif kind == "device":
        source = "/dev/zero"
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(source)
    else:
        with open(source, "w"):
            pass
    mount(bundle, "/m", source=source, options=["bind", "rro", "rnosuid"])
    report = json.loads(cli("run", "--bundle", bundle.args("report").path, id).stdout)
    assert {"ro", "nosuid"} <= options(report, "/m")


def test_many_runtimes_make_the_mount_points_of_one_rootfs(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """runc 4543: what another one has made meanwhile is no error."""
    for number in range(8):
        mount(bundle, f"/shared/{number}/deep", type="tmpfs", source="tmpfs")
    mount(bundle, "/shared/file", source="/etc/hostname" if os.path.exists("/etc/hostname") else "/etc/passwd",
          options=["bind"])  # fmt: skip
    bundle.args("exit", "0")
    running: list[Running] = [cli.begin("run", "--bundle", bundle.path, f"{id}-{number}") for number in range(12)]
    assert [done.stderr for done in [one.end() for one in running] if done.returncode] == []


def test_roots_of_new_filesystems(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """crun 1.29.1: their modes stay, and a read-only /sys of a user namespace is read-only."""
    mapped(bundle)
    mount(bundle, "/sys", source="/sys", options=["rbind", "ro", "rro"])
    mount(bundle, "/dev/mqueue", type="mqueue", source="mqueue")
    bundle.args("stat", "/proc", "--", "stat", "/dev/mqueue", "--", "touch", "/sys/x")
    proc, mqueue, touched = values(cli("run", "--bundle", bundle.path, id).stdout)
    assert (proc["mode"], mqueue["mode"]) == (0o555, 0o1777)
    assert touched == "EROFS"


def test_a_read_only_root_keeps_locked_flags(cli: CommandLine, bundle: Bundle, id: str, guarded: str) -> None:
    """youki 3536: the rootfs lies on a nosuid, nodev filesystem, and the container has a user namespace."""
    mapped(bundle)
    os.rename(bundle.rootfs, os.path.join(bundle.path, "image"))
    bundle.rootfs = os.path.join(guarded, "rootfs")
    os.system(f"cp -a {bundle.path}/image {bundle.rootfs}")
    bundle.config["root"] = {"path": bundle.rootfs, "readonly": True}
    done = cli("run", "--bundle", bundle.args("report").path, id)
    assert {"ro", "nosuid", "nodev", "noatime"} <= options(json.loads(done.stdout), "/")


def test_the_null_device_of_the_host_is_left_alone(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """runc 3674, 3731: standard streams that are /dev/null, and a user who gets the streams."""
    before = host_state(bundle.path)
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    cli("run", "--bundle", bundle.args("write", "/dev/null", "x").path, id)
    cli("create", "--bundle", bundle.args("hold").path, id)
    cli("start", id)
    done = cli("exec", "--user", "1000", id, "/probe", "write", "/dev/null", "x")
    assert values(done.stdout) == [1]
    assert host_state(bundle.path) == before


def test_default_devices_may_be_listed_again(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """As engines do; /dev/ptmx too, which is the container's own all the same."""
    numbers = {"null": (1, 3), "zero": (1, 5), "tty": (5, 0), "ptmx": (5, 2)}
    bundle.config["linux"]["devices"] = [
        {"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor, "fileMode": 0o666}
        for name, (major, minor) in numbers.items()
    ]
    bundle.args("stat", "/dev/null", "--", "stat", "/dev/tty", "--", "readlink", "/dev/ptmx")
    null, tty, ptmx = values(cli("run", "--bundle", bundle.path, id).stdout)
    assert [(stat["major"], stat["minor"]) for stat in (null, tty)] == [(1, 3), (5, 0)]
    assert ptmx == "pts/ptmx"


def test_the_working_directory_is_made_for_the_first_process_only(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """crun 1.5, runc: mode 0755 for `create`; an error for `exec`."""
    bundle.config["process"]["cwd"] = "/made/for/it"
    cli("create", "--bundle", bundle.args("hold").path, id)
    cli("start", id)
    assert os.stat(os.path.join(bundle.rootfs, "made/for/it")).st_mode & 0o7777 == 0o755
    done = cli("exec", "--cwd", "/not/there", id, "/probe", "print", "x", check=False)
    assert (done.returncode, done.stdout) == (255, "")
    assert "ENOENT" in done.stderr


def test_exec_into_a_time_namespace_with_offsets(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """runc 4635, 4705: joining sets no offsets; both clocks, one backwards."""
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.config["linux"]["timeOffsets"] = {"monotonic": {"secs": 5000}, "boottime": {"secs": -1, "nanosecs": 7}}
    cli("create", "--bundle", bundle.args("hold").path, id)
    cli("start", id)
    report = json.loads(cli("exec", id, "/probe", "report").stdout)
    assert report["timens"] == {"monotonic": "5000 0", "boottime": "-1 7"}
    assert report["namespaces"]["time"] == os.stat(f"/proc/{cli.state(id)['pid']}/ns/time").st_ino
    assert report["namespaces"]["time"] != os.stat("/proc/self/ns/time").st_ino
