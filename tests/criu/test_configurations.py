"""What config.json can ask for, through a checkpoint and a restore."""

from __future__ import annotations

import array
import json
import os
import shutil
import socket
import subprocess

import pytest
from shell_bundle import COUNTER, Job, ShellBundle, Trial, content, count, until


def cycle(trial: Trial, bundle: ShellBundle, id: str, *words: str) -> None:
    """Run, checkpoint, restore; it counts on."""
    trial.run(id, bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint(id, *words)
    reached = count(bundle)
    trial.restore(id, bundle, *words)
    until(lambda: count(bundle) > reached, "the counter after restore")


def mounted(trial: Trial, id: str) -> dict[str, list[str]]:
    """mount point -> [root, options, type] in a container."""
    found = {}
    for line in content(f"/proc/{trial.pid(id)}/mountinfo").splitlines():
        fields = line.split()
        found[fields[4]] = [fields[3], fields[5], fields[fields.index("-") + 1]]
    return found


def test_bind_mounts(trial: Trial, bundle: ShellBundle, place: str) -> None:
    """A directory, a file, one below another, one behind a symlink, and a whole tree."""
    data, deep = os.path.join(place, "data"), os.path.join(place, "deep")
    os.makedirs(os.path.join(data, "sub"))
    os.makedirs(deep)
    with open(os.path.join(place, "file"), "w") as file:
        file.write("from the host")
    os.symlink("real", os.path.join(bundle.rootfs, "link"))
    os.makedirs(os.path.join(bundle.rootfs, "real"))
    bundle.mount("/data", data).mount("/data/sub/inner", deep, "ro").mount("/etc/given", os.path.join(place, "file"))
    bundle.mount("/link/target", deep)
    cycle(trial, bundle, "cr-bind")
    mounts = mounted(trial, "cr-bind")
    assert "ro" in mounts["/data/sub/inner"][1].split(",")
    assert "/real/target" in mounts
    assert trial("exec", "cr-bind", "/bin/cat", "/etc/given").stdout == "from the host"
    trial("exec", "cr-bind", "/bin/sh", "-c", "echo seen > /data/sub/new")
    assert content(os.path.join(data, "sub", "new")) == "seen\n"
    assert trial("exec", "cr-bind", "/bin/sh", "-c", "echo x > /data/sub/inner/x", check=False).returncode != 0


def test_recursive_bind_mount(trial: Trial, bundle: ShellBundle, place: str) -> None:
    tree = os.path.join(place, "tree")
    os.makedirs(tree)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree], check=True)
    try:
        os.makedirs(os.path.join(tree, "below"))
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", os.path.join(tree, "below")], check=True)
        with open(os.path.join(tree, "below", "file"), "w") as file:
            file.write("deep")
        bundle.config["mounts"].append(
            {"destination": "/tree", "source": tree, "type": "bind", "options": ["rbind", "rprivate"]}
        )
        cycle(trial, bundle.write(), "cr-rbind")
        assert trial("exec", "cr-rbind", "/bin/cat", "/tree/below/file").stdout == "deep"
        trial.end("cr-rbind")
    finally:
        subprocess.run(["umount", "--recursive", tree], check=True)


def test_masks_and_read_only_paths(trial: Trial, bundle: ShellBundle) -> None:
    assert "/proc/timer_list" in bundle.config["linux"]["maskedPaths"]
    cycle(trial, bundle, "cr-mask")
    assert trial("exec", "cr-mask", "/bin/cat", "/proc/timer_list").stdout == ""
    assert trial("exec", "cr-mask", "/bin/ls", "/sys/firmware").stdout == ""
    read_only = trial("exec", "cr-mask", "/bin/sh", "-c", "echo b > /proc/sysrq-trigger", check=False)
    assert read_only.returncode != 0


def test_user_namespace(trial: Trial, bundle: ShellBundle) -> None:
    os.chown(os.path.join(bundle.rootfs, "tmp"), 100000, 100000)
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
    bundle.namespace("user")
    cycle(trial, bundle, "cr-user")
    assert content(f"/proc/{trial.pid('cr-user')}/uid_map").split() == ["0", "100000", "65536"]
    assert trial("exec", "cr-user", "/bin/cat", "/proc/timer_list").stdout == ""
    assert os.stat(trial.images).st_mode & 0o777 == 0o700
    assert trial("exec", "cr-user", "/bin/sh", "-c", "echo x > /dev/null; echo $?").stdout == "0\n"


def test_joined_network_namespace(trial: Trial, bundle: ShellBundle) -> None:
    keeper = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    try:
        path = f"/proc/{keeper.pid}/ns/net"
        until(lambda: os.stat(path).st_ino != os.stat("/proc/self/ns/net").st_ino, "the namespace")
        bundle.namespace("network", path)
        cycle(trial, bundle, "cr-joined")
        assert os.stat(f"/proc/{trial.pid('cr-joined')}/ns/net").st_ino == os.stat(path).st_ino
    finally:
        keeper.kill()
        keeper.wait()


@pytest.mark.parametrize("type", ["ipc", "uts"])
def test_other_joined_namespace(trial: Trial, bundle: ShellBundle, type: str) -> None:
    keeper = subprocess.Popen(["unshare", f"--{type}", "sleep", "600"])
    try:
        path = f"/proc/{keeper.pid}/ns/{type}"
        until(lambda: os.stat(path).st_ino != os.stat(f"/proc/self/ns/{type}").st_ino, "the namespace")
        bundle.config.pop("hostname", None)
        bundle.namespace(type, path)
        cycle(trial, bundle, f"cr-joined-{type}")
        assert os.stat(f"/proc/{trial.pid(f'cr-joined-{type}')}/ns/{type}").st_ino == os.stat(path).st_ino
    finally:
        keeper.kill()
        keeper.wait()


def test_shared_namespaces(trial: Trial, bundle: ShellBundle) -> None:
    """Without network, ipc and uts namespaces of its own it stays in the host's."""
    kept = [each for each in bundle.config["linux"]["namespaces"] if each["type"] not in ("network", "ipc", "uts")]
    bundle.config["linux"]["namespaces"] = kept
    bundle.config.pop("hostname", None)
    cycle(trial, bundle.write(), "cr-shared")
    for type in ("net", "ipc", "uts"):
        ours, theirs = (os.stat(f"/proc/{pid}/ns/{type}").st_ino for pid in ("self", trial.pid("cr-shared")))
        assert ours == theirs


def test_cgroup_namespace_and_mount(trial: Trial, bundle: ShellBundle) -> None:
    bundle.config["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]}
    )
    bundle.namespace("cgroup")
    cycle(trial, bundle, "cr-cgns")
    assert "/sys/fs/cgroup" in mounted(trial, "cr-cgns")


def test_cgroup_mount_without_a_cgroup_namespace(trial: Trial, bundle: ShellBundle) -> None:
    """On v1 these are bind mounts of the container's cgroup: of the new one after a restore."""
    bundle.config["linux"]["namespaces"] = [
        each for each in bundle.config["linux"]["namespaces"] if each["type"] != "cgroup"
    ]
    bundle.config["mounts"] = [each for each in bundle.config["mounts"] if each["type"] != "cgroup"]
    bundle.config["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]}
    )
    bundle.write()
    trial.run("cr-cgbind", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint("cr-cgbind")
    trial.restore("cr-cgbind-2", bundle)
    mounts = mounted(trial, "cr-cgbind-2")
    roots = {root for path, (root, _options, type) in mounts.items() if type == "cgroup"}
    assert all(root.endswith("/cr-cgbind-2") for root in roots)


@pytest.mark.parametrize("trial", ["host", "v2"], indirect=True)
def test_limits_are_those_of_the_config(trial: Trial, bundle: ShellBundle) -> None:
    """Also another one than before; CRIU itself, with its helpers, runs beside a limit of one process or two."""
    if trial.view == "v2" and "pids" not in content("/sys/fs/cgroup/cgroup.controllers").split():
        pytest.skip("cgroup2: no pids controller")
    bundle.config["linux"]["resources"]["pids"] = {"limit": 3}
    cycle(trial, bundle.write(), "cr-limit")
    bundle.config["linux"]["resources"]["pids"] = {"limit": 2}
    bundle.write()
    trial.checkpoint("cr-limit")
    trial.restore("cr-limit", bundle)
    pid = trial.pid("cr-limit")
    lines = [line.split(":", 2) for line in content(f"/proc/{pid}/cgroup").splitlines()]
    path = next(path for _number, controllers, path in lines if "pids" in controllers.split(","))
    assert content(f"/sys/fs/cgroup/pids{path}/pids.max") == "2\n"
    refused = trial("exec", "cr-limit", "/bin/sh", "-c", "/bin/true & /bin/true", check=False)
    assert refused.returncode != 0


def test_hooks(trial: Trial, bundle: ShellBundle, place: str) -> None:
    """As with runc: prestart and createRuntime when the namespaces are there, poststop at the end, no other."""
    log = os.path.join(place, "hooks")
    script = os.path.join(place, "hook")
    with open(script, "w") as file:
        file.write(f'#!/bin/sh\nread -r state\necho "$1 $state" >> {log}\n')
    os.chmod(script, 0o755)
    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    bundle.config["hooks"] = {kind: [{"path": script, "args": ["hook", kind]}] for kind in kinds}
    bundle.write()
    trial.run("cr-hook", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    os.truncate(log, 0)
    trial.checkpoint("cr-hook")
    assert [line.split()[0] for line in content(log).splitlines()] == ["poststop"]
    os.truncate(log, 0)
    trial.restore("cr-hook", bundle)
    lines = [line.split(" ", 1) for line in content(log).splitlines()]
    assert [kind for kind, _state in lines] == ["prestart", "createRuntime"]
    assert {json.loads(state)["pid"] for _kind, state in lines} == {trial.pid("cr-hook")}
    assert {json.loads(state)["id"] for _kind, state in lines} == {"cr-hook"}
    os.truncate(log, 0)
    trial.end("cr-hook")
    assert [line.split()[0] for line in content(log).splitlines()] == ["poststop"]


def console(path: str) -> socket.socket:
    """A console socket that listens."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    listener.settimeout(60)
    return listener


def master_of(listener: socket.socket) -> int:
    """The descriptor that comes over it."""
    connection, _address = listener.accept()
    with connection:
        _data, ancillary, _flags, _from = connection.recvmsg(100, socket.CMSG_SPACE(4))
    fds = array.array("i")
    fds.frombytes(ancillary[0][2][:4])
    return fds[0]


def test_terminal(trial: Trial, bundle: ShellBundle, place: str) -> None:
    """The master of the restored terminal comes over the console socket, and works."""
    bundle.config["process"]["terminal"] = True
    bundle.script("stty -echo; while read line; do echo got $line; done")
    path = os.path.join(place, "console.sock")
    with console(path) as listener:
        trial.run("cr-tty", bundle, "--console-socket", path)
        master = master_of(listener)
        os.write(master, b"one\n")
        seen = b""
        while b"got one\r\n" not in seen:
            seen += os.read(master, 100)
        trial.checkpoint("cr-tty")
        os.close(master)
        assert trial.restore("cr-tty", bundle, check=False).returncode == 1  # nobody takes the terminal
        trial.restore("cr-tty", bundle, "--console-socket", path)
        master = master_of(listener)
    os.write(master, b"two\n")
    seen = b""
    while b"got two\r\n" not in seen:
        seen += os.read(master, 100)
    assert "/dev/pts" in os.readlink(f"/proc/{trial.pid('cr-tty')}/fd/0")
    os.close(master)


def test_fresh_copy_of_the_rootfs(trial: Trial, bundle: ShellBundle, place: str) -> None:
    """As on another machine: mount points that `create` had made are missing."""
    data = os.path.join(place, "data")
    os.makedirs(data)
    fresh = os.path.join(place, "fresh")
    shutil.copytree(bundle.rootfs, fresh, symlinks=True)
    bundle.mount("/made/for/data", data)
    trial.run("cr-fresh", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint("cr-fresh")
    shutil.rmtree(bundle.rootfs)
    os.rename(fresh, bundle.rootfs)
    trial.restore("cr-fresh", bundle)
    assert "/made/for/data" in mounted(trial, "cr-fresh")
    until(lambda: count(bundle) > 0, "the counter")


def test_script_without_a_loop_ends(trial: Trial, bundle: ShellBundle) -> None:
    """The end of a restored container is its own: status stopped, then delete."""
    bundle.script(f"({COUNTER}) & sleep 3; exit 5")
    trial.run("cr-end", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint("cr-end")
    trial.restore("cr-end", bundle)
    until(lambda: trial.status("cr-end") == "stopped", "its end")
    trial("delete", "cr-end")


@pytest.mark.parametrize("words", [[], ["--shell-job"]])
def test_terminal_of_the_caller(trial: Trial, bundle: ShellBundle, words: list[str]) -> None:
    """A program on the caller's own terminal, which is another one after the restore."""
    bundle.script("echo ready; while read line; do echo got $line; done")
    with Job(trial.argv("run", "--bundle", bundle.path, "cr-job")) as job:
        job.wait_for("ready")
        job.type("one\n")
        job.wait_for("got one")
        trial.checkpoint("cr-job", *words)
        assert job.process.wait(60) == 128 + 9
    argv = trial.argv("restore", *words, "--bundle", bundle.path, "--image-path", trial.images, "cr-job")
    with Job(argv) as job:
        until(lambda: trial.status("cr-job") == "running", "the restore")
        job.type("two\n")
        job.wait_for("got two")
        trial("kill", "cr-job", "KILL")
        assert job.process.wait(60) == 128 + 9
    assert trial.status("cr-job") == ""


def test_further_process(trial: Trial, bundle: ShellBundle) -> None:
    """CRIU dumps the tree of init alone, as with runc: that a process of `exec` beside it is lost is a warning."""
    trial.run("cr-exec", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    null = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    trial("exec", "--detach", "--pid-file", trial.root + ".pid", "cr-exec", "/bin/sleep", "600", **null)
    pid = content(trial.root + ".pid")
    done = trial.checkpoint("cr-exec", "--leave-running")
    assert f"not in the image, because not descendants of init: {pid}\n" in done.stderr
    assert os.path.exists(f"/proc/{pid}")
    trial("kill", "--all", "cr-exec", "KILL")
    until(lambda: trial.status("cr-exec") == "stopped", "its end")
    trial("delete", "cr-exec")
    trial.restore("cr-exec", bundle)
    pids = json.loads(trial("ps", "--format", "json", "cr-exec").stdout)
    assert [pid for pid in pids if "600" in content(f"/proc/{pid}/cmdline")] == []


@pytest.mark.parametrize("mode", ["soft", "full", "strict", "ignore"])
def test_modes_for_cgroups(trial: Trial, bundle: ShellBundle, mode: str) -> None:
    """Whatever CRIU is told, the container is in the cgroup that belongs to its id."""
    trial.run("cr-mode", bundle)
    until(lambda: count(bundle) > 0, "the counter")
    trial.checkpoint("cr-mode", "--manage-cgroups-mode", mode)
    trial.restore("cr-mode-2", bundle, *([] if mode == "ignore" else ["--manage-cgroups-mode", mode]))
    lines = content(f"/proc/{trial.pid('cr-mode-2')}/cgroup").splitlines()
    assert any(line.endswith("/cr-mode-2") for line in lines)
    assert not any(line.endswith("/cr-mode") for line in lines)
    reached = count(bundle)
    until(lambda: count(bundle) > reached, "the counter")


def test_readiness_socket(trial: Trial, bundle: ShellBundle, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that was made under a service manager is restored with or without one."""
    manager = os.path.join(place, "manager.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(manager)
        monkeypatch.setenv("NOTIFY_SOCKET", manager)
        null = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        trial("create", "--bundle", bundle.path, "cr-ready", **null)
        monkeypatch.delenv("NOTIFY_SOCKET")
        trial("start", "cr-ready")
        until(lambda: count(bundle) > 0, "the counter")
        trial.checkpoint("cr-ready", "--leave-running")
        trial.end("cr-ready")
        trial.restore("cr-ready", bundle)
        assert "/run/notify" in mounted(trial, "cr-ready")
        trial.end("cr-ready")
        monkeypatch.setenv("NOTIFY_SOCKET", manager)
        trial.restore("cr-ready", bundle)
        assert trial.status("cr-ready") == "running"
