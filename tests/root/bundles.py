"""Bundles around the probe, the runtime's command line, and what may be left on the host."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from seatrial.native.programs import path as program
from seatrial.runtime.config import Config, Mount, Namespace
from seatrial.runtime.default_devices import with_defaults

PROBE = program("probe")


class Running:
    """A command whose output goes to files: a container that outlives it would hold pipes open."""

    def __init__(self, argv: list[str]) -> None:
        self.out = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by `end`)
        self.err = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err)

    def end(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end, a minute at most."""
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read())
            file.close()
        assert "Traceback" not in texts[1], texts[1]
        return subprocess.CompletedProcess(self.process.args, status, *texts)


class CommandLine:
    """`seatrial-runtime --root ROOT`, started as the launcher starts it."""

    def __init__(self, root: str) -> None:
        self.root = root

    def argv(self, *words: str) -> list[str]:
        """The whole command."""
        launcher = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
        return [launcher, "--root", self.root, *words]

    def begin(self, *words: str) -> Running:
        """Start one command."""
        return Running(self.argv(*words))

    def __call__(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command; with `check` it must succeed."""
        done = self.begin(*words).end()
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def state(self, id: str) -> dict[str, Any]:
        """What `state` prints."""
        document: dict[str, Any] = json.loads(self("state", id).stdout)
        return document

    def status(self, id: str) -> str:
        """The status, or "" when there is no such container."""
        done = self("state", id, check=False)
        return str(json.loads(done.stdout)["status"]) if done.returncode == 0 else ""


class Bundle:
    """A bundle whose program is the probe at /probe."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.rootfs = os.path.join(path, "rootfs")
        os.makedirs(self.rootfs)
        shutil.copy(PROBE, os.path.join(self.rootfs, "probe"))
        self.config: dict[str, Any] = {
            "ociVersion": "1.3.0",
            "process": {"args": ["/probe", "hold"], "cwd": "/", "env": ["PATH=/"], "user": {"uid": 0, "gid": 0}},
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"]},
            ],
            "linux": {"namespaces": [{"type": type} for type in ("pid", "ipc", "uts", "mount", "network")]},
        }

    def args(self, *words: str) -> Bundle:
        """Set the probe's arguments and write config.json."""
        self.config["process"]["args"] = ["/probe", *words]
        return self.write()

    def hook(self, kind: str, *args: str, **members: Any) -> Bundle:
        """Add a hook that runs the probe of the host (or of the container, for startContainer)."""
        path = "/probe" if kind == "startContainer" else PROBE
        entry = {"path": path, "args": ["probe", *args]} | members
        self.config.setdefault("hooks", {}).setdefault(kind, []).append(entry)
        return self.write()

    def write(self) -> Bundle:
        """Write config.json."""
        with open(os.path.join(self.path, "config.json"), "w") as file:
            json.dump(self.config, file)
        return self


def library_config(bundle: Bundle, **members: Any) -> Config:
    """A Config for the bundle's rootfs, in namespaces of its own."""
    return Config(
        oci_version="1.3.0",
        bundle=bundle.path,
        rootfs=bundle.rootfs,
        namespaces=[Namespace(type=type) for type in ("ipc", "uts", "net", "pid", "mnt")],
        mounts=[Mount(destination="/proc", source="proc", fstype="proc")],
        devices=with_defaults([]),
        **members,
    )


def cgroups(id: str) -> list[str]:
    """Every cgroup directory of that name, but for those that were there before this process (of killed runs)."""
    return [path for path in glob.glob(f"/sys/fs/cgroup/**/{id}", recursive=True) if path not in _BEFORE]


_BEFORE = frozenset(path.rstrip("/") for path in glob.glob("/sys/fs/cgroup/**/", recursive=True))


def processes_of(rootfs: str) -> list[int]:
    """The processes of this host that have a rootfs as their root, or mounted on its place."""
    found = []
    try:
        root = os.stat(rootfs)
    except FileNotFoundError:
        return []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/mountinfo") as file:
                    mounts = file.read()
                own = os.stat(f"/proc/{entry}/root")
            except OSError:
                continue
            if f" {rootfs} " in mounts or (own.st_dev, own.st_ino) == (root.st_dev, root.st_ino):
                found.append(int(entry))
    return found
