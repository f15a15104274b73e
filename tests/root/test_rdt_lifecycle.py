"""linux.intelRdt through a container's life, on a directory that plays a resctrl mount (tests/resctrl_tree.py)."""

from __future__ import annotations

import os
from typing import Any

import pytest
from bundles import Bundle, library_config
from resctrl_tree import ResctrlTree

from seatrial.runtime import Container, Process
from seatrial.runtime.config import Config, Hook, IntelRdt, Resources
from seatrial.runtime.errors import ConfigError, HookError, SeatrialError, StateError

pytestmark = pytest.mark.root
ID = f"rdt-{os.getpid()}"


@pytest.fixture
def tree(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> ResctrlTree:
    return ResctrlTree(str(tmp_path / "resctrl"), monkeypatch)


@pytest.fixture
def root(tmp_path: os.PathLike[str]) -> str:
    return os.path.join(tmp_path, "root")


def config(bundle: Bundle, **rdt: Any) -> Config:
    return library_config(bundle, intel_rdt=IntelRdt(**rdt))


def hold(*words: str) -> Process:
    return Process(["/probe", *(words or ("hold",))], cwd="/", env=["PATH=/"])


def test_every_process_is_in_its_groups_before_its_program_runs(tree: ResctrlTree, bundle: Bundle, root: str) -> None:
    with Container.create(root, ID, config(bundle, l3_cache_schema="L3:0=f", enable_monitoring=True)) as container:
        assert tree.groups() == [], "nothing is made before the start"
        init = hold()
        container.start(init)
        pid = container.state()["pid"]
        assert tree.read(ID, "tasks").split() == [str(pid)]
        assert tree.read(ID, "mon_groups", ID, "tasks").split() == [str(pid)]
        assert tree.read(ID, "schemata").split()[0] == "L3:0=f;1=fffff"
        figures = container.stats().intel_rdt
        assert figures is not None
        assert figures.l3_cache_schema == "L3:0=f;1=fffff"
        container.release()
        second = hold()
        container.exec(second)
        assert tree.read(ID, "tasks").split() == [str(pid), str(second.pid)]
        assert tree.read(ID, "mon_groups", ID, "tasks").split() == [str(pid), str(second.pid)]
        container.signal(9, all=True)
        second.wait()  # init of a pid namespace ends after all others have been reaped
        init.wait()
        with Container.load(root, ID) as other:  # as another command would
            other.destroy()
    assert tree.groups() == []


def test_set(tree: ResctrlTree, bundle: Bundle, root: str) -> None:
    with Container.create(root, ID, config(bundle)) as container:
        init = hold()
        container.start(init)
        container.set(Resources(), l3_cache_schema="L3:1=3", mem_bw_schema="MB:0=40")
        assert tree.read(ID, "schemata").split() == ["L3:0=fffff;1=3", "MB:0=40;1=100"]
        with Container.load(root, ID) as other:
            rdt = other.config.intel_rdt
            assert rdt is not None
            assert (rdt.l3_cache_schema, rdt.mem_bw_schema) == ("L3:1=3", "MB:0=40")
        with pytest.raises(SeatrialError):
            container.set(Resources(pids_limit=-7), l3_cache_schema="L3:1=1")
        assert tree.read(ID, "schemata").split() == ["L3:0=fffff;1=3", "MB:0=40;1=100"], "all or nothing"
        container.destroy(force=True)
        init.wait()


def test_set_without_a_class(bundle: Bundle, root: str) -> None:
    plain = config(bundle)
    plain.intel_rdt = None
    with Container.create(root, ID, plain) as container:
        init = hold()
        container.start(init)
        with pytest.raises(StateError, match=r"has no linux\.intelRdt"):
            container.set(Resources(), l3_cache_schema="L3:1=3")
        container.destroy(force=True)
        init.wait()


@pytest.mark.parametrize("clos", ["", "gold"])
def test_a_failed_create_leaves_nothing(tree: ResctrlTree, bundle: Bundle, root: str, clos: str) -> None:
    failing = config(bundle, clos_id=clos, l3_cache_schema="L3:0=f", enable_monitoring=True)
    failing.hooks.create_runtime = [Hook(path="/bin/false")]
    container = Container.create(root, ID, failing)
    with pytest.raises(HookError):
        container.start(hold())
    container.close()
    assert tree.groups() == []
    assert os.listdir(root) == []


def test_without_resctrl_create_fails(bundle: Bundle, root: str) -> None:
    container = Container.create(root, ID, config(bundle))
    with pytest.raises(ConfigError, match=r"linux\.intelRdt: no resctrl file system is mounted"):
        container.start(hold())
    container.close()
    assert os.listdir(root) == []


def test_destroy_before_the_start(tree: ResctrlTree, bundle: Bundle, root: str) -> None:
    tree.group(ID)
    with Container.create(root, ID, config(bundle)) as container:
        container.destroy(force=True)
    assert tree.groups() == [ID]
