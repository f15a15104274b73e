"""--systemd-cgroup: with the host's systemd where that is pid 1, else with a small one that makes the same calls work.

On a host without systemd `peer` answers the runtime: no unit is real then, but every cgroup is.
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bundles import Bundle, CommandLine
from systemd_peer import SystemdPeer, system_bus

from seatrial.runtime.cgroup.hierarchy import V2, detect

MIB = 1 << 20
SLICE = f"sttest{os.getpid()}.slice"


def systemd_runs() -> bool:
    """sd_booted(3), and not in a container of ours."""
    return os.path.isdir("/run/systemd/system") and os.path.exists("/run/systemd/private")


needs_systemd = pytest.mark.skipif(not systemd_runs(), reason="needs systemd as pid 1")


@pytest.fixture
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdPeer]:
    with system_bus(str(tmp_path_factory.mktemp("peer")), SLICE) as peer:
        yield peer


def unit_of(id: str) -> str:
    """The unit of a container made by `write`."""
    return f"st-{id}.scope"


def write(bundle: Bundle, id: str, resources: dict[str, Any] | None = None, **annotations: str) -> str:
    """A config for a container in a slice of this test's own; the id."""
    linux = bundle.config["linux"]
    linux["cgroupsPath"] = f"{SLICE}:st:{id}"
    if resources is not None:
        linux["resources"] = resources
    bundle.config["annotations"] = {f"org.systemd.property.{name}": text for name, text in annotations.items()}
    bundle.write()
    return id


def stored(cli: CommandLine, id: str) -> dict[str, Any]:
    """What state.json says."""
    with open(os.path.join(cli.root, id, "state.json"), encoding="utf-8") as file:
        document: dict[str, Any] = json.load(file)
    return document


def cgroups_of(id: str) -> list[str]:
    """The directories of the unit that are there."""
    return glob.glob(f"/sys/fs/cgroup/**/{unit_of(id)}", recursive=True)


def show(unit: str, *names: str) -> dict[str, str]:
    """Properties, as systemctl prints them."""
    words = ["systemctl", "show", unit, *(f"-p{name}" for name in names)]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(line.partition("=")[::2] for line in lines)


def active(unit: str) -> str:
    """inactive, active or failed."""
    return show(unit, "ActiveState")["ActiveState"]


def kernel(cli: CommandLine, id: str, v1: str, v2: str) -> str:
    """A file of the container's cgroup on either version."""
    paths = stored(cli, id)["cgroup_paths"]
    unified = list(paths) == [""]
    with open(f"{paths['' if unified else v1.partition('.')[0]]}/{v2 if unified else v1}", encoding="ascii") as file:
        return file.read().strip()


# -- everywhere: the runtime's side -------------------------------------------------------------------------------


def test_the_scope_gets_the_process_and_what_the_config_says(
    peer: SystemdPeer, cli: CommandLine, bundle: Bundle
) -> None:
    id = write(bundle, "c-told", {"pids": {"limit": 40}}, CollectMode="'inactive-or-failed'", Description="'mine'")
    cli("--systemd-cgroup", "run", "-d", "-b", bundle.path, id)
    state = stored(cli, id)
    assert (state["systemd_unit"], state["systemd_user"]) == (unit_of(id), False)
    started = [body for name, body in peer.calls if name == "StartTransientUnit"]
    assert len(started) == 1
    unit, mode, properties, _ = started[0]
    assert (unit, mode) == (unit_of(id), "replace")
    told = dict(properties)
    assert told["Slice"] == ("s", SLICE)
    assert told["Delegate"] == told["TasksAccounting"] == told["MemoryAccounting"] == ("b", True)
    assert told["DefaultDependencies"] == ("b", False)
    assert told["TasksMax"] == ("t", 40)
    assert told["CollectMode"] == ("s", "inactive-or-failed")
    assert [value for name, value in properties if name == "Description"] == [("s", "mine")]
    assert all(path.endswith(f"/{SLICE}/{unit_of(id)}") for path in state["cgroup_paths"].values())
    inside = json.loads(cli("ps", "-f", "json", id).stdout)
    assert cli.state(id)["pid"] in inside
    cli("kill", id, "KILL")
    cli("delete", "--force", id)
    assert unit_of(id) not in peer.units
    assert cgroups_of(id) == []


def test_a_scope_of_somebody_else_is_not_touched(peer: SystemdPeer, cli: CommandLine, bundle: Bundle) -> None:
    id = write(bundle, "c-other")
    peer.units[unit_of(id)] = {"ActiveState": ("s", "active")}
    done = cli("--systemd-cgroup", "create", "-b", bundle.path, id, check=False)
    assert done.returncode == 1
    assert "exists already" in done.stderr
    # The same when it appears between the question and the start.
    peer.fail["GetUnit"] = ("org.freedesktop.systemd1.NoSuchUnit", 1)
    done = cli("--systemd-cgroup", "create", "-b", bundle.path, id, check=False)
    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert unit_of(id) in peer.units
    assert not any(name == "StopUnit" for name, _ in peer.calls)
    assert cli.status(id) == ""


@pytest.mark.parametrize(
    ("error", "result", "message"),
    [("org.freedesktop.DBus.Error.InvalidArgs", "done", "InvalidArgs"), ("", "failed", "start unit .*: failed")],
)
def test_a_scope_that_does_not_start_leaves_nothing(
    peer: SystemdPeer, cli: CommandLine, bundle: Bundle, error: str, result: str, message: str
) -> None:
    id = write(bundle, "c-fails")
    peer.results["StartTransientUnit"] = result
    if error:
        peer.fail["StartTransientUnit"] = (error, 1)
    done = cli("--systemd-cgroup", "run", "-b", bundle.path, id, check=False)
    assert done.returncode != 0
    assert re.search(message, done.stderr)
    assert cli.status(id) == ""
    assert cgroups_of(id) == []


def test_update_tells_systemd_and_takes_it_back(peer: SystemdPeer, cli: CommandLine, bundle: Bundle) -> None:
    id = write(bundle, "c-update", {"pids": {"limit": 40}})
    if "pids" not in detect().v1 and detect().mode != V2:
        pytest.skip("needs the pids controller")
    cli("--systemd-cgroup", "run", "-d", "-b", bundle.path, id)
    peer.units[unit_of(id)]["TasksMax"] = ("t", 40)
    cli("update", "--pids-limit", "50", id)
    assert peer.units[unit_of(id)]["TasksMax"] == ("t", 50)
    assert kernel(cli, id, "pids.max", "pids.max") == "50"
    peer.fail["SetUnitProperties"] = ("org.freedesktop.DBus.Error.AccessDenied", 1)
    done = cli("update", "--pids-limit", "60", id, check=False)
    assert done.returncode == 1
    assert "AccessDenied" in done.stderr
    assert kernel(cli, id, "pids.max", "pids.max") == "50"
    assert peer.units[unit_of(id)]["TasksMax"] == ("t", 50)


@pytest.mark.parametrize(
    ("path", "annotations", "message"),
    [
        ("/a/b", {}, r"linux.cgroupsPath: '/a/b' is not SLICE:PREFIX:NAME"),
        ("a/b.slice:x:y", {}, "is not the name of a slice"),
        (":x:y", {"TimeoutStopSec": "'7'"}, "seconds are a number"),
    ],
)
def test_errors_of_the_config(
    cli: CommandLine, bundle: Bundle, path: str, annotations: dict[str, str], message: str
) -> None:
    id = write(bundle, "c-sdbad", None, **annotations)
    bundle.config["linux"]["cgroupsPath"] = path
    bundle.write()
    done = cli("--systemd-cgroup", "create", "-b", bundle.path, id, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert cli.status(id) == ""


@pytest.mark.skipif(systemd_runs(), reason="needs a host without systemd")
def test_no_systemd_is_said_with_a_hint(cli: CommandLine, bundle: Bundle) -> None:
    id = write(bundle, "c-none")
    done = cli("--systemd-cgroup", "create", "-b", bundle.path, id, check=False)
    assert done.returncode == 1
    assert "cannot reach systemd" in done.stderr
    assert "without --systemd-cgroup" in done.stderr
    assert cli.status(id) == ""


# -- where systemd is pid 1 ---------------------------------------------------------------------------------------


@needs_systemd
def test_a_container_is_a_scope(cli: CommandLine, bundle: Bundle) -> None:
    nothing_but_the_defaults = [{"allow": False, "access": "rwm"}]
    cpu = {"shares": 512, "quota": 52345, "period": 100000}
    limits = {"pids": {"limit": 40}, "memory": {"limit": 64 * MIB}, "cpu": cpu, "devices": nothing_but_the_defaults}
    id = write(bundle, "c-scope", limits, CollectMode="'inactive-or-failed'", TimeoutStopSec="7")
    cli("--systemd-cgroup", "run", "-d", "-b", bundle.path, id)
    unit = unit_of(id)
    expected = {
        "ActiveState": "active", "Slice": SLICE, "Delegate": "yes", "TasksMax": "40", "CPUQuotaPerSecUSec": "530ms",
        "DevicePolicy": "strict", "CollectMode": "inactive-or-failed", "TimeoutStopUSec": "7s",
        "ControlGroup": f"/{SLICE}/{unit}",
    }  # fmt: skip
    assert show(unit, *expected) == expected
    assert kernel(cli, id, "pids.max", "pids.max") == "40"
    assert kernel(cli, id, "memory.limit_in_bytes", "memory.max") == str(64 * MIB)
    if detect().mode == V2:
        assert kernel(cli, id, "", "cpu.max") == "52345 100000"
        assert kernel(cli, id, "", "cpu.weight") == "59"
    else:
        assert kernel(cli, id, "cpu.cfs_quota_us", "") == "52345"
        assert kernel(cli, id, "cpu.shares", "") == "512"
    pid = cli.state(id)["pid"]
    for directory in dict.fromkeys(stored(cli, id)["cgroup_paths"].values()):
        assert directory.endswith(f"/{SLICE}/{unit}")
        with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
            assert str(pid) in file.read().split()
    cli("pause", id)
    assert cli.status(id) == "paused"
    cli("resume", id)
    cli("delete", "--force", id)
    assert active(unit) == "inactive"
    assert cgroups_of(id) == []


@needs_systemd
def test_exec_is_in_the_scope(cli: CommandLine, bundle: Bundle) -> None:
    id = write(bundle, "c-exec")
    cli("--systemd-cgroup", "run", "-d", "-b", bundle.path, id)
    cli("exec", "-d", id, "/probe", "hold")
    pids = json.loads(cli("ps", "-f", "json", id).stdout)
    assert len(pids) == 2
    for pid in pids:
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            for line in file.read().splitlines():
                if line.partition(":")[0] == "0" or "pids" in line:
                    assert line.endswith(f"/{SLICE}/{unit_of(id)}")
    cli("delete", "--force", id)
    assert cgroups_of(id) == []


@needs_systemd
def test_limits_survive_a_reload(cli: CommandLine, bundle: Bundle) -> None:
    id = write(bundle, "c-reload", {"pids": {"limit": 40}, "memory": {"limit": 64 * MIB}})
    cli("--systemd-cgroup", "run", "-d", "-b", bundle.path, id)
    cli("update", "--pids-limit", "50", "--memory", str(48 * MIB), id)
    subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=300)
    assert show(unit_of(id), "TasksMax")["TasksMax"] == "50"
    assert kernel(cli, id, "pids.max", "pids.max") == "50"
    assert kernel(cli, id, "memory.limit_in_bytes", "memory.max") == str(48 * MIB)
    done = cli("update", "--pids-limit", "60", "--cpuset-cpus", "999", id, check=False)  # no such CPU: EINVAL
    assert done.returncode == 1
    assert show(unit_of(id), "TasksMax")["TasksMax"] == "50"
    assert kernel(cli, id, "pids.max", "pids.max") == "50"


@needs_systemd
def test_a_unit_that_lives_is_left_alone(cli: CommandLine, bundle: Bundle) -> None:
    id = write(bundle, "c-taken")
    other = subprocess.Popen(["systemd-run", "--quiet", "--scope", f"--unit={unit_of(id)}", "sleep", "1000"])
    try:
        deadline = time.monotonic() + 60
        while active(unit_of(id)) != "active":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        done = cli("--systemd-cgroup", "create", "-b", bundle.path, id, check=False)
        assert done.returncode == 1
        assert "exists already" in done.stderr
        assert other.poll() is None
        assert active(unit_of(id)) == "active"
        assert cli.status(id) == ""
    finally:
        subprocess.run(["systemctl", "stop", unit_of(id)], check=True)
        other.wait(60)


@needs_systemd
def test_a_container_that_ends_by_itself(cli: CommandLine, bundle: Bundle) -> None:
    id = write(bundle, "c-ends")
    bundle.args("exit", "0").write()
    cli("--systemd-cgroup", "run", "--keep", "-b", bundle.path, id)
    assert cli.status(id) == "stopped"
    deadline = time.monotonic() + 60
    while active(unit_of(id)) == "active":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    cli("delete", id)
    assert active(unit_of(id)) == "inactive"
    again = write(bundle, "c-ends")
    cli("--systemd-cgroup", "run", "-b", bundle.path, again)
    assert cgroups_of(id) == []


@needs_systemd
def test_a_create_that_fails_late_leaves_no_unit(cli: CommandLine, bundle: Bundle) -> None:
    id = write(bundle, "c-late")
    mount = {"destination": "/x", "type": "bind", "source": "/no/such/file", "options": ["bind"]}
    bundle.config["mounts"].append(mount)
    bundle.write()
    done = cli("--systemd-cgroup", "create", "-b", bundle.path, id, check=False)
    assert done.returncode == 1
    assert cli.status(id) == ""
    assert active(unit_of(id)) == "inactive"
    assert cgroups_of(id) == []
