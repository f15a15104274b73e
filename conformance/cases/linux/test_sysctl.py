"""config-linux.md#sysctl: parameters of the container's namespaces, and of nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report

Reader = Callable[..., Report]
Rejected = Callable[..., Result]
ROW = "config-linux/sysctl/"
PER_NAMESPACE = [  # network, ipc and user namespaces
    "net.ipv4.ip_forward",
    "net.core.somaxconn",
    "kernel.shm_rmid_forced",
    "kernel.msgmax",
    "fs.mqueue.msg_max",
]


def host(key: str) -> str:
    """The host's value."""
    with open("/proc/sys/" + key.replace(".", "/"), encoding="ascii") as file:
        return file.read().strip()


def other_value(key: str) -> str:
    """A value that the host does not have."""
    number = int(host(key))
    return str(1 - number) if number in (0, 1) else str(number - 1)


@needs("root")
@covers(ROW + "1")
@pytest.mark.parametrize("key", PER_NAMESPACE)
def test_parameter_is_set_for_the_container(bundle: Bundle, report: Reader, key: str) -> None:
    """The container has the value, the host keeps its own (config-linux.md#sysctl)."""
    before, wanted = host(key), other_value(key)
    bundle.linux["sysctl"] = {key: wanted}
    found = report(bundle.args("/probe", "report", "--sysctl", key))
    assert found["sysctl"][key] == wanted
    assert host(key) == before


@needs("root")
@covers(ROW + "1")
def test_several_parameters(bundle: Bundle, report: Reader) -> None:
    """All of them are set; a value may have blanks (config-linux.md#sysctl)."""
    wanted = {"kernel.sem": "250\t32000\t32\t129", "net.ipv4.ip_local_port_range": "40000\t50000"}
    bundle.linux["sysctl"] = {key: value.replace("\t", " ") for key, value in wanted.items()}
    words = [word for key in wanted for word in ("--sysctl", key)]
    assert report(bundle.args("/probe", "report", *words))["sysctl"] == wanted


@needs("root")
@covers(ROW + "1")
def test_parameter_below_a_readonly_path(bundle: Bundle, report: Reader) -> None:
    """/proc/sys being read-only for the program does not keep the runtime from it (config-linux.md#sysctl)."""
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": other_value("net.ipv4.ip_forward")}
    bundle.linux["readonlyPaths"] = ["/proc/sys"]
    found = report(bundle.probe("read /proc/sys/net/ipv4/ip_forward -- write /proc/sys/net/ipv4/ip_forward 0"))
    assert found.verbs[0].value == other_value("net.ipv4.ip_forward") + "\n"
    assert found.verbs[1].errno == "EROFS"


# Values are those that the host has: a runtime that sets them after all changes nothing.
@needs("root")
@covers(ROW + "2")
@pytest.mark.parametrize("key", ["vm.swappiness", "kernel.panic", "kernel.pid_max", "fs.file-max"])
def test_parameter_of_the_whole_host_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, key: str
) -> None:
    """A parameter that belongs to no namespace cannot be set for a container (config-linux.md#sysctl)."""
    bundle.linux["sysctl"] = {key: host(key)}
    rejected(runtime, bundle)


@needs("root")
@covers(ROW + "2")
@pytest.mark.parametrize(
    ("namespace", "key"),
    [("network", "net.ipv4.ip_forward"), ("ipc", "kernel.shm_rmid_forced"), ("ipc", "fs.mqueue.msg_max")],
)
def test_parameter_of_the_hosts_namespace_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Callable[[], Bundle], rejected: Rejected, namespace: str, key: str
) -> None:
    """Without a namespace of its own the container would change the host's parameter (config-linux.md#sysctl)."""
    rejected(runtime, shared(bundle, namespace, {key: host(key)}), control=shared(make_bundle(), namespace, {}))


def shared(bundle: Bundle, namespace: str, parameters: dict[str, str]) -> Bundle:
    """The bundle in the host's namespace, without the mounts that need one of its own."""
    bundle.without_namespace(namespace)
    unmounted = ("/sys/fs/cgroup", "/sys") if namespace == "network" else ("/dev/mqueue",)
    for destination in unmounted:
        bundle.without_mount(destination)
    bundle.linux["sysctl"] = parameters
    return bundle


@profile("runc-compat")
@needs("root")
@covers(ROW + "2")
def test_parameter_of_a_joined_host_namespace_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """As runc does it: the host's network namespace by its path is the host's, too (config-linux.md#sysctl)."""
    bundle.namespace("network", f"/proc/{os.getpid()}/ns/net")
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": host("net.ipv4.ip_forward")}
    bundle.without_mount("/sys/fs/cgroup").without_mount("/sys")
    rejected(runtime, bundle)


@needs("root")
@covers(ROW + "2")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("net.ipv4.no_such_parameter", "1", id="missing"),
        pytest.param("kernel.shm_no_such", "1", id="missing in ipc"),
        pytest.param("nosuch", "1", id="missing at the top"),
        pytest.param("", "1", id="empty"),
        pytest.param("net.ipv4.ip_forward", "text", id="not a number"),
        pytest.param("net.ipv4", "1", id="directory"),
        pytest.param("net/../vm/swappiness", None, id="dots and slashes"),
        pytest.param("fs.mqueue../../../vm/swappiness", None, id="slashes after a prefix"),
    ],
)
def test_parameter_that_cannot_be_set_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Rejected, key: str, value: str | None
) -> None:
    """A key that is not there, or a value that the kernel refuses, is an error (config-linux.md#sysctl)."""
    bundle.linux["sysctl"] = {key: host("vm.swappiness") if value is None else value}
    rejected(runtime, bundle)
