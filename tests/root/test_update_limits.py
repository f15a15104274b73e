"""`update` and `Container.set` for real: read back from the kernel, on whatever version of cgroups this host has."""

from __future__ import annotations

import glob
import json
import os
import subprocess
from typing import Any

import pytest
from bundles import Bundle, CommandLine

from seatrial.runtime import Config, Container
from seatrial.runtime.cgroup.hierarchy import V2, detect
from seatrial.runtime.config import Resources
from seatrial.runtime.errors import StateError, SyscallError

MIB = 1 << 20
_LIMITED = ("cpu", "cpuset", "memory", "pids", "blkio", "io", "hugetlb")
_MEASURED = ("usage", "stat", "current", "peak", "events", "pressure", "failcnt", "io_")


class Limit:
    """A file of the container's cgroup on either version."""

    def __init__(self, cli: CommandLine, id: str) -> None:
        with open(os.path.join(cli.root, id, "state.json")) as file:
            self.paths: dict[str, str] = json.load(file)["cgroup_paths"]

    def __call__(self, v1: str, v2: str) -> str:
        unified = list(self.paths) == [""]
        name = v2 if unified else v1
        path = self.paths["" if unified else v1.partition(".")[0]]
        with open(f"{path}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def all(self) -> dict[str, str]:
        """Every limit that can be read."""
        found = {}
        for directory in dict.fromkeys(self.paths.values()):
            for path in glob.glob(f"{directory}/*.*"):
                name = os.path.basename(path)
                if name.partition(".")[0] in _LIMITED and not any(word in name for word in _MEASURED):
                    try:
                        with open(path, encoding="ascii") as file:
                            found[path] = file.read()
                    except OSError:
                        continue  # write-only
        return found


@pytest.fixture
def running(cli: CommandLine, bundle: Bundle) -> Limit:
    """A container c1 with a few limits."""
    needed = {"memory", "cpu", "cpuset", "pids"}
    hierarchy = detect()
    if hierarchy.mode == V2:
        assert hierarchy.v2 is not None
        with open(f"{hierarchy.v2.mount_point}/cgroup.controllers", encoding="ascii") as file:
            missing = needed - set(file.read().split())
    else:
        missing = needed - set(hierarchy.v1)
    if missing:
        pytest.skip(f"needs the controllers {', '.join(sorted(missing))}")
    bundle.config["linux"]["cgroupsPath"] = f"/seatrial-update-{os.getpid()}"
    bundle.config["linux"]["resources"] = {
        "memory": {"limit": 64 * MIB},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000},
        "pids": {"limit": 50},
    }
    cli("run", "--detach", "-b", bundle.write().path, "c1")
    return Limit(cli, "c1")


def changes(limit: Limit, before: dict[str, str]) -> set[str]:
    after = limit.all()
    return {os.path.basename(path) for path in after if after[path] != before[path]}


@pytest.mark.parametrize(
    ("words", "files", "v1", "v2"),
    [
        (["--memory", "128M"], ("memory.limit_in_bytes", "memory.max"), str(128 * MIB), str(128 * MIB)),
        (["--memory-reservation", "32m"], ("memory.soft_limit_in_bytes", "memory.low"), str(32 * MIB), str(32 * MIB)),
        (["--cpu-share", "1024"], ("cpu.shares", "cpu.weight"), "1024", "100"),
        (["--cpu-quota", "20000"], ("cpu.cfs_quota_us", "cpu.max"), "20000", "20000 100000"),
        (["--cpu-quota", "-1"], ("cpu.cfs_quota_us", "cpu.max"), "-1", "max 100000"),
        (["--cpu-period", "200000"], ("cpu.cfs_period_us", "cpu.max"), "200000", "50000 200000"),
        (["--cpu-burst", "1000"], ("cpu.cfs_burst_us", "cpu.max.burst"), "1000", "1000"),
        (["--cpuset-cpus", "0"], ("cpuset.cpus", "cpuset.cpus"), "0", "0"),
        (["--pids-limit", "-1"], ("pids.max", "pids.max"), "max", "max"),
        (["--pids-limit", "20"], ("pids.max", "pids.max"), "20", "20"),
    ],
)
def test_one_option_changes_one_file(
    cli: CommandLine, running: Limit, words: list[str], files: tuple[str, str], v1: str, v2: str
) -> None:
    before = running.all()
    cli("update", *words, "c1")
    shown = running(*files)
    assert shown == (v2 if list(running.paths) == [""] else v1)
    effective = {f"{name}.effective" for name in files} | {f"cpuset.effective_{name[7:]}" for name in files}
    weights = {"cpu.weight.nice"} if "cpu.weight" in files else set()
    assert changes(running, before) - effective - weights == {files[list(running.paths) == [""]]}
    assert cli.status("c1") == "running"


def test_document_from_a_file_and_from_standard_input(cli: CommandLine, running: Limit, tmp_path: Any) -> None:
    document = tmp_path / "limits.json"
    document.write_text(json.dumps({"pids": {"limit": 30}, "memory": {"limit": 96 * MIB}}))
    cli("update", "--resources", str(document), "c1")
    assert (running("pids.max", "pids.max"), running("memory.limit_in_bytes", "memory.max")) == ("30", str(96 * MIB))
    done = subprocess.run(cli.argv("update", "-r", "-", "c1"), input='{"pids": {"limit": 31}}', text=True, check=False)
    assert done.returncode == 0
    assert running("pids.max", "pids.max") == "31"
    assert running("memory.limit_in_bytes", "memory.max") == str(96 * MIB)


def test_limits_shrink_and_grow_in_one_go(cli: CommandLine, running: Limit) -> None:
    for memory, quota, burst, period in (
        (32, 10000, 5000, 20000), (256, 400000, 300000, 1000000), (16, 1000, 0, 1000), (64, 50000, 50000, 100000),
    ):  # fmt: skip
        cli(
            "update", "--memory", f"{memory}m", "--memory-swap", f"{2 * memory}m", "--cpu-quota", str(quota),
            "--cpu-burst", str(burst), "--cpu-period", str(period), "c1",
        )  # fmt: skip
        assert running("memory.limit_in_bytes", "memory.max") == str(memory * MIB)
        assert running("cpu.cfs_burst_us", "cpu.max.burst") == str(burst)


@pytest.mark.parametrize(
    "words",
    [
        ["--memory", "32m", "--pids-limit", "9", "--cpu-share", "2"],
        ["--cpu-idle", "1", "--cpuset-cpus", "0", "--memory-reservation", "1m"],
        ["--memory", "32m", "--memory-swap", "64m", "--cpu-quota", "1000", "--cpu-burst", "1000"],
    ],
)
def test_refused_update_changes_nothing(cli: CommandLine, running: Limit, words: list[str]) -> None:
    before = running.all()
    with open(os.path.join(cli.root, "c1", "state.json")) as file:
        state = file.read()
    done = cli("update", *words, "--cpu-period", "7", "c1", check=False)
    assert done.returncode == 1
    assert "EINVAL" in done.stderr
    assert changes(running, before) == set()
    with open(os.path.join(cli.root, "c1", "state.json")) as file:
        assert file.read() == state


def test_created_paused_and_stopped(cli: CommandLine, bundle: Bundle, running: Limit) -> None:
    with Container.load(cli.root, "c1") as container:
        from seatrial.runtime.cgroup.place import from_paths

        cgroup = from_paths(running.paths)
        cgroup.freeze()
        try:
            container.set(Resources(pids_limit=11))
            assert container.status() == "paused"
            assert cgroup.frozen()
        finally:
            cgroup.thaw()
        assert running("pids.max", "pids.max") == "11"
        assert container.status() == "running"
        container.signal(9)
        container.destroy(force=True)
    bundle.config["linux"]["cgroupsPath"] += "-2"
    cli("create", "-b", bundle.write().path, "c2")
    cli("update", "--pids-limit", "12", "c2")
    assert Limit(cli, "c2")("pids.max", "pids.max") == "12"
    assert cli.status("c2") == "created"
    cli("kill", "c2", "KILL")
    while cli.status("c2") != "stopped":
        pass
    done = cli("update", "--pids-limit", "13", "c2", check=False)
    assert (done.returncode, "c2 is stopped" in done.stderr) == (1, True)


def test_state_remembers(cli: CommandLine, running: Limit) -> None:
    cli("update", "--cpu-idle", "0", "--memory", "80m", "c1")
    cli("update", "--cpuset-cpus", "0", "c1")
    with open(os.path.join(cli.root, "c1", "state.json")) as file:
        resources = Config.from_json(json.load(file)["config"]).cgroups.resources
    assert (resources.memory_limit, resources.pids_limit, resources.cpu_idle) == (80 * MIB, 50, 0)
    assert (resources.cpuset_cpus, resources.cpu_shares) == ("0", 512)
    assert running("cpu.shares", "cpu.weight") in ("512", "59")  # ceasing to be idle would have reset it


def test_set_of_the_library(cli: CommandLine, running: Limit) -> None:
    with Container.load(cli.root, "c1") as container:
        config = container.config
        config.cgroups.resources.pids_limit = 21
        container.set(config)
        assert container.config == config
        with pytest.raises(SyscallError, match=r"cpuset\.cpus"):
            container.set(Resources(pids_limit=22, cpuset_cpus="4095"))
        assert running("pids.max", "pids.max") == "21"
    with Container.load(cli.root, "c1") as container:
        assert container.config == config
        container.destroy(force=True)
        with pytest.raises(StateError):
            container.set(Resources(pids_limit=1))
