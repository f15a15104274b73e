"""Bundles around the probe, the runtime's command line, and what may be left on the host."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
from typing import Any

from seatrial.native.programs import path as program

PROBE = program("probe")


class CommandLine:
    """`seatrial-runtime --root ROOT`, started as the launcher starts it."""

    def __init__(self, root: str) -> None:
        self.root = root

    def argv(self, *words: str) -> list[str]:
        """The whole command."""
        launcher = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
        return [launcher, "--root", self.root, *words]

    def __call__(self, *words: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one command; with `check` it must succeed."""
        done = subprocess.run(self.argv(*words), capture_output=True, text=True, timeout=60, **options)
        if check:
            assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
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


def cgroups(id: str) -> list[str]:
    """Every cgroup directory of that name."""
    return glob.glob(f"/sys/fs/cgroup/**/{id}", recursive=True)


def processes_of(rootfs: str) -> list[int]:
    """The executors and programs of this host whose root, or whose program, is in a rootfs."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            for link in ("root", "exe", "cwd"):
                try:
                    target = os.readlink(f"/proc/{entry}/{link}")
                except OSError:
                    continue
                if target == rootfs or target.startswith(rootfs + "/"):
                    found.append(int(entry))
                    break
    return found
