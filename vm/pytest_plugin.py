"""Fixtures for tests that want a machine of their own: `vm`, `kernel` and `cgroup_mode`.

Pytest loads this wherever seatrial is installed (entry point), so nothing of ours is imported until a test asks for a
machine.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from seatrial.vm.machine import Blueprint, Machine, Pool

KERNEL, CGROUP = "6.1", "v2"
MARKER = (
    "vm(kernel, cgroup, image, memory, cpus, setup, append, cold): the machine of the fixture `vm`; lists of kernels "
    "or cgroup modes run the test on each"
)
CHOICES = {"kernel": "kernel", "cgroup_mode": "cgroup"}  # fixture -> argument of the marker
PLAIN = ("image", "memory", "cpus", "setup", "append", "layers", "warm")  # the marker's arguments for Blueprint


def pytest_addoption(parser: pytest.Parser) -> None:
    """The machines that tests without a wish of their own get."""
    group = parser.getgroup("seatrial-vm", "disposable machines")
    add = group.addoption
    add("--vm-kernel", action="append", metavar="NAME", help=f"run on this kernel, again for more (default: {KERNEL})")
    add("--vm-cgroup", action="append", metavar="MODE", help=f"v1, hybrid or v2, again for more (default: {CGROUP})")
    add("--vm-driver", default="qemu", metavar="NAME", help="what makes the machines (default: qemu)")
    add("--vm-required", action="store_true", help="fail, instead of skipping, where no machine can be had")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once on each kernel and in each cgroup mode that it, or else the command line, names."""
    given = {
        name.strip()
        for mark in metafunc.definition.iter_markers("parametrize")
        for name in (mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0])
    }
    for fixture, argument in CHOICES.items():
        if fixture in metafunc.fixturenames and fixture not in given:
            values = _wishes(metafunc.definition).get(argument) or metafunc.config.getoption(f"vm_{argument}")
            if values:
                several = [values] if isinstance(values, str) else list(values)
                metafunc.parametrize(fixture, several, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kernel(request: pytest.FixtureRequest) -> str:
    """The name of the kernel that the test runs on: `6.1`, `debian:5.10`, `path:/boot/vmlinuz-...`."""
    return str(getattr(request, "param", KERNEL))


@pytest.fixture(scope="session")
def cgroup_mode(request: pytest.FixtureRequest) -> str:
    """The cgroup mode of the machine: `v1`, `hybrid` or `v2`."""
    return str(getattr(request, "param", CGROUP))


@pytest.fixture(scope="session")
def vm_pool(pytestconfig: pytest.Config) -> Iterator[Pool]:
    """What the machines come from.  QEMU's templates are kept in the cache for the next run of pytest."""
    from seatrial.vm.errors import BlueprintError
    from seatrial.vm.machine import pool

    driver = pytestconfig.getoption("vm_driver")
    try:
        made = pool(driver, **({"keep": True, "spare": True} if driver == "qemu" else {}))
    except BlueprintError as error:
        raise pytest.UsageError(f"--vm-driver: {error}") from error
    with made:
        yield made


@pytest.fixture
def vm(request: pytest.FixtureRequest, vm_pool: Pool, kernel: str, cgroup_mode: str) -> Iterator[Machine]:
    """A fresh machine, which is gone after the test with all that was written to it.

    The test is skipped where the host lacks something for machines (with --vm-required it fails).
    """
    from seatrial.vm.errors import InfrastructureError

    try:
        machine = vm_pool.boot(_blueprint(request.node, kernel, cgroup_mode))
    except InfrastructureError as error:
        if request.config.getoption("vm_required"):
            raise
        pytest.skip(f"vm: {str(error).splitlines()[0]}")
    request.node.stash[_MACHINE] = machine
    with machine:
        yield machine


_MACHINE = pytest.StashKey["Machine"]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A test that failed shows what its machine was, and the end of its console."""
    report = yield
    machine = item.stash.get(_MACHINE, None)
    if machine is not None and report.failed and report.when == "call":
        stamp = "\n".join(f"{name}: {value}" for name, value in machine.stamp.items())
        report.sections.append(("machine", stamp))
        report.sections.append(("console of the machine", machine.diagnose("the test failed").console))
    return report


def _wishes(node: pytest.Item | Any) -> dict[str, Any]:
    """Arguments of all marks `vm` of a test; those nearer to it win."""
    found: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("vm"))):
        unknown = set(mark.kwargs) - {*CHOICES.values(), *PLAIN, "cold"}
        if unknown or mark.args:
            raise pytest.UsageError(f"{node.nodeid}: mark vm takes no {', '.join(sorted(unknown)) or 'positions'}")
        found |= mark.kwargs
    return found


def _blueprint(node: pytest.Item, kernel: str, cgroup_mode: str) -> Blueprint:
    from seatrial.vm.machine import Blueprint

    wishes = _wishes(node)
    more = {name: wishes[name] for name in PLAIN if name in wishes}
    return Blueprint(kernel=kernel, cgroup=cgroup_mode, snapshot=not wishes.get("cold", False), **more)
