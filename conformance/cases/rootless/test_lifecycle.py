"""An ordinary user's container from create to delete, as `runc` and its like offer it without root."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.console import ConsoleSocket
from seatrial.conformance.driver.driver import Container
from seatrial.conformance.driver.ordinary import OrdinaryRuntime
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.engine.session import run_report

pytestmark = [needs("root", "userns", "program:nsenter"), profile("runc-compat")]
Hire = Callable[..., OrdinaryRuntime]
USER_NAMESPACE = "config-linux/user-namespace-mappings/"


def of_process(pid: int, name: str) -> list[str]:
    """The words of a file in /proc/PID."""
    with open(f"/proc/{pid}/{name}", encoding="ascii") as file:
        return file.read().split()


def held(runtime: OrdinaryRuntime, bundle: Bundle) -> Container:
    """A running container whose program waits."""
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    return container


@covers(
    "runtime/create/7", "runtime/state/10", "runtime/start/7", "runtime/kill/5", "runtime/delete/4", "runtime/delete/7"
)
def test_life_of_a_container(user: OrdinaryRuntime, mine: Bundle) -> None:
    """create, state, start, kill and delete work without root, and the processes are the user's own."""
    container = user.create(mine.probe("hold", report=False))
    assert container.status() == "created"
    pid = container.pid
    assert os.stat(f"/proc/{pid}").st_uid == user.uid
    assert of_process(pid, "uid_map") == of_process(pid, "gid_map") == ["0", str(user.uid), "1"]
    assert of_process(pid, "setgroups") == ["deny"]
    container.start()
    container.wait_output('"verb":"hold"')
    assert container.status() == "running"
    assert not container.delete(check=False).ok
    container.kill("KILL")
    container.wait_status("stopped")
    container.delete()
    assert not user.state(container.id).ok


@covers("config-linux/user-namespace-mappings/1", "config-linux/namespaces/7")
def test_the_program_is_root_of_its_own_namespace_only(user: OrdinaryRuntime, mine: Bundle) -> None:
    """Inside it is uid 0 with the capabilities of the config; files of the host's root stay closed to it, and groups
    cannot be set."""
    with open(os.path.join(mine.path, "secret"), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        os.fchown(file.fileno(), 0, 0)
    with open(os.path.join(mine.rootfs, "secret"), "w", encoding="utf-8"):
        pass
    mine.mount("/secret", "bind", os.path.join(mine.path, "secret"), "bind")
    mine.capabilities("CAP_DAC_OVERRIDE", "CAP_SETGID", "CAP_KILL")
    found = run_report(user, mine.probe("read /secret -- setgroups 0 -- write /etc/mark mine"))
    assert found["ids"]["uid"] == [0, 0, 0, 0]
    assert found.caps("effective") == {"CAP_DAC_OVERRIDE", "CAP_SETGID", "CAP_KILL"}
    assert [verb.errno for verb in found.verbs] == ["EACCES", "EPERM", None]
    assert os.stat(os.path.join(mine.rootfs, "etc/mark")).st_uid == user.uid


@needs("program:newuidmap", "program:newgidmap")
@covers("config-linux/user-namespace-mappings/1", "config-linux/user-namespace-mappings/2")
def test_ranges_of_ids(hire: Hire) -> None:
    """With ranges in /etc/subuid and /etc/subgid the container has more ids, by newuidmap and newgidmap."""
    user = hire(ranges=True)
    bundle = user.workshop.bundle()
    bundle.process["user"] = {"uid": 5, "gid": 6}
    container = held(user, bundle)
    first, count = user.quarters.ranges or (0, 0)
    wanted = ["0", str(user.uid), "1", "1", str(first), str(count - 1)]
    assert of_process(container.pid, "uid_map") == of_process(container.pid, "gid_map") == wanted
    status = os.stat(f"/proc/{container.pid}")
    assert (status.st_uid, status.st_gid) == (first + 4, first + 5)
    container.kill("KILL")  # another uid: the owner of the user namespace may
    container.wait_status("stopped")
    container.delete()


@needs("exec")
@covers("config/process/14")
def test_exec(user: OrdinaryRuntime, mine: Bundle) -> None:
    """exec joins the container's namespaces, the user's among them, and reports the status of its program."""
    container = held(user, mine)
    result = container.exec(PROBE, "report", "--", "exit", "7", check=False)
    assert result.status == 7, result.describe()
    found = parse(result.stdout, result)
    for name in ("user", "pid", "mnt", "net", "ipc", "uts"):
        assert found.namespace(name) == os.stat(f"/proc/{container.pid}/ns/{name}").st_ino
    assert found["ids"]["uid"] == [0, 0, 0, 0]


@covers("runtime/delete/5")
def test_another_user_cannot_touch_it(user: OrdinaryRuntime, mine: Bundle) -> None:
    """Somebody else's commands on the user's state directory are refused, and the container goes on."""
    container = held(user, mine)
    owner, user.uid = user.uid, 65534
    try:
        for words in (("kill", container.id, "KILL"), ("delete", "--force", container.id)):
            result = user.command(*words)
            assert not result.crashed, result.describe()
    finally:
        user.uid = owner
    assert container.status() == "running"


@pytest.fixture
def listener(mine: Bundle, user: OrdinaryRuntime) -> Iterator[ConsoleSocket]:
    """A console socket of the user's."""
    with ConsoleSocket(mine.outside("console")) as made:
        os.chown(made.path, user.uid, user.uid)
        yield made


@needs("tty")
@covers("config/process/4", "config-linux/default-devices/7")
def test_terminal_is_the_users(user: OrdinaryRuntime, mine: Bundle, listener: ConsoleSocket) -> None:
    """The container's terminal belongs to its program, which is the user, and can be written to by both."""
    mine.process["terminal"] = True
    container = user.create(mine.probe("tty-info -- stat /dev/console"), console_socket=listener.path)
    terminal = listener.receive()
    container.start()
    found: Report = parse(terminal.read_to_end())
    assert [stream["tty"] for stream in found.verb("tty-info").value["streams"]] == [True] * 3
    console = found.verb("stat", "/dev/console").value
    assert (console["type"], console["uid"]) == ("c", 0)
