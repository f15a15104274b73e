"""Classes of service and monitoring groups: config-linux.md#intelrdt, requirement by requirement."""

from __future__ import annotations

import os
from typing import Any

import pytest
from resctrl_tree import DEFAULT, ResctrlTree

from seatrial.runtime import resctrl
from seatrial.runtime.cli import stats_document
from seatrial.runtime.config import IntelRdt
from seatrial.runtime.errors import ConfigError, StateError, SyscallError
from seatrial.runtime.resctrl_stats import rdt_stats
from seatrial.runtime.state import State, StateDirectory


@pytest.fixture
def tree(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> ResctrlTree:
    return ResctrlTree(str(tmp_path / "resctrl"), monkeypatch)


@pytest.fixture
def directory(tmp_path: Any) -> Any:
    with StateDirectory.reserve(str(tmp_path / "root"), "c1") as directory:
        yield directory


class Made:
    """A group that was created, and what state.json says of it."""

    def __init__(self, tree: ResctrlTree, directory: StateDirectory, **members: Any) -> None:
        self.rdt = IntelRdt(**members)
        self.state = State("c1", {"intel_rdt": self.rdt.to_json()})
        self.group = resctrl.Group("c1", self.rdt, tree.root)
        self.group.create(self.state, directory)
        saved = directory.load()
        assert saved is not None
        assert (saved.intel_rdt_path, saved.intel_rdt_owned) == (self.state.intel_rdt_path, self.state.intel_rdt_owned)


def test_not_mounted() -> None:
    with pytest.raises(ConfigError, match=r"linux\.intelRdt: no resctrl file system is mounted; mount -t resctrl"):
        resctrl.Group("c1", IntelRdt(), None)


def test_not_supported(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="no resctrl"):
        resctrl.Group("c1", IntelRdt(), str(tmp_path))


def test_mount_point(tmp_path: Any) -> None:
    file = tmp_path / "mountinfo"
    file.write_text("1 0 0:1 / /sys rw - sysfs x rw\n2 1 0:2 / /sys/fs/res\\040ctrl rw shared:2 - resctrl resctrl rw\n")
    assert resctrl.mount_point(str(file)) == "/sys/fs/res ctrl"
    file.write_text("1 0 0:1 / /resctrl rw - tmpfs resctrl rw\n")
    assert resctrl.mount_point(str(file)) is None
    assert resctrl.mount_point(str(tmp_path / "nosuch")) is None


def test_without_a_name_it_has_the_containers_and_goes_with_it(tree: ResctrlTree, directory: StateDirectory) -> None:
    made = Made(tree, directory, l3_cache_schema="L3:0=ff", mem_bw_schema="MB:1=50")
    resctrl.join(made.state, 4711)
    assert tree.read("c1", "tasks") == "4711\n"
    assert tree.read("c1", "schemata").split() == ["L3:0=ff;1=fffff", "MB:0=100;1=50"]
    resctrl.remove(made.state)
    assert tree.groups() == []
    resctrl.remove(made.state)


def test_cache_before_bandwidth_before_schemata(tree: ResctrlTree, directory: StateDirectory) -> None:
    Made(tree, directory, schemata=["L3:0=f", "MB:0=20"], mem_bw_schema="MB:0=50", l3_cache_schema="L3:0=ff")
    assert [text for name, text in tree.written if name == "c1/schemata"] == [
        "L3:0=ff\n", "MB:0=50\n", "L3:0=f\n", "MB:0=20\n",
    ]  # fmt: skip
    assert tree.read("c1", "schemata").split() == ["L3:0=f;1=fffff", "MB:0=20;1=100"]


def test_without_schemas_nothing_is_written(tree: ResctrlTree, directory: StateDirectory) -> None:
    Made(tree, directory)
    assert tree.written == []
    assert tree.groups() == ["c1"]


def test_the_root_class(tree: ResctrlTree, directory: StateDirectory) -> None:
    made = Made(tree, directory, clos_id="/")
    resctrl.join(made.state, 4711)
    assert tree.read("tasks") == "4711\n"
    resctrl.remove(made.state)
    assert os.path.isdir(tree.root)


def test_a_named_class_is_made_with_a_schema_and_stays(tree: ResctrlTree, directory: StateDirectory) -> None:
    made = Made(tree, directory, clos_id="gold", l3_cache_schema="L3:0=f")
    assert tree.groups() == ["gold"]
    resctrl.remove(made.state)
    assert tree.groups() == ["gold"]


def test_a_named_class_without_a_schema_has_to_exist(tree: ResctrlTree, directory: StateDirectory) -> None:
    with pytest.raises(ConfigError, match=r"linux\.intelRdt\.closID: .*/gold does not exist"):
        Made(tree, directory, clos_id="gold")
    assert tree.groups() == []
    tree.group("gold", "    L3:0=3;1=3\n")
    made = Made(tree, directory, clos_id="gold")
    assert tree.read("gold", "schemata") == "    L3:0=3;1=3\n"
    resctrl.remove(made.state)
    assert tree.groups() == ["gold"]


@pytest.mark.parametrize(
    "members",
    [
        {"l3_cache_schema": "L3:0=FF;1=0f"},
        {"schemata": ["MB:0=50", "L3:1=f"]},
        {"l3_cache_schema": "L3:0=1", "schemata": ["L3:0=ff"]},  # the later line decides
    ],
)
def test_an_existing_class_with_the_same_values(
    tree: ResctrlTree, directory: StateDirectory, members: dict[str, Any]
) -> None:
    tree.group("gold", "    L3:0=000ff;1=0000f\n    MB:0= 50;1=100\n")
    Made(tree, directory, clos_id="gold", **members)
    assert tree.written == []


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"l3_cache_schema": "L3:0=f"}, "has ff for L3:0, not f"),
        ({"mem_bw_schema": "MB:7=10"}, "has nothing for MB:7, not 10"),
        ({"schemata": ["L2:0=f"]}, "has nothing for L2:0, not f"),
        ({"l3_cache_schema": "0=f"}, "no line of a schemata file"),
    ],
)
def test_an_existing_class_with_other_values(
    tree: ResctrlTree, directory: StateDirectory, members: dict[str, Any], told: str
) -> None:
    tree.group("gold", "    L3:0=000ff;1=0000f\n    MB:0= 50;1=100\n")
    with pytest.raises(ConfigError, match=told):
        Made(tree, directory, clos_id="gold", **members)
    assert tree.written == []


def test_a_class_that_happens_to_have_the_containers_name_is_kept(
    tree: ResctrlTree, directory: StateDirectory
) -> None:
    tree.group("c1")
    made = Made(tree, directory)
    resctrl.remove(made.state)
    assert tree.groups() == ["c1"]


@pytest.mark.parametrize("clos", ["", "gold", "/"])
def test_monitoring(tree: ResctrlTree, directory: StateDirectory, clos: str) -> None:
    if clos == "gold":
        tree.group("gold")
    made = Made(tree, directory, clos_id=clos, enable_monitoring=True)
    where = [*([clos or "c1"] if clos != "/" else []), "mon_groups", "c1"]
    resctrl.join(made.state, 4711)
    assert tree.read(*where, "tasks") == "4711\n"
    resctrl.remove(made.state)
    assert not os.path.exists(tree.path(*where))
    assert tree.groups() == (["gold"] if clos == "gold" else [])


def test_no_monitoring_unless_asked_for(tree: ResctrlTree, directory: StateDirectory) -> None:
    Made(tree, directory)
    assert os.listdir(tree.path("c1", "mon_groups")) == []


@pytest.mark.parametrize("clos", ["", "gold"])
def test_no_monitoring_group_left_is_an_error(tree: ResctrlTree, directory: StateDirectory, clos: str) -> None:
    tree.left = 1
    with pytest.raises(SyscallError, match=r"mkdir .*/mon_groups/c1: ENOSPC; the hardware has no more of them"):
        Made(tree, directory, clos_id=clos, l3_cache_schema="L3:0=f", enable_monitoring=True)
    assert tree.groups() == []


def test_a_line_that_the_kernel_refuses(tree: ResctrlTree, directory: StateDirectory) -> None:
    with pytest.raises(SyscallError, match=r"EINVAL; unknown resource 'L9'"):
        Made(tree, directory, clos_id="gold", schemata=["L9:0=f"])
    assert tree.groups() == []


def test_discarding_removes_also_a_named_class(tree: ResctrlTree, directory: StateDirectory) -> None:
    made = Made(tree, directory, clos_id="gold", l3_cache_schema="L3:0=f", enable_monitoring=True)
    made.group.discard()
    assert tree.groups() == []


def test_change(tree: ResctrlTree, directory: StateDirectory) -> None:
    made = Made(tree, directory, l3_cache_schema="L3:0=ff")
    undo = resctrl.change(made.state, "L3:0=f", "MB:0=20")
    assert tree.read("c1", "schemata").split() == ["L3:0=f;1=fffff", "MB:0=20;1=100"]
    assert made.state.config["intel_rdt"] == {"l3_cache_schema": "L3:0=f", "mem_bw_schema": "MB:0=20"}
    undo()
    assert tree.read("c1", "schemata").split() == ["L3:0=ff;1=fffff", "MB:0=100;1=100"]
    assert made.state.config["intel_rdt"] == {"l3_cache_schema": "L3:0=ff"}
    with pytest.raises(SyscallError):
        resctrl.change(made.state, "L3:0=f", "XX:0=20")
    assert tree.read("c1", "schemata").split() == ["L3:0=ff;1=fffff", "MB:0=100;1=100"]
    with pytest.raises(StateError, match=r"has no linux\.intelRdt"):
        resctrl.change(State("c2", {}), "L3:0=f", "")
    assert DEFAULT.split() == tree.read("schemata").split()


def test_statistics(tree: ResctrlTree, directory: StateDirectory) -> None:
    made = Made(tree, directory, l3_cache_schema="L3:0=ff", enable_monitoring=True)
    for path, text in (
        ("info/L3/cbm_mask", "fffff"), ("info/L3/min_cbm_bits", "2"), ("info/L3/num_closids", "16"),
        ("info/MB/bandwidth_gran", "10"), ("info/MB/delay_linear", "1"), ("info/MB/min_bandwidth", "10"),
        ("info/MB/num_closids", "8"),
        ("c1/mon_groups/c1/mon_data/mon_L3_00/llc_occupancy", "4096"),
        ("c1/mon_groups/c1/mon_data/mon_L3_00/mbm_total_bytes", "700"),
        ("c1/mon_groups/c1/mon_data/mon_L3_00/mbm_local_bytes", "300"),
        ("c1/mon_groups/c1/mon_data/mon_L3_01/llc_occupancy", "Unavailable"),
    ):  # fmt: skip
        os.makedirs(os.path.dirname(tree.path(path)), exist_ok=True)
        with open(tree.path(path), "w") as file:
            file.write(f"{text}\n")
    stats = rdt_stats(made.state, tree.root)
    assert stats_document.intel_rdt(stats) == {
        "l3_cache_info": {"cbm_mask": "fffff", "min_cbm_bits": 2, "num_closids": 16},
        "l3_cache_schema_root": "L3:0=fffff;1=fffff",
        "l3_cache_schema": "L3:0=ff;1=fffff",
        "mem_bw_info": {"bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8},
        "mem_bw_schema_root": "MB:0=100;1=100",
        "mem_bw_schema": "MB:0=100;1=100",
        "mbm_stats": [{"mbm_total_bytes": 700, "mbm_local_bytes": 300}],
        "cmt_stats": [{"llc_occupancy": 4096}, {}],
    }
    assert stats_document.intel_rdt(None) == {}
