"""How `exec` ends: statuses, refusals, and what is left of it."""

from __future__ import annotations

import os
import time

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import detached, executed, held
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.engine.checks import proper_refusal

pytestmark = needs("exec")


@profile("runc-compat")
@covers("config/process/14")
@pytest.mark.parametrize("status", [0, 1, 7, 126])
def test_status_is_the_programs(runtime: Runtime, bundle: Bundle, status: int) -> None:
    """In the foreground exec's exit status is the program's."""
    container = held(runtime, bundle)
    result = container.exec(PROBE, "print", "here", "--", "exit", str(status), check=False)
    assert result.status == status, result.describe()
    assert '"here"' in result.stdout
    assert container.status() == "running"


@profile("runc-compat")
@covers("config/process/14")
def test_status_of_a_killed_program(runtime: Runtime, bundle: Bundle) -> None:
    """128 and the signal's number."""
    container = held(runtime, bundle)
    result = container.exec(PROBE, "syscall", "kill", "0", "9", check=False)
    assert result.status == 128 + 9, result.describe()


@profile("runc-compat")
@covers("runtime/errors/1")
@pytest.mark.parametrize("program", ["nosuch", "/etc", "/nosuch/program"])
def test_what_cannot_be_executed_is_an_error(runtime: Runtime, bundle: Bundle, program: str) -> None:
    """A status other than 0, and the container is as before."""
    container = held(runtime, bundle)
    result = container.exec(program, check=False)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()
    assert container.status() == "running"
    executed(container)


@covers("runtime/lifecycle/5")
def test_edits_of_the_bundle_have_no_effect(runtime: Runtime, bundle: Bundle) -> None:
    """After create, config.json is the container's no more: what is changed there does not reach a process that is
    executed later (runtime.md#lifecycle)."""
    bundle.process["env"] = ["PATH=/bin", "FROM=create"]
    container = held(runtime, bundle)
    bundle.process["env"] = ["PATH=/bin", "FROM=edit"]
    bundle.write()
    assert executed(container).env["FROM"] == "create"


@profile("runc-compat")
@covers("runtime/errors/1")
def test_stopped_container_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    """There is nothing to join."""
    container = held(runtime, bundle)
    container.exec(PROBE, "exit", "0")
    container.kill("KILL")
    container.wait_status("stopped")
    result = container.exec(PROBE, "exit", "0", check=False)
    assert not result.ok, result.describe()


@profile("runc-compat")
@covers("config/process/14")
def test_created_container_takes_a_process(runtime: Runtime, bundle: Bundle) -> None:
    """Before start, too; the container's own program still waits."""
    container = runtime.create(bundle.probe("hold", report=False))
    result = container.exec(PROBE, "exit", "3", check=False)
    assert result.status == 3, result.describe()
    assert container.status() == "created"


@needs("command:pause", "root")
@profile("runc-compat")
@covers("runtime/errors/1")
def test_paused_container_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    """A process would hang there; refused, and at once (crun 1.1)."""
    container = held(runtime, bundle)
    runtime.command("pause", container.id).check()
    started = time.monotonic()
    try:
        result = container.exec(PROBE, "exit", "0", check=False)
        assert not result.ok, result.describe()
        assert time.monotonic() - started < 5
    finally:
        runtime.command("resume", container.id).check()
    assert container.status() == "running"
    executed(container)


@profile("runc-compat")
@covers("config/process/14")
def test_detached_with_a_pid_file(runtime: Runtime, bundle: Bundle) -> None:
    """--detach returns while the program runs; --pid-file has its pid as the host sees it."""
    container = held(runtime, bundle)
    with detached(container, PROBE, "hold") as pid, open(f"/proc/{pid}/cmdline", "rb") as file:
        assert file.read().split(b"\0")[:2] == [PROBE.encode(), b"hold"]


@profile("runc-compat")
@covers("config/process/14")
def test_twenty_in_a_row(runtime: Runtime, bundle: Bundle) -> None:
    """Each with a status of its own, and none is left behind (runc 5208)."""
    container = held(runtime, bundle)
    statuses = [container.exec(PROBE, "exit", str(number), check=False).status for number in range(20)]
    assert statuses == list(range(20))
    result = container.exec(PROBE, "list", "/proc")
    names = parse(result.stdout, result).verbs[0].value
    assert len([name for name in names if name.isdigit()]) == 2  # init and the probe itself


@needs("smp", "root")
class TestAffinity:
    """config.md#linux-process: execCPUAffinity."""

    @covers("config/linux-process/46", "config/linux-process/49")
    @pytest.mark.parametrize(("final", "cpus"), [("0", [0]), ("1", [1]), ("0-1", [0, 1]), ("0, 1", [0, 1])])
    def test_final(self, runtime: Runtime, bundle: Bundle, final: str, cpus: list[int]) -> None:
        """The mask of the executed process is `final`."""
        bundle.process["execCPUAffinity"] = {"initial": "0-1", "final": final}
        assert executed(held(runtime, bundle))["affinity"] == cpus

    @covers("config/linux-process/46")
    def test_absent(self, runtime: Runtime, bundle: Bundle) -> None:
        """Without it the process may run wherever the container's cpuset allows: as init."""
        container = held(runtime, bundle)
        assert executed(container)["affinity"] == sorted(os.sched_getaffinity(container.pid))

    @covers("config/linux-process/47")
    def test_init_is_not_concerned(self, runtime: Runtime, bundle: Bundle) -> None:
        """The container's own process is not pinned."""
        bundle.process["execCPUAffinity"] = {"initial": "0", "final": "0"}
        container = held(runtime, bundle)
        assert len(os.sched_getaffinity(container.pid)) > 1
        assert executed(container)["affinity"] == [0]

    @covers("config/linux-process/48")
    def test_initial_alone(self, runtime: Runtime, bundle: Bundle) -> None:
        """`initial` is for the way into the cgroup; after it the cgroup's CPUs hold."""
        bundle.process["execCPUAffinity"] = {"initial": "0"}
        container = held(runtime, bundle)
        assert executed(container)["affinity"] == sorted(os.sched_getaffinity(container.pid))

    @covers("config/linux-process/50")
    @pytest.mark.parametrize(
        ("member", "text"),
        [("final", "a"), ("final", "3-1"), ("final", "99999999"), ("initial", "0-"), ("initial", "-1")],
    )
    def test_bad_list(self, runtime: Runtime, bundle: Bundle, member: str, text: str) -> None:
        """What is no list of CPUs is refused, by create or by exec."""
        runtime.prove_sane()
        bundle.process["execCPUAffinity"] = {"initial": "0", "final": "0", member: text}
        container = runtime.create(bundle.probe("hold", report=False), check=False)
        result = container.created
        if result.ok:
            container.start()
            result = container.exec(PROBE, "exit", "0", check=False)
        proper_refusal(result)

    @needs("cgroup:cpuset")
    @covers("config/linux-process/51")
    @pytest.mark.parametrize("final", [None, ""], ids=["absent", "empty"])
    def test_without_final_the_cgroup_decides(self, runtime: Runtime, bundle: Bundle, final: str | None) -> None:
        """Nobody changes the mask after the move into the cgroup: it is that of the cpuset, not `initial`."""
        bundle.process["execCPUAffinity"] = {"initial": "0", **({} if final is None else {"final": final})}
        bundle.linux["resources"]["cpu"] = {"cpus": "1"}
        assert executed(held(runtime, bundle))["affinity"] == [1]
