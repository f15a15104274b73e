"""What the cases of `exec` share: a container that holds, and the probe executed in it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result, execute
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.errors import Finding

T = TypeVar("T")


def held(runtime: Runtime, bundle: Bundle) -> Container:
    """A running container whose program only waits."""
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    return container


def words(verbs: str = "") -> list[str]:
    """The probe's command line: a report, then these verbs."""
    return [PROBE, "report", *(["--", *shlex.split(verbs)] if verbs else [])]


def executed(container: Container, verbs: str = "", **options: Any) -> Report:
    """The report of a probe that `exec` runs in the foreground."""
    result = container.exec(*words(verbs), **options)
    return parse(result.stdout, result)


@contextlib.contextmanager
def detached(container: Container, *args: str, **options: Any) -> Iterator[int]:
    """Execute a program with --detach; its pid, from the pid file.  At the end it is told to end, and reaped.

    It is our child once exec has ended (we are a subreaper), and the init of a pid namespace cannot end before every
    process of the namespace is reaped (pid_namespaces(7)).
    """
    path = container.bundle.outside("exec.pid")
    container.exec(*args, detach=True, pid_file=path, **options)
    with open(path, encoding="ascii") as file:
        text = file.read()
    pid = int(text) if text.isdigit() else 0
    # Whose pid it is decides before anything is done to it: a signal must not reach anybody else.
    try:
        inside = pid > 1 and os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{container.pid}/ns/pid")
    except OSError:
        inside = False
    if not inside or pid == container.pid:
        raise Finding(f"the pid file of exec holds {text!r}, which is no process of the container's that was executed")
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def documented(container: Container, document: dict[str, Any], **options: Any) -> Result:
    """`exec --process FILE`: a program that a document describes."""
    path = container.bundle.outside("process.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    return container.exec(process=path, **options)


def redirected(container: Container, redirections: str, *words: str) -> Result:
    """`exec` with the standard streams that a shell gives it: "3<FILE", "<&-"."""
    runtime = container.runtime
    argv = ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", runtime.path, "--root", runtime.root, "exec", *words]
    result = execute(argv, env=runtime.env, timeout=runtime.timeout, directory=runtime.directory, masks=runtime.masks)
    runtime.journal.append(result)
    runtime.seconds += result.seconds
    return result


def at_once(count: int, call: Callable[[int], T], lanes: int = 0) -> list[T]:
    """call(0) to call(count - 1), side by side (at most `lanes` at a time); the results in that order."""
    with ThreadPoolExecutor(lanes or count) as pool:
        return list(pool.map(call, range(count)))


def at_first(report: Report) -> dict[str, str]:
    """Controller ("" for v2) -> cgroup that the probe was in at its first instruction."""
    return paths_in(report["first_cgroup"])


def paths_in(lines: str) -> dict[str, str]:
    """Controller ("" for v2) -> cgroup, from the text of /proc/PID/cgroup."""
    found = {}
    for line in lines.splitlines():
        _number, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def in_view(paths: dict[str, str]) -> dict[str, str]:
    """The hierarchies of the view."""
    view = cgroups.read_view()
    return {name: path for name, path in paths.items() if name in view.v1 or (name == "" and view.v2 is not None)}


def inits(container: Container) -> dict[str, str]:
    """The cgroups of the container's init."""
    return in_view(control_files.membership(container.pid))
