"""From a running container to an image, and back."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import select
import signal
import socket
import subprocess
import time

import pytest
from shell_bundle import ShellBundle, Trial, content, count, until

VIEWS = pytest.mark.parametrize("trial", ["host", "v2"], indirect=True)


def stands_still(bundle: ShellBundle) -> bool:
    before = count(bundle)
    time.sleep(0.5)
    return count(bundle) == before


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def read(fd: int) -> bytes:
    """What comes within a minute."""
    assert select.select([fd], [], [], 60)[0], "nothing came"
    return os.read(fd, 100)


@VIEWS
def test_round_trip_and_what_follows(trial: Trial, bundle: ShellBundle) -> None:
    id = "cr-round"
    trial.run(id, bundle)
    until(lambda: count(bundle) > 3, "the counter")
    started = json.loads(trial("state", id).stdout)["created"]
    trial.checkpoint(id)
    assert os.stat(trial.images).st_mode & 0o777 == 0o700  # the memory of processes is in it
    assert trial.status(id) == ""  # as with runc: it is gone
    reached = count(bundle)
    assert stands_still(bundle)
    trial.restore(id, bundle)
    until(lambda: count(bundle) > reached, "the counter after restore")
    assert count(bundle) < reached + 1000
    state = json.loads(trial("state", id).stdout)
    assert state["status"] == "running"
    assert state["created"] > started
    pid = state["pid"]
    assert pid in json.loads(trial("ps", "--format", "json", id).stdout)
    assert f"/{id}\n" in content(f"/proc/{pid}/cgroup")
    assert "hello" in trial("exec", id, "/bin/echo", "hello").stdout
    trial("pause", id)
    assert trial.status(id) == "paused"
    assert stands_still(bundle)
    trial("resume", id)
    assert '"type":"stats"' in trial("events", "--stats", id).stdout
    trial("kill", id, "KILL")
    until(lambda: trial.status(id) == "stopped", "its end")
    trial("delete", id)
    assert trial.status(id) == ""
    assert glob.glob(f"/sys/fs/cgroup/**/{id}", recursive=True) == []


@VIEWS
def test_leave_running(trial: Trial, bundle: ShellBundle) -> None:
    trial.run("cr-leave", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint("cr-leave", "--leave-running")
    reached = count(bundle)
    until(lambda: count(bundle) > reached, "the counter goes on")
    assert trial.status("cr-leave") == "running"
    trial.end("cr-leave")
    # The image is complete, and another id has another cgroup.
    trial.restore("cr-leave-2", bundle)
    assert "/cr-leave-2" in content(f"/proc/{trial.pid('cr-leave-2')}/cgroup")
    assert "/cr-leave\n" not in content(f"/proc/{trial.pid('cr-leave-2')}/cgroup")
    reached = count(bundle)
    until(lambda: count(bundle) > reached, "the counter of the other")


def test_paused_container(trial: Trial, bundle: ShellBundle) -> None:
    trial.run("cr-paused", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial("pause", "cr-paused")
    trial.checkpoint("cr-paused", "--leave-running")
    assert trial.status("cr-paused") == "paused"
    trial.checkpoint("cr-paused")
    assert trial.status("cr-paused") == ""
    reached = count(bundle)
    trial.restore("cr-paused", bundle)
    assert trial.status("cr-paused") == "running"
    until(lambda: count(bundle) > reached, "the counter")


def test_pre_dumps(trial: Trial, bundle: ShellBundle, place: str) -> None:
    if subprocess.run([trial.criu, "check", "--feature", "mem_dirty_track"], capture_output=True).returncode != 0:
        pytest.skip("criu: no memory tracking on this kernel (CONFIG_MEM_SOFT_DIRTY)")
    trial.run("cr-pre", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    for index, parent in ((1, []), (2, ["--parent-path", "../pre1"])):
        images = os.path.join(place, f"pre{index}")
        trial("checkpoint", "--pre-dump", *parent, "--image-path", images, "cr-pre")
        assert trial.status("cr-pre") == "running"
        reached = count(bundle)
        until(lambda before=reached: count(bundle) > before, "the counter goes on")  # type: ignore[misc]
        assert not os.path.exists(os.path.join(images, "descriptors.json"))
    trial.checkpoint("cr-pre", "--parent-path", "../pre2")
    assert os.readlink(os.path.join(trial.images, "parent")) == "../pre2"
    trial.restore("cr-pre", bundle)
    reached = count(bundle)
    until(lambda: count(bundle) > reached, "the counter")


def test_work_path_has_the_logs(trial: Trial, bundle: ShellBundle, place: str) -> None:
    work = os.path.join(place, "work")
    trial.run("cr-work", bundle)
    trial.checkpoint("cr-work", "--work-path", work)
    assert os.path.exists(os.path.join(work, "dump.log"))
    assert not os.path.exists(os.path.join(trial.images, "dump.log"))
    trial.restore("cr-work", bundle, "--work-path", work, "--pid-file", os.path.join(place, "pid"))
    assert os.path.exists(os.path.join(work, "restore.log"))
    assert int(content(os.path.join(place, "pid"))) == trial.pid("cr-work")


def test_foreground(trial: Trial, bundle: ShellBundle) -> None:
    """The status of the program is the runtime's, signals reach it, and the container is deleted."""
    bundle.script("trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.05; done")
    trial.run("cr-front", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint("cr-front")
    reached = count(bundle)
    line = ["restore", "--pid-file", trial.root + ".pid", "--bundle", bundle.path, "--image-path", trial.images]
    argv = trial.argv(*line, "cr-front")
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        until(lambda: count(bundle) > reached, "the counter")
        until(lambda: content(trial.root + ".pid"), "the end of the restore")
        time.sleep(0.5)  # until then a signal ends the restore
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 7
    assert trial.status("cr-front") == ""


def test_checkpoint_of_a_foreground_run(trial: Trial, bundle: ShellBundle) -> None:
    """Who runs it sees it killed, as with runc, and says nothing of a container that does not exist."""
    argv = trial.argv("run", "--bundle", bundle.path, "cr-run")
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        until(lambda: count(bundle) > 0, "the counter")
        trial.checkpoint("cr-run")
        assert process.wait(60) == 128 + 9
        assert process.stderr is not None
        assert process.stderr.read() == b""
    trial.restore("cr-run", bundle)
    assert trial.status("cr-run") == "running"


def test_pipes_are_taken_over(trial: Trial, bundle: ShellBundle) -> None:
    bundle.script("while read line; do echo got $line; done")
    first, second = (os.pipe(), os.pipe()), (os.pipe(), os.pipe())
    try:
        trial.run("cr-pipe", bundle, stdin=first[0][0], stdout=first[1][1])
        os.write(first[0][1], b"one\n")
        assert read(first[1][0]) == b"got one\n"
        trial.checkpoint("cr-pipe")
        trial.restore("cr-pipe", bundle, stdin=second[0][0], stdout=second[1][1])
        os.write(second[0][1], b"two\n")
        assert read(second[1][0]) == b"got two\n"
    finally:
        for fd in (fd for pair in (*first, *second) for fd in pair):
            os.close(fd)


def test_files_of_the_host_are_taken_over(trial: Trial, bundle: ShellBundle, place: str) -> None:
    """A log outside of the container is given again; CRIU wants the size that it had."""
    bundle.script("i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
    path = os.path.join(place, "log")
    with open(path, "a") as file:
        trial.run("cr-file", bundle, stdout=file)
    until(lambda: content(path).count("\n") > 2, "lines")
    trial.checkpoint("cr-file")
    reached = content(path).count("\n")
    assert "file[" in content(os.path.join(trial.images, "descriptors.json"))
    with open(path, "a") as file:
        trial.restore("cr-file", bundle, stdout=file)
    until(lambda: content(path).count("\n") > reached + 2, "more lines")
    assert content(path).split() == [str(number + 1) for number in range(content(path).count("\n"))]


def test_file_locks(trial: Trial, bundle: ShellBundle) -> None:
    bundle.workload("lock", "/tmp/lock")
    trial.run("cr-lock", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    refused = trial.checkpoint("cr-lock", check=False)
    assert refused.returncode == 1
    assert "lock" in refused.stderr
    assert os.path.join(trial.images, "dump.log") in refused.stderr
    assert trial.status("cr-lock") == "running"
    reached = count(bundle)
    until(lambda: count(bundle) > reached, "the counter goes on")
    trial.checkpoint("cr-lock", "--file-locks")
    trial.restore("cr-lock", bundle, "--file-locks")
    with open(os.path.join(bundle.rootfs, "tmp", "lock"), "r+") as file, pytest.raises(BlockingIOError):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_established_connection(trial: Trial, bundle: ShellBundle) -> None:
    bundle.workload("tcp", "9999")
    trial.run("cr-tcp", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    assert trial.checkpoint("cr-tcp", check=False).returncode == 1
    reached = count(bundle)
    until(lambda: count(bundle) > reached, "the counter goes on")
    trial.checkpoint("cr-tcp", "--tcp-established")
    reached = count(bundle)
    trial.restore("cr-tcp", bundle, "--tcp-established")
    until(lambda: count(bundle) > reached + 3, "the counter")
    assert trial.status("cr-tcp") == "running"
    assert "127.0.0.1" in trial("exec", "cr-tcp", "/bin/ip", "addr").stdout


def test_lazy_pages(trial: Trial, bundle: ShellBundle, place: str) -> None:
    """The restored container runs before its memory is there; the other one ends when all of it has gone over."""
    if subprocess.run([trial.criu, "check", "--feature", "uffd-noncoop"], capture_output=True).returncode != 0:
        pytest.skip("criu: no lazy pages on this kernel (userfaultfd)")
    bundle.workload("memory", "16")
    trial.run("cr-lazy", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    port = free_port()
    ready, theirs = os.pipe()
    line = ["checkpoint", "--lazy-pages", "--page-server", f"127.0.0.1:{port}", "--status-fd", str(theirs)]
    work = os.path.join(place, "work")
    argv = trial.argv(*line, "--work-path", work, "--image-path", trial.images, "cr-lazy")
    with subprocess.Popen(argv, pass_fds=[theirs], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as dump:
        os.close(theirs)
        try:
            assert read(ready) == b"\0"
            assert read(ready) == b""  # closed
            daemon_line = ["lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", str(port)]
            argv = [trial.criu, *daemon_line, "-D", trial.images, "-W", trial.images, "-o", "lazy.log"]
            with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as daemon:
                until(lambda: os.path.exists(os.path.join(trial.images, "lazy-pages.socket")), "the daemon")
                restored = trial.restore("cr-lazy-2", bundle, "--lazy-pages", check=False)
                if "splice: -1: Bad file descriptor" in content(os.path.join(work, "dump.log")):
                    pytest.skip("criu: its page server fails, which it does without a runtime as well (4.2.1: splice)")
                assert restored.returncode == 0, restored.stderr + trial.logged()
                assert trial.status("cr-lazy-2") == "running"
                assert daemon.wait(120) == 0
            assert dump.wait(120) == 0, dump.stderr and dump.stderr.read()
        finally:
            os.close(ready)
            dump.kill()
    assert trial.status("cr-lazy") == ""
    reached = count(bundle)
    until(lambda: count(bundle) > reached + 3, "the counter")
