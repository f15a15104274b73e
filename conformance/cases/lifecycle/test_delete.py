"""runtime.md#delete: only what is stopped, and all that create made."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.lifecycle.surroundings import groups_of
from seatrial.conformance.cases.pause.activity import wait_gone
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime


def stop(container: Container) -> None:
    container.start()
    container.kill("KILL")
    container.wait_status("stopped")


@pytest.mark.parametrize("words", [pytest.param([], id="no id"), pytest.param([""], id="empty id")])
@covers("runtime/delete/1")
def test_delete_wants_an_id(runtime: Runtime, words: list[str]) -> None:
    """delete without an id is an error (runtime.md#delete)."""
    runtime.prove_sane()
    result = runtime.command("delete", *words)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()


@profile("spec")
@covers("runtime/delete/2", "runtime/delete/3")
def test_delete_refuses_a_created_container(runtime: Runtime, bundle: Bundle) -> None:
    """delete of a created container fails and leaves it startable (runtime.md#delete)."""
    container = runtime.create(bundle.probe("hold", report=False))
    before = container.state()
    result = container.delete(check=False)
    assert not result.ok, result.describe()
    assert container.state() == before
    container.start()
    container.wait_output("hold")


@profile("runc-compat")
@covers("runtime/delete/7")
def test_delete_takes_a_created_container(runtime: Runtime, bundle: Bundle) -> None:
    """runc kills and deletes a created container; engines clean up in this way."""
    container = runtime.create(bundle.probe("hold", report=False))
    pid = container.pid
    container.delete()
    assert not runtime.state(container.id).ok
    wait_gone(pid)  # killed: it may be on its way out, or wait for us to reap it


@covers("runtime/delete/4", "runtime/delete/5")
def test_delete_refuses_a_running_container(runtime: Runtime, bundle: Bundle) -> None:
    """delete of a running container fails and touches nothing of it (runtime.md#delete)."""
    bundle.hook("poststop", "append", bundle.outside("stopped"), "ran")
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output("hold")
    before, groups = container.state(), groups_of(bundle.name)
    result = container.delete(check=False)
    assert not result.ok, result.describe()
    assert container.state() == before
    assert groups_of(bundle.name) == groups
    os.stat(f"/proc/{container.pid}/root/proc/1")
    assert not os.path.exists(bundle.outside("stopped"))


@pytest.mark.parametrize("kind", ["never created", "deleted"])
@covers("runtime/delete/6")
def test_delete_of_an_unknown_container_is_refused(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """delete of an id without a container fails (runtime.md#delete)."""
    runtime.prove_sane()
    if kind == "deleted":
        container = runtime.create(bundle.probe("hold", report=False))
        stop(container)
        container.delete()
    result = runtime.command("delete", bundle.name)
    assert not result.ok, result.describe()


@covers("runtime/delete/7", "runtime/lifecycle/28", "runtime/operations/5")
def test_delete_removes_what_create_made(runtime: Runtime, bundle: Bundle) -> None:
    """After delete: no state, no cgroup directory, no mount of the rootfs, no process (runtime.md#delete)."""
    container = runtime.create(bundle.probe("hold", report=False))
    pid, groups = container.pid, groups_of(bundle.name)
    stop(container)
    container.delete()
    assert groups != [] or not bundle.cgroups_path()  # an ordinary user has none of its own
    assert groups_of(bundle.name) == []
    assert not runtime.state(container.id).ok
    assert not os.path.exists(os.path.join(runtime.root, container.id))
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert [line for line in file if bundle.path in line] == []
    assert not os.path.exists(f"/proc/{pid}")


@needs("root")  # who else may join a namespace of another container's
@covers("runtime/delete/8")
def test_delete_leaves_what_create_did_not_make(
    runtime: Runtime, bundle: Bundle, make_bundle: Callable[[], Bundle]
) -> None:
    """A joined namespace, bind sources, the bundle and the rootfs stay as they were (runtime.md#delete)."""
    owner = runtime.create(make_bundle().probe("hold", report=False))
    owner.start()
    owner.wait_output("hold")
    source = bundle.outside("data")
    os.mkdir(source)
    with open(os.path.join(source, "file"), "w", encoding="utf-8") as file:
        file.write("content")
    kept = bundle.file("kept", "content")
    bundle.namespace("network", f"/proc/{owner.pid}/ns/net")
    bundle.mount("/mnt", "bind", source, "rbind")
    container = runtime.create(bundle.probe("hold", report=False))
    namespace = os.readlink(f"/proc/{owner.pid}/ns/net")
    assert os.readlink(f"/proc/{container.pid}/ns/net") == namespace
    stop(container)
    container.delete()
    assert owner.status() == "running"
    assert os.readlink(f"/proc/{owner.pid}/ns/net") == namespace
    assert os.listdir(source) == ["file"]
    assert os.path.exists(kept)
    assert os.path.exists(os.path.join(bundle.path, "config.json"))


@covers("runtime/delete/7")
@pytest.mark.parametrize("phase", ["created", "running", "stopped"])
def test_forced_delete_takes_every_container(runtime: Runtime, bundle: Bundle, phase: str) -> None:
    """delete --force, which every engine uses, ends and deletes a container in any phase."""
    container = runtime.create(bundle.probe("hold", report=False))
    pid = container.pid
    if phase != "created":
        container.start()
        container.wait_output("hold")
    if phase == "stopped":
        container.kill("KILL")
        container.wait_status("stopped")
    container.delete(force=True)
    assert not os.path.exists(f"/proc/{pid}/root/probe")
    assert not runtime.state(container.id).ok
    assert groups_of(bundle.name) == []
