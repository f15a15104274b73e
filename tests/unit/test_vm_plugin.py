"""The fixtures for other projects, with the fake driver; the example of the documentation among what runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLE = os.path.join(ROOT, "docs", "examples", "machine-tests", "test_machine.py")


def run(directory: Path, *words: str, driver: str = "fake") -> subprocess.CompletedProcess[str]:
    """pytest as another project starts it, in an empty directory."""
    argv = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(directory), "-p", "no:cacheprovider"]
    argv += ["-p", "seatrial.vm.pytest_plugin", "--strict-markers", "-q", "--vm-driver", driver, *words]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "XDG_CACHE_HOME": str(directory)}
    return subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def write(directory: Path, text: str) -> str:
    path = directory / "test_theirs.py"
    path.write_text("import pytest\n" + text)
    return str(path)


def test_example_of_the_documentation(tmp_path: Path) -> None:
    done = run(tmp_path, EXAMPLE, "--vm-kernel", "5.10", "--vm-kernel", "6.12", "-vv")
    assert done.returncode == 0, done.stdout
    assert "test_in_each_cgroup_mode[5.10-v1]" in done.stdout
    assert "10 passed" in done.stdout


def test_entry_point_is_registered() -> None:
    from importlib.metadata import entry_points

    found = {point.name: point.value for point in entry_points(group="pytest11")}
    assert found.get("seatrial-vm") == "seatrial.vm.pytest_plugin"


def test_nothing_is_imported_until_a_test_asks(tmp_path: Path) -> None:
    """Every pytest run of an environment with seatrial loads the plugin."""
    path = write(
        tmp_path,
        "import sys\ndef test_modules():\n"
        "    mine = {n for n in sys.modules if n.startswith('seatrial.')}\n"
        "    assert mine == {'seatrial.vm', 'seatrial.vm.pytest_plugin'}\n",
    )
    done = run(tmp_path, path)
    assert done.returncode == 0, done.stdout


def test_marks_and_options(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "@pytest.mark.vm(kernel=['a', 'b'], cgroup='hybrid')\ndef test_marked(vm): pass\n"
        "def test_asked(vm): pass\n"
        "@pytest.mark.parametrize('kernel', ['c'])\ndef test_own(vm, kernel):\n"
        "    assert vm.stamp['kernel'] == kernel == 'c'\n"
        "def test_kernel_alone(kernel): pass\ndef test_none(): pass\n",
    )
    done = run(tmp_path, path, "--collect-only", "--vm-cgroup", "v1", "--vm-cgroup", "v2")
    names = {line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line}
    assert names == {
        "test_marked[a-hybrid]", "test_marked[b-hybrid]", "test_asked[v1]", "test_asked[v2]", "test_own[v1-c]",
        "test_own[v2-c]", "test_kernel_alone", "test_none",
    }  # fmt: skip
    assert run(tmp_path, path).returncode == 0


def test_failure_shows_the_machine(tmp_path: Path) -> None:
    path = write(tmp_path, "def test_bad(vm):\n    assert vm.run(['false']).status == 0\n")
    done = run(tmp_path, path, "--vm-kernel", "5.10")
    assert done.returncode == 1
    assert "kernel: 5.10" in done.stdout
    assert "fake console" in done.stdout


@pytest.mark.parametrize(
    ("mark", "told"), [("colour='red'", "colour"), ("cgroup='v3'", "v3"), ("memory=1", "at least 128")]
)
def test_marks_that_make_no_sense(tmp_path: Path, mark: str, told: str) -> None:
    done = run(tmp_path, write(tmp_path, f"@pytest.mark.vm({mark})\ndef test_it(vm): pass\n"))
    assert done.returncode != 0
    assert told in done.stdout + done.stderr


def test_unknown_driver(tmp_path: Path) -> None:
    done = run(tmp_path, write(tmp_path, "def test_it(vm): pass\n"), driver="no-such")
    assert done.returncode != 0
    assert "no-such" in done.stdout + done.stderr


@pytest.mark.parametrize(("words", "status"), [((), 0), (("--vm-required",), 1)])
def test_host_without_machines(tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    text = (
        "from seatrial.vm.drivers.fake import FakePool\nfrom seatrial.vm.errors import InfrastructureError\n"
        "def lacks(*_): raise InfrastructureError('no program qemu: install it')\n"
        "FakePool.boot = lacks\ndef test_it(vm): pass\n"
    )
    done = run(tmp_path, write(tmp_path, text), "-rs", *words)
    assert done.returncode == status, done.stdout
    assert "no program qemu" in done.stdout
