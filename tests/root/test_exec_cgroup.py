"""Where `exec` puts a process: --cgroup and its borders, and containers whose init has moved on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
from bundles import Bundle, CommandLine
from v2_view import V2CommandLine

from seatrial.runtime.cgroup.hierarchy import HYBRID, V1, detect

HOST = detect()
pytestmark = pytest.mark.skipif(HOST.v2 is None, reason="needs a mounted cgroup2")


class Tree:
    """The v2 cgroup of a container in the view, as the host reaches it."""

    def __init__(self, id: str) -> None:
        assert HOST.v2 is not None
        self.id = id
        self.top = f"{HOST.v2.mount_point}/{id}"

    def make(self, name: str) -> str:
        os.mkdir(f"{self.top}/{name}")
        return name


@pytest.fixture
def tree(v2: V2CommandLine, bundle: Bundle) -> Iterator[Tree]:
    made = Tree(f"xc-{os.getpid()}")
    bundle.config["linux"]["cgroupsPath"] = f"/{made.id}"
    bundle.write()
    v2("run", "-d", "-b", bundle.path, made.id)
    sibling = f"{made.top}-sibling"
    os.mkdir(sibling)
    yield made
    os.rmdir(sibling)


def v2_line(done: subprocess.CompletedProcess[str]) -> str:
    """The v2 cgroup that the probe found itself in at its first instruction."""
    text = str(json.loads(done.stdout)["first_cgroup"])
    return next(line[3:] for line in text.splitlines() if line.startswith("0::"))


@pytest.mark.parametrize("option", ["sub", "/sub", "sub/", "deep/er", "sub/../deep"])
def test_a_cgroup_below(v2: V2CommandLine, tree: Tree, option: str) -> None:
    for name in ("sub", "deep", "deep/er"):
        tree.make(name)
    done = v2("--debug", "exec", "--cgroup", option, tree.id, "/probe", "report")
    assert v2_line(done) == os.path.normpath(f"/{tree.id}/{option}")
    assert "born in the cgroup" in done.stderr


@pytest.mark.parametrize(
    "option",
    ["nosuch", "..", "../{id}-sibling", "/../{id}-sibling", "sub/../../{id}-sibling", "sub/../..", "cgroup.procs"],
)
def test_no_way_out(v2: V2CommandLine, tree: Tree, option: str) -> None:
    tree.make("sub")
    before = cgroup_members(f"{tree.top}-sibling")
    done = v2("exec", "--cgroup", option.format(id=tree.id), tree.id, "/probe", "exit", "0", check=False)
    assert done.returncode == 255
    assert "open cgroup" in done.stderr
    assert cgroup_members(f"{tree.top}-sibling") == before == []
    assert v2("exec", "--cgroup", "sub", tree.id, "/probe", "exit", "0").returncode == 0


def cgroup_members(directory: str) -> list[str]:
    with open(f"{directory}/cgroup.procs") as file:
        return file.read().split()


def move(pid: int, directory: str) -> None:
    with open(f"{directory}/cgroup.procs", "w") as file:
        file.write(str(pid))


@pytest.fixture
def domain(tree: Tree) -> Iterator[None]:
    """Let the container's cgroup have a domain controller to hand on."""
    assert HOST.v2 is not None
    top = f"{HOST.v2.mount_point}/cgroup.subtree_control"
    with open(top) as file:
        before = file.read().split()
    with open(top, "w") as file:
        file.write("+hugetlb")
    yield
    for path in (f"{tree.top}/cgroup.subtree_control", top):
        if "hugetlb" not in before and os.path.exists(path):
            try:
                with open(path, "w") as file:
                    file.write("-hugetlb")
            except OSError:  # somebody else's container uses it by now
                pass


def test_where_controllers_are_handed_on_the_process_goes_to_init(v2: V2CommandLine, tree: Tree, domain: None) -> None:
    """EBUSY for real (runc issue 2356): a cgroup with controllers for its children takes no process."""
    tree.make("leaf")
    move(v2.state(tree.id)["pid"], f"{tree.top}/leaf")
    with open(f"{tree.top}/cgroup.subtree_control", "w") as file:
        file.write("+hugetlb")
    done = v2("--debug", "exec", tree.id, "/probe", "report")
    assert v2_line(done) == f"/{tree.id}/leaf"
    assert "clone3 into the cgroup: EBUSY" in done.stderr
    assert "born in the cgroup" in done.stderr
    # Without clone3 by the other way, to the same place.
    done = v2.refusing(38)("--debug", "exec", tree.id, "/probe", "report")
    assert v2_line(done) == f"/{tree.id}/leaf"
    assert "EBUSY; joined the one of init" in done.stderr
    # A place that the caller has named is not exchanged for another.
    done = v2("exec", "--cgroup", "/", tree.id, "/probe", check=False)
    assert done.returncode == 255
    assert "EBUSY" in done.stderr


def test_where_the_cgroup_is_gone_the_process_goes_to_init(v2: V2CommandLine, tree: Tree) -> None:
    """runc issue 5089: something moved init and removed the cgroup that it was created in."""
    other = f"{tree.top}-other"
    os.mkdir(other)
    pid = v2.state(tree.id)["pid"]
    move(pid, other)
    os.rmdir(tree.top)
    try:
        done = v2("--debug", "exec", tree.id, "/probe", "report")
        assert v2_line(done) == f"/{tree.id}-other"
        assert "is gone: using the one of init" in done.stderr
        done = v2("exec", "--cgroup", "sub", tree.id, "/probe", check=False)
        assert done.returncode == 255
    finally:
        v2("delete", "--force", tree.id)
        os.rmdir(other)


@pytest.mark.skipif(HOST.mode not in (V1, HYBRID), reason="needs cgroup v1 controllers")
def test_v1_has_a_place_in_each_hierarchy(cli: CommandLine, bundle: Bundle) -> None:
    id = f"xc1-{os.getpid()}"
    cli("run", "-d", "-b", bundle.path, id)
    with open(f"{cli.root}/{id}/state.json") as file:
        paths = json.load(file)["cgroup_paths"]

    def placed(*words: str) -> dict[str, str]:
        done = cli("exec", *words, id, "/probe", "report")
        found = {}
        for line in str(json.loads(done.stdout)["first_cgroup"]).splitlines():
            _, names, path = line.split(":", 2)
            found.update(dict.fromkeys(names.split(","), path))
        return found

    plain = placed()
    os.mkdir(f"{paths['pids']}/sub")
    assert placed("--cgroup", "pids:sub") == plain | {"pids": f"{plain['pids']}/sub"}
    done = cli("exec", "--cgroup", "sub", id, "/probe", check=False)  # not in the other hierarchies
    assert done.returncode == 255
    done = cli("exec", "--cgroup", "bogus:sub", id, "/probe", check=False)
    assert done.returncode == 255
    assert "no cgroup of controller 'bogus'" in done.stderr
    done = cli("exec", "--cgroup", "pids:..", id, "/probe", check=False)
    assert done.returncode == 255
    assert "below the container's cgroup" in done.stderr
    together = ",".join(name for name, path in paths.items() if path == paths["cpu"])
    os.mkdir(f"{paths['cpu']}/sub")
    assert placed("--cgroup", f"pids,{together}:sub")["cpu"] == f"{plain['cpu']}/sub"
    for directory in dict.fromkeys(paths.values()):
        if not os.path.isdir(f"{directory}/sub"):
            os.mkdir(f"{directory}/sub")
    for name in ("cpuset.cpus", "cpuset.mems"):  # v1: an empty cpuset takes no process
        if "cpuset" in paths:
            with open(f"{paths['cpuset']}/{name}") as source, open(f"{paths['cpuset']}/sub/{name}", "w") as file:
                file.write(source.read())
    assert set(placed("--cgroup", "sub").values()) == {f"{path}/sub" for path in plain.values()}
