"""config-linux.md#seccomp, SCMP_ACT_NOTIFY: the listener, and #the-container-process-state that it gets."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.linux.agent import Agent
from seatrial.conformance.cases.linux.filters import ARGUMENTS, CALL, allow_all, rule
from seatrial.conformance.cases.linux.system_calls import copy_file_range
from seatrial.conformance.cases.unsupported import create_or_skip
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import parse

pytestmark = needs("seccomp", "call:seccomp-listener")

Rejected = Callable[..., Result]
Make = Callable[[], Bundle]
ROW = "config-linux/seccomp/"
STATE = "config-linux/the-container-process-state/"


@pytest.fixture
def agent(bundle: Bundle) -> Iterator[Agent]:
    """An agent that listens in the bundle's directory."""
    with Agent(bundle.outside("agent")) as made:
        yield made


def notify(bundle: Bundle, path: str, **members: Any) -> Bundle:
    """A filter that asks the agent at `path` about CALL."""
    bundle.config["ociVersion"] = "1.1.0"
    return allow_all(bundle, rule("SCMP_ACT_NOTIFY"), listenerPath=path, **members)


def running(runtime: Runtime, bundle: Bundle) -> Container:
    """A running container.  The filter may be installed as late as start."""
    container = create_or_skip(runtime, bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    return container


@covers(ROW + "36", ROW + "14", ROW + "15", ROW + "21")
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_agent_answers_calls(runtime: Runtime, bundle: Bundle, agent: Agent, no_new_privileges: bool) -> None:
    """The call waits for the agent, whose answer is its result (config-linux.md#seccomp)."""
    bundle.process["noNewPrivileges"] = no_new_privileges
    bundle.probe(f"syscall {CALL} {ARGUMENTS} -- syscall {CALL} -1 0 -1 0 4711 0", report=False)
    container = create_or_skip(runtime, notify(bundle, agent.path))
    container.start()
    connection = agent.connection()
    number, _ = connection.answer(error=errno.ENOTTY)
    assert number == (copy_file_range() or number)
    assert connection.answer(value=815)[1][4] == 4711
    container.wait()
    verbs = parse(container.output()).verbs
    assert [(verb.errno, verb.value) for verb in verbs] == [("ENOTTY", None), (None, 815)]


@covers(ROW + "16", ROW + "17", ROW + "18", STATE + "1", STATE + "2", STATE + "3")
def test_one_state_comes_on_a_closed_connection(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    """One connection per process, on it one JSON object with its descriptors, and then its end, while the container
    lives (config-linux.md#seccomp)."""
    container = running(runtime, notify(bundle, agent.path))
    connection = agent.connection()
    state = connection.state()
    assert len(connection.fds) == len(state["fds"]) == 1
    assert container.status() == "running"
    assert len(agent.connections) == 1


@pytest.fixture
def received(runtime: Runtime, bundle: Bundle, agent: Agent) -> tuple[Container, dict[str, Any]]:
    """A container, and the container process state of its process."""
    bundle.config["annotations"] = {"org.example.key": "value"}
    container = running(runtime, notify(bundle, agent.path, listenerMetadata="words for the agent"))
    return container, agent.connection().state()


Received = tuple[Container, dict[str, Any]]


@covers(STATE + "5")
def test_version_of_the_state(received: Received) -> None:
    """ociVersion is a version (config-linux.md#the-container-process-state)."""
    version = received[1]["ociVersion"]
    assert len(version.partition("-")[0].split(".")) == 3


@covers(STATE + "6", STATE + "7", ROW + "21")
def test_names_of_descriptors(received: Received) -> None:
    """fds are names, seccompFd among them (config-linux.md#the-container-process-state)."""
    names = received[1]["fds"]
    assert all(isinstance(name, str) for name in names)
    assert "seccompFd" in names


@covers(STATE + "8")
def test_pid_of_the_state(received: Received) -> None:
    """pid is the process's, as the runtime sees it (config-linux.md#the-container-process-state)."""
    container, state = received
    assert state["pid"] == container.pid


@covers(STATE + "9", ROW + "22")
def test_metadata_of_the_state(received: Received) -> None:
    """metadata is listenerMetadata (config-linux.md#the-container-process-state)."""
    assert received[1]["metadata"] == "words for the agent"


@covers(STATE + "10")
def test_state_of_the_container(received: Received) -> None:
    """state is the container's, which is being created (config-linux.md#the-container-process-state)."""
    container, sent = received
    state = sent["state"]
    assert (state["id"], state["bundle"]) == (container.id, container.bundle.path)
    assert state["annotations"] == {"org.example.key": "value"}
    assert state["status"] == "creating"
    assert isinstance(state["ociVersion"], str)


@covers(ROW + "22", STATE + "9")
def test_metadata_may_be_left_out(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    """Without listenerMetadata there is no metadata, or an empty one (config-linux.md#seccomp)."""
    running(runtime, notify(bundle, agent.path))
    assert agent.connection().state().get("metadata", "") == ""


@covers(STATE + "4", STATE + "3")
def test_descriptors_come_first(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    """Of a state that is longer than one message the descriptors come with the first part
    (config-linux.md#the-container-process-state)."""
    metadata = "0123456789" * 20000
    running(runtime, notify(bundle, agent.path, listenerMetadata=metadata))
    connection = agent.connection()
    assert connection.state()["metadata"] == metadata
    assert len(connection.messages) > 1
    assert [len(fds) for _, fds in connection.messages if fds] == [1]
    assert connection.messages[0][1]


@needs("exec")
@covers(ROW + "14", ROW + "17", STATE + "8", STATE + "10")
def test_joining_process_has_a_connection_of_its_own(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    """A process that exec adds is announced on a connection of its own (config-linux.md#seccomp)."""
    container = running(runtime, notify(bundle, agent.path))
    container.exec("/probe", "print", "here")
    first, second = agent.connection(0).state(), agent.connection(1).state()
    assert first["pid"] == container.pid != second["pid"]
    assert second["state"]["status"] == "running"
    assert "seccompFd" in second["fds"]


@covers(ROW + "13")
@needs("kernel>=5.19")
def test_wait_killable_flag(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    """SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is taken with SCMP_ACT_NOTIFY (config-linux.md#seccomp)."""
    notify(bundle, agent.path, flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])
    container = create_or_skip(runtime, bundle.probe(f"syscall {CALL} {ARGUMENTS}", report=False))
    container.start()
    agent.connection().answer(error=errno.ENOTTY)
    container.wait()
    assert parse(container.output()).verbs[0].errno == "ENOTTY"


def supported(runtime: Runtime, bundle: Bundle) -> None:
    """Skip the case unless the runtime takes SCMP_ACT_NOTIFY."""
    with Agent(bundle.outside("agent")) as agent:
        create_or_skip(runtime, notify(bundle, agent.path)).remove()


@covers(ROW + "19")
@pytest.mark.parametrize("kind", ["missing", "nobody listens", "file"])
def test_unreachable_agent_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, kind: str
) -> None:
    """Without anybody to send the state to, the container is not made (config-linux.md#seccomp)."""
    supported(runtime, make_bundle())
    path = bundle.outside("agent")
    if kind == "nobody listens":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as closed:
            closed.bind(path)
    elif kind == "file":
        with open(path, "w", encoding="ascii"):
            pass
    rejected(runtime, notify(bundle, path), by="start")


@covers(ROW + "15")
@pytest.mark.parametrize("type", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET], ids=["datagram", "seqpacket"])
def test_listener_is_a_stream_socket(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, type: int
) -> None:
    """A socket of another type is an error (config-linux.md#seccomp)."""
    supported(runtime, make_bundle())
    with socket.socket(socket.AF_UNIX, type) as other:
        other.bind(bundle.outside("agent"))
        if type == socket.SOCK_SEQPACKET:
            other.listen(1)
        rejected(runtime, notify(bundle, bundle.outside("agent")), by="start")


@covers(ROW + "20")
def test_listener_hears_nothing_without_notify(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    """Where no action is SCMP_ACT_NOTIFY nobody connects (config-linux.md#seccomp)."""
    bundle.config["ociVersion"] = "1.1.0"
    allow_all(bundle, rule("SCMP_ACT_ERRNO"), listenerPath=agent.path)
    result = runtime.run(bundle.probe(f"syscall {CALL} {ARGUMENTS}", report=False))
    assert parse(result.stdout).verbs[0].errno == "EPERM"
    assert agent.connections == []


@covers(ROW + "38")
def test_errno_of_notify_is_an_error(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, agent: Agent, rejected: Rejected
) -> None:
    """SCMP_ACT_NOTIFY takes no errno (config-linux.md#seccomp)."""
    supported(runtime, make_bundle())
    notify(bundle, agent.path).linux["seccomp"]["syscalls"][0]["errnoRet"] = 1
    rejected(runtime, bundle, by="start")
