"""The operations that are swept: how to get to where one begins, how it is done, and what is then so."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seatrial.conformance.airlock import cgroups, orphans
from seatrial.conformance.airlock.subtree import hierarchies
from seatrial.conformance.driver import criu, probe
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Runtime, parse_object
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.workload import DIRECTORY, Answers
from seatrial.conformance.sweep.proof import proof

GONE = "gone"
END = 10.0  # seconds until a container's program must have ended
IMAGES = "images"  # where a checkpoint goes: beside the bundle's root
UPDATE = {"pids": ("--pids-limit", "77"), "cpu": ("--cpu-share", "512")}  # by what they need of the host
LIMITS = ("pids.max", "cpu.shares", "cpu.weight", "cpu.max", "memory.max", "memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class Operation:
    """`act` gives the container (which may not exist) and the Result; `proof` says what is so after a success; after a
    crash the container has one of `statuses`."""

    name: str
    prepare: Callable[[Runtime, Bundle], Container | None]
    act: Callable[[Runtime, Bundle, Container | None], Result]
    proof: Callable[[Runtime, Bundle, Result], Any]
    statuses: tuple[str, ...]
    needs: str | None = None  # a command outside the specification that the runtime must have
    unusable: Callable[[], str | None] = lambda: None  # why this host cannot do it, if it cannot


def known(runtime: Runtime, bundle: Bundle) -> Container:
    """The container of a bundle, as the driver knows it."""
    return next(container for container in runtime.containers if container.bundle is bundle)


def status(runtime: Runtime, bundle: Bundle) -> str:
    """The container's status, GONE when there is none."""
    answer = runtime.state(bundle.name)
    return str(parse_object(answer).get("status", "")) if answer.ok else GONE


def _nothing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.probe()


def _created(runtime: Runtime, bundle: Bundle) -> Container:
    return runtime.create(bundle.probe())


def _running(runtime: Runtime, bundle: Bundle) -> Container:
    bundle.probe("hold", report=False)
    if runtime.offers("run"):
        runtime.run(bundle, detach=True)
        container = known(runtime, bundle)
    else:
        container = runtime.create(bundle)
        container.start()
    container.wait_output('"hold"', END)
    return container


def _working(runtime: Runtime, bundle: Bundle) -> Container:
    """Its program has let go of the standard streams, which are files that CRIU does not find."""
    bundle.directory(DIRECTORY, 0o777)
    container = runtime.create(bundle.args(PROBE, "workload", DIRECTORY))
    container.start()
    Answers(bundle.rootfs + DIRECTORY).take(END, lambda: os.path.exists(f"/proc/{container.pid}/exe"))
    return container


def _paused(runtime: Runtime, bundle: Bundle) -> Container:
    container = _running(runtime, bundle)
    runtime.command("pause", container.id).check()
    return container


def _create(runtime: Runtime, bundle: Bundle, _: Container | None) -> Result:
    return runtime.create(bundle, check=False).created


def _run(runtime: Runtime, bundle: Bundle, _: Container | None) -> Result:
    return runtime.run(bundle, check=False)


def _checkpoint(runtime: Runtime, bundle: Bundle, _: Container | None) -> Result:
    """The container's image goes into the bundle."""
    return runtime.command("checkpoint", "--image-path", bundle.outside(IMAGES), bundle.name)


def _update(runtime: Runtime, bundle: Bundle, _: Container | None) -> Result:
    there = cgroups.read_view().controllers()
    words = [word for controller, option in UPDATE.items() if controller in there for word in option]
    return runtime.command("update", *words, bundle.name)


def _no_limits() -> str | None:
    if not cgroups.read_view().controllers().isdisjoint(UPDATE):
        return None
    return f"this view of the cgroups has none of the controllers {', '.join(UPDATE)}"


def _command(*words: str, after: tuple[str, ...] = ()) -> Callable[[Runtime, Bundle, Container | None], Result]:
    """A command with the container's id between its words."""

    def act(runtime: Runtime, bundle: Bundle, container: Container | None) -> Result:
        return runtime.command(*words, bundle.name, *after)

    return act


def _reported(runtime: Runtime, bundle: Bundle, result: Result) -> Any:
    """What the program saw, which wrote it to the command's own output."""
    return proof(probe.parse(result.stdout, result).data)


def _starts_and_reports(runtime: Runtime, bundle: Bundle, result: Result) -> Any:
    before = status(runtime, bundle)
    container = known(runtime, bundle)
    container.start()
    return {"status": before, "report": _ends_and_reports(runtime, bundle, result)}


def _ends_and_reports(runtime: Runtime, bundle: Bundle, result: Result) -> Any:
    container = known(runtime, bundle)
    container.wait_status("stopped", END)
    return proof(probe.parse(container.output()).data)


def _limits(runtime: Runtime, bundle: Bundle, result: Result) -> Any:
    """The limits that the kernel has for the container."""
    found = {}
    for hierarchy in hierarchies(known(runtime, bundle).pid):
        for name in LIMITS:
            with contextlib.suppress(OSError), open(f"{hierarchy.own}/{name}", encoding="ascii") as file:
                found[f"{hierarchy.option or 'v2'} {name}"] = file.read().strip()
    return found


def _status(runtime: Runtime, bundle: Bundle, result: Result) -> Any:
    return {"status": status(runtime, bundle)}


def _stopped(runtime: Runtime, bundle: Bundle, result: Result) -> Any:
    known(runtime, bundle).wait_status("stopped", END)
    return {"status": "stopped"}


def _restores(runtime: Runtime, bundle: Bundle, result: Result) -> Any:
    """What the image is good for: the container is gone, and comes back."""
    before = status(runtime, bundle)
    words = ("--bundle", bundle.path, "--image-path", bundle.outside(IMAGES), "--detach")
    runtime.command("restore", *words, bundle.name).check()
    return {"status": before, "restored": status(runtime, bundle)}


_LIST = (
    Operation("create", _nothing, _create, _starts_and_reports, (GONE, "creating", "created", "stopped")),
    Operation("start", _created, _command("start"), _ends_and_reports, ("created", "running", "stopped")),
    Operation("run", _nothing, _run, _reported, (GONE, "creating", "created", "running", "stopped"), "run"),
    Operation("exec", _running, _command("exec", after=(PROBE, "report")), _reported, ("running", "stopped"), "exec"),
    Operation("update", _running, _update, _limits, ("running",), "update", _no_limits),
    Operation("pause", _running, _command("pause"), _status, ("running", "paused"), "pause"),
    Operation("resume", _paused, _command("resume"), _status, ("running", "paused"), "resume"),
    Operation(
        "checkpoint",
        _working,
        _checkpoint,
        _restores,
        (GONE, "running", "paused", "stopped"),
        "checkpoint",
        criu.unusable,
    ),
    Operation("kill", _running, _command("kill", after=("KILL",)), _stopped, ("running", "stopped")),
    Operation("delete", _running, _command("delete", "--force"), _status, (GONE, "running", "paused", "stopped")),
)
OPERATIONS = {operation.name: operation for operation in _LIST}


def thaw(runtime: Runtime, bundle: Bundle) -> None:
    """Resume a container that is left paused: whether `delete --force` takes one is not the sweep's question."""
    if any(_is_frozen(pid) for pid in orphans.of_container(bundle.name)) and status(runtime, bundle) == "paused":
        runtime.command("resume", bundle.name)


def _is_frozen(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for hierarchy in hierarchies(pid):
            for name, thawed in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                with contextlib.suppress(OSError), open(f"{hierarchy.own}/{name}", encoding="ascii") as file:
                    if file.read().strip() != thawed:
                        return True
    return False
