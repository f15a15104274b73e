"""libcontainer's own example in Python: namespaces, id mappings, network, mounts, masked paths, rlimits."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
from bundles import Bundle, cgroups

EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "examples", "container.py")


@pytest.fixture
def reachable() -> Iterator[Bundle]:
    """A bundle that the mapped root of the user namespace can reach, which pytest's own directories do not allow."""
    directory = tempfile.mkdtemp(prefix="seatrial-example-")
    os.chmod(directory, 0o755)
    bundle = Bundle(os.path.join(directory, "bundle"))
    os.chown(bundle.rootfs, 100000, 100000)
    yield bundle
    shutil.rmtree(directory)


def test_the_example_runs_and_the_program_sees_what_it_asked_for(
    reachable: Bundle, tmp_path: os.PathLike[str]
) -> None:
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
