"""Drives a runtime, known only as a command line: `PATH --root DIR create --bundle B ID` and so on."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

from seatrial.conformance.airlock import orphans
from seatrial.conformance.driver import criu
from seatrial.conformance.driver.bundle import Bundle, Workshop
from seatrial.conformance.driver.execute import Result, execute, tail, wait_pidfd
from seatrial.conformance.driver.patience import DEFAULT_TIMEOUT, patience
from seatrial.conformance.errors import EnvironmentProblem, Finding, RuntimeTimeout
from seatrial.conformance.mask.names import resolve_all

__all__ = ["Container", "Result", "Runtime", "default_runtime"]

Option: TypeAlias = "str | int | bool | list[str]"
PATIENCE = 0.2  # seconds of waiting after which the runtime's sanity is in doubt
END_SECONDS = 0.2  # how long a process may take to end after SIGKILL (a frozen one does not, on cgroup v1)
INSANE = "the runtime cannot run the unmodified default bundle"
PATH_VALUE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def default_runtime() -> str:
    """The reference runtime, installed beside the running interpreter."""
    return os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")


class Runtime:
    """A runtime binary with a state directory (--root) of its own.

    Every invocation is recorded in `journal` (cleared for each case).  `seconds` is the time during which at least one
    ran.
    """

    def __init__(
        self,
        path: str,
        directory: str,
        workshop: Workshop,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        masks: tuple[str, ...] = (),
    ) -> None:
        self.path = path
        self.masks = masks  # those of the run, behind which every invocation takes place
        self._more_masks: tuple[str, ...] = ()
        self.directory = directory
        self.root = os.path.join(directory, "state")
        self.workshop = workshop
        self.timeout = timeout
        home = "/root" if os.geteuid() == 0 else os.path.expanduser("~")
        path_value = criu.first_in_path(PATH_VALUE)
        self.env = {"PATH": path_value, "HOME": home, "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": directory}
        self.journal: list[Result] = []
        self.containers: list[Container] = []
        self.seconds = 0.0
        self._running = 0
        self._clock = threading.Lock()
        self._offers: dict[str, bool] = {}
        self._sane: Finding | bool | None = None
        self._entries = False  # whether a container has an entry of its name in the state directory
        self.accepted: set[str] = set()  # fingerprints of bundles that were created, see checks.accepted
        os.makedirs(self.root, mode=0o711, exist_ok=True)

    # -- invocations --------------------------------------------------------------------------------------------------

    def command(
        self,
        *words: str,
        root: bool = True,
        timeout: float | None = None,
        stdin: bytes | int | None = None,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        pass_fds: tuple[int, ...] = (),
        output: int | None = None,
    ) -> Result:
        """Run the runtime with exactly these words (after `--root DIR` unless root is false) and return how it ended.

        `env` is added to the driver's environment; `output` is a descriptor for both output streams.  RuntimeTimeout
        after `timeout` seconds (default: the session's).
        """
        argv = self.argv(*(["--root", self.root] if root else []), *words)
        limit = self.timeout if timeout is None else timeout
        result = self._execute(
            argv,
            env={**self.env, **(env or {})},
            timeout=limit,
            stdin=stdin,
            cwd=cwd,
            pass_fds=pass_fds,
            output=output,
            directory=self.directory,
            masks=(*self._more_masks, *self.masks),
        )
        self.journal.append(result)
        if result.timed_out:
            raise RuntimeTimeout(result.describe())
        return result

    def argv(self, *words: str) -> list[str]:
        """The command line for these words of the runtime's."""
        return [self.path, *words]

    def host_pid(self, pid: int) -> int:
        """The pid, as we see it, of a process that the runtime names."""
        return pid

    def _execute(self, argv: list[str], **options: Any) -> Result:
        """Run a command line; what several threads spend inside at once counts once."""
        with self._clock:
            self._running += 1
            if self._running == 1:
                self._began = time.monotonic()
        try:
            return execute(argv, **options)
        finally:
            with self._clock:
                self._running -= 1
                if self._running == 0:
                    self.seconds += time.monotonic() - self._began

    def create(
        self,
        bundle: Bundle,
        id: str | None = None,
        check: bool = True,
        *,
        timeout: float | None = None,
        stdin: bytes | int | None = None,
        env: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        output: int | None = None,
        **options: Option,
    ) -> Container:
        """Write the bundle and create a container from it.

        Options become flags: `pid_file="x"` is `--pid-file x`, `no_pivot=True` is `--no-pivot`.  With check=False a
        refusal is no finding: look at `container.created`, a Result.
        """
        bundle.write()
        name = id or bundle.name
        container = Container(self, bundle, name)
        self.containers.append(container)
        container.created = self.command(
            "create",
            "--bundle",
            bundle.path,
            *flags(options),
            name,
            timeout=timeout,
            stdin=stdin,
            env=env,
            pass_fds=pass_fds,
            output=output,
        )
        container.alive = container.created.ok
        if check:
            container.created.check()
        return container

    def run(
        self,
        bundle: Bundle,
        check: bool = True,
        timeout: float | None = None,
        *,
        id: str | None = None,
        stdin: bytes | int | None = None,
        env: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        **options: Option,
    ) -> Result:
        """Write the bundle and run a container from it in the foreground.  The status is that of the container's
        process."""
        bundle.write()
        name = id or bundle.name
        container = Container(self, bundle, name)
        self.containers.append(container)
        result = self.command(
            "run",
            "--bundle",
            bundle.path,
            *flags(options),
            name,
            timeout=timeout,
            stdin=stdin,
            env=env,
            pass_fds=pass_fds,
        )
        container.created = result
        container.alive = bool(options.get("detach") or options.get("keep"))
        container.deleted = not container.alive
        return result.check() if check else result

    def state(self, id: str) -> Result:
        """`state ID`, whatever comes of it."""
        return self.command("state", id)

    @contextlib.contextmanager
    def masked(self, *names: str) -> Iterator[None]:
        """A with block in which the runtime runs behind further masks, which come before those of the run.

        EnvironmentProblem for a mask that there is not.
        """
        resolve_all(names)
        previous, self._more_masks = self._more_masks, (*names, *self._more_masks)
        try:
            yield
        finally:
            self._more_masks = previous

    @contextlib.contextmanager
    def _as_the_run(self) -> Iterator[None]:
        """A with block without the masks of masked(): what is remembered for all cases is found out here."""
        previous, self._more_masks = self._more_masks, ()
        try:
            yield
        finally:
            self._more_masks = previous

    def knows(self, id: str) -> bool:
        """Whether there is a container of that id, as `state` tells.  It is not asked about a name that is absent from
        the state directory of a runtime whose containers have entries there (prove_sane saw one come and go)."""
        if self._entries and not os.path.lexists(os.path.join(self.root, id)):
            return False
        return self.state(id).ok

    # -- what this runtime is -----------------------------------------------------------------------------------------

    def offers(self, command: str) -> bool:
        """Whether a command outside the spec exists: `COMMAND --help` succeeds and says something."""
        if command not in self._offers:
            try:
                with self._as_the_run():
                    result = self.command(command, "--help", root=False)
            except RuntimeTimeout:
                self._offers[command] = False
            else:
                self._offers[command] = result.ok
        return self._offers[command]

    def features(self) -> dict[str, Any]:
        """The parsed output of `features`; Finding when it fails or is not a JSON object."""
        return parse_object(self.command("features", root=False).check())

    def prove_sane(self) -> None:
        """Finding unless this runtime can create, show, start and delete the unmodified default bundle (tried once).
        Checks that expect a refusal ask this first: a runtime that refuses everything has not refused anything."""
        if self._sane is None:
            self._sane = True  # until proven otherwise: what waits below would ask again, and again
            bundle = self.workshop.bundle()
            bundle.probe("exit 0", report=False)
            container = None
            try:
                with self._as_the_run():
                    container = self.create(bundle)
                    status = container.status()
                    if status != "created":
                        raise Finding(f"after create the status is {status!r}")
                    entry = os.path.join(self.root, container.id)
                    shown = os.path.isdir(entry)
                    container.start()
                    container.wait_status("stopped")
                    container.delete()
                self._entries = shown and not os.path.lexists(entry)
                self._sane = True
            except Finding as error:
                self._sane = Finding(f"{INSANE}: {error}")
            except BaseException:
                self._sane = None
                raise
            finally:
                if container is not None:
                    container.discard()
                    self.containers.remove(container)
                self.workshop.remove(bundle)
        if isinstance(self._sane, Finding):
            raise Finding(str(self._sane))  # a new one: an exception raised again keeps growing its traceback

    def sane(self) -> bool:
        """Whether prove_sane() succeeds."""
        try:
            self.prove_sane()
        except Finding:
            return False
        return True


class Container:
    """A container that a case created.  `created` is the Result of create (or run); `alive` says that nobody deleted
    it yet."""

    created: Result

    def __init__(self, runtime: Runtime, bundle: Bundle, id: str) -> None:
        self.runtime = runtime
        self.bundle = bundle
        self.id = id
        self.alive = True  # until the runtime says otherwise
        self.deleted = False
        self._pid: int | None = None

    def succeeded(self) -> bool:
        """Whether create (or run) was seen to succeed."""
        created: Result | None = getattr(self, "created", None)
        return created is not None and created.ok

    def start(self, check: bool = True, **options: Option) -> Result:
        """`start ID`."""
        return self._command("start", check, options)

    def state(self) -> dict[str, Any]:
        """The object that `state ID` prints; Finding when it fails or is not a JSON object."""
        return parse_object(self.runtime.state(self.id).check())

    def status(self) -> str:
        """`status` from state."""
        value = self.state().get("status")
        if not isinstance(value, str):
            raise Finding(f"state of {self.id} has no status string: {value!r}")
        return value

    @property
    def pid(self) -> int:
        """The pid that state reports while the container is created or running; asked once."""
        if self._pid is None:
            value = self.state().get("pid")
            if not isinstance(value, int) or value <= 0:
                raise Finding(f"state of {self.id} has no pid: {value!r}")
            self._pid = self.runtime.host_pid(value)
        return self._pid

    def kill(self, signal: str | int = "TERM", check: bool = True, **options: Option) -> Result:
        """`kill ID SIGNAL`."""
        return self._command("kill", check, options, str(signal))

    def delete(self, force: bool = False, check: bool = True, **options: Option) -> Result:
        """`delete ID`."""
        self._reap()
        result = self._command("delete", check, {**options, **({"force": True} if force else {})})
        if result.ok:
            self.alive, self.deleted = False, True
        return result

    def exec(
        self,
        *args: str,
        check: bool = True,
        timeout: float | None = None,
        stdin: bytes | int | None = None,
        **options: Option,
    ) -> Result:
        """`exec ID ARGS...`."""
        result = self.runtime.command("exec", *flags(options), self.id, *args, timeout=timeout, stdin=stdin)
        return result.check() if check else result

    def output(self) -> str:
        """What the container's process has written to its standard output so far."""
        return self.created.output()

    def wait_status(self, wanted: str, timeout: float = 5.0) -> None:
        """Wait until state reports a status; Finding after `timeout` seconds, more on a slow host (patience.py).  For
        "stopped" the process is waited for first."""
        if wanted == "stopped":
            self.wait(timeout)
        status = ""
        for _ in self._until(timeout):
            status = self.status()
            if status == wanted:
                return
        raise Finding(f"the status of {self.id} is {status!r} after {timeout:g} s, not {wanted!r}")

    def wait(self, timeout: float = 5.0) -> None:
        """Wait until the container's process has ended; Finding after `timeout` seconds.  If it is one of our children
        (we are a subreaper), its cgroup tells its pid; otherwise state does."""
        try:
            pid = self._process() or self.pid
        except Finding:
            if self.status() == "stopped":
                return
            raise
        with _pidfd(pid) as number:
            if number is not None and not wait_pidfd(number, patience(timeout)):
                raise Finding(f"process {pid} of {self.id} still runs after {timeout:g} s")
        _reap(pid)

    def wait_output(self, text: str, timeout: float = 5.0) -> str:
        """Wait until the container's output contains a text and return the output; Finding after `timeout` seconds."""
        output = ""
        for _ in self._until(timeout):
            output = self.output()
            if text in output:
                return output
        raise Finding(f"the container's output lacks {text!r} after {timeout:g} s: {tail(output)}")

    def _until(self, timeout: float) -> Iterator[None]:
        """Looks with growing pauses until the time is up; a runtime that cannot run the default bundle is not waited
        for."""
        start = time.monotonic()
        deadline = start + patience(timeout)
        pause = 0.001
        while True:
            yield
            now = time.monotonic()
            if now > deadline or (now > start + PATIENCE and not self.runtime.sane()):
                return
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def end(self) -> None:
        """End the container's process ourselves, where its cgroup tells which of our children it is.

        A `delete --force` has less to do then: runc 1.1 sleeps for 100 ms between its SIGKILL and its next look.
        Several processes are left to the runtime: what it does not end is a finding."""
        pid = self._process()
        if pid is not None:
            orphans.kill(pid, END_SECONDS)

    def _process(self) -> int | None:
        """The container's process, if it is the only one of our children in its cgroup, or the one that state named."""
        found = orphans.of_container(self.bundle.name)
        if self._pid in found:
            return self._pid
        return found.pop() if len(found) == 1 else None

    def remove(self) -> Result:
        """`delete --force`, of a process that we have ended if we could; for cases that are not about `--force`."""
        self.end()
        return self.delete(force=True)

    def discard(self) -> Result | None:
        """Get rid of the container whatever its condition (`delete --force`); None when nothing was to be done."""
        self._reap()
        left = os.path.exists(os.path.join(self.runtime.root, self.id))
        if not left and (self.deleted or not self.alive):
            return None
        self.end()
        try:
            result = self.runtime.command("delete", "--force", self.id)
        except (RuntimeTimeout, EnvironmentProblem):
            return None
        self._reap()
        self.alive = not result.ok
        return result

    def _command(self, verb: str, check: bool, options: dict[str, Option], *words: str) -> Result:
        result = self.runtime.command(verb, *flags(options), self.id, *words)
        return result.check() if check else result

    def _reap(self) -> None:
        """The container's process becomes our child when create has ended (we are a subreaper): a shim would reap it
        too."""
        if self._pid is not None:
            _reap(self._pid)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def flags(options: dict[str, Option]) -> list[str]:
    """Command line flags: {"pid_file": "x", "force": True} is --pid-file x --force; a list repeats the flag."""
    words: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif isinstance(value, list):
            for item in value:
                words += [flag, item]
        elif value is not False:
            words += [flag, str(value)]
    return words


def parse_object(result: Result) -> dict[str, Any]:
    """A JSON object from the standard output; Finding when there is none."""
    try:
        value = json.loads(result.stdout)
    except ValueError as error:
        raise Finding(
            f"{result.describe()}: no JSON on the standard output ({error}): {tail(result.stdout, 300)!r}"
        ) from error
    if not isinstance(value, dict):
        raise Finding(f"{result.describe()}: the standard output is not a JSON object")
    return value


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    try:
        number = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield number
    finally:
        os.close(number)
