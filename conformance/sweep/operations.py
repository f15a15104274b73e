"""The operations that are swept: how to get to where one begins, how it is done, and what is then so."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.driver import probe
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Runtime, parse_object
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.sweep.proof import proof

GONE = "gone"
END = 10.0  # seconds until a container's program must have ended
UPDATE = ("--pids-limit", "77", "--cpu-share", "512")
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
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"hold"', END)
    return container


def _paused(runtime: Runtime, bundle: Bundle) -> Container:
    container = _running(runtime, bundle)
    runtime.command("pause", container.id).check()
    return container


def _create(runtime: Runtime, bundle: Bundle, _: Container | None) -> Result:
    return runtime.create(bundle, check=False).created


def _run(runtime: Runtime, bundle: Bundle, _: Container | None) -> Result:
    return runtime.run(bundle, check=False)


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
    with open(f"/proc/{known(runtime, bundle).pid}/cgroup", encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    view = cgroups.read_view()
    for line in lines:
        _, names, path = line.split(":", 2)
        mount = view.v2 if not names else view.v1.get(names.split(",")[0])
        for name in LIMITS if mount else ():
            with contextlib.suppress(OSError), open(f"{mount}{path}/{name}", encoding="ascii") as file:
                found[f"{names or 'v2'} {name}"] = file.read().strip()
    return found


def _status(runtime: Runtime, bundle: Bundle, result: Result) -> Any:
    return {"status": status(runtime, bundle)}


def _stopped(runtime: Runtime, bundle: Bundle, result: Result) -> Any:
    known(runtime, bundle).wait_status("stopped", END)
    return {"status": "stopped"}


_LIST = (
    Operation("create", _nothing, _create, _starts_and_reports, (GONE, "creating", "created", "stopped")),
    Operation("start", _created, _command("start"), _ends_and_reports, ("created", "running", "stopped")),
    Operation("run", _nothing, _run, _reported, (GONE, "creating", "created", "running", "stopped"), "run"),
    Operation("exec", _running, _command("exec", after=(PROBE, "report")), _reported, ("running", "stopped"), "exec"),
    Operation(
        "update",
        _running,
        _command("update", *UPDATE),
        _limits,
        ("running",),
        "update",
    ),
    Operation("pause", _running, _command("pause"), _status, ("running", "paused"), "pause"),
    Operation("resume", _paused, _command("resume"), _status, ("running", "paused"), "resume"),
    Operation("kill", _running, _command("kill", after=("KILL",)), _stopped, ("running", "stopped")),
    Operation("delete", _running, _command("delete", "--force"), _status, (GONE, "running", "stopped")),
)
OPERATIONS = {operation.name: operation for operation in _LIST}


def thaw(runtime: Runtime, bundle: Bundle) -> None:
    """Resume a container that is left paused: whether `delete --force` takes one is not the sweep's question."""
    if os.path.exists(os.path.join(runtime.root, bundle.name)) and status(runtime, bundle) == "paused":
        runtime.command("resume", bundle.name)
