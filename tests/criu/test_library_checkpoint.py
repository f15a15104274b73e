"""`Container.checkpoint` and `Container.restore` as library calls, and what only they have: networks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from shell_bundle import COUNTER, ShellBundle, count, until

from seatrial.runtime import Container, Process
from seatrial.runtime.checkpoint import CriuOptions
from seatrial.runtime.config import NAMESPACE_FLAGS, Config, Network
from seatrial.runtime.errors import ConfigError, CriuError, StateError, UsageError
from seatrial.runtime.load import load_config


@pytest.fixture
def options(criu: str, place: str) -> CriuOptions:
    """As the command line has them."""
    images = os.path.join(place, "images")
    return CriuOptions(images_directory=images, empty_namespaces=NAMESPACE_FLAGS["net"], criu=criu)


@pytest.fixture
def config(bundle: ShellBundle) -> Config:
    return load_config(bundle.path)


@pytest.fixture
def root(place: str, bundle: ShellBundle) -> Iterator[str]:
    path = os.path.join(place, "state")
    yield path
    launcher = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
    for id in os.listdir(path) if os.path.isdir(path) else []:
        if id != ".cache":
            subprocess.run([launcher, "--root", path, "delete", "--force", id], check=True)


def quiet(args: list[str] | None = None) -> Process:
    """A process with the null device as its streams, which belongs to the test run."""
    null = os.open("/dev/null", os.O_RDWR)
    return Process(args or [], stdin=null, stdout=null, stderr=null, env=["PATH=/bin"])


def test_round_trip(root: str, config: Config, options: CriuOptions, bundle: ShellBundle) -> None:
    with Container.create(root, "crlib", config) as container:
        process = quiet(["/bin/sh", "-c", COUNTER])
        container.run(process)
        until(lambda: count(bundle) > 0, "the counter")
        fds = len(os.listdir("/proc/self/fd"))
        container.checkpoint(options.replace(leave_running=True))
        assert container.status() == "running"
        container.checkpoint(options)
        assert container.status() == "stopped"
        assert process.wait() == 128 + 9
        container.destroy()
    reached = count(bundle)
    with Container.create(root, "crlib", config) as container:
        process = quiet()
        container.restore(process, options)
        assert container.status() == "running"
        until(lambda: count(bundle) > reached, "the counter")
        assert len(os.listdir("/proc/self/fd")) <= fds + 1  # the null device
        with pytest.raises(StateError, match="has been started already"):
            container.restore(quiet(), options)
        assert container.status() == "running"
        process.signal(15)
        container.signal(9)
        assert process.wait(60) == 128 + 9
        container.destroy()


def test_status_is_the_programs(root: str, config: Config, options: CriuOptions, bundle: ShellBundle) -> None:
    with Container.create(root, "crlib-exit", config) as container:
        container.run(quiet(["/bin/sh", "-c", f"trap 'exit 7' TERM; {COUNTER}"]))
        until(lambda: count(bundle) > 0, "the counter")
        container.checkpoint(options)
        container.destroy()
    with Container.create(root, "crlib-exit", config) as container:
        process = quiet()
        container.restore(process, options)
        container.signal(15)
        assert container.wait(60) == 7
        container.destroy()


def test_failures(root: str, config: Config, options: CriuOptions, bundle: ShellBundle) -> None:
    with Container.create(root, "crlib-fail", config) as container:
        with pytest.raises(StateError, match="is creating"):
            container.checkpoint(options)
        container.run(quiet(["/bin/sh", "-c", COUNTER]))
        with pytest.raises(UsageError, match="no directory"):
            container.checkpoint(options.replace(images_directory=""))
        with pytest.raises(CriuError, match="execute /none: ENOENT"):
            container.checkpoint(options.replace(criu="/none"))
        container.checkpoint(options)
        container.destroy()
    other = config.copy()
    other.mask_paths = []
    for changed, expected in ((other, ConfigError), (config, CriuError)):
        with Container.create(root, "crlib-fail", changed) as container:
            wrong = options if expected is ConfigError else options.replace(images_directory=root)
            with pytest.raises(expected):
                container.restore(quiet(), wrong)
        assert not os.path.exists(os.path.join(root, "crlib-fail"))


@pytest.mark.parametrize("by_criu", [False, True])
def test_veth_pairs(root: str, config: Config, options: CriuOptions, bundle: ShellBundle, by_criu: bool) -> None:
    """Made anew by us where the network namespace comes back empty, else by CRIU; removed with the container."""
    config.networks = [Network(type="veth", name="eth0", host_name="veth-crlib", address="10.98.7.2/24")]
    if by_criu:
        options = options.replace(empty_namespaces=0)
    try:
        with Container.create(root, "crlib-veth", config) as container:
            container.run(quiet(["/bin/sh", "-c", COUNTER]))
            until(lambda: count(bundle) > 0, "the counter")
            container.checkpoint(options)
            container.destroy()
        assert not os.path.exists("/sys/class/net/veth-crlib")
        with Container.create(root, "crlib-veth", config) as container:
            container.restore(quiet(), options)
            assert os.path.exists("/sys/class/net/veth-crlib")
            read, write = os.pipe()
            process = Process(["/bin/ip", "addr", "show", "eth0"], stdout=write, env=["PATH=/bin"])
            container.exec(process)
            assert process.wait(60) == 0
            os.close(write)
            with os.fdopen(read) as file:
                assert "10.98.7.2/24" in file.read()
            container.destroy(force=True)
        assert not os.path.exists("/sys/class/net/veth-crlib")
    finally:
        if os.path.exists("/sys/class/net/veth-crlib"):
            subprocess.run(["ip", "link", "delete", "veth-crlib"], check=False)
