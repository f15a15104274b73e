"""Which mounts are external, and where they come from on restore."""

from __future__ import annotations

import pytest

from seatrial.runtime.config import Config, Device, Mount, Namespace
from seatrial.runtime.criu.mounts import (
    cgroup_binds,
    external_mounts,
    key_of,
    parse_mountinfo,
    sources,
    usual_keys,
)
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.mount_options import MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT
from seatrial.runtime.plan.environment import CgroupHierarchy, Environment

HEAD = """\
100 90 254:0 /b/rootfs / rw - ext4 /dev/vda rw
101 100 0:50 / /proc rw - proc proc rw
102 100 0:51 / /dev rw - tmpfs tmpfs rw
103 102 0:52 / /dev/pts rw - devpts devpts rw
"""


def config(*mounts: Mount, **members: object) -> Config:
    usual = [
        Mount(destination="/proc", source="proc", fstype="proc"),
        Mount(destination="/dev", source="tmpfs", fstype="tmpfs"),
        Mount(destination="/dev/pts", source="devpts", fstype="devpts"),
    ]
    return Config(oci_version="1.3.0", bundle="/b", rootfs="/b/rootfs", mounts=[*usual, *mounts], **members)  # type: ignore[arg-type]


def bind(destination: str, source: str, flags: int = 0) -> Mount:
    return Mount(destination=destination, source=source, fstype="bind", flags=MS_BIND | flags)


def external(text: str, wanted: Config, links: dict[str, str] | None = None) -> dict[str, str]:
    """mount point -> key; a path lies on the mount with the longest mount point above it."""
    entries = parse_mountinfo(HEAD + text)

    def mount_id(path: str) -> int | None:
        for link, target in (links or {}).items():
            if path == link or path.startswith(link + "/"):
                path = target + path[len(link) :]
        above = [entry for entry in entries if f"{path}/".startswith(entry.path.rstrip("/") + "/")]
        return max(above, key=lambda entry: (len(entry.path), entry.id)).id

    return dict(external_mounts(entries, wanted, mount_id))


def test_parsing() -> None:
    text = "36 35 98:0 /mnt1 /a\\040b\\134 rw,noatime master:1 shared:2 - ext3 /dev/root rw\n"
    (entry,) = parse_mountinfo(text)
    assert (entry.id, entry.parent, entry.device, entry.root) == (36, 35, "98:0", "/mnt1")
    assert (entry.path, entry.fstype) == ("/a b\\", "ext3")


def test_file_systems_that_criu_makes_again() -> None:
    assert external("", config()) == {}


def test_bind_mount_from_the_host() -> None:
    text = "110 100 254:0 /srv/data /data rw - ext4 /dev/vda rw\n111 100 0:5 / /host-tmpfs rw - tmpfs t rw\n"
    wanted = config(bind("/data/", "/srv/data"), bind("/host-tmpfs", "/run/x"))
    assert external(text, wanted) == {"/data": "/data", "/host-tmpfs": "/host-tmpfs"}


def test_destination_behind_a_symlink() -> None:
    text = "110 100 254:0 /srv /real/place rw - ext4 /dev/vda rw\n"
    wanted = config(bind("/link/place", "/srv"))
    assert external(text, wanted, {"/link": "/real"}) == {"/real/place": "/link/place"}


def test_bind_mount_that_the_container_has_unmounted() -> None:
    assert external("", config(bind("/data", "/srv/data"))) == {}


def test_mounts_below_a_recursive_bind_mount() -> None:
    text = (
        "110 100 0:60 / /tree rw - tmpfs t rw\n111 110 0:61 / /tree/a rw - tmpfs t rw\n"
        "112 111 0:62 / /tree/a/b rw - tmpfs t rw\n"
    )
    wanted = config(bind("/tree", "/host/tree", MS_REC))
    assert external(text, wanted) == {"/tree": "/tree", "/tree/a": "/tree/a", "/tree/a/b": "/tree/a/b"}
    assert external(text, config(bind("/tree", "/host/tree"))) == {"/tree": "/tree"}


def test_own_mount_on_a_recursive_bind_mount() -> None:
    text = "110 100 0:60 / /tree rw - tmpfs t rw\n111 110 0:61 / /tree/a rw - tmpfs t rw\n"
    wanted = config(bind("/tree", "/host/tree", MS_REC), Mount(destination="/tree/a", source="tmpfs", fstype="tmpfs"))
    assert external(text, wanted) == {"/tree": "/tree"}


def test_masks_and_read_only_paths() -> None:
    """The null device of the container's own /dev is no mount of the host; another one is."""
    text = (
        "110 101 0:51 /null /proc/kcore rw - tmpfs tmpfs rw\n111 101 0:7 /null /proc/keys rw - devtmpfs d rw\n"
        "112 101 0:70 / /proc/acpi ro - tmpfs tmpfs ro\n113 101 0:50 /sys /proc/sys ro - proc proc rw\n"
    )
    masks = ["/proc/kcore", "/proc/keys", "/proc/acpi", "/proc/absent"]
    wanted = config(mask_paths=masks, readonly_paths=["/proc/sys"])
    assert external(text, wanted) == {"/proc/keys": "/proc/keys"}


def test_devices_that_are_bound() -> None:
    text = "110 102 0:7 /full /dev/full rw - devtmpfs d rw\n111 102 0:52 /0 /dev/console rw - devpts p rw\n"
    wanted = config(devices=[Device(path="/dev/full", type="c", major=1, minor=7), Device(path="/dev/zero", type="c")])
    assert external(text, wanted) == {"/dev/full": "/dev/full"}


def test_remount_is_no_mount() -> None:
    text = "110 100 254:0 /srv /data rw - ext4 /dev/vda rw\n"
    again = Mount(destination="/data", flags=MS_REMOUNT | MS_RDONLY)
    assert external(text, config(bind("/data", "/srv"), again)) == {"/data": "/data"}


CGROUPS = Mount(destination="/sys/fs/cgroup", source="cgroup", fstype="cgroup")
CGROUP_TEXT = (
    "110 100 0:80 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n111 110 0:31 /c1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
)


def test_cgroups_without_a_namespace_are_bind_mounts() -> None:
    assert external(CGROUP_TEXT, config(CGROUPS)) == {"/sys/fs/cgroup/cpu": "/sys/fs/cgroup/cpu"}
    assert external(CGROUP_TEXT, config(CGROUPS, namespaces=[Namespace(type="cgroup")])) == {}


def test_sources_are_those_of_the_new_config() -> None:
    wanted = config(bind("/data", "/new/place"), bind("/tree", "/host/tree", MS_REC), mask_paths=["/proc/keys"])
    wanted.devices = [Device(path="/dev/full", type="c")]
    keys = ["/data", "/tree", "/tree/a", "/proc/keys", "/dev/full", "/sys/fs/cgroup/cpu"]
    assert sources(keys, wanted, {"/sys/fs/cgroup/cpu": "/sys/fs/cgroup/cpu/c2"}) == {
        "/data": "/new/place",
        "/tree": "/host/tree",
        "/tree/a": "/host/tree/a",
        "/proc/keys": "/dev/null",
        "/dev/full": "/dev/full",
        "/sys/fs/cgroup/cpu": "/sys/fs/cgroup/cpu/c2",
    }


def test_source_that_the_new_config_lacks() -> None:
    with pytest.raises(ConfigError, match="mounts: the image has a bind mount on /data"):
        sources(["/data"], config(), {})
    with pytest.raises(ConfigError):  # not recursive: nothing below it
        sources(["/data/a"], config(bind("/data", "/srv")), {})


def test_usual_keys_cover_binds_masks_and_devices() -> None:
    wanted = config(bind("/data", "/srv"), mask_paths=["/proc/keys"], devices=[Device(path="/dev/full", type="c")])
    assert usual_keys(wanted) == ["/data", "/proc/keys", "/dev/full"]


def test_unified_hierarchy_is_a_mount_but_in_a_user_namespace() -> None:
    text = "110 100 0:31 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    assert external(text, config(CGROUPS)) == {}
    inside = config(CGROUPS, namespaces=[Namespace(type="user")])
    assert external(text, inside) == {"/sys/fs/cgroup": "/sys/fs/cgroup"}


def test_cgroup_binds() -> None:
    hierarchies = [CgroupHierarchy(name="cpu", options="cpu", path="/sys/fs/cgroup/cpu/c2")]
    v1 = Environment(id="c2", cgroup_hierarchies=hierarchies, cgroup_root="/sys/fs/cgroup/unified")
    v2 = Environment(id="c2", cgroup_version=2)
    unified = Mount(destination="/sys/fs/cgroup", source="cgroup", fstype="cgroup2")
    assert cgroup_binds(config(CGROUPS), v1) == {"/sys/fs/cgroup/cpu": "/sys/fs/cgroup/cpu/c2"}
    assert cgroup_binds(config(unified), v1) == {"/sys/fs/cgroup": "/sys/fs/cgroup/unified"}
    assert cgroup_binds(config(CGROUPS), v2) == {"/sys/fs/cgroup": "/sys/fs/cgroup"}
    assert cgroup_binds(config(CGROUPS, namespaces=[Namespace(type="cgroup")]), v2) == {}


@pytest.mark.parametrize(("path", "key"), [("/a//b/", "/a/b"), ("a", "/a"), ("/", "/"), ("//a/../b", "/b")])
def test_keys_are_clean(path: str, key: str) -> None:
    assert key_of(path) == key
