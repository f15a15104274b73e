"""runtime.md#start: who may be started, once, and what then runs."""

from __future__ import annotations

import os

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver import probe
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime


def lines(path: str) -> int:
    """How often a marker file was appended to."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().count("ran")
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("words", [pytest.param([], id="no id"), pytest.param([""], id="empty id")])
@covers("runtime/start/1")
def test_start_wants_an_id(runtime: Runtime, words: list[str]) -> None:
    """start without an id is an error (runtime.md#start)."""
    runtime.prove_sane()
    result = runtime.command("start", *words)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()


@covers("runtime/start/2", "runtime/start/3")
def test_second_start_is_refused_and_has_no_effect(runtime: Runtime, bundle: Bundle) -> None:
    """start of a running container fails; program and hooks do not run again (runtime.md#start)."""
    bundle.hook("poststart", "append", bundle.outside("hook"), "ran")
    container = runtime.create(bundle.probe("append /marker ran -- hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    before = container.state()
    result = container.start(check=False)
    assert not result.ok, result.describe()
    assert container.state() == before
    assert lines(os.path.join(bundle.rootfs, "marker")) == 1
    assert lines(bundle.outside("hook")) == 1


@covers("runtime/start/4", "runtime/start/5")
def test_start_of_a_stopped_container_is_refused_and_has_no_effect(runtime: Runtime, bundle: Bundle) -> None:
    """start of a stopped container fails and runs nothing (runtime.md#start)."""
    container = runtime.create(bundle.probe("append /marker ran", report=False))
    container.start()
    container.wait_status("stopped")
    result = container.start(check=False)
    assert not result.ok, result.describe()
    assert container.status() == "stopped"
    assert lines(os.path.join(bundle.rootfs, "marker")) == 1


@pytest.mark.parametrize("kind", ["never created", "deleted"])
@covers("runtime/start/6")
def test_start_of_an_unknown_container_is_refused(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """start of an id without a container fails (runtime.md#start)."""
    runtime.prove_sane()
    if kind == "deleted":
        container = runtime.create(bundle.probe("exit 0", report=False))
        container.start()
        container.wait_status("stopped")
        container.delete()
    result = runtime.command("start", bundle.name)
    assert not result.ok, result.describe()


@needs("ids")
@covers("runtime/start/7", "runtime/lifecycle/26")
def test_start_runs_the_described_program(runtime: Runtime, bundle: Bundle) -> None:
    """The program has the configured argv, env, cwd and user (runtime.md#start)."""
    bundle.process.update(cwd="/mnt", env=["A=1", "B=two words"], user={"uid": 1000, "gid": 1000})
    bundle.args("/probe", "report", "--", "print", "an argument")
    container = runtime.create(bundle)
    container.start()
    container.wait_status("stopped")
    report = probe.parse(container.output(), container.created)
    assert report["argv"] == ["/probe", "report", "--", "print", "an argument"]
    assert [entry for entry in report["env"] if entry[:2] in ("A=", "B=")] == ["A=1", "B=two words"]
    assert report["cwd"] == "/mnt"
    assert report["ids"]["uid"] == [1000] * 4
    assert report["ids"]["gid"] == [1000] * 4


@covers("runtime/start/8")
def test_start_without_process_is_an_error(runtime: Runtime, bundle: Bundle) -> None:
    """A config without process creates; start then fails (runtime.md#start)."""
    del bundle.config["process"]
    container = runtime.create(bundle)
    result = container.start(check=False)
    assert not result.ok, result.describe()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("exit 0", id="exit 0"),
        pytest.param("exit 3", id="exit 3"),
        pytest.param("hold", id="killed"),
    ],
)
@covers("runtime/lifecycle/27")
def test_every_end_of_the_program_stops_the_container(runtime: Runtime, bundle: Bundle, end: str) -> None:
    """Exit, error and kill each lead to `stopped` (runtime.md#lifecycle)."""
    container = runtime.create(bundle.probe(end, report=False))
    container.start()
    if end == "hold":
        container.kill("KILL")
    container.wait_status("stopped")


@pytest.mark.parametrize("status", [0, 3, 255])
@covers("runtime/start/7")
def test_run_returns_the_exit_status_of_the_program(runtime: Runtime, bundle: Bundle, status: int) -> None:
    """The program runs to its end with its own exit status (runtime.md#start)."""
    result = runtime.run(bundle.probe(f"print done -- exit {status}", report=False), check=False)
    assert "done" in result.stdout
    assert result.status == status
