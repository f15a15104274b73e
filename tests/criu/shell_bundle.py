"""Containers whose program is a shell script (busybox), and a command line that knows which CRIU to use."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

WORKLOAD = os.path.join(os.path.dirname(__file__), "workload.c")
PATIENCE = 60.0
APPLETS = "sh cat echo sleep ls tail mkdir kill stty ip test true".split()
# The file always has the same size: CRIU refuses one that was open and has another size at the restore.
COUNTER = "i=0; while :; do i=$((i+1)); printf %08d $i 1<>/tmp/count; sleep 0.05; done"
# A view of cgroup v2 alone, in a mount namespace of the command.
VIEW = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'


class ShellBundle:
    """The bundle that `spec` writes, around a root file system of busybox."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.rootfs = os.path.join(path, "rootfs")
        make_rootfs(self.rootfs)
        launcher = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
        subprocess.run([launcher, "spec", "--bundle", path], check=True)
        with open(os.path.join(path, "config.json")) as file:
            self.config: dict[str, Any] = json.load(file)
        self.config["process"]["terminal"] = False
        self.config["root"]["readonly"] = False
        self.script(COUNTER)

    def script(self, text: str) -> ShellBundle:
        """Set the program and write config.json."""
        self.config["process"]["args"] = ["/bin/sh", "-c", text]
        return self.write()

    def workload(self, *words: str) -> ShellBundle:
        """Have workload.c as the program.  Skips by name without a compiler."""
        compiler = shutil.which("gcc") or pytest.skip("needs gcc")
        program = os.path.join(self.rootfs, "bin", "workload")
        subprocess.run([compiler, "-O1", "-static", WORKLOAD, "-o", program], check=True)
        self.config["process"]["args"] = ["/bin/workload", *words]
        return self.write()

    def mount(self, destination: str, source: str, *options: str) -> ShellBundle:
        """Add a bind mount."""
        entry = {"destination": destination, "source": source, "type": "bind", "options": ["bind", *options]}
        self.config["mounts"].append(entry)
        return self.write()

    def namespace(self, type: str, path: str | None = None) -> ShellBundle:
        """Add a namespace, or have one joined."""
        kept = [each for each in self.config["linux"]["namespaces"] if each["type"] != type]
        self.config["linux"]["namespaces"] = [*kept, {"type": type} | ({"path": path} if path else {})]
        return self.write()

    def write(self) -> ShellBundle:
        """Write config.json."""
        with open(os.path.join(self.path, "config.json"), "w") as file:
            json.dump(self.config, file)
        return self


def make_rootfs(path: str) -> None:
    """busybox and its links, and /tmp."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    for name in ("bin", "tmp", "proc", "dev", "sys", "etc"):
        os.makedirs(os.path.join(path, name))
    shutil.copy(busybox, os.path.join(path, "bin", "busybox"))
    for name in APPLETS:
        os.symlink("busybox", os.path.join(path, "bin", name))


class Trial:
    """`seatrial-runtime --criu CRIU --root ROOT`, in the host's view of cgroups or in v2's."""

    def __init__(self, criu: str, directory: str, view: str) -> None:
        self.criu = criu
        self.root = os.path.join(directory, "state")
        self.images = os.path.join(directory, "images")
        self.view = view

    def argv(self, *words: str) -> list[str]:
        """The whole command."""
        launcher = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
        command = [launcher, "--root", self.root, "--criu", self.criu, *words]
        if self.view == "v2":
            return ["unshare", "--mount", "--propagation", "private", "sh", "-c", VIEW, "sh", *command]
        return command

    def __call__(self, *words: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one command, its output in files: a container that outlives it would hold pipes open."""
        out, err = (open(os.path.join(os.path.dirname(self.root), name), "w+") for name in ("out", "err"))  # noqa: SIM115
        with out, err:
            standard = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err} | options
            done = subprocess.run(self.argv(*words), check=False, timeout=3 * PATIENCE, **standard)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read())
        assert "Traceback" not in texts[1], texts[1]
        if check:
            assert done.returncode == 0, texts[1] + self.logged()
        return subprocess.CompletedProcess(words, done.returncode, *texts)

    def run(self, id: str, bundle: ShellBundle, *words: str, **options: Any) -> None:
        """Start a container, detached; its streams are the null device's, unless `options` say otherwise."""
        null = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self("run", "--detach", "--bundle", bundle.path, *words, id, **(null | options))

    def checkpoint(self, id: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Dump to the images."""
        return self("checkpoint", "--image-path", self.images, *words, id, check=check)

    def restore(
        self, id: str, bundle: ShellBundle, *words: str, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Restore, detached."""
        line = ["restore", "--detach", "--bundle", bundle.path, "--image-path", self.images, *words, id]
        return self(*line, check=check, **options)

    def status(self, id: str) -> str:
        """The status, or "" when there is no such container."""
        done = self("state", id, check=False)
        return str(json.loads(done.stdout)["status"]) if done.returncode == 0 else ""

    def pid(self, id: str) -> int:
        """The host's pid of init."""
        return int(json.loads(self("state", id).stdout)["pid"])

    def end(self, id: str) -> None:
        """Delete it, whatever it does."""
        self("delete", "--force", id)

    def logged(self) -> str:
        """The end of CRIU's logs."""
        text = ""
        for name in ("../work/dump.log", "dump.log", "lazy.log", "restore.log"):
            path = os.path.join(self.images, name)
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    text += f"\n--- {path}\n" + "".join(file.readlines()[-25:])
        return text


class Job:
    """A command on a terminal of ours."""

    def __init__(self, argv: list[str]) -> None:
        self.master, slave = os.openpty()
        self.seen = ""
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until it has shown a text."""
        while text not in self.seen:
            assert select.select([self.master], [], [], PATIENCE)[0], f"{text!r} does not come after {self.seen!r}"
            self.seen += os.read(self.master, 1000).decode(errors="replace")


def content(path: str) -> str:
    """A file's text; "" while it is not there."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def count(bundle: ShellBundle) -> int:
    """What COUNTER has counted to."""
    return int(content(os.path.join(bundle.rootfs, "tmp", "count")).strip() or 0)


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until it is true, and return it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited for {what} in vain"
        time.sleep(0.02)
    return found
