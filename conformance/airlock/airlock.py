"""The airlock: a command runs in private mount, pid, ipc, uts and cgroup namespaces, in a cgroup subtree of its own.

    janitor (this module as a program)      makes the cgroup subtree; removes it, and the work directory, at the end
      `- doorkeeper                         joins the subtree, leaves the namespaces, waits
           `- init (pid 1 inside)           mounts /proc, /run and the cgroup view, runs the command, reaps orphans

The janitor ends everything when its lifeline (a pipe) closes: when the process that asked for the airlock is gone.  The
other two die with their parents (PR_SET_PDEATHSIG), and with pid 1 goes every process inside.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass

from seatrial.conformance.airlock import confine
from seatrial.conformance.airlock.subtree import Subtree, name_for, sweep_stale
from seatrial.conformance.engine import interpreter, needs
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome
from seatrial.native import mount_api, syscall

NAMESPACES = syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
# Bundles lie on a tmpfs (removing one from a disk takes longer than some runtimes need for a container), unless it is
# too old for idmapped mounts, which cases ask for.
TMPFS_WITH_IDMAP = (6, 3)
FIRST_PID = 300  # where pids of the command begin, after its init
INSIDE_ENV = "SEATRIAL_AIRLOCK"  # set for the command: whoever finds it need not open another
VIEW_ENV = "SEATRIAL_CGROUP_VIEW"  # how pytest's workers learn which view to confine themselves to


@dataclass(frozen=True, slots=True)
class Request:
    """What to run.  `view` is one of confine.VIEWS; `trial` is the command line of a runtime to ask, for view "auto",
    whether it can work in a hybrid view; `lifeline` and `keep` are descriptors; `workdir` is removed at the end, the
    directory around it when the asking process went away; `log` takes the command's output (None: it goes where ours
    goes)."""

    command: list[str]
    view: str
    runtime: str | None
    lifeline: int
    keep: list[int]
    workdir: str
    log: str | None

    def output(self) -> int | None:
        """A descriptor for the command's output, None to inherit ours."""
        return None if self.log is None else os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)


def open_airlock(request: Request, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the janitor, or an ordinary user's custodian (custody.py).

    Its exit status is the command's, or 2 with a reason on its standard error (a pipe, if the output goes to a log).
    """
    module = "airlock" if os.geteuid() == 0 else "custody"
    argv = [sys.executable, "-m", f"seatrial.conformance.airlock.{module}", json.dumps(asdict(request))]
    return interpreter.start(
        argv,
        stdin=subprocess.DEVNULL,
        stderr=None if request.log is None else subprocess.PIPE,
        pass_fds=[request.lifeline, *request.keep],
        env={**env, INSIDE_ENV: "1"},
        start_new_session=True,  # a Ctrl-C is for the asking process alone
    )


def janitor(request: Request) -> int:
    """Run the request to its end and clean up; the exit status of the command."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the lifeline ends us: cleaning up must not be interrupted
    syscall.prctl(syscall.PR_SET_CHILD_SUBREAPER, 1)  # init inside is ours to reap when the doorkeeper dies first
    sweep_stale()
    subtree = Subtree(name_for(os.getpid()))
    alone = False
    try:
        mode = confine.choose(request.view)
        child = os.fork()
        if child == 0:
            _in_child(lambda: doorkeeper(request, subtree, mode))
        status, alone = wait(child, request.lifeline)
        return status
    finally:
        left = subtree.destroy()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        # Only now: what still runs goes on writing there.
        shutil.rmtree(os.path.dirname(request.workdir) if alone else request.workdir, ignore_errors=True)
        for path in left:
            print(f"could not remove {path}", file=sys.stderr)


def doorkeeper(request: Request, subtree: Subtree, mode: str) -> int:
    """Join the subtree, leave the namespaces and wait for the init process inside."""
    syscall.prctl(syscall.PR_SET_PDEATHSIG, signal.SIGKILL)
    confine.enter(subtree, mode, NAMESPACES)
    child = os.fork()
    if child == 0:
        _in_child(lambda: init(request, subtree, mode))
    os.close(request.lifeline)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def init(request: Request, subtree: Subtree, mode: str) -> int:
    """Pid 1 inside: the last mounts, then the command, whose exit status is returned."""
    syscall.prctl(syscall.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.close(request.lifeline)
    flags = confine.FLAGS
    try:
        mount_api.mount("proc", "/proc", "proc", flags)
        mount_api.mount("tmpfs", "/run", "tmpfs", mount_api.MS_NOSUID | mount_api.MS_NODEV, "mode=755")
        if needs.kernel_version(os.uname().release) >= TMPFS_WITH_IDMAP:
            mount_api.mount("tmpfs", request.workdir, "tmpfs", 0, "mode=755")
    except OSError as error:
        raise EnvironmentProblem(f"cannot prepare the airlock: {error}") from error
    if request.view == "auto" and mode == "hybrid" and request.runtime is not None:
        mode = _settle_view(request.runtime, request.workdir, subtree)
    log = request.output()
    _skip_low_pids()
    process = interpreter.start(
        request.command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={**os.environ, VIEW_ENV: mode},
        pass_fds=request.keep,
    )
    for number in (*request.keep, *([] if log is None else [log])):
        os.close(number)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == process.pid:
            return os.waitstatus_to_exitcode(status)


def _skip_low_pids() -> None:
    """Give no process in here the pids that containers begin with.

    A runtime that takes a pid of its container's namespace for one of its own kills a bystander: so does crun 1.8.1
    when a create with a time namespace fails, and the bystander was pytest.  Kernels without CONFIG_CHECKPOINT_RESTORE
    have no such file.
    """
    with contextlib.suppress(OSError), open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
        file.write(str(FIRST_PID - 1))


def _settle_view(runtime: str, workdir: str, subtree: Subtree) -> str:
    """hybrid, unless the runtime can create a container in a v1 view only (as crun, which refuses hybrid)."""
    from seatrial.conformance.driver.bundle import Workshop
    from seatrial.conformance.driver.driver import Runtime

    def works() -> bool:
        directory = os.path.join(workdir, "trial")
        driver = Runtime(runtime, directory, Workshop(os.path.join(directory, "bundles"), "st-trial"))
        try:
            return driver.sane()
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    if works():
        return "hybrid"
    confine.change_view(subtree, "v1")
    if works():
        return "v1"
    confine.change_view(subtree, "hybrid")
    return "hybrid"


def wait(child: int, lifeline: int) -> tuple[int, bool]:
    """The child's exit status, and whether the lifeline closed first: then the child is killed."""
    pidfd = os.pidfd_open(child)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.register(lifeline, select.POLLIN | select.POLLHUP)
    alone = False
    while True:
        ready = {number for number, _ in poller.poll()}
        if lifeline in ready and pidfd not in ready:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            poller.unregister(lifeline)
            alone = True
        if pidfd in ready:
            os.close(pidfd)
            _, status = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(status), alone


def _in_child(work: object) -> None:
    """Run `work` in a forked child and leave with its status; never returns to the parent's code."""
    status = outcome.BUG
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        assert callable(work)
        status = work()
    except EnvironmentProblem as error:
        print(error, file=sys.stderr)
        status = outcome.ENVIRONMENT
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status if status >= 0 else 128 - status)


def main() -> int:
    """The janitor's entry point: the request is the only argument, as JSON."""
    request = Request(**json.loads(sys.argv[1]))
    try:
        return janitor(request)
    except EnvironmentProblem as error:
        print(error, file=sys.stderr)
        return outcome.ENVIRONMENT


if __name__ == "__main__":
    sys.exit(main())
