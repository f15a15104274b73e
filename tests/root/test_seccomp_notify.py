"""SCMP_ACT_NOTIFY: an agent that gets the listener and answers, also for the calls that the set-up itself makes."""

from __future__ import annotations

import array
import json
import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from bundles import Bundle, CommandLine

from seatrial.native import seccomp

NOTIFY = "SCMP_ACT_NOTIFY"


class Agent:
    """Takes one listener and lets every call go on, in a thread; `numbers` are those of the calls."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(address)
        self.socket.listen()
        self.numbers: list[int] = []
        self.states: list[dict[str, Any]] = []
        self.stop_read, self.stop_write = os.pipe()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @classmethod
    def again(cls, path: str) -> Agent:
        """Another agent at the path of one that is gone."""
        os.unlink(path)
        return cls(path)

    def _serve(self) -> None:
        if self.socket not in select.select([self.socket, self.stop_read], [], [])[0]:
            return
        peer, _ = self.socket.accept()
        data, control, _, _ = peer.recvmsg(65536, socket.CMSG_SPACE(4))
        listener = array.array("i", control[0][2])[0]
        while more := peer.recv(65536):
            data += more
        peer.close()
        self.states.append(json.loads(data))
        while self.stop_read not in select.select([listener, self.stop_read], [], [])[0]:
            try:
                call = seccomp.receive(listener)
                self.numbers.append(call.number)
                seccomp.answer(listener, call.id, proceed=True)
            except FileNotFoundError:  # its process has been killed
                pass
            except OSError:  # every process with this filter is gone
                break
        os.close(listener)

    def close(self) -> None:
        """Ends the thread, and with it the listener."""
        os.write(self.stop_write, b"x")
        self.thread.join()
        self.socket.close()
        os.close(self.stop_read)
        os.close(self.stop_write)


@pytest.fixture(params=["path", "long path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An address as in listenerPath."""
    if request.param == "abstract":
        return f"@seatrial-test-{os.getpid()}"
    place = tmp_path_factory.mktemp("agent")
    return str(place / ("x" * 60 + "/s" if request.param == "long path" else "s"))


@pytest.fixture
def agent(address: str) -> Iterator[Agent]:
    """An agent at the address."""
    directory, name = os.path.split(address)
    if address.startswith("@"):
        made = Agent("\0" + address[1:])
    else:
        os.makedirs(directory, exist_ok=True)
        before = os.getcwd()
        os.chdir(directory)
        try:
            made = Agent(name)
        finally:
            os.chdir(before)
    yield made
    made.close()


def profile(bundle: Bundle, address: str, *names: str) -> Bundle:
    """A filter that asks the agent about some calls."""
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": list(names), "action": NOTIFY}],
        "listenerPath": address,
        "listenerMetadata": "some words",
    }
    return bundle.write()


def test_state_that_comes_with_the_listener(cli: CommandLine, bundle: Bundle, agent: Agent, address: str) -> None:
    profile(bundle, address, "copy_file_range")
    cli("create", "-b", bundle.path, "c-agent")
    pid = cli.state("c-agent")["pid"]
    agent.thread.join(0.2)
    (state,) = agent.states
    assert state["metadata"] == "some words"
    assert (state["fds"], state["pid"]) == (["seccompFd"], pid)
    assert (state["state"]["id"], state["state"]["pid"], state["state"]["status"]) == ("c-agent", pid, "creating")
    cli("delete", "--force", "c-agent")


@pytest.mark.parametrize("address", ["path"], indirect=True)
@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("verb", ["create", "run"])
def test_calls_of_the_setup_may_be_notified(
    cli: CommandLine, bundle: Bundle, agent: Agent, address: str, no_new_privileges: bool, verb: str
) -> None:
    """Every call that the set-up makes under the filter goes to the agent, those that hand over the listener do not."""
    bundle.config["process"]["noNewPrivileges"] = no_new_privileges
    bundle.config["hooks"] = {"startContainer": [{"path": "/probe", "args": ["probe", "print", "hook"]}]}
    names = ["read", "write", "close", "sendmsg", "wait4", "accept4", "execve", "clone", "prctl", "capset", "setresuid"]
    profile(bundle, address, *names, "pipe2", "rt_sigaction", "ppoll", "dup2", "fcntl", "chdir", "openat", "openat2")
    bundle.args("print", "program")
    if verb == "run":
        assert "program" in cli("run", "-b", bundle.path, "c-asked").stdout
    else:
        cli("create", "-b", bundle.path, "c-asked")
        cli("start", "c-asked")
    assert len(agent.numbers) > 20


@pytest.mark.parametrize("address", ["path"], indirect=True)
def test_state_of_a_process_that_joins(cli: CommandLine, bundle: Bundle, agent: Agent, address: str) -> None:
    profile(bundle, address, "copy_file_range")
    cli("run", "-d", "-b", bundle.path, "c-join")
    agent.thread.join(0.2)
    agent.close()
    first = agent.states[0]
    other = Agent.again(address)
    try:
        cli("exec", "c-join", "/probe", "print", "x")
        other.thread.join(10)
    finally:
        other.close()
        agent.close = lambda: None  # type: ignore[method-assign]
    (second,) = other.states
    assert (second["state"]["status"], second["state"]["pid"]) == ("running", first["pid"])
    assert second["pid"] != first["pid"]
    cli("delete", "--force", "c-join")


@pytest.mark.parametrize("address", ["path"], indirect=True)
def test_create_without_an_agent_leaves_nothing(cli: CommandLine, bundle: Bundle, address: str) -> None:
    profile(bundle, address, "mkdir")
    done = cli("create", "-b", bundle.path, "c-noagent", check=False)
    assert done.returncode == 1
    assert f"connect to the seccomp agent {address}: ENOENT" in done.stderr
    assert cli.status("c-noagent") == ""


@pytest.mark.parametrize("address", ["path"], indirect=True)
def test_notified_calls_fail_once_the_agent_is_gone(
    cli: CommandLine, bundle: Bundle, agent: Agent, address: str, tmp_path: os.PathLike[str]
) -> None:
    """ENOSYS (seccomp_unotify(2)): neither the runtime nor the waiting init keeps a copy of the listener."""
    profile(bundle, address, "mkdir", "mkdirat")
    out = os.path.join(tmp_path, "out")
    bundle.args("mkdir", "/x")
    with open(out, "w") as file:
        subprocess.run(cli.argv("create", "-b", bundle.path, "c-gone"), stdout=file, check=True, timeout=30)
    agent.close()
    agent.close = lambda: None  # type: ignore[method-assign]
    cli("start", "c-gone")
    for _ in range(200):
        if cli.status("c-gone") == "stopped":
            break
    with open(out) as file:
        assert json.loads(file.read())["errno"] == "ENOSYS"
