"""runtime.md#create: what create does, refuses, and leaves undone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.cases.lifecycle.surroundings import groups_of
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result

NAMESPACE_FILES = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt"}


@covers("runtime/create/1")
def test_create_wants_a_bundle(runtime: Runtime, bundle: Bundle) -> None:
    """create without a bundle path, in a directory that is none, is an error (runtime.md#create)."""
    runtime.prove_sane()
    empty = bundle.outside("empty")
    os.mkdir(empty)
    result = runtime.command("create", bundle.name, cwd=empty)
    assert not result.ok, result.describe()
    assert not runtime.state(bundle.name).ok


@covers("runtime/create/2")
def test_create_wants_an_id(runtime: Runtime, bundle: Bundle) -> None:
    """create without an id is an error and makes nothing (runtime.md#create)."""
    runtime.prove_sane()
    bundle.write()
    before = sorted(os.listdir(runtime.root))
    result = runtime.command("create", "--bundle", bundle.path)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()
    assert sorted(os.listdir(runtime.root)) == before


INVALID_IDS = [
    pytest.param("", id="empty"),
    pytest.param(".", id="dot"),
    pytest.param("..", id="dotdot"),
    pytest.param("a/b", id="slash"),
    pytest.param("../x", id="traversal"),
    pytest.param("x" * 5000, id="5000 characters"),
]


@pytest.mark.parametrize("id", INVALID_IDS)
@covers("runtime/create/5", "runtime/create/6")
def test_invalid_id_makes_no_container(runtime: Runtime, bundle: Bundle, id: str) -> None:
    """An id that the runtime holds invalid is an error and leaves nothing, also not outside --root
    (runtime.md#create)."""
    runtime.prove_sane()
    bundle.probe("hold", report=False).write()

    def surroundings() -> tuple[list[str], list[str]]:
        return sorted(os.listdir(runtime.root)), sorted(os.listdir(runtime.directory))

    before = surroundings()
    result = runtime.command("create", "--bundle", bundle.path, id)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()
    assert surroundings() == before


@covers("runtime/create/7")
def test_create_makes_a_live_container(runtime: Runtime, bundle: Bundle) -> None:
    """After create, state reports `created` with a live process (runtime.md#create)."""
    container = runtime.create(bundle.probe("hold", report=False))
    assert container.status() == "created"
    os.kill(container.pid, 0)


@covers("runtime/lifecycle/1", "runtime/create/8")
def test_create_applies_namespaces_mounts_and_hostname(runtime: Runtime, bundle: Bundle) -> None:
    """Between create and start the namespaces are new and the mounts in place (runtime.md#lifecycle)."""
    source = bundle.outside("data")
    os.mkdir(source)
    bundle.mount("/mnt", "bind", source, "bind", "ro")
    container = runtime.create(bundle.probe("hold", report=False))
    shared = [
        kind
        for kind, name in NAMESPACE_FILES.items()
        if os.readlink(f"/proc/{container.pid}/ns/{name}") == os.readlink(f"/proc/self/ns/{name}")
    ]
    assert shared == []
    with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
        table = {fields[4]: fields[5].split(",") for fields in map(str.split, file)}
    assert [target for target in ("/proc", "/dev", "/dev/pts", "/sys", "/mnt") if target not in table] == []
    assert "ro" in table["/mnt"]


@covers("runtime/lifecycle/4", "runtime/create/9")
def test_create_does_not_run_the_program(runtime: Runtime, bundle: Bundle) -> None:
    """The program runs at start, not at create (runtime.md#lifecycle)."""
    bundle.probe("append /marker ran -- hold", report=False)
    container = runtime.create(bundle)
    marker = os.path.join(bundle.rootfs, "marker")
    time.sleep(0.1)
    with open(f"/proc/{container.pid}/cmdline", "rb") as file:
        assert b"/marker" not in file.read()
    assert not os.path.exists(marker)
    container.start()
    container.wait_output("hold")
    assert os.path.exists(marker)


@pytest.mark.parametrize("edit", ["replaced", "deleted"])
@covers("runtime/lifecycle/5", "runtime/create/14")
def test_config_is_read_at_create_only(runtime: Runtime, bundle: Bundle, edit: str) -> None:
    """What happens to config.json after create does not reach the container (runtime.md#lifecycle)."""
    bundle.config["hostname"] = "first"
    bundle.hook("poststop", "append", bundle.outside("stopped"), "first")
    bundle.probe("report -- hold", report=False)
    container = runtime.create(bundle)
    bundle.config["hostname"] = "second"
    bundle.config["hooks"] = {}
    bundle.probe("exit 9", report=False)
    bundle.write()
    if edit == "deleted":
        os.unlink(os.path.join(bundle.path, "config.json"))
    container.start()
    output = container.wait_output('"verb":"hold"')
    assert '"first"' in output
    assert '"second"' not in output
    container.kill("KILL")
    container.wait_status("stopped")
    container.delete()
    assert os.path.exists(bundle.outside("stopped"))


def missing_source(config: dict[str, Any]) -> None:
    config["mounts"].append({"destination": "/mnt", "type": "bind", "source": "/no/such/source", "options": ["bind"]})


def missing_namespace(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"] = [
        entry if entry["type"] != "network" else {"type": "network", "path": "/no/such/namespace"}
        for entry in config["linux"]["namespaces"]
    ]


def missing_rootfs(config: dict[str, Any]) -> None:
    config["root"]["path"] = "no-such-rootfs"


def missing_sysctl(config: dict[str, Any]) -> None:
    config["linux"]["sysctl"] = {"net.ipv4.no_such_key": "1"}


def sysctl_of_the_host(config: dict[str, Any]) -> None:
    config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    config["linux"]["namespaces"] = [entry for entry in config["linux"]["namespaces"] if entry["type"] != "network"]
    config["mounts"] = [entry for entry in config["mounts"] if entry["type"] not in ("sysfs", "cgroup")]


def unknown_rlimit(config: dict[str, Any]) -> None:
    config["process"]["rlimits"] = [{"type": "RLIMIT_NO_SUCH", "hard": 1, "soft": 1}]


def unknown_filesystem(config: dict[str, Any]) -> None:
    config["mounts"].append({"destination": "/mnt", "type": "no-such-filesystem", "source": "x"})


def unknown_architecture(config: dict[str, Any]) -> None:
    config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NO_SUCH"]}


IMPOSSIBLE = [
    missing_source,
    missing_namespace,
    missing_rootfs,
    missing_sysctl,
    sysctl_of_the_host,
    unknown_rlimit,
    unknown_filesystem,
    unknown_architecture,
]


@pytest.mark.parametrize("spoil", IMPOSSIBLE)
@covers("runtime/lifecycle/2", "runtime/create/11", "runtime/create/12")
def test_create_fails_for_what_it_cannot_apply(
    runtime: Runtime,
    bundle: Bundle,
    make_bundle: Callable[[], Bundle],
    rejected: Callable[..., Result],
    spoil: Callable[[dict[str, Any]], None],
) -> None:
    """A property that cannot be applied is an error; no container is made and the id is free (runtime.md#create)."""
    spoil(bundle.config)
    rejected(runtime, bundle)
    good = make_bundle()
    container = runtime.create(good, id=bundle.name)
    assert container.status() == "created"


@pytest.mark.parametrize("spoil", [unknown_filesystem, missing_sysctl, unknown_architecture])
@covers("runtime/errors/1")
def test_failed_create_changes_nothing(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], spoil: Callable[[dict[str, Any]], None]
) -> None:
    """After an error the host is as before: mounts, cgroups, state, processes (runtime.md#errors)."""
    spoil(bundle.config)
    runtime.prove_sane()

    def surroundings() -> dict[str, Any]:
        with open("/proc/self/mountinfo", encoding="utf-8") as file:  # other workers mount below directories of theirs
            mounts = sorted(line.split()[4] for line in file if "seatrial-" not in line or runtime.directory in line)
        tree, state = sorted(os.listdir(bundle.rootfs)), sorted(os.listdir(runtime.root))
        return {"mounts": mounts, "cgroups": groups_of(bundle.name), "state": state, "tree": tree}

    before = surroundings()
    rejected(runtime, bundle)
    assert surroundings() == before


@covers("runtime/warnings/1")
def test_a_warning_does_not_stop_the_operation(runtime: Runtime, bundle: Bundle) -> None:
    """A config that at most deserves a warning creates and starts (runtime.md#warnings)."""
    bundle.config["org.example.unknown"] = {"a": [1, None]}
    bundle.process["org.example.unknown"] = True
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output("hold")
    assert container.status() == "running"


@covers("runtime/delete/9")
def test_id_of_a_deleted_container_is_free(runtime: Runtime, bundle: Bundle, make_bundle: Callable[[], Bundle]) -> None:
    """The id of a deleted container can be used again (runtime.md#delete)."""
    container = runtime.create(bundle.probe("exit 0", report=False))
    container.start()
    container.wait_status("stopped")
    container.delete()
    other = make_bundle()
    again = runtime.create(other.probe("hold", report=False), id=container.id)
    assert again.status() == "created"
    assert os.path.realpath(again.state()["bundle"]) == os.path.realpath(other.path)
