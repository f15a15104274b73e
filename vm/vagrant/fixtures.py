"""pytest fixtures for Vagrant machines: `pytest -p seatrial.vm.vagrant.fixtures`, or `pytest_plugins` in a conftest.py.

Parameters come from the environment, as those of the Vagrantfile: SEATRIAL_BOX, SEATRIAL_PROVIDER, SEATRIAL_CGROUP,
SEATRIAL_MEMORY, SEATRIAL_ACCELERATOR, and SEATRIAL_KERNEL as a name (`debian:6.1`) or a file for a box that is made.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from seatrial.vm import programs
from seatrial.vm.errors import InfrastructureError
from seatrial.vm.machine import Blueprint, Machine, Pool
from seatrial.vm.vagrant.pool import VagrantPool

RESULTS = "/root/seatrial-results.jsonl"  # in the machine


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """A `seatrial check` in a machine: its exit status, what it printed, and its result lines."""

    status: int
    output: str
    results: tuple[dict[str, Any], ...]


def blueprint_of(environment: dict[str, str]) -> Blueprint:
    """The blueprint that the variables ask for; BlueprintError for nonsense."""
    kernel = environment.get("SEATRIAL_KERNEL") or "debian:6.1-cloud"
    return Blueprint(
        kernel=f"path:{kernel}" if kernel.startswith("/") else kernel,
        cgroup=environment.get("SEATRIAL_CGROUP") or "v2",
        memory=int(environment.get("SEATRIAL_MEMORY") or 1024),
    )


@pytest.fixture(scope="session")
def vagrant_blueprint() -> Blueprint:
    """What to boot; override it to put something into the machines (Blueprint.layers, Blueprint.setup)."""
    return blueprint_of(dict(os.environ))


@pytest.fixture(scope="session")
def vagrant_pool() -> Iterator[Pool]:
    """The machines of a session; what is left of them is destroyed at its end.  Tests are skipped without Vagrant."""
    for program in ("vagrant", "ssh"):
        try:
            programs.find(program)
        except InfrastructureError:
            pytest.skip(f"program:{program}: not installed")
    with VagrantPool() as pool:
        yield pool


@pytest.fixture
def vagrant_machine(vagrant_pool: Pool, vagrant_blueprint: Blueprint) -> Iterator[Machine]:
    """A machine for one test.  The next test's is the same one, gone back to what it was after its boot."""
    with vagrant_pool.boot(vagrant_blueprint) as machine:
        yield machine


@pytest.fixture
def vagrant_suite(vagrant_machine: Machine) -> Callable[[Sequence[str]], SuiteRun]:
    """vagrant_suite(["-k", "delete", ...]): `seatrial check` with these arguments in the machine, which must have a
    seatrial (see vagrant_blueprint)."""

    def run(arguments: Sequence[str]) -> SuiteRun:
        argv = ["seatrial", "check", *arguments, "--report", f"json={RESULTS}"]
        done = vagrant_machine.run(argv)
        with tempfile.TemporaryDirectory(prefix="seatrial-results-") as directory:
            path = os.path.join(directory, "results.jsonl")
            try:
                vagrant_machine.copy_out(RESULTS, path)
                with open(path, encoding="utf-8") as file:
                    results = tuple(json.loads(line) for line in file)
            except OSError:
                results = ()  # it did not come so far: its output says why
        output = (done.stdout + done.stderr).decode("utf-8", "replace")
        return SuiteRun(done.status, output, results)

    return run
