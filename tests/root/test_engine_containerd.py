"""containerd drives the runtime through its runc shim: `ctr run --runtime io.containerd.runc.v2 --runc-binary ...`.

containerd is optional: without it these tests are skipped by the package's name.  The daemon is the tests' own, with
root, state and socket in a directory of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import pytest
from engine_rootfs import busybox_rootfs, need
from engine_terminal import Terminal
from subtrees import remove_cgroups

RUNTIME = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
SECONDS = 30
SHIM = "containerd-shim-runc-v2"
# Neither a network nor snapshots are asked for.
DISABLED = ["io.containerd.grpc.v1.cri", *(f"io.containerd.snapshotter.v1.{name}" for name in ("btrfs", "zfs", "aufs"))]

pytestmark = [
    pytest.mark.root,
    need(busybox="busybox-static", ctr="containerd", containerd="containerd", **{SHIM: "containerd"}),
]


class Containerd:
    """A daemon and its client."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.socket = os.path.join(directory, "c.sock")
        self.namespace = f"seatrial-ctr-{os.getpid()}"  # also the parent of the cgroups
        self.rootfs = busybox_rootfs(os.path.join(directory, "rootfs"))
        config = os.path.join(directory, "config.toml")
        with open(config, "w") as file:
            file.write(
                f"""
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = {DISABLED!r}
[grpc]
address = "{self.socket}"
[ttrpc]
address = "{self.socket}.ttrpc"
""".replace("'", '"')
            )
        with open(os.path.join(directory, "log"), "w") as log:
            self.daemon = subprocess.Popen(["containerd", "--config", config], stdout=log, stderr=log)

    def wait(self) -> None:
        """Until the daemon answers."""
        deadline = time.monotonic() + SECONDS
        while subprocess.run(self.argv("version"), capture_output=True).returncode != 0:
            if time.monotonic() > deadline or self.daemon.poll() is not None:
                with open(os.path.join(self.directory, "log")) as log:
                    pytest.fail(f"containerd does not answer: {log.read()}")
            time.sleep(0.1)

    def end(self) -> None:
        """Stop the daemon."""
        self.daemon.terminate()
        self.daemon.wait(SECONDS)

    def argv(self, *words: str) -> list[str]:
        """A command of ctr."""
        return ["ctr", "--address", self.socket, "--namespace", self.namespace, *words]

    def __call__(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run one command of ctr, which must end with this exit status."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(self.argv(*words), stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=60)
            out.seek(0)
            err.seek(0)
            result = subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())
        assert result.returncode == status, result.stderr
        return result

    def run_words(self, id: str, *program: str, options: tuple[str, ...] = ("--rm",)) -> list[str]:
        """The words of `ctr run` with our runtime."""
        runtime = ["--runtime", "io.containerd.runc.v2", "--runc-binary", RUNTIME]
        places = ["--runc-root", f"{self.directory}/runc", "--rootfs"]
        return ["run", *runtime, *options, *places, self.rootfs, id, *program]

    def task(self, id: str) -> str:
        """The status of a task, or "" when there is none."""
        for line in self("tasks", "ls").stdout.splitlines()[1:]:
            words = line.split()
            if words[0] == id:
                return words[2]
        return ""

    def wait_status(self, id: str, status: str) -> None:
        """Wait until a task has a status."""
        deadline = time.monotonic() + SECONDS
        while (now := self.task(id)) != status:
            assert time.monotonic() < deadline, f"{id} is {now}, not {status}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def engine() -> Iterator[Containerd]:
    directory = tempfile.mkdtemp(prefix="sc-", dir="/tmp")
    engine = Containerd(directory)
    try:
        engine.wait()
        yield engine
        state = os.path.join(directory, "runc", engine.namespace)
        assert set(os.listdir(state)) <= {".cache"}, "the runtime has forgotten every container"
    finally:
        for id in ("t0", "t1"):  # of a test that failed
            subprocess.run(engine.argv("tasks", "rm", "--force", id), capture_output=True, check=False)
        engine.end()
        remove_cgroups(f"/{engine.namespace}")
        shutil.rmtree(directory)


@pytest.fixture
def running(engine: Containerd) -> Iterator[Containerd]:
    """With a task t1 that ends with status 5 upon SIGTERM."""
    script = "trap 'exit 5' TERM; while :; do sleep 0.05; done"
    engine(*engine.run_words("t1", "sh", "-c", script, options=("--detach",)))
    yield engine
    if engine.task("t1") not in ("", "STOPPED"):
        engine("tasks", "kill", "--signal", "KILL", "t1")
        engine.wait_status("t1", "STOPPED")
    if engine.task("t1"):
        engine("tasks", "rm", "t1")
    engine("containers", "rm", "t1")


def test_run(engine: Containerd) -> None:
    done = engine(*engine.run_words("t0", "sh", "-c", "echo out; echo err >&2; exit 3"), status=3)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_programs_that_cannot_run(engine: Containerd) -> None:
    """The shim quotes the last error of the JSON log, whose words tell callers what it was."""
    for program, words in (("nosuch", "executable file not found in $PATH"), ("/etc/passwd", "permission denied")):
        told = engine(*engine.run_words("t0", program), status=1).stderr
        assert "OCI runtime create failed" in told
        assert words in told


def test_a_terminal(engine: Containerd) -> None:
    argv = engine.argv(*engine.run_words("t0", "sh", options=("--rm", "--tty")))
    with Terminal(argv, dict(os.environ), rows=33, columns=99) as user:
        user.expect("# ")
        user.type("tty\n")
        user.expect("/dev/pts/0")
        user.resize(44, 88)
        user.type("exit 9\n")
        assert user.status() == 9


def test_exec(running: Containerd) -> None:
    done = running("tasks", "exec", "--exec-id", "e1", "t1", "sh", "-c", "echo in; exit 7", status=7)
    assert done.stdout == "in\n"
    told = running("tasks", "exec", "--exec-id", "e2", "t1", "nosuch", status=1).stderr
    assert "executable file not found in $PATH" in told
    for round in range(5):
        running("tasks", "exec", "--exec-id", f"r{round}", "t1", "sh", "-c", f"exit {round % 3}", status=round % 3)
    assert "<defunct>" not in running("tasks", "exec", "--exec-id", "e3", "t1", "ps").stdout


def test_exec_with_a_terminal(running: Containerd) -> None:
    argv = running.argv("tasks", "exec", "--tty", "--exec-id", "e1", "t1", "sh")
    with Terminal(argv, dict(os.environ), rows=20, columns=70) as user:
        user.expect("# ")
        user.type("tty\n")
        user.expect("/dev/pts/")
        user.type("exit 6\n")
        assert user.status() == 6


def test_pause(running: Containerd) -> None:
    running("tasks", "pause", "t1")
    assert running.task("t1") == "PAUSED"
    running("tasks", "resume", "t1")
    assert running.task("t1") == "RUNNING"
    running("tasks", "exec", "--exec-id", "e1", "t1", "true")


def test_kill_and_delete(running: Containerd) -> None:
    pids = [int(line.split()[0]) for line in running("tasks", "ps", "t1").stdout.splitlines()[1:]]
    assert pids
    running("tasks", "kill", "--signal", "TERM", "t1")
    running.wait_status("t1", "STOPPED")
    assert "exit code 5" in running("tasks", "rm", "t1").stderr
    assert running.task("t1") == ""
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_task_is_removed_by_force(running: Containerd) -> None:
    (pid,) = [int(line.split()[1]) for line in running("tasks", "ls").stdout.splitlines() if line.startswith("t1 ")]
    running("tasks", "rm", "--force", "t1")
    assert running.task("t1") == ""
    assert not os.path.exists(f"/proc/{pid}")


def test_metrics(running: Containerd) -> None:
    lines = [line.split() for line in running("tasks", "metrics", "t1").stdout.splitlines()]
    metrics = dict(words for words in lines if len(words) == 2)
    used = metrics.get("memory.usage_in_bytes") or metrics.get("memory.usage")
    assert used is not None
    assert int(used) > 0
