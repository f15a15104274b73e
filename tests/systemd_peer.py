"""A small systemd in a thread, behind a socket that speaks D-Bus: enough of org.freedesktop.systemd1 for a scope."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from jeepney import DBusAddress, Message, MessageType, Parser, new_error, new_method_return, new_signal
from jeepney.low_level import HeaderFields

from seatrial.runtime.cgroup.hierarchy import detect

NAME = "org.freedesktop.systemd1"
MANAGER = DBusAddress("/org/freedesktop/systemd1", NAME, f"{NAME}.Manager")


@contextlib.contextmanager
def system_bus(directory: str, slice: str | None = None) -> Iterator[SystemdPeer]:
    """A with block in which a peer is the system's systemd; afterwards the cgroups of this slice go."""
    peer = SystemdPeer(directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={peer.path}")
        yield peer
    peer.close()
    for mounted in [*detect().v1_mounts(), detect().v2] if slice else []:
        if mounted is not None and os.path.isdir(f"{mounted.mount_point}/{slice}"):
            os.rmdir(f"{mounted.mount_point}/{slice}")


class SystemdPeer:
    """`calls` has what it was asked, `units` the units' states and properties.  Errors and job results can be told.

    `fail` maps a method to (D-Bus error, how often), `results` maps one to what its jobs end with; `silent` jobs never
    end; `early` ones end before the reply to the call that began them.
    """

    def __init__(self, directory: str, version: str = "252.39-1~deb12u1") -> None:
        self.path = os.path.join(directory, "bus")
        self.version = version
        self.calls: list[tuple[str, Any]] = []
        self.units: dict[str, dict[str, Any]] = {}
        self.fail: dict[str, tuple[str, int]] = {}
        self.results: dict[str, str] = {}
        self.silent = False
        self.early = False
        self.uids: list[bytes] = []
        self.control_group = ""
        self.problems: list[Exception] = []
        self._jobs = 0
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._begin(self._accept)

    def _begin(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def settle(self) -> None:
        """Wait until every client has gone."""
        for thread in self._threads[1:]:
            thread.join(10)

    def close(self) -> None:
        """Every thread ends with its client; what went wrong in one is raised here."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        if self.problems:
            raise self.problems[0]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            with client:
                self._authenticate(client)
                parser = Parser()
                while data := client.recv(4096):
                    parser.add_data(data)
                    while (message := parser.get_next_message()) is not None:
                        for serial, answer in enumerate(self._answers(message), 1):
                            client.sendall(answer.serialise(serial=serial))
        except ConnectionError:
            pass  # the client has gone
        except Exception as problem:
            self.problems.append(problem)

    def _authenticate(self, client: socket.socket) -> None:
        text = b""
        while not text.endswith(b"BEGIN\r\n"):
            text += client.recv(1)
            if text.endswith(b"\r\n") and b"AUTH" in text:
                self.uids.append(bytes.fromhex(text.split()[-1].decode()))
                client.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
                text = b""

    def _answers(self, message: Message) -> list[Message]:
        """The reply and, for a job, the signal."""
        assert message.header.message_type == MessageType.method_call
        member = message.header.fields[HeaderFields.member]
        body = message.body
        if member == "Hello":
            return [new_method_return(message, "s", (":1.7",))]
        self.calls.append((member, body))
        error, times = self.fail.get(member, ("", 0))
        if times:
            self.fail[member] = (error, times - 1)
            return [new_error(message, error, "s", (f"{member} refused",))]
        answer = getattr(self, f"on_{member}", None)
        if answer is None:
            return [new_method_return(message)]
        result: list[Message] = answer(message, *(body or ()))
        return result

    def on_Get(self, message: Message, interface: str, name: str) -> list[Message]:  # noqa: N802
        if interface == f"{NAME}.Manager":
            value: Any = {"Version": ("s", self.version), "ControlGroup": ("s", self.control_group)}[name]
        else:
            unit = message.header.fields[HeaderFields.path].rpartition("/")[2]
            known = next(each for each in self.units if plain(each) == unit)
            value = self.units[known].get(name, ("t", (1 << 64) - 1))
        return [new_method_return(message, "v", (value,))]

    def on_GetUnit(self, message: Message, unit: str) -> list[Message]:  # noqa: N802
        if unit not in self.units:
            return [new_error(message, f"{NAME}.NoSuchUnit", "s", (f"Unit {unit} not loaded.",))]
        return [new_method_return(message, "o", (f"/org/freedesktop/systemd1/unit/{plain(unit)}",))]

    def on_StartTransientUnit(  # noqa: N802
        self, message: Message, unit: str, _mode: str, properties: Any, _auxiliary: Any
    ) -> list[Message]:
        if unit in self.units:
            return [new_error(message, f"{NAME}.UnitExists", "s", (f"Unit {unit} already exists.",))]
        self.units[unit] = dict(properties) | {"ActiveState": ("s", "active")}
        self.started(unit)
        return self._job(message, unit)

    def started(self, unit: str) -> None:
        """A unit has started: a subclass may make its cgroup."""

    def on_StopUnit(self, message: Message, unit: str, _mode: str) -> list[Message]:  # noqa: N802
        if self.units.pop(unit, None) is None:
            return [new_error(message, f"{NAME}.NoSuchUnit", "s", (f"Unit {unit} not loaded.",))]
        return self._job(message, unit)

    def on_ResetFailedUnit(self, message: Message, unit: str) -> list[Message]:  # noqa: N802
        if self.units.get(unit, {}).get("ActiveState") == ("s", "failed"):
            del self.units[unit]
        return [new_method_return(message)]

    def on_SetUnitProperties(self, message: Message, unit: str, _runtime: bool, properties: Any) -> list[Message]:  # noqa: N802
        self.units[unit].update(dict(properties))
        return [new_method_return(message)]

    def _job(self, message: Message, unit: str) -> list[Message]:
        self._jobs += 1
        path = f"/org/freedesktop/systemd1/job/{self._jobs}"
        result = self.results.get(message.header.fields[HeaderFields.member], "done")
        reply = new_method_return(message, "o", (path,))
        other = new_signal(MANAGER, "JobRemoved", "uoss", (9999, f"{path}9", "other.service", "failed"))
        removed = new_signal(MANAGER, "JobRemoved", "uoss", (self._jobs, path, unit, result))
        if self.silent:
            return [reply, other]
        return [other, removed, reply] if self.early else [reply, other, removed]


def plain(unit: str) -> str:
    """A unit's name as an element of an object path."""
    return "".join(letter if letter.isalnum() else f"_{ord(letter):02x}" for letter in unit)
