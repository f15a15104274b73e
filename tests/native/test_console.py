"""The terminal: its master comes out, its slave is stdio and /dev/console, and no image can put another file there."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

import pytest
from executor_driver import Drive, Operation, Outcome, run
from plans import S_IFCHR, container, device, filesystems

from seatrial.native import operations as table

pytestmark = pytest.mark.root


def console(width: int = 0, height: int = 0, uid: int = 0, mount: int = 1) -> Operation:
    return ("console", width, height, uid, mount)


def with_terminal(executor: list[str], plan: list[Operation]) -> tuple[Outcome, str]:
    """Run a plan; what its program wrote to the terminal."""
    drive = Drive(executor, plan)
    drive.until(table.SYNC_START)
    master = drive.take(table.MESSAGE_CONSOLE)
    drive.send(table.MESSAGE_GO)
    raw = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:  # EIO: every slave is closed
            break
        raw += block
    os.close(master)
    outcome = drive.go()
    outcome.stdout = raw.decode().replace("\r\n", "\n")
    return outcome, outcome.stdout


def test_a_terminal(executor: list[str], rootfs: str) -> None:
    plan = container(rootfs, ["probe", "report"], after=[console(132, 43, 1000)])
    outcome, _ = with_terminal(executor, plan)
    report = outcome.lines[0]
    for stdio in report["stdio"]:
        assert stdio["tty"]
        assert stdio["winsize"] == [43, 132]
        assert stdio["uid"] == 1000
    assert report["controlling_tty"]
    own = report["devices"]["/dev/console"]
    assert (own["type"], own["major"]) == ("c", 136)
    assert "/dev/console" in [mount["target"] for mount in report["mounts"]]


def test_without_a_mount_on_console(executor: list[str], rootfs: str) -> None:
    plan = container(rootfs, ["probe", "report"], after=[console(mount=0)])
    report = with_terminal(executor, plan)[0].lines[0]
    assert report["stdio"][0]["tty"]
    assert "/dev/console" not in report["devices"]


def test_the_size_can_be_read_at_the_master(executor: list[str], rootfs: str) -> None:
    drive = Drive(executor, container(rootfs, ["probe", "tty-info"], after=[console(80, 24)]))
    drive.until(table.SYNC_READY)
    master = drive.take(table.MESSAGE_CONSOLE)
    size = struct.unpack("HHHH", fcntl.ioctl(master, termios.TIOCGWINSZ, bytes(8)))
    os.close(master)
    assert size[:2] == (24, 80)


@pytest.mark.parametrize("kind", ["missing", "symlink", "file", "null", "host"])
def test_a_false_ptmx(executor: list[str], rootfs: str, kind: str) -> None:
    """CVE-2025-52565: an image's /dev/pts is no devpts."""
    pts = os.path.join(rootfs, "dev", "pts")
    os.mkdir(pts)
    if kind == "symlink":
        os.symlink("/proc/self/fd/0", os.path.join(pts, "ptmx"))
    elif kind == "host":
        os.symlink("../" * 30 + "dev/ptmx", os.path.join(pts, "ptmx"))
    elif kind == "file":
        with open(os.path.join(pts, "ptmx"), "w"):
            pass
    elif kind == "null":
        os.mknod(os.path.join(pts, "ptmx"), S_IFCHR | 0o666, device(5, 2))
    plan = container(rootfs, ["probe"], mounts=filesystems()[:1], after=[console()])
    index, error, _ = run(executor, plan).error
    assert plan[index][0] == "console"
    assert error in {"missing": ["ENOENT"], "symlink": ["ELOOP"], "host": ["ELOOP"]}.get(kind, ["ENODEV"])


def test_a_false_console(executor: list[str], rootfs: str, tmp_path: os.PathLike[str]) -> None:
    target = os.path.join(tmp_path, "victim")
    with open(target, "w") as file:
        file.write("untouched")
    link: Operation = ("symlink", "/proc/self/fd/1", "/dev/console", 0)
    plan = container(rootfs, ["probe"], before=[link], after=[console()])
    index, error, detail = run(executor, plan).error
    assert (plan[index][0], error, detail) == ("console", "ELOOP", "/dev/console is a symlink")
