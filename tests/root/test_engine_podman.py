"""podman drives the runtime: what its users see of `--runtime seatrial-runtime`.

podman is optional: without it these tests are skipped by the package's name.  It keeps to directories of its own here,
and to a cgroup of its own, so that an installation of the same host does not notice.
"""

from __future__ import annotations

import json
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
# podman asks for more than a host without CAP_SYS_RESOURCE has.
ULIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]

pytestmark = [pytest.mark.root, need("podman", "conmon", busybox="busybox-static")]


class Podman:
    """podman with storage, state, locks and configuration below one directory."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.rootfs = busybox_rootfs(os.path.join(directory, "rootfs"))
        self.runtime = os.path.join(directory, "seatrial-runtime")
        self.parent = f"/seatrial-podman-{os.getpid()}"
        with open(os.path.join(directory, "containers.conf"), "w") as file:
            file.write(
                f"""
[containers]
cgroups = "enabled"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "seatrial"
runtime_supports_json = ["seatrial"]
tmp_dir = "{directory}/tmp"
[engine.runtimes]
seatrial = ["{self.runtime}"]
"""
            )
        # Not `--runtime-flag root=...`: podman's own clean-up process of 4.3 does not get it.
        with open(self.runtime, "w") as file:
            file.write(f'#!/bin/sh\nexec {RUNTIME} --root {directory}/state "$@"\n')
        os.chmod(self.runtime, 0o755)
        self.env = {**os.environ, "CONTAINERS_CONF": os.path.join(directory, "containers.conf")}

    def argv(self, *words: str) -> list[str]:
        """The whole command."""
        directory = self.directory
        places = ["--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
        return ["podman", *places, *words]

    def __call__(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run one command, which must end with this exit status."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            # Files, for what outlives the command (conmon) would hold pipes open.
            done = subprocess.run(
                self.argv(*words),
                env=self.env,
                cwd=self.directory,  # where conmon notes an OOM kill
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=60,
            )
            out.seek(0)
            err.seek(0)
            result = subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())
        assert "Traceback" not in result.stderr
        assert result.returncode == status, result.stderr
        return result

    def run_argv(self, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        """The command for a container of our root file system, without a network."""
        fixed = ["run", "--network", "none", "--cgroup-parent", self.parent, *ULIMITS, *options]
        return [*fixed, "--rootfs", self.rootfs, *words]

    def run(
        self, *words: str, options: tuple[str, ...] = ("--rm",), status: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """`podman run`."""
        return self(*self.run_argv(*words, options=options), status=status)

    def inspect(self, name: str, template: str) -> str:
        """One line of `inspect`."""
        return self("inspect", "--format", template, name).stdout.strip()


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    directory = tempfile.mkdtemp(prefix="sp-", dir="/tmp")  # short: conmon makes Unix sockets below it
    engine = Podman(directory)
    try:
        yield engine
        engine("rm", "--all", "--force", "--time", "0")
        left = set(os.listdir(os.path.join(directory, "state"))) - {".cache"}
        assert left == set(), "the runtime has forgotten every container"
    finally:
        remove_cgroups(engine.parent)
        shutil.rmtree(directory)


@pytest.fixture
def podman(engine: Podman) -> Iterator[Podman]:
    yield engine
    engine("rm", "--all", "--force", "--time", "0")


@pytest.fixture
def running(podman: Podman) -> Podman:
    """With a container c1 that counts in /tmp/count and ends with status 5 upon SIGTERM."""
    script = "trap 'exit 5' TERM; n=0; while :; do n=$((n+1)); echo $n > /tmp/count; sleep 0.05; done"
    podman.run("sh", "-c", script, options=("--detach", "--name", "c1", "--tmpfs", "/tmp", "--env", "A=b"))
    return podman


def test_run(podman: Podman) -> None:
    done = podman.run("sh", "-c", "echo out; echo err >&2; exit 3", status=3)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_what_the_program_sees(podman: Podman) -> None:
    options = ("--rm", "--user", "1000:7", "--workdir", "/work", "--env", "COLOUR=red", "--hostname", "box")
    script = "id -u; id -g; pwd; echo $COLOUR; hostname; touch /x 2>/dev/null || echo read-only"
    assert podman.run("sh", "-c", script, options=(*options, "--read-only")).stdout.split() == [
        "1000", "7", "/work", "red", "box", "read-only",
    ]  # fmt: skip


def test_a_device(podman: Podman) -> None:
    """podman sends the device's mode with its type bits."""
    options = ("--rm", "--device", "/dev/full:/dev/full2")
    done = podman.run("sh", "-c", "test -c /dev/full2 && echo there", options=options)
    assert done.stdout == "there\n"
    podman.run("true", options=("--rm", "--privileged"))


def test_limits(podman: Podman) -> None:
    script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us"
    if not os.path.isdir("/sys/fs/cgroup/memory"):
        script = "cd /sys/fs/cgroup; cat memory.max pids.max; cut -d' ' -f1 cpu.max"
    options = ("--rm", "--memory", "64m", "--pids-limit", "50", "--cpus", "0.5")
    assert podman.run("sh", "-c", script, options=options).stdout.split() == [str(64 << 20), "50", "50000"]


@pytest.mark.parametrize(
    ("program", "status", "told"),
    [("nosuch", 127, "nosuch"), ("/bin/nosuch", 127, "/bin/nosuch"), ("/etc/passwd", 126, "/etc/passwd")],
)
def test_programs_that_cannot_run(podman: Podman, program: str, status: int, told: str) -> None:
    assert told in podman.run(program, status=status).stderr


def test_a_runtime_named_by_its_path(podman: Podman) -> None:
    """Then podman reads the error from the standard error, not from the JSON log."""
    for words, status in ((["true"], 0), (["nosuch"], 127)):
        podman("--runtime", podman.runtime, *podman.run_argv(*words, options=("--rm",)), status=status)


def test_a_terminal(podman: Podman) -> None:
    argv = podman.argv(*podman.run_argv("sh", options=("--rm", "-it")))
    with Terminal(argv, podman.env, rows=33, columns=99) as user:
        user.expect("# ")
        user.type("tty; stty size\n")
        user.expect("/dev/pts/0")
        user.expect("33 99")
        user.resize(44, 88)
        user.type("exit 9\n")
        assert user.status() == 9


def test_exec(running: Podman) -> None:
    done = running("exec", "c1", "sh", "-c", "echo in; echo $A; exit 7", status=7)
    assert done.stdout == "in\nb\n"
    options = ("--user", "1000:7", "--workdir", "/work", "--env", "B=c")
    done = running("exec", *options, "c1", "sh", "-c", "id -u; pwd; echo $B")
    assert done.stdout == "1000\n/work\nc\n"
    assert "nosuch" in running("exec", "c1", "nosuch", status=127).stderr
    assert "/etc/passwd" in running("exec", "c1", "/etc/passwd", status=126).stderr


def test_exec_with_a_terminal(running: Podman) -> None:
    with Terminal(running.argv("exec", "-it", "c1", "sh"), running.env, rows=20, columns=70) as user:
        user.expect("# ")
        user.type("tty; stty size\n")
        user.expect("/dev/pts/")
        user.expect("20 70")
        user.type("exit 6\n")
        assert user.status() == 6


def test_exec_again_and_again(running: Podman) -> None:
    """As a health check does: every result is right, and nothing piles up in the container."""
    for round in range(12):
        running("exec", "c1", "sh", "-c", f"exit {round % 3}", status=round % 3)
    assert "<defunct>" not in running("exec", "c1", "ps").stdout
    state = json.loads(running("inspect", "c1").stdout)[0]
    assert state["State"]["Status"] == "running"
    assert state["ExecIDs"] in (None, [])


def test_health_check(podman: Podman) -> None:
    podman.run(
        "sleep", "100",
        options=("--detach", "--name", "c1", "--tmpfs", "/tmp", "--health-cmd", "test -e /tmp/ok",
                 "--health-interval", "disable", "--health-retries", "1"),
    )  # fmt: skip
    podman("healthcheck", "run", "c1", status=1)
    assert podman.inspect("c1", "{{.State.Health.Status}}") == "unhealthy"
    podman("exec", "c1", "touch", "/tmp/ok")
    podman("healthcheck", "run", "c1")
    assert podman.inspect("c1", "{{.State.Health.Status}}") == "healthy"


def test_pause(running: Podman) -> None:
    running("pause", "c1")
    assert running.inspect("c1", "{{.State.Status}}") == "paused"
    running("exec", "c1", "true", status=255)
    running("unpause", "c1")
    before = int(running("exec", "c1", "cat", "/tmp/count").stdout or 0)
    deadline = time.monotonic() + 10
    while int(running("exec", "c1", "cat", "/tmp/count").stdout or 0) <= before:
        assert time.monotonic() < deadline, "it does not go on"


def test_a_paused_container_can_be_killed(running: Podman) -> None:
    running("pause", "c1")
    running("kill", "c1")
    assert running("wait", "c1").stdout.strip() == "137"
    running("start", "c1")
    running("pause", "c1")
    running("rm", "--force", "--time", "0", "c1")


def test_a_container_is_set_up_before_it_is_started(podman: Podman) -> None:
    created = podman.run_argv("sh", "-c", "exit 4", options=("--name", "c1"))
    podman("create", *created[1:])
    podman("init", "c1")
    assert podman.inspect("c1", "{{.State.Status}}") == "initialized"
    podman("start", "--attach", "c1", status=4)
    podman("rm", "c1")
    podman("create", *created[1:])
    podman("init", "c1")
    podman("rm", "--force", "c1")


def test_a_program_that_is_killed_from_outside(running: Podman) -> None:
    os.kill(int(running.inspect("c1", "{{.State.Pid}}")), 9)
    assert running("wait", "c1").stdout.strip() == "137"
    assert running.inspect("c1", "{{.State.Status}}") == "exited"


def test_stop_lets_the_program_end_itself(running: Podman) -> None:
    running("stop", "--time", "20", "c1")
    assert running.inspect("c1", "{{.State.Status}} {{.State.ExitCode}}") == "exited 5"
    running("start", "c1")
    assert running.inspect("c1", "{{.State.Status}}") == "running"


def test_stop_kills_in_the_end(podman: Podman) -> None:
    podman.run("sleep", "100", options=("--detach", "--name", "c1"))  # pid 1 without a handler of SIGTERM
    podman("stop", "--time", "1", "c1")
    assert podman.inspect("c1", "{{.State.ExitCode}}") == "137"


def test_kill(running: Podman) -> None:
    running("kill", "--signal", "TERM", "c1")
    assert running("wait", "c1").stdout.strip() == "5"
    running("start", "c1")
    running("kill", "c1")
    assert running("wait", "c1").stdout.strip() == "137"
    assert running.inspect("c1", "{{.State.OOMKilled}}") == "false"


def test_top_stats_and_update(running: Podman) -> None:
    assert "sh -c trap" in running("top", "c1").stdout
    (stats,) = json.loads(running("stats", "--no-stream", "--format", "json", "c1").stdout)
    assert int(stats["pids"]) >= 1
    running("update", "--memory", "77m", "c1")
    script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max"
    assert int(running("exec", "c1", "sh", "-c", script).stdout) == 77 << 20


def test_out_of_memory(podman: Podman) -> None:
    options = ("--name", "c1", "--memory", "16m", "--memory-swap", "16m")
    podman.run("sh", "-c", "x=a; while :; do x=$x$x; done", options=options, status=137)


def test_checkpoint_and_restore(podman: Podman) -> None:
    """`podman container checkpoint` and `restore`, by the criu of PATH, which podman looks at itself."""
    if not shutil.which("criu") or subprocess.run(["criu", "check"], capture_output=True).returncode != 0:
        pytest.skip("criu: not installed, or it does not work on this kernel")
    script = "i=0; while :; do i=$((i+1)); echo $i > /work/count; sleep 0.1; done"
    podman.run("sh", "-c", script, options=("--detach", "--name", "c1"))

    def count() -> int:
        return int(podman("exec", "c1", "cat", "/work/count").stdout.strip() or 0)

    deadline = time.monotonic() + 60
    while count() < 3:
        assert time.monotonic() < deadline
    podman("container", "checkpoint", "c1")
    assert podman.inspect("c1", "{{.State.Status}} {{.State.Checkpointed}}") == "exited true"
    podman("container", "restore", "c1")
    assert podman.inspect("c1", "{{.State.Status}}") == "running"
    before = count()
    assert before >= 3
    while count() <= before:
        assert time.monotonic() < deadline + 60
    podman("container", "checkpoint", "--leave-running", "--keep", "c1")
    assert podman.inspect("c1", "{{.State.Status}}") == "running"
    podman("kill", "c1")
    assert podman("wait", "c1").stdout.strip() == "137"
