"""The directory of an image, and what of a config.json has to fit it."""

from __future__ import annotations

import os
from typing import Any

import pytest

from seatrial.runtime.checkpoint import CriuOptions
from seatrial.runtime.config import Config, IDMap, Mount, Namespace, Process, TimeOffset
from seatrial.runtime.criu.compare import compare
from seatrial.runtime.criu.image import CONTAINER_FILE, Directory, Record, open_image, parent_directory
from seatrial.runtime.criu.options import common, in_foreign_cgroup, leaves_network, log_path, network_lock
from seatrial.runtime.criu.programs import check, mapped
from seatrial.runtime.errors import ConfigError, CriuError, SyscallError, UsageError
from seatrial.runtime.mount_options import MS_BIND, MS_RDONLY


def config(**members: Any) -> Config:
    given: dict[str, Any] = {
        "oci_version": "1.3.0",
        "bundle": "/b",
        "rootfs": "/b/rootfs",
        "process": Process(args=["/x"], cwd="/"),
        "namespaces": [Namespace(type="pid"), Namespace(type="mnt")],
        "mounts": [Mount(destination="/proc", source="proc", fstype="proc")],
        "mask_paths": ["/proc/kcore"],
    }
    return Config(**(given | members))


# -- the directory ------------------------------------------------------------------------------------------------


def test_directory_is_made_for_root_alone(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "a", "images")
    directory = Directory(path, make=True)
    assert os.stat(path).st_mode & 0o777 == 0o700
    directory.write("x.json", ["é", 1])
    assert os.stat(os.path.join(path, "x.json")).st_mode & 0o777 == 0o600
    assert directory.read("x.json") == ["é", 1]
    assert directory.read("none.json") is None
    directory.close()
    directory.close()
    with pytest.raises(SyscallError, match="ENOENT"):
        Directory(os.path.join(tmp_path, "none"), make=False)


def test_link_in_the_place_of_a_file_is_refused(tmp_path: os.PathLike[str]) -> None:
    directory = Directory(os.fspath(tmp_path), make=False)
    os.symlink("/etc/passwd", os.path.join(tmp_path, "x.json"))
    with pytest.raises(SyscallError, match="ELOOP"):
        directory.write("x.json", 1)
    with pytest.raises(SyscallError, match="ELOOP"):
        directory.read("x.json")
    directory.close()


def test_record(tmp_path: os.PathLike[str]) -> None:
    directory = Directory(os.fspath(tmp_path), make=False)
    assert Record.load(directory) is None
    Record("c1", config().to_json(), ["/data"], {"/bin/sh": [3, "ff"]}, "4.2", False).save(directory)
    found = Record.load(directory)
    assert found is not None
    assert (found.id, found.mounts, found.programs, found.criu) == ("c1", ["/data"], {"/bin/sh": [3, "ff"]}, "4.2")
    assert Config.from_json(found.config) == config()
    assert found.cgroups is False
    for wrong in ("{", '{"format": 99}', '{"format": 1}', "[]"):
        with open(os.path.join(tmp_path, CONTAINER_FILE), "w") as file:
            file.write(wrong)
        with pytest.raises(CriuError, match=CONTAINER_FILE):
            Record.load(directory)
    directory.close()


def test_images_that_are_not_complete(tmp_path: os.PathLike[str]) -> None:
    with pytest.raises(CriuError, match="has no image"):
        open_image(os.fspath(tmp_path))
    with open(os.path.join(tmp_path, "inventory.img"), "w"):
        pass
    open_image(os.fspath(tmp_path)).close()


def test_parent(tmp_path: os.PathLike[str]) -> None:
    os.makedirs(os.path.join(tmp_path, "images"))
    os.makedirs(os.path.join(tmp_path, "before"))
    images = os.path.join(tmp_path, "images")
    parent_directory(images, "../before")
    parent_directory(os.path.join(tmp_path, "to-be-made"), "../before")
    with pytest.raises(CriuError, match="not a directory"):
        parent_directory(images, "../none")
    with pytest.raises(CriuError, match="absolute"):
        parent_directory(images, os.path.join(tmp_path, "before"))


def test_directory_that_was_exchanged(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "images")
    directory = Directory(path, make=True)
    os.close(directory.again())
    os.rename(path, path + ".old")
    os.mkdir(path)
    with pytest.raises(SyscallError, match="ESTALE"):
        directory.again()
    directory.close()


# -- the comparison -----------------------------------------------------------------------------------------------

FITTING: list[dict[str, Any]] = [
    {},
    {"bundle": "/other", "rootfs": "/other/rootfs"},
    {"mask_paths": ["/proc/kcore", "/proc/kcore"]},
    {"namespaces": [Namespace(type="mnt"), Namespace(type="pid"), Namespace(type="time")]},
    {"annotations": {"a": "b"}},
]
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("linux.namespaces", {"namespaces": [Namespace(type="pid")]}),
    ("linux.namespaces", {"namespaces": [Namespace(type="pid", path="/p"), Namespace(type="mnt")]}),
    ("mounts", {"mounts": []}),
    ("mounts", {"mounts": [Mount(destination="/proc", source="/x", fstype="bind", flags=MS_BIND)]}),
    ("mounts", {"mounts": [Mount(destination="/proc", source="proc", fstype="proc", flags=MS_RDONLY)]}),
    ("root.readonly", {"readonlyfs": True}),
    ("linux.uidMappings", {"uid_mappings": [IDMap(container_id=0, host_id=1, size=1)]}),
    ("linux.gidMappings", {"gid_mappings": [IDMap(container_id=0, host_id=1, size=1)]}),
    ("linux.timeOffsets", {"time_offsets": {"boottime": TimeOffset(secs=1)}}),
    ("linux.maskedPaths", {"mask_paths": []}),
    ("linux.readonlyPaths", {"readonly_paths": ["/proc/sys"]}),
    ("process.apparmorProfile", {"apparmor_profile": "p"}),
    ("process.selinuxLabel", {"process_label": "l"}),
    ("linux.mountLabel", {"mount_label": "l"}),
    ("process.terminal", {"process": Process(args=["/x"], cwd="/", terminal=True)}),
]


@pytest.mark.parametrize("members", FITTING)
def test_config_that_fits(members: dict[str, Any]) -> None:
    warnings: list[str] = []
    compare(config(), config(**members), warnings.append)
    assert warnings == []


@pytest.mark.parametrize(("path", "members"), WRONG)
def test_config_that_does_not_fit(path: str, members: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        compare(config(), config(**members), lambda text: None)
    assert caught.value.path == path
    assert "image" in caught.value.problem
    with pytest.raises(ConfigError):  # whichever way round
        compare(config(**members), config(), lambda text: None)


def test_labels_that_are_given_to_criu() -> None:
    other = config(process_label="l", mount_label="m", apparmor_profile="p")
    compare(config(), other, lambda text: None, profile_given=True, context_given=True)
    with pytest.raises(ConfigError):
        compare(config(), other, lambda text: None, profile_given=True)


def test_sources_of_bind_mounts_may_differ() -> None:
    mounts = [[Mount(destination="/d/", source=source, fstype="bind", flags=MS_BIND)] for source in ("/a", "/b")]
    compare(config(mounts=mounts[0]), config(mounts=mounts[1]), lambda text: None)


def test_what_has_no_effect_is_a_warning() -> None:
    warnings: list[str] = []
    compare(config(), config(process=Process(args=["/y"], cwd="/"), hostname="h"), warnings.append)
    (warning,) = warnings
    assert warning.endswith("config.json differs in process, hostname")


# -- programs -----------------------------------------------------------------------------------------------------


def test_programs(tmp_path: os.PathLike[str]) -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        programs = mapped([os.getpid()], root)
    finally:
        os.close(root)
    executable = os.path.realpath("/proc/self/exe")
    assert programs[executable][0] == os.stat(executable).st_size
    check({executable: programs[executable]}, "/", [])
    path = os.path.join(tmp_path, "bin")
    size, digest = programs[executable]
    for content, words in ((None, "is missing"), (b"abc", f"has 3 bytes, and had {size}")):
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        with pytest.raises(CriuError, match=words):
            check({"/bin": [size, digest]}, os.fspath(tmp_path), [])
    with pytest.raises(CriuError, match="has changed"):
        check({"/bin": [3, "00"]}, os.fspath(tmp_path), [])
    check({"/bin": [3, "00"]}, os.fspath(tmp_path), ["/bin"])  # something is mounted there


def test_links_do_not_lead_out_of_the_rootfs(tmp_path: os.PathLike[str]) -> None:
    os.symlink("/etc/passwd", os.path.join(tmp_path, "x"))
    with pytest.raises(CriuError, match="is missing"):
        check({"/x": [1, ""]}, os.fspath(tmp_path), [])


def test_pipe_in_the_place_of_a_program(tmp_path: os.PathLike[str]) -> None:
    os.mkfifo(os.path.join(tmp_path, "x"))
    with pytest.raises(CriuError, match="is missing"):
        check({"/x": [1, ""]}, os.fspath(tmp_path), [])


# -- options ------------------------------------------------------------------------------------------------------


def test_common_options() -> None:
    options = CriuOptions(images_directory="/i", tcp_established=True, empty_namespaces=0x40000000)
    chosen = common(options, config())
    assert chosen["tcp_established"] is True
    assert chosen["file_locks"] is False
    assert chosen["empty_ns"] == 0x40000000
    assert chosen["manage_cgroups_mode"] == 3  # soft
    assert chosen["config_file"] == "/etc/criu/runc.conf"


@pytest.mark.parametrize(("mode", "number"), [("ignore", 0), ("soft", 3), ("full", 4), ("strict", 5)])
def test_cgroup_modes(mode: str, number: int) -> None:
    assert (
        common(CriuOptions(images_directory="/i", manage_cgroups_mode=mode), config())["manage_cgroups_mode"] == number
    )


def test_wrong_modes() -> None:
    with pytest.raises(UsageError, match="soft"):
        common(CriuOptions(images_directory="/i", manage_cgroups_mode="hard"), config())
    with pytest.raises(UsageError, match="nftables"):
        common(CriuOptions(images_directory="/i", network_lock="door"), config())


def test_network_lock_without_iptables(tmp_path: os.PathLike[str]) -> None:
    plain, asked = CriuOptions(images_directory="/i"), CriuOptions(images_directory="/i", network_lock="skip")
    nowhere, there = f"{tmp_path}/none", f"{tmp_path}/none:{tmp_path}"
    with open(os.path.join(tmp_path, "iptables-restore"), "w") as file:
        os.fchmod(file.fileno(), 0o755)
    assert network_lock(asked, (3, 15, 0), nowhere) == 3
    assert network_lock(plain, (3, 17, 1), there) == 0
    assert network_lock(plain, (3, 17, 1), nowhere) == 2
    assert network_lock(plain, (3, 16, 1), nowhere) == 0


def test_joined_network_is_not_emptied_where_criu_cannot_undo_it() -> None:
    def kind(path: str) -> Config:
        return config(namespaces=[Namespace(type="net", path=path)])

    plain, connected = CriuOptions(images_directory="/i"), CriuOptions(images_directory="/i", tcp_established=True)
    assert not leaves_network(plain, kind(""), (3, 17, 1))
    assert leaves_network(plain, kind("/there"), (4, 2, 1))
    assert leaves_network(plain, config(namespaces=[]), (4, 2, 1))
    assert leaves_network(connected, kind("/there"), (4, 1, 1))
    assert not leaves_network(connected, kind("/there"), (4, 2, 0))


def test_annotation_names_the_configuration_file() -> None:
    options = CriuOptions(images_directory="/i")
    assert common(options, config(annotations={"org.criu.config": "/c"}))["config_file"] == "/c"
    assert "config_file" not in common(options, config(annotations={"org.criu.config": ""}))


def test_place_of_the_log() -> None:
    assert log_path(CriuOptions(images_directory="/i"), "dump.log") == "/i/dump.log"
    assert log_path(CriuOptions(images_directory="/i", work_directory="/w"), "dump.log") == "/w/dump.log"


def test_cgroups_of_others() -> None:
    paths = {"cpu": "/sys/fs/cgroup/cpu/c1", "": "/sys/fs/cgroup/unified/c1"}
    assert not in_foreign_cgroup("3:cpu,cpuacct:/c1\n0::/c1\n", paths)
    assert in_foreign_cgroup("4:pids:/\n3:cpu:/c1\n0::/c1\n", paths)
    assert not in_foreign_cgroup("3:cpu:/c1\n0::/\n", {"cpu": "/sys/fs/cgroup/cpu/c1"})
