"""What one worker process shares between its cases: the runtime driver, the workshop, the watch for leaks."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from seatrial.conformance.airlock import cgroups, confine, leaks
from seatrial.conformance.airlock.subtree import Subtree
from seatrial.conformance.driver import probe
from seatrial.conformance.driver.bundle import Bundle, Workshop
from seatrial.conformance.driver.driver import Runtime, default_runtime
from seatrial.conformance.driver.patience import adapt
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.errors import EnvironmentProblem, Finding
from seatrial.native import syscall

WORKDIR_ENV = "SEATRIAL_WORKDIR"  # where bundles are made, for a worker in an airlock of its own (hosts/gateway.py)


def resolve_runtime(name: str | None) -> str:
    """The absolute path of the runtime to test; EnvironmentProblem when it is missing or not executable."""
    wanted = name or default_runtime()
    path = shutil.which(wanted) if os.sep not in wanted else wanted
    if path is None or not os.path.isfile(path):
        raise EnvironmentProblem(f"no runtime at {wanted}")
    if not os.access(path, os.X_OK):
        raise EnvironmentProblem(f"{wanted} is not executable")
    return os.path.abspath(path)


class Session:
    """One worker's belongings.  `view` is the cgroup view to confine itself to, None outside the airlock."""

    def __init__(
        self, runtime: str | None, workdir: str | None, timeout: float, view: str | None, masks: tuple[str, ...] = ()
    ) -> None:
        path = resolve_runtime(runtime)
        adapt(timeout)
        self.directory = tempfile.mkdtemp(prefix="seatrial-", dir=workdir or "/tmp")
        os.chmod(self.directory, 0o755)
        syscall.prctl(syscall.PR_SET_CHILD_SUBREAPER, 1)  # orphans of the runtime become our children, see leaks.py
        prefix = f"st-{os.getpid()}"
        self.subtree: Subtree | None = None
        if view is not None:
            self.subtree = Subtree(f"worker-{os.getpid()}")
            confine.enter(self.subtree, view)
        self.workshop = Workshop(os.path.join(self.directory, "bundles"), prefix)
        self.runtime = Runtime(path, self.directory, self.workshop, timeout=timeout, masks=masks)
        self.watch = leaks.Watch(self.runtime.root, self.directory, prefix, confined=view is not None)
        self.bundles: list[Bundle] = []
        self._before: leaks.Snapshot | None = None
        self._default: Report | Finding | None = None

    def default_report(self) -> Report:
        """The probe's report from the unmodified default bundle: one run for all cases of this worker."""
        if self._default is None:
            bundle = self.workshop.bundle()
            try:
                self._default = run_report(self.runtime, bundle)
            except Finding as error:
                self._default = error
            finally:
                self.workshop.remove(bundle)
        if isinstance(self._default, Finding):
            raise Finding(str(self._default))
        return self._default

    @contextlib.contextmanager
    def cgroup_view(self, mode: str) -> Iterator[None]:
        """A with block, around a whole case, in which this worker and what it starts sees the v1 hierarchies alone
        ("v1") or v2 alone ("v2").  EnvironmentProblem where the run's own view does not have it, or cannot be left."""
        here = cgroups.read_view().mode
        if mode == here:
            yield
            return
        versions = {hierarchy.version for hierarchy, _ in self.subtree.places} if self.subtree is not None else set()
        if self.subtree is None or int(mode[1:]) not in versions:
            raise EnvironmentProblem(f"the cgroup view of the run is {here}, and cannot be made {mode}")
        confine.change_view(self.subtree, mode)
        self.watch.look_around()
        try:
            yield
        finally:
            confine.change_view(self.subtree, here)
            self.watch.look_around()

    def new_bundle(self) -> Bundle:
        """A bundle that lasts until the next case begins."""
        self.bundles.append(self.workshop.bundle())
        return self.bundles[-1]

    def begin_case(self) -> None:
        """Forget the previous case (kept until now for its evidence) and look at what is there."""
        for bundle in self.bundles:
            self.workshop.remove(bundle)
        self.bundles.clear()
        self.runtime.journal.clear()
        self.runtime.containers.clear()
        self._before = self.watch.take()

    def end_case(self) -> None:
        """Delete the case's containers; Finding when something is left behind that the runtime should have removed."""
        if self._before is None:
            return
        before, self._before = self._before, None
        kept = [f"state entry {name}, although no such container is alive" for name in self._dead_entries(before)]
        blamed = not any(result.timed_out for result in self.runtime.journal)  # we killed it: it could not clean up
        for container in reversed(self.runtime.containers):
            result = container.discard()
            blamed = blamed and (result is None or result.ok)
        excused = [path for container in self.runtime.containers if (path := container.bundle.cgroups_path())]
        found = kept + leaks.settle(lambda: self.watch.compare(before, excused))
        if self.watch.last != before:
            self.watch.clean(before)
        if found and blamed:
            raise Finding("left behind: " + "; ".join(found))

    def _dead_entries(self, before: leaks.Snapshot) -> list[str]:
        """State entries of containers that are gone: deleted, or never created.  One that the case made by a command
        of its own, and that still has a state, is deleted without blame."""
        containers = self.runtime.containers
        alive = {container.id for container in containers if container.alive}
        gone = {container.id for container in containers if container.deleted or not container.succeeded()} - alive
        dead = []
        for name in sorted(set(leaks.state_entries(self.runtime.root)) - before.entries - alive):
            if name not in gone and self.runtime.state(name).ok:
                self.runtime.command("delete", "--force", name)
            else:
                dead.append(name)
        return dead

    def close(self) -> None:
        """Remove the worker's directory, adopt no more orphans."""
        syscall.prctl(syscall.PR_SET_CHILD_SUBREAPER, 0)
        shutil.rmtree(self.directory, ignore_errors=True)


def run_report(runtime: Runtime, bundle: Bundle, **options: Any) -> Report:
    """Run the bundle and read the probe's output; Finding when the run fails or prints nothing readable."""
    result = runtime.run(bundle, **options)
    return probe.parse(result.stdout, result)
