"""Where the tasks of a new process have been, from the kernel's own records: not from looking now and then.

The process connector tells every task that a runtime has forked, the tracepoint cgroup_attach_task every move of a task
to another cgroup.  A task that executes its first instruction in the container's cgroup and was never moved was born
there, and has never been anywhere else.
"""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from bundles import Bundle
from pyroute2.netlink.connector.cn_proc import ProcEventSocket
from v2_view import V2CommandLine


class Moves:
    """An instance of tracefs that records cgroup_attach_task."""

    def __init__(self, directory: str) -> None:
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mount -t tracefs tracefs "$1" && echo ready && exec sleep 600', "sh", directory],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != "ready\n":
            self.holder.wait()
            pytest.skip("needs tracefs")
        self.path = f"/proc/{self.holder.pid}/root{directory}/instances/seatrial-{os.getpid()}"
        os.mkdir(self.path)
        self.write("events/cgroup/cgroup_attach_task/enable", "1")

    def write(self, name: str, text: str) -> None:
        with open(f"{self.path}/{name}", "w") as file:
            file.write(text)

    def seen(self) -> dict[int, list[str]]:
        """Task -> the paths that it was moved to."""
        moves: dict[int, list[str]] = {}
        with open(f"{self.path}/trace") as file:
            for match in re.finditer(r"cgroup_attach_task: .*?dst_path=(\S*) pid=(\d+) ", file.read()):
                moves.setdefault(int(match[2]), []).append(match[1])
        return moves

    def close(self) -> None:
        os.rmdir(self.path)
        self.holder.kill()
        self.holder.wait()
        assert self.holder.stdout is not None
        self.holder.stdout.close()


@pytest.fixture
def moves(tmp_path: os.PathLike[str]) -> Iterator[Moves]:
    directory = os.path.join(tmp_path, "tracing")
    os.mkdir(directory)
    tracer = Moves(directory)
    yield tracer
    tracer.close()


def forked_by(command: list[str]) -> tuple[subprocess.CompletedProcess[str], set[int]]:
    """Run a command, and the tasks that it and its descendants forked."""
    with ProcEventSocket() as events:
        events.bind()
        events.control(listen=True)
        run = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        out, err = run.communicate(timeout=60)
        family = {run.pid}
        ended = False
        while not ended:
            for event in events.get(msg_seq=-1):
                if event["event"] == "PROC_EVENT_FORK" and event["parent_tgid"] in family:
                    family.add(event["child_pid"])
                ended = ended or (event["event"] == "PROC_EVENT_EXIT" and event["process_pid"] == run.pid)
    return subprocess.CompletedProcess(command, run.returncode, out, err), family - {run.pid}


def container(cli: V2CommandLine, bundle: Bundle) -> str:
    id = f"p-{os.getpid()}"
    bundle.config["linux"]["cgroupsPath"] = f"/{id}"
    bundle.write()
    cli("run", "-d", "-b", bundle.path, id)
    return id


def executed(cli: V2CommandLine, id: str, directory: object) -> set[int]:
    """`exec` the probe, which must find itself in the container's cgroup; the tasks that were forked for it."""
    pid_file = os.path.join(str(directory), "pid")
    done, tasks = forked_by(cli.argv("exec", "--pid-file", pid_file, id, "/probe", "report"))
    assert done.returncode == 0, done.stderr
    assert f"0::/{id}" in json.loads(done.stdout)["first_cgroup"].splitlines()
    with open(pid_file) as file:
        assert int(file.read()) in tasks
    assert len(tasks) >= 2  # the executor, and its successor in the pid namespace
    return tasks


def test_no_task_of_an_exec_was_ever_outside(
    v2: V2CommandLine, bundle: Bundle, moves: Moves, tmp_path: os.PathLike[str]
) -> None:
    tasks = executed(v2, container(v2, bundle), tmp_path)
    assert not tasks & set(moves.seen())


def test_the_records_show_a_process_that_was_moved(
    v2: V2CommandLine, bundle: Bundle, moves: Moves, tmp_path: os.PathLike[str]
) -> None:
    """The same on the fallback's path: else the test above would see nothing, whatever happened."""
    id = container(v2, bundle)
    tasks = executed(v2.refusing(errno.ENOSYS), id, tmp_path)
    moved = {task: where for task, where in moves.seen().items() if task in tasks}
    assert list(moved.values()) == [[f"/{id}"]]  # once: its successor is born there


@pytest.mark.parametrize("verb", ["run", "create"])
def test_no_task_of_an_init_was_ever_outside(v2: V2CommandLine, bundle: Bundle, moves: Moves, verb: str) -> None:
    id = f"p-{os.getpid()}-{verb}"
    bundle.config["linux"]["cgroupsPath"] = f"/{id}"
    bundle.args("report", "--to", "/seen", "--", "hold")
    words = ["run", "-d"] if verb == "run" else ["create"]
    shell = ["sh", "-c", '"$@" >/dev/null 2>&1', "sh", *v2.argv(*words, "-b", bundle.path, id)]
    done, tasks = forked_by(shell)
    assert done.returncode == 0
    pid = v2.state(id)["pid"]
    assert pid in tasks
    assert not tasks & set(moves.seen())
    if verb == "run":
        with open(f"/proc/{pid}/cgroup") as file:
            assert f"0::/{id}\n" in file.read()
