"""What a start of the command line may import: a container's start waits for every module."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from seatrial import runtime

ALLOWED = {"__future__", "os", "sys", "errno", "struct", "time", "seatrial"}
# Started as the launcher does it: without `site`.
SCRIPT = """
import sys
sys.path += {site!r}
sys.modules["seatrial"] = type(sys)("seatrial")
sys.modules["seatrial"].__path__ = [{package!r}]
before = set(sys.modules)
from seatrial.runtime.cli.main import main
status = main(sys.argv[1:])
found = set(sys.modules) - before
print(*sorted(found), file=sys.stderr)
sys.exit(0 if status in (0, 1, 255) else status)
"""


def imported(*words: str) -> set[str]:
    site = [path for path in sys.path if path.endswith("-packages")]
    package = os.path.dirname(os.path.realpath(runtime.__path__[0]))
    command = [sys.executable, "-I", "-S", "-c", SCRIPT.format(site=site, package=package), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def foreign(modules: set[str]) -> set[str]:
    """Modules written in Python that are not ours: C modules and the frozen ones cost next to nothing."""
    code = (
        "import importlib.util, sys\n"
        "for name in sys.argv[1:]:\n"
        "    spec = importlib.util.find_spec(name)\n"
        "    if spec and spec.origin and spec.origin.endswith('.py'): print(name)\n"
    )
    names = sorted(name for name in modules if name.partition(".")[0] not in ALLOWED)
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "words", [[verb, "nobody"] for verb in ("state", "kill", "delete", "start", "ps", "pause", "resume", "events")]
)
def test_verbs_import_nothing_heavy(tmp_path: os.PathLike[str], words: list[str]) -> None:
    modules = imported("--root", str(tmp_path), *words)
    assert "seatrial.runtime.cli.main" in modules
    assert foreign(modules) == set()


def test_state_of_a_container_imports_little(tmp_path: os.PathLike[str]) -> None:
    directory = os.path.join(tmp_path, "c1")
    os.mkdir(directory)
    with open(os.path.join(directory, "state.json"), "w") as file:
        file.write(
            '{"cgroup_paths":{},"config":{"bundle":"/b","rootfs":"/b/r"},"created":"","executor":[0,0],'
            '"external_descriptors":[],"id":"c1","init_process_pid":0,"init_process_start":0,"intel_rdt_mon_path":"","intel_rdt_owned":false,"intel_rdt_path":"","interfaces":[],"late_operations":{},'
            '"namespace_paths":{},"ready":true,"rootless":false}'
        )
    modules = imported("--root", str(tmp_path), "state", "c1")
    assert foreign(modules) == set()
    for heavy in ("re", "enum", "json", "typing", "dataclasses", "argparse", "subprocess", "socket", "logging"):
        assert heavy not in modules
    assert "_json" in modules
    assert not {"seatrial.runtime.config", "seatrial.runtime.container", "seatrial.native._native"} & modules


def test_create_imports_no_more_of_the_standard_library(tmp_path: os.PathLike[str]) -> None:
    os.mkdir(os.path.join(tmp_path, "rootfs"))
    with open(os.path.join(tmp_path, "config.json"), "w") as file:
        file.write('{"ociVersion":"1.3.0","root":{"path":"rootfs"},"process":{"args":["x"],"cwd":"/","bad":1,"user":5}}')
    modules = imported("--root", os.path.join(tmp_path, "root"), "create", "-b", str(tmp_path), "c1")
    assert "seatrial.runtime.load" in modules
    assert foreign(modules) == set()


def test_exec_needs_nothing_that_reads_a_bundle(tmp_path: os.PathLike[str]) -> None:
    modules = imported("--root", str(tmp_path), "exec", "nobody", "true")
    assert "seatrial.runtime.cli.exec_process" in modules
    assert not {"seatrial.runtime.load", "seatrial.runtime.convert", "seatrial.runtime.spec.schema"} & modules
