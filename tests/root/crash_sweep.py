"""Kill a runtime at each of its steps: ``crash_sweep.py KIND ROOT BUNDLE VERB FIRST STRIDE``.

KIND is ``calls``: the runtime is killed at its N-th call into C (a system call, or one of the bindings), so after each
step of the parent; or ``operations``: it is killed when the executor has done N operations of the plan.  N goes from
FIRST on in steps of STRIDE, until the verb ends before its N-th step.

Each attempt is a fork of this process, so the modules are imported once.  After each the status of the container must
be one of those that the verb may leave, ``list`` must be able to read it, and ``delete --force`` must leave no state,
no cgroup and no process.  A JSON line at the end: {"points": COUNT}.  Exit status 1 and a line for the first failure.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

from bundles import cgroups, processes_of

from seatrial.native import channel, operations
from seatrial.native.syscall import PR_SET_CHILD_SUBREAPER, prctl
from seatrial.runtime import creation, execution
from seatrial.runtime.cli import create, delete, exec, pause, resume, run, start, update  # noqa: F401  (no steps)
from seatrial.runtime.cli.main import main
from seatrial.runtime.plan import operation as op
from seatrial.runtime.plan.plan import Plan

DEADLY_POINT = 99  # a point of `sync` that no plan has
GONE = ""

# verb -> (how to get to where it begins, its words, the statuses that it may leave when it is killed)
RUN = ["run", "-d", "-b", "BUNDLE", "ID"]
VERBS: dict[str, tuple[list[list[str]], list[str], tuple[str, ...]]] = {
    "create": ([], ["create", "-b", "BUNDLE", "ID"], (GONE, "creating", "created", "stopped")),
    "run": ([], RUN, (GONE, "creating", "created", "running", "stopped")),
    "start": ([["create", "-b", "BUNDLE", "ID"]], ["start", "ID"], ("created", "running", "stopped")),
    "exec": ([RUN], ["exec", "-d", "ID", "/probe", "hold"], ("running",)),
    "update": ([RUN], ["update", "--pids-limit", "77", "--cpu-share", "512", "ID"], ("running",)),
    "pause": ([RUN], ["pause", "ID"], ("running", "paused")),
    "resume": ([RUN, ["pause", "ID"]], ["resume", "ID"], ("running", "paused")),
    "delete": ([RUN], ["delete", "--force", "ID"], (GONE, "running", "stopped")),
}


def die() -> None:
    """End as a crash does."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm_calls(number: int) -> None:
    """Die at the N-th call of a `posix` function or a binding."""
    count = 0

    def step(_frame: FrameType, event: str, function: object) -> None:
        nonlocal count
        if event != "c_call":
            return
        module = getattr(function, "__module__", "") or type(getattr(function, "__self__", None)).__name__
        if module in ("posix", "CLib", "Lib", "fcntl") or getattr(function, "__name__", "").startswith("seatrial_"):
            count += 1
            if count == number:
                die()

    sys.setprofile(step)


def with_deadly_point(plan: Plan, number: int, late: bool) -> Plan:
    """The plan with a `sync` after its N-th operation, or N-th after the gate.  There is none after exec, the last."""
    names = [operation.name for operation in plan.operations]
    place = number + (names.index("gate") if late else 0)
    if place < len(names):
        plan.operations.insert(place, op.sync(DEADLY_POINT))
    return plan


def arm_plan(number: int, late: bool = False) -> None:
    """Have the executor report after its N-th operation."""
    compile_init, compile_exec = creation.compile_init, execution.compile_exec
    creation.compile_init = lambda *what: with_deadly_point(compile_init(*what), number, late)
    execution.compile_exec = lambda *what: with_deadly_point(compile_exec(*what), number, late)


def arm_report() -> None:
    """Die of that report."""
    receive = channel.receive_message

    def receive_and_die(fd: int) -> channel.Message | None:
        message = receive(fd)
        if message is not None and message.kind == operations.MESSAGE_SYNC and message.value == DEADLY_POINT:
            die()
        return message

    channel.receive_message = receive_and_die


def quiet() -> None:
    """What the attempts say is not looked at: they are killed."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def fork(task: list[str], root: str, *arms: Callable[[], None]) -> int:
    """Run one command of the runtime in a child, after what arms it; its wait status (waitpid(2))."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            quiet()
            for arm in arms:
                arm()
            status = main(["--root", root, *task])
        finally:
            os._exit(status)
    while True:
        # Whatever dead runtimes orphaned comes to us, their sub-reaper: the init of a pid namespace ends only after all
        # of its processes have been reaped (pid_namespaces(7)).
        ended, wait_status = os.waitpid(-1, 0)
        if ended == pid:
            return wait_status


def status_of(root: str, id: str) -> str:
    """The status as another process sees it."""
    from seatrial.runtime.container import Container
    from seatrial.runtime.errors import ContainerNotFoundError

    try:
        with Container.load(root, id) as container:
            return container.status()
    except ContainerNotFoundError:
        return GONE


def reap() -> None:
    """Processes that the dead runtimes left to us, their sub-reaper."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def leftovers(root: str, bundle: str, id: str) -> list[str]:
    """What is still there, after at most 5 s: an executor without a parent leaves at its next step."""
    rootfs = os.path.join(bundle, "rootfs")
    deadline = time.monotonic() + 5
    while True:
        reap()
        left = [f"process {pid}" for pid in processes_of(rootfs)]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.005)
    left += [f"state {name}" for name in os.listdir(root) if not name.startswith(".")]
    return left + [f"cgroup {path}" for path in cgroups(id)]


def attempt(kind: str, root: str, bundle: str, verb: str, number: int) -> tuple[bool, str]:
    """One crash: (whether the runtime was killed, what is wrong)."""
    before, words, allowed = VERBS[verb]
    id = f"c-{verb}-{kind}-{number}"
    names = {"BUNDLE": bundle, "ID": id}
    arms = [partial(arm_calls, number)] if kind == "calls" else [partial(arm_plan, number), arm_report]
    for words_before in before:
        # The gate is where `start` takes over a plan that `create` has made.
        late = [partial(arm_plan, number, True)] if kind == "operations" and verb == "start" else []
        if fork([names.get(word, word) for word in words_before], root, *late):
            return False, f"{' '.join(words_before)} failed"
    status = fork([names.get(word, word) for word in words], root, *arms)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    found = status_of(root, id)
    problem = ""
    if killed and found not in allowed:
        problem = f"the status is {found!r}"
    elif not killed and status:
        problem = f"it was not killed, and exited with {os.waitstatus_to_exitcode(status)}"
    if fork(["list"], root):
        problem = "list failed"
    if fork(["delete", "--force", id], root):
        problem = "delete --force failed"
    left = leftovers(root, bundle, id)
    if left:
        problem = f"left: {', '.join(left)}"
    return killed, problem


def sweep(kind: str, root: str, bundle: str, verb: str, first: int, stride: int) -> int:
    """Every N; the exit status."""
    points = 0
    number = first
    while True:
        killed, problem = attempt(kind, root, bundle, verb, number)
        if problem:
            print(f"{verb} killed at {kind} {number}: {problem}", file=sys.stderr)
            return 1
        if not killed:
            print(json.dumps({"points": points}))
            return 0
        points += 1
        number += stride


if __name__ == "__main__":
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    creation.executor()  # once for all of them
    os.makedirs(sys.argv[2], exist_ok=True)
    sys.exit(sweep(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), int(sys.argv[6])))
