"""config.md#linux-mount-options: what each option of the table does to one mount."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator

import pytest
from _pytest.mark import ParameterSet

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.together import together

Part = Generator[str | None, Report, None]
Reader = Callable[..., Report]
ROW = "config/linux-mount-options/"


def option(name: str, options: list[str], present: str = "", absent: str = "", *needed: str) -> ParameterSet:
    """A tmpfs mounted with `options` shows all words of `present` and none of `absent` in mountinfo."""
    marks = [covers(ROW + name), *([needs(*needed)] if needed else [])]
    return pytest.param(options, set(present.split()), set(absent.split()), marks=marks, id=" ".join(options))


FLAGS = [
    option("async", ["sync", "async"], absent="sync"),
    option("atime", ["noatime", "atime"], absent="noatime"),
    option("defaults", ["defaults"], "rw", "nosuid nodev noexec ro"),
    option("dev", ["nodev", "dev"], absent="nodev"),
    option("diratime", ["nodiratime", "diratime"], absent="nodiratime"),
    option("dirsync", ["dirsync"], "dirsync"),
    option("exec", ["noexec", "exec"], absent="noexec"),
    option("iversion", ["iversion"]),
    option("lazytime", ["lazytime"], "lazytime"),
    option("loud", ["loud"]),
    option("loud", ["silent", "loud"]),
    option("noatime", ["noatime"], "noatime"),
    option("nodev", ["nodev"], "nodev"),
    option("nodiratime", ["nodiratime"], "nodiratime"),
    option("noexec", ["noexec"], "noexec"),
    option("noiversion", ["noiversion"], absent="i_version"),
    option("nolazytime", ["lazytime", "nolazytime"], absent="lazytime"),
    option("norelatime", ["norelatime"]),
    option("nostrictatime", ["strictatime", "nostrictatime"], "relatime"),
    option("nosuid", ["nosuid"], "nosuid"),
    option("nosymfollow", ["nosymfollow"], "nosymfollow", "", "kernel>=5.10"),
    option("relatime", ["relatime"], "relatime"),
    option("ro", ["ro"], "ro"),
    option("rw", ["rw"], "rw", "ro"),
    option("rw", ["ro", "rw"], "rw", "ro"),
    option("silent", ["silent"]),
    option("strictatime", ["strictatime"], absent="relatime noatime"),
    option("suid", ["nosuid", "suid"], absent="nosuid"),
    option("symfollow", ["nosymfollow", "symfollow"], "", "nosymfollow", "kernel>=5.10"),
    option("sync", ["sync"], "sync"),
]


@together()
@pytest.mark.parametrize(("options", "present", "absent"), FLAGS)
def test_option(bundle: Bundle, options: list[str], present: set[str], absent: set[str]) -> Part:
    """The kernel shows the option's effect, and the word did not reach the filesystem, which would refuse it."""
    path = bundle.spot()
    bundle.mount(path, "tmpfs", "tmpfs", *options)
    found = yield None
    shown = found.options(path)
    assert found.mount(path)["fstype"] == "tmpfs"
    assert present - shown == set()
    assert absent & shown == set()


@pytest.mark.parametrize("name", ["mand", "nomand"])
@pytest.mark.parametrize("kind", ["accepted or refused"])
@covers(ROW + "mand", ROW + "nomand")
def test_mandatory_locks(runtime: Runtime, bundle: Bundle, name: str, kind: str) -> None:
    """mand and nomand are applied or refused, and never handed to the filesystem as data."""
    runtime.prove_sane()
    container = runtime.create(bundle.mount("/mnt", "tmpfs", "tmpfs", name), check=False)
    assert not container.created.crashed, container.created.describe()
    if container.created.ok:
        with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
            assert [line for line in file if line.split()[4] == "/mnt"] != []


@needs("root")
@covers(ROW + "nodev", ROW + "dev")
def test_device_nodes_on_a_mount(bundle: Bundle, report: Reader) -> None:
    """A device node on a nodev mount is inert, on a dev mount it works."""
    bundle.capabilities("CAP_MKNOD")
    bundle.mount("/mnt", "tmpfs", "tmpfs", "nodev").mount("/home", "tmpfs", "tmpfs", "dev")
    bundle.probe("mknod /mnt/n c 1 3 -- open /mnt/n rdonly -- mknod /home/n c 1 3 -- open /home/n rdonly")
    found = report(bundle)
    assert [verb.errno for verb in found.verbs] == [None, "EACCES", None, None]


def with_program(bundle: Bundle, target: str, *options: str, mode: int = 0o755) -> None:
    """Bind a directory that holds a copy of the probe."""
    source = bundle.outside(f"program{target.replace('/', '-')}")
    os.mkdir(source)
    shutil.copy(os.path.join(bundle.rootfs, "probe"), source + "/probe")
    os.chmod(source + "/probe", mode)
    bundle.mount(target, "bind", source, "bind", *options)


@together()
@covers(ROW + "noexec", ROW + "exec")
def test_programs_on_a_mount(bundle: Bundle) -> Part:
    """A program on a noexec mount cannot be executed, on an exec mount it can."""
    one, other = bundle.spot(), bundle.spot()
    with_program(bundle, one, "noexec")
    with_program(bundle, other, "exec")
    found = yield f"exec-check {one}/probe -- exec-check {other}/probe"
    assert [verb.errno for verb in found.verbs] == ["EACCES", None]


@needs("root")
@pytest.mark.parametrize("option", ["nosuid", "suid"])
@covers(ROW + "nosuid", ROW + "suid")
def test_set_id_programs_on_a_mount(bundle: Bundle, report: Reader, option: str) -> None:
    """A set-uid program on a nosuid mount keeps the caller's id, on a suid mount it gets the owner's."""
    with_program(bundle, "/mnt", option, mode=0o4755)
    bundle.process.update(noNewPrivileges=False, user={"uid": 1000, "gid": 1000})
    bundle.capabilities("CAP_SETUID")
    found = report(bundle.args("/mnt/probe", "report"))
    assert found["ids"]["uid"][1] == (1000 if option == "nosuid" else 0)


@together()
@pytest.mark.parametrize(
    "option",
    [
        pytest.param("noatime", marks=covers(ROW + "noatime")),
        pytest.param("strictatime", marks=covers(ROW + "strictatime")),
    ],
)
def test_access_times(bundle: Bundle, option: str) -> Part:
    """Reading a file leaves its access time alone on a noatime mount and changes it on a strictatime one."""
    path = bundle.spot()
    bundle.mount(path, "tmpfs", "tmpfs", option)
    found = yield f"write {path}/file text -- atime-check {path}/file"
    changed = found.verb("atime-check").value["second"]
    assert changed is (option == "strictatime")


@together()
@needs("kernel>=5.10")
@covers(ROW + "nosymfollow")
def test_symlinks_on_a_nosymfollow_mount(bundle: Bundle) -> Part:
    """A symlink on a nosymfollow mount is not followed."""
    source = bundle.outside("links")
    os.mkdir(source)
    os.symlink("/etc/passwd", source + "/link")
    path = bundle.spot()
    bundle.mount(path, "bind", source, "bind", "nosymfollow")
    found = yield f"read {path}/link"
    assert found.verbs[0].errno == "ELOOP"


@together()
@covers(ROW + "ro", ROW + "rw")
def test_writing_on_a_mount(bundle: Bundle) -> Part:
    """Files can be made on an rw mount, not on an ro one."""
    one, other = bundle.spot(), bundle.spot()
    bundle.mount(one, "tmpfs", "tmpfs", "ro").mount(other, "tmpfs", "tmpfs", "rw")
    found = yield f"touch {one}/x -- touch {other}/x"
    assert [verb.errno for verb in found.verbs] == ["EROFS", None]


@together()
@covers(ROW + "remount")
def test_remount_changes_a_mount_in_place(bundle: Bundle) -> Part:
    """[remount, ro] makes the earlier mount read-only and adds none."""
    path = bundle.spot()
    bundle.mount(path, "tmpfs", "tmpfs", "size=1m").mount(path, "tmpfs", "tmpfs", "remount", "ro")
    found = yield f"touch {path}/x"
    assert len(found.mounts(path)) == 1
    assert found.verbs[0].errno == "EROFS"


@covers(ROW + "tmpcopyup")
def test_tmpcopyup_copies_what_was_there(runtime: Runtime, bundle: Bundle) -> None:
    """tmpcopyup fills the tmpfs with a copy of the directory that it covers, or is refused."""
    runtime.prove_sane()
    original = bundle.file("data/below/file", "original")
    bundle.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    container = runtime.create(bundle.probe("read /data/below/file -- write /data/below/file new"), check=False)
    if not container.created.ok:
        assert not runtime.state(container.id).ok
        return
    container.start()
    container.wait_status("stopped")
    assert '"original"' in container.output()
    with open(original, encoding="utf-8") as file:
        assert file.read() == "original"


@together()
@covers(ROW + "unknown")
def test_unknown_options_reach_the_filesystem(bundle: Bundle) -> Part:
    """What is not in the table is data for the filesystem, all of it."""
    path = bundle.spot()
    bundle.mount(path, "tmpfs", "tmpfs", "size=64k", "mode=0710", "nr_inodes=7", "nosuid")
    found = yield f"stat {path}"
    shown = found.options(path)
    assert {"size=64k", "nr_inodes=7", "nosuid"} - shown == set()
    assert found.verbs[0].value["mode"] & 0o7777 == 0o710


@covers(ROW + "unknown")
def test_option_that_the_filesystem_refuses_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result]
) -> None:
    """tmpfs refuses data that it does not know: so does create."""
    rejected(runtime, bundle.mount("/mnt", "tmpfs", "tmpfs", "nosuchoption"))
