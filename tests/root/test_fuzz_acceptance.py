"""Draws of `configs()` made into real containers: a correct runtime creates almost every one."""

from __future__ import annotations

import os
from typing import Any

import pytest
from bundles import CommandLine
from hypothesis import HealthCheck, Phase, given, seed, settings
from reachable import reachable_directory
from subtrees import remove_cgroups

from seatrial.conformance.driver.bundle import Workshop
from seatrial.fuzz.strategies import configs, invalid_configs

pytestmark = pytest.mark.root

DRAWS = 30
AT_LEAST = 0.95
calm = settings(
    max_examples=DRAWS, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


class Host:
    """Creates containers and removes them."""

    def __init__(self, directory: str, cli: CommandLine) -> None:
        self.workshop = Workshop(os.path.join(directory, "w"), f"fuzz-accept-{os.getpid()}")
        self.parent = f"/seatrial-{self.workshop.prefix}"
        self.cli = cli

    def create(self, config: dict[str, Any]) -> str:
        """What `create` complains of; "" when it does not."""
        bundle = self.workshop.bundle()
        bundle.config = config
        if isinstance(config.get("linux"), dict):
            config["linux"].setdefault("cgroupsPath", f"{self.parent}/{bundle.name}")
        bundle.write()
        done = self.cli("create", "--bundle", bundle.path, bundle.name, check=False)
        if done.returncode == 0:
            self.cli("delete", "--force", bundle.name)
        self.workshop.remove(bundle)
        return "" if done.returncode == 0 else done.stderr or "no message"


@pytest.fixture
def host(cli: CommandLine) -> Any:
    with reachable_directory() as directory:
        host = Host(directory, cli)
        yield host
        remove_cgroups(host.parent)


def test_configs_become_containers(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    complaints: list[str] = []

    @seed(20261127)
    @calm
    @given(configs())
    def draw(config: dict[str, Any]) -> None:
        complaints.append(host.create(config))

    draw()
    refused = [text for text in complaints if text]
    rate = 1 - len(refused) / len(complaints)
    with capsys.disabled():
        print(f"\nconfigs(): {len(complaints)} draws, {rate:.1%} accepted by create of the reference runtime")
    assert len(complaints) >= DRAWS
    assert rate >= AT_LEAST, refused


def test_invalid_configs_do_not(host: Host) -> None:
    accepted: list[str] = []

    @seed(20261127)
    @settings(calm, max_examples=10)
    @given(invalid_configs())
    def draw(drawn: tuple[dict[str, Any], str]) -> None:
        config, path = drawn
        if not host.create(config):
            accepted.append(path)

    draw()
    assert accepted == []
