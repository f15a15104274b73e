"""What cannot be done is said, and leaves nothing behind: a container runs on, or there is none."""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from shell_bundle import ShellBundle, Trial, content, count, until


def counts(bundle: ShellBundle) -> None:
    reached = count(bundle)
    until(lambda: count(bundle) > reached, "the counter goes on")


def nothing_left(trial: Trial, bundle: ShellBundle, id: str) -> None:
    assert trial.status(id) == ""
    assert not os.path.exists(os.path.join(trial.root, id))
    assert glob.glob(f"/sys/fs/cgroup/**/{id}", recursive=True) == []
    assert processes_of(bundle.rootfs) == []
    with open("/proc/self/mounts") as file:
        assert trial.root not in file.read()


def processes_of(rootfs: str) -> list[str]:
    """Processes that have it as their root, or mounted."""
    found = []
    wanted = os.stat(rootfs)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            mine = os.path.samestat(os.stat(f"/proc/{pid}/root"), wanted)
            if mine or f"{rootfs} " in content(f"/proc/{pid}/mountinfo"):
                found.append(pid)
        except OSError:  # it has ended meanwhile
            pass
    return found


def dumped(trial: Trial, bundle: ShellBundle, id: str) -> None:
    trial.run(id, bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint(id)


def test_states_that_have_no_processes_to_dump(trial: Trial, bundle: ShellBundle) -> None:
    assert "does not exist" in trial.checkpoint("cr-none", check=False).stderr
    null = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    trial("create", "--bundle", bundle.path, "cr-created", **null)
    refused = trial.checkpoint("cr-created", check=False)
    assert refused.returncode == 1
    assert "is created" in refused.stderr
    trial("kill", "cr-created", "KILL")
    until(lambda: trial.status("cr-created") == "stopped", "its end")
    assert "is stopped" in trial.checkpoint("cr-created", check=False).stderr


def test_program_that_is_missing_or_too_old(trial: Trial, bundle: ShellBundle, place: str) -> None:
    trial.run("cr-old", bundle)
    program = trial.criu
    trial.criu = os.path.join(place, "no-criu")
    refused = trial.checkpoint("cr-old", check=False)
    assert refused.returncode == 1
    assert f"execute {trial.criu}: ENOENT" in refused.stderr
    trial.criu = "/bin/false"
    assert "/bin/false ended without an answer" in trial.checkpoint("cr-old", check=False).stderr
    assert not os.path.exists(trial.images)
    counts(bundle)
    trial.criu = program


def test_failed_dump_leaves_the_container_running(trial: Trial, bundle: ShellBundle) -> None:
    """A lock stands for whatever CRIU refuses; the words of its log are in the message."""
    bundle.workload("lock", "/tmp/lock")
    trial.run("cr-fail", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    refused = trial.checkpoint("cr-fail", check=False)
    assert refused.returncode == 1
    assert "CRIU cannot dump container cr-fail: " in refused.stderr
    assert f"the log is {trial.images}/dump.log" in refused.stderr
    assert trial.status("cr-fail") == "running"
    counts(bundle)
    trial("pause", "cr-fail")
    assert trial.checkpoint("cr-fail", check=False).returncode == 1
    assert trial.status("cr-fail") == "paused"
    trial("resume", "cr-fail")
    counts(bundle)


def test_killed_criu_leaves_the_container_running(trial: Trial, bundle: ShellBundle, place: str) -> None:
    """A wrapper whose second CRIU (the first one is asked for its version) is killed while the container is frozen."""
    wrapper, log = os.path.join(place, "wrapper"), os.path.join(trial.images, "dump.log")
    script = f"""#!/bin/sh
mkdir {place}/asked 2> /dev/null && exec {trial.criu} "$@"
{trial.criu} "$@" &
until grep -q Seized {log} 2> /dev/null; do sleep 0.01; done
kill -9 $!
wait
"""
    with open(wrapper, "w") as file:
        file.write(script)
    os.chmod(wrapper, 0o755)
    trial.run("cr-killed", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    program, trial.criu = trial.criu, wrapper
    refused = trial.checkpoint("cr-killed", check=False)
    trial.criu = program
    assert refused.returncode == 1
    assert trial.status("cr-killed") == "running"
    counts(bundle)


def without_mask(bundle: ShellBundle) -> str:
    bundle.config["linux"]["maskedPaths"].remove("/proc/timer_list")
    return "linux.maskedPaths: the image has /proc/timer_list"


def with_mount(bundle: ShellBundle) -> str:
    bundle.mount("/more", "/")
    return "mounts: config.json has bind on /more"


def without_mount(bundle: ShellBundle) -> str:
    bundle.config["mounts"] = [each for each in bundle.config["mounts"] if each["destination"] != "/dev/mqueue"]
    return "mounts: the image has mqueue on /dev/mqueue"


def without_namespace(bundle: ShellBundle) -> str:
    bundle.config["linux"]["namespaces"] = [
        each for each in bundle.config["linux"]["namespaces"] if each["type"] != "ipc"
    ]
    return "linux.namespaces: the image has ipc"


def joined_namespace(bundle: ShellBundle) -> str:
    bundle.namespace("network", "/proc/self/ns/net")
    return "linux.namespaces: the image has net, config.json has not; config.json has net (joined)"


def read_only_root(bundle: ShellBundle) -> str:
    bundle.config["root"]["readonly"] = True
    return "root.readonly: the image was made with"


def other_rootfs(bundle: ShellBundle) -> str:
    with open(os.path.join(bundle.rootfs, "bin", "busybox"), "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    return f"rootfs {bundle.rootfs} is not the one that was dumped: /bin/busybox has changed"


def empty_rootfs(bundle: ShellBundle) -> str:
    os.unlink(os.path.join(bundle.rootfs, "bin", "busybox"))
    return f"rootfs {bundle.rootfs} is not the one that was dumped: /bin/busybox is missing"


@pytest.mark.parametrize(
    "change",
    [
        without_mask,
        with_mount,
        without_mount,
        without_namespace,
        joined_namespace,
        read_only_root,
        other_rootfs,
        empty_rootfs,
    ],
)
def test_another_configuration(trial: Trial, bundle: ShellBundle, change: Callable[[ShellBundle], str]) -> None:
    dumped(trial, bundle, "cr-other")
    words = change(bundle)
    bundle.write()
    refused = trial.restore("cr-other", bundle, check=False)
    assert refused.returncode == 1
    assert words in refused.stderr
    nothing_left(trial, bundle, "cr-other")


def test_other_process_is_a_warning(trial: Trial, bundle: ShellBundle) -> None:
    dumped(trial, bundle, "cr-args")
    bundle.script("exit 1")
    done = trial.restore("cr-args", bundle)
    assert "config.json differs in process" in done.stderr
    counts(bundle)


def test_no_image_or_a_broken_one(trial: Trial, bundle: ShellBundle) -> None:
    refused = trial.restore("cr-image", bundle, check=False)
    assert refused.returncode == 1
    assert trial.images in refused.stderr
    os.mkdir(trial.images)
    assert "has no image" in trial.restore("cr-image", bundle, check=False).stderr
    nothing_left(trial, bundle, "cr-image")
    dumped(trial, bundle, "cr-image")
    os.unlink(os.path.join(trial.images, "mm-1.img"))
    refused = trial.restore("cr-image", bundle, check=False)
    assert refused.returncode == 1
    assert f"the log is {trial.images}/restore.log" in refused.stderr
    nothing_left(trial, bundle, "cr-image")


def test_image_of_another_runtime(trial: Trial, bundle: ShellBundle) -> None:
    """Without our record there is nothing to compare with: a warning, and libcontainer's keys."""
    dumped(trial, bundle, "cr-foreign")
    os.unlink(os.path.join(trial.images, "container.json"))
    done = trial.restore("cr-foreign", bundle)
    assert "of another runtime" in done.stderr
    counts(bundle)


def test_failing_hook(trial: Trial, bundle: ShellBundle, place: str) -> None:
    dumped(trial, bundle, "cr-badhook")
    reached = count(bundle)
    script = os.path.join(place, "hook")
    with open(script, "w") as file:
        file.write("#!/bin/sh\necho no >&2\nexit 3\n")
    os.chmod(script, 0o755)
    after = os.path.join(place, "after")
    bundle.config["hooks"] = {
        "createRuntime": [{"path": script}],
        "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {after}"]}],
    }
    refused = trial.restore("cr-badhook", bundle.write(), check=False)
    assert refused.returncode == 1
    assert "createRuntime hook 0" in refused.stderr
    assert "exit status 3: no" in refused.stderr
    nothing_left(trial, bundle, "cr-badhook")
    assert json.loads(content(after))["status"] == "stopped"
    assert count(bundle) == reached


def test_id_that_is_taken(trial: Trial, bundle: ShellBundle) -> None:
    trial.run("cr-taken", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint("cr-taken", "--leave-running")
    refused = trial.restore("cr-taken", bundle, check=False)
    assert refused.returncode == 1
    assert "exists already" in refused.stderr
    counts(bundle)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_restore(trial: Trial, bundle: ShellBundle, place: str, number: signal.Signals) -> None:
    """In a hook, which is where CRIU waits for us."""
    dumped(trial, bundle, "cr-signal")
    script = os.path.join(place, "hook")
    with open(script, "w") as file:
        file.write(f"#!/bin/sh\ntouch {place}/hooked\nsleep 60\n")
    os.chmod(script, 0o755)
    bundle.config["hooks"] = {"prestart": [{"path": script}]}
    bundle.write()
    argv = trial.argv("restore", "--bundle", bundle.path, "--image-path", trial.images, "cr-signal")
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: os.path.exists(os.path.join(place, "hooked")), "the hook")
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    nothing_left(trial, bundle, "cr-signal")


@pytest.mark.parametrize(
    "words",
    [
        ["--manage-cgroups-mode", "hard"],
        ["--empty-ns", "pid"],
        ["--page-server", "host"],
        ["--page-server", ":80"],
        ["--status-fd", "x"],
        ["--parent-path", "/abs"],
        ["--parent-path", "../none"],
        ["--network-lock", "door"],
        ["--lazy-pages", "--status-fd", "77"],
    ],
)
def test_wrong_options(trial: Trial, bundle: ShellBundle, words: list[str]) -> None:
    trial.run("cr-words", bundle)
    refused = trial.checkpoint("cr-words", *words, check=False)
    assert refused.returncode == 1
    assert words[-1] in refused.stderr or words[0] in refused.stderr
    assert not os.path.exists(trial.images)
    assert trial.status("cr-words") == "running"
