"""A container with a workload, checkpointed and restored; and whose fault it is when that fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from seatrial.conformance.case import needs
from seatrial.conformance.cases.checkpoint import law
from seatrial.conformance.driver import criu
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Result, Runtime, flags
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.driver.workload import DIRECTORY, Answers
from seatrial.conformance.errors import Finding

CHECKPOINTS = needs("command:checkpoint", "command:restore", "criu")
STREAMS = {"terminal", "speaker"}  # kinds that are about the standard streams, which are the runtime's to bring back
NO_CONTROL = STREAMS | {"outside-socket"}  # what unshare(1) and criu(8) have no part in, or no socket for
# What a kind cannot be dumped without; ONLY_DUMPED are no flags of restore.
FLAGS = {
    "tcp": "tcp_established",
    "file-locks": "file_locks",
    "linked-file": "link_remap",
    "outside-socket": "ext_unix_sk",
}
ONLY_DUMPED = {"link_remap"}


class Trip:
    """One container on its way: `before` and `after` are what its process said."""

    before: Report
    after: Report

    def __init__(self, runtime: Runtime, bundle: Bundle, *kinds: str, masked: list[str] | None = None) -> None:
        self.runtime = runtime
        self.bundle = bundle
        self.kinds = kinds
        self.flags: dict[str, Any] = {FLAGS[kind]: True for kind in kinds if kind in FLAGS}
        bundle.directory(DIRECTORY, 0o777)
        bundle.linux.update(maskedPaths=masked or [])  # a mount each, about which one case is
        streams = ["--streams"] if STREAMS & set(kinds) else []
        bundle.args(PROBE, "workload", DIRECTORY, *streams, *kinds)
        bundle.process["env"] += [f"{name}={value}" for name, value in criu.dumpable().items()]
        self.answers = Answers(bundle.rootfs + DIRECTORY)
        self.container: Container
        self._logs = 0

    # -- the parts of a trip -----------------------------------------------------------------------------------------

    def start(self, **options: Any) -> Trip:
        """Create and start the container; its first answer is `before`."""
        self.container = self.runtime.create(self.bundle, **options)
        self.container.start()
        self.before = self._take()
        return self

    def ask(self) -> Report:
        """One more answer, which the process gives when the runtime sends it SIGUSR1."""
        self.container.kill("USR1")
        return self._take()

    def _take(self) -> Report:
        pid = self.container.pid
        return self.answers.take(self.runtime.timeout, lambda: os.path.exists(f"/proc/{pid}/exe"))

    def images(self, name: str = "images") -> str:
        """A host path for images, inside the bundle."""
        return self.bundle.outside(name)

    def work(self) -> str:
        """A new directory for logs, which the evidence of a failure has."""
        self._logs += 1
        path = self.bundle.outside(f"work-{self._logs}")
        os.makedirs(path, exist_ok=True)
        return path

    def checkpoint(self, check: bool = True, images: str = "images", **options: Any) -> Result:
        """`checkpoint ID`, with the flags that the kinds want.  The container is gone then, unless it is left."""
        chosen = {"image_path": self.images(images), "work_path": self.work(), **self.flags, **options}
        result = self.runtime.command("checkpoint", *flags(chosen), self.container.id, env=criu.dumpable())
        if check:
            self._check(result, chosen["work_path"])
        if result.ok and not (chosen.get("leave_running") or chosen.get("pre_dump")):
            self.container.alive, self.container.deleted = False, True
        return result

    def restore(
        self,
        check: bool = True,
        id: str | None = None,
        images: str = "images",
        stdin: int | None = None,
        output: int | None = None,
        **options: Any,
    ) -> Result:
        """`restore --detach ID`; the container is `container` from then on."""
        wanted = {name: value for name, value in self.flags.items() if name not in ONLY_DUMPED}
        chosen = {"image_path": self.images(images), "work_path": self.work(), "detach": True, **wanted, **options}
        chosen = {"bundle": self.bundle.path, **chosen}
        container = Container(self.runtime, self.bundle, id or self.container.id)
        self.runtime.containers.append(container)
        result = container.created = self.runtime.command(
            "restore", *flags(chosen), container.id, stdin=stdin, output=output, env=criu.dumpable()
        )
        container.alive = result.ok
        if check:
            self._check(result, chosen["work_path"])
        self.container = container
        return result

    def _check(self, result: Result, work: str) -> None:
        """As Result.check, and what CRIU says."""
        try:
            result.check()
        except Finding as error:
            said = [criu.why(os.path.join(work, name)) for name in ("dump.log", "restore.log")]
            raise Finding(f"{error}; CRIU: {next(filter(None, said), 'no error in its log')}") from None

    def there_and_back(self) -> Trip:
        """Checkpoint, restore, and ask: the answer is `after`."""
        self.checkpoint()
        self.restore()
        self.after = self.ask()
        return self

    def judge(self, *kinds: str) -> None:
        """Finding unless the states of these kinds (all of them) are as before."""
        law.same_state(self.before, self.after, *(kinds or self.kinds))

    def hold(self, *members: str) -> None:
        """As law.hold; but the case is skipped when plain CRIU makes all the difference.  (It is asked about members
        that tell the same in any process, not about those that the law has to rewrite.)"""
        found = law.differences(self.before, self.after, *members)
        asked = {name: criu.control((), compared=name) for name in found if name not in law.CHANGES}
        blamed = {name: reason for name, reason in asked.items() if reason}
        if found and blamed.keys() == found.keys():
            reasons = "; ".join(dict.fromkeys(blamed.values()))
            pytest.skip(f"criu: the control, {criu.name()} without a runtime, cannot do it: {reasons}")
        law.hold(self.before, self.after, *[name for name in members if name not in blamed])

    def refused_without_flags(self) -> None:
        """Without the flags that the kinds want the checkpoint fails, and the container runs on as if nothing had been
        tried; with them it goes."""
        wanted, self.flags = self.flags, {}
        refused = self.checkpoint(check=False)
        assert not refused.ok, refused.describe()
        assert self.container.status() == "running"
        self.after = self.ask()
        self.judge()
        self.flags = wanted
        with self.attributed():
            self.checkpoint()

    @contextlib.contextmanager
    def attributed(self) -> Iterator[None]:
        """A with block around what CRIU takes part in.  A Finding in it is the runtime's, unless plain CRIU fails with
        the same workload: then the case is skipped."""
        try:
            yield
        except Finding as error:
            self._blame(error)
            raise

    def _blame(self, error: Finding) -> None:
        if NO_CONTROL & set(self.kinds):
            return
        words = tuple("--" + name.replace("_", "-") for name in self.flags)
        lasting = any(entry["type"] == "network" and "path" in entry for entry in self.bundle.linux["namespaces"])
        reason = criu.control(self.kinds, words, lasting=lasting)
        if reason:
            pytest.skip(f"criu: the control, {criu.name()} without a runtime, cannot do it: {reason} ({error})")


def wants_flag(runtime: Runtime, command: str, name: str) -> None:
    """Skip the case when the runtime's help does not know a flag."""
    help = runtime.command(command, "--help", root=False)
    if f"--{name}" not in help.stdout + help.stderr:
        pytest.skip(f"command:{command}: the runtime's {command} has no --{name}")


def round_trip(runtime: Runtime, bundle: Bundle, kinds: list[str | None]) -> Iterator[Trip]:
    """For @together: one trip with the kinds of all cases."""
    trip = Trip(runtime, bundle, *dict.fromkeys(kind for kind in kinds if kind is not None))
    if len(kinds) == 1:  # a case that is alone: its outcome counts
        travel(trip)
    else:
        trip.start().there_and_back()
    for _ in kinds:
        yield trip


def travel(trip: Trip) -> None:
    """The whole trip of a case that has its own container, judged."""
    trip.start()
    with trip.attributed():
        trip.there_and_back()
        trip.judge()
