"""Which hierarchies a process sees, and where cgroupsPath leads in them."""

from __future__ import annotations

import pytest

from seatrial.runtime.cgroup.hierarchy import HYBRID, V1, V2, Hierarchy, detect, own_paths, parse
from seatrial.runtime.cgroup.place import clean, from_paths, paths_for, place
from seatrial.runtime.errors import ConfigError, SeatrialError

HYBRID_MOUNTS = """\
23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 master:2 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,xattr,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
HYBRID_OWN = """\
9:name=systemd:/user
5:devices:/
4:memory:/own/box
6:freezer:/
1:cpu,cpuacct:/
0::/user
"""
V2_MOUNTS = """\
23 1 254:0 / / rw - ext4 /dev/vda rw
30 23 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
ALL = {
    "/sys/fs/cgroup": "0:28",
    "/sys/fs/cgroup/cpu,cpuacct": "0:29",
    "/sys/fs/cgroup/memory": "0:32",
    "/sys/fs/cgroup/devices": "0:33",
    "/sys/fs/cgroup/freezer": "0:34",
    "/sys/fs/cgroup/systemd": "0:37",
    "/sys/fs/cgroup/unified": "0:38",
}


def hierarchy(mountinfo: str = HYBRID_MOUNTS, reached: dict[str, str] | None = None) -> Hierarchy:
    devices = ALL if reached is None else reached
    return parse(mountinfo, HYBRID_OWN, lambda path: devices.get(path, ""))


def v2_at(own: str, mountinfo: str = V2_MOUNTS) -> Hierarchy:
    return parse(mountinfo, f"0::{own}\n", lambda _path: "0:27")


def test_hybrid_host() -> None:
    found = hierarchy()
    assert found.mode == HYBRID
    assert set(found.v1) == {"cpu", "cpuacct", "memory", "devices", "freezer", "name=systemd"}
    assert found.v1["cpuacct"].mount_point == "/sys/fs/cgroup/cpu,cpuacct"
    assert found.v1["memory"].own_directory() == "/sys/fs/cgroup/memory/own/box"
    assert found.v1["devices"].own_directory() == "/sys/fs/cgroup/devices"
    assert found.v2 is not None
    assert [mounted.controllers for mounted in found.v1_mounts()] == [
        ("cpu", "cpuacct"), ("memory",), ("devices",), ("freezer",), ("name=systemd",),
    ]  # fmt: skip


def test_v1_only_where_the_unified_mount_is_gone() -> None:
    without = "".join(line for line in HYBRID_MOUNTS.splitlines(True) if "cgroup2" not in line)
    assert hierarchy(without).mode == V1


def test_v2_mounted_over_a_hybrid_host_hides_it() -> None:
    over = HYBRID_MOUNTS + "50 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
    found = hierarchy(over, reached={"/sys/fs/cgroup": "0:38"})
    assert found.mode == V2
    assert found.v1 == {}
    assert found.v2 is not None
    assert found.v2.mount_point == "/sys/fs/cgroup"


def test_v2_host_with_a_named_v1_hierarchy_is_v2() -> None:
    named = V2_MOUNTS + "44 23 0:50 / /run/elogind rw - cgroup none rw,name=elogind\n"
    found = parse(named, "1:name=elogind:/\n0::/\n", lambda path: "0:50" if "elogind" in path else "0:27")
    assert found.mode == V2
    assert list(paths_for("/x", "id", found)) == [""]


def test_nothing_mounted() -> None:
    empty = parse("23 1 254:0 / / rw - ext4 /dev/vda rw\n", "0::/\n", lambda _path: "")
    assert empty.mode == ""
    with pytest.raises(SeatrialError, match="no cgroup hierarchy"):
        place(None, "id", empty)


def test_bind_mounted_part_of_a_hierarchy() -> None:
    part = V2_MOUNTS.replace(" / /sys/fs/cgroup ", " /machine/box /sys/fs/cgroup ")
    assert v2_at("/machine/box/init", part).v2.own_directory() == "/sys/fs/cgroup/init"  # type: ignore[union-attr]
    assert v2_at("/machine/box", part).v2.own_directory() == "/sys/fs/cgroup"  # type: ignore[union-attr]
    assert v2_at("/machine/boxes", part).v2.own_directory() == "/sys/fs/cgroup"  # type: ignore[union-attr]


def test_cgroup_namespace_with_a_mount_from_outside() -> None:
    outside = V2_MOUNTS.replace(" / /sys/fs/cgroup ", " /.. /sys/fs/cgroup ")
    assert v2_at("/", outside).v2.own_directory() == "/sys/fs/cgroup"  # type: ignore[union-attr]


def test_mount_that_shows_the_root_is_preferred() -> None:
    two = V2_MOUNTS.replace(" / /sys/fs/cgroup ", " /a /mnt/part ") + V2_MOUNTS
    found = v2_at("/a/b", two)
    assert found.v2 is not None
    assert found.v2.mount_point == "/sys/fs/cgroup"


def test_blanks_in_mount_points() -> None:
    assert v2_at("/", V2_MOUNTS.replace("/sys/fs/cgroup", "/my\\040groups")).v2.mount_point == "/my groups"  # type: ignore[union-attr]


def test_own_paths_may_contain_colons() -> None:
    assert own_paths("3:cpu,cpuacct:/a:b\n0::/c:d\n") == {"cpu": "/a:b", "cpuacct": "/a:b", "": "/c:d"}


def test_this_process_is_where_detect_says() -> None:
    found = detect()
    mounted = [*found.v1_mounts(), *([found.v2] if found.v2 else [])]
    if not mounted:
        pytest.skip("no cgroup hierarchy is mounted")
    for one in mounted:
        with open(f"{one.own_directory()}/cgroup.procs", encoding="ascii") as file:
            assert file.read() is not None


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [("/a/b", "a/b"), ("a//b/", "a/b"), ("../../x", "x"), ("/a/../../b", "b"), ("//x/./y", "x/y"), ("a:b:c", "a:b:c")],
)
def test_paths_are_cleaned_within_their_place(path: str, cleaned: str) -> None:
    assert clean(path) == cleaned


@pytest.mark.parametrize("path", ["/", "..", "/a/..", ".", "a\nb", "a\0b"])
def test_paths_that_name_no_cgroup(path: str) -> None:
    with pytest.raises(ConfigError, match=r"linux\.cgroupsPath"):
        clean(path)


def test_absolute_path_counts_from_each_mount_point() -> None:
    paths = paths_for("/pod/box", "id", hierarchy())
    assert list(paths) == ["devices", "memory", "cpu", "cpuacct", "freezer", "name=systemd", ""]
    assert paths["memory"] == "/sys/fs/cgroup/memory/pod/box"
    assert paths["cpu"] == paths["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct/pod/box"
    assert paths[""] == "/sys/fs/cgroup/unified/pod/box"


def test_relative_path_is_below_the_own_cgroup_on_v1() -> None:
    paths = paths_for("pod/box", "id", hierarchy())
    assert paths["memory"] == "/sys/fs/cgroup/memory/own/box/pod/box"
    assert paths["devices"] == "/sys/fs/cgroup/devices/pod/box"
    assert paths[""] == "/sys/fs/cgroup/unified/user/pod/box"


def test_relative_path_is_beside_the_own_cgroup_on_v2() -> None:
    assert paths_for("pod/box", "id", v2_at("/a/shell")) == {"": "/sys/fs/cgroup/a/pod/box"}
    assert paths_for("pod/box", "id", v2_at("/")) == {"": "/sys/fs/cgroup/pod/box"}


def test_without_a_path_the_id_names_the_cgroup() -> None:
    assert paths_for(None, "box", v2_at("/a/shell")) == {"": "/sys/fs/cgroup/a/box"}
    assert paths_for("", "box", hierarchy())["memory"] == "/sys/fs/cgroup/memory/own/box/box"


def test_saved_paths_give_the_same_cgroup() -> None:
    for where in (v2_at("/"), hierarchy()):
        made = place("/x", "id", where)
        again = from_paths(made.paths)
        assert (type(again), again.paths, again.version) == (type(made), made.paths, made.version)
        assert again.paths is not made.paths
