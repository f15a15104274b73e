"""libcontainer's own example in Python: namespaces, id mappings, network, mounts, masked paths, rlimits."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from bundles import Bundle, cgroups
from reachable import reachable_directory

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "examples")
EXAMPLE = os.path.join(EXAMPLES, "container.py")
TOUR = os.path.join(EXAMPLES, "tour.py")


@pytest.fixture
def reachable() -> Iterator[Bundle]:
    """A bundle that the mapped root of the user namespace can reach, which pytest's own directories do not allow."""
    with reachable_directory() as directory:
        bundle = Bundle(os.path.join(directory, "bundle"))
        os.chown(bundle.rootfs, 100000, 100000)
        yield bundle


def test_the_example_runs_and_the_program_sees_what_it_asked_for(reachable: Bundle, tmp_path: os.PathLike[str]) -> None:
    bundle = reachable
    root = os.path.join(tmp_path, "root")
    command = [sys.executable, EXAMPLE, "--root", root, bundle.rootfs, "/probe", "report"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["pid"] == 1
    assert report["uts"]["nodename"] == "testing"
    assert report["uid_map"].split() == ["0", "100000", "65536"]
    assert report["gid_map"].split() == ["0", "100000", "65536"]
    assert report["rlimits"]["RLIMIT_NOFILE"] == [1025, 1025]
    assert [entry["name"] for entry in report["interfaces"]] == ["lo"]
    assert report["interfaces"][0]["up"]
    targets = {entry["target"]: entry for entry in report["mounts"]}
    assert {"/", "/proc", "/dev", "/dev/shm", "/dev/mqueue", "/dev/pts", "/sys"} <= set(targets)
    assert "ro" in targets["/sys"]["options"]
    assert "/proc/keys" in targets
    assert "ro" in targets["/proc/sys"]["options"]
    for type in ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup"):
        assert report["namespaces"][type] != os.stat(f"/proc/self/ns/{type}").st_ino
    assert report["no_new_privs"]
    assert os.listdir(root) == []
    assert cgroups("example") == []
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 1025


def with_bash(rootfs: str) -> None:
    """Copy the host's bash into a rootfs, with the libraries that it needs."""
    libraries = subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True, check=True).stdout
    for path in ["/bin/bash", *(word for word in libraries.split() if word.startswith("/"))]:
        place = rootfs + path
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copy(path, place)


def test_the_tour_of_the_docs_shows_each_operation(reachable: Bundle, tmp_path: os.PathLike[str]) -> None:
    root = os.path.join(tmp_path, "root")
    with_bash(reachable.rootfs)
    command = [sys.executable, TOUR, "--root", root, reachable.rootfs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "bash said terminal, 42",
        "status running processes 1",
        "used some time: True processes: 1 of 100",
        "status paused",
        "status running",
        "exec said hello from uid 7 and ended with 3",
        "processes: 1 of 50",
        json.dumps({"ociVersion": "1.3.0", "id": f"tour-{pid_of(done.stdout)}", "status": "running"}),
        "bash ended with 5",
    ]
    assert os.listdir(root) == []
    assert cgroups("tour") == []


def pid_of(text: str) -> str:
    """The number in the id of the tour's container."""
    return text.rpartition('"tour-')[2].partition('"')[0]
