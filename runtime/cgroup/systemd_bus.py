"""A connection to systemd: the few calls that a container's scope needs.  org.freedesktop.systemd1(5)

The system's systemd is reached over the system bus, by root also over its private socket where no bus runs; a user's
over the user's bus.  Calls block, with a time limit; jeepney is imported with this module, which is imported only when
--systemd-cgroup is used.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque

from jeepney import DBusAddress, DBusErrorResponse, MatchRule, Properties, new_method_call
from jeepney.bus import get_connectable_addresses
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, DBusConnectionBase
from jeepney.io.common import MessageFilters
from jeepney.wrappers import unwrap_msg

from seatrial.runtime.errors import SeatrialError, StateError, errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from jeepney import Message

    from seatrial.runtime.cgroup.systemd_properties import Property

JOB_SECONDS = 30.0
CALL_SECONDS = 25.0  # libdbus' own default
SYSTEM_BUS = "/run/dbus/system_bus_socket"
PRIVATE = "/run/systemd/private"
RUNNING = "/run/systemd/system"  # sd_booted(3)

_NAME = "org.freedesktop.systemd1"
_MANAGER = DBusAddress("/org/freedesktop/systemd1", _NAME, f"{_NAME}.Manager")
_EXISTS = f"{_NAME}.UnitExists"
_ABSENT = (f"{_NAME}.NoSuchUnit", f"{_NAME}.UnitNotLoaded")
_ALIVE = ("active", "activating", "deactivating", "reloading", "refreshing")


class SystemdError(SeatrialError):
    """systemd cannot be reached, refused a call, or a job did not end well.  `name` is the D-Bus error's, if any."""

    def __init__(self, message: str, hint: str = "", name: str = "") -> None:
        super().__init__(message, hint)
        self.name = name


class _Direct(DBusConnection):  # type: ignore[misc]  # jeepney has no types
    """A peer without a bus between: nobody to say Hello to."""

    def __init__(self, connected: socket.socket) -> None:
        DBusConnectionBase.__init__(self, connected)
        self._filters = MessageFilters()


class Systemd:
    """A manager.  Use it in a with statement: it is a socket."""

    def __init__(self, connected: socket.socket, direct: bool = False) -> None:
        """Over an authenticated socket; `direct`: to systemd itself, not to a bus.  Raises OSError."""
        self._connection = _Direct(connected) if direct else DBusConnection(connected)
        self._direct = direct
        self._version = 0

    @classmethod
    def connect(cls, user: bool) -> Systemd:
        """To the system's manager, or to that of the user whom this process belongs to.  Raises SystemdError."""
        problems = []
        for address, direct in _addresses(user):
            try:
                connected = _authenticated(address)
                try:
                    return cls(connected, direct)
                except BaseException:
                    connected.close()
                    raise
            except (OSError, DBusErrorResponse) as error:
                reason = errno_name(error.errno) if isinstance(error, OSError) and error.errno else str(error)
                problems.append(f"{address}: {reason}")
        if user:
            hint = "log in through PAM, or `loginctl enable-linger`, and set XDG_RUNTIME_DIR; or drop --systemd-cgroup"
            raise SystemdError(f"cannot reach the user's systemd: {', '.join(problems)}", hint)
        hint = "is D-Bus running?" if os.path.isdir(RUNNING) else "systemd is not the init process of this host"
        hint = f"{hint}; without --systemd-cgroup cgroups are managed through cgroupfs"
        raise SystemdError(f"cannot reach systemd: {', '.join(problems)}", hint)

    def __enter__(self) -> Systemd:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._connection.close()

    # -- questions ------------------------------------------------------------------------------------------------

    def version(self) -> int:
        """Its version, such as 252; 0 when it says something strange."""
        if not self._version:
            text = str(self._get("Version")).lstrip("v")
            digits = ""
            for letter in text:
                if not letter.isdigit():
                    break
                digits += letter
            self._version = int(digits or "0")
        return self._version

    def control_group(self) -> str:
        """The cgroup below which it puts units: "" for the root."""
        return str(self._get("ControlGroup")).rstrip("/")

    def alive(self, unit: str) -> bool:
        """Whether a unit of this name is there and not inactive or failed."""
        try:
            (path,) = self._call("GetUnit", "s", (unit,), unit)
            state = self._get("ActiveState", DBusAddress(path, _NAME, f"{_NAME}.Unit"))
        except SystemdError as error:
            if error.name in _ABSENT or error.name.startswith("org.freedesktop.DBus.Error.Unknown"):
                return False
            raise
        return state in _ALIVE

    def properties(self, unit: str, names: list[str]) -> list[Property]:
        """Properties of a scope as they are now.  Raises SystemdError."""
        (path,) = self._call("GetUnit", "s", (unit,), unit)
        of = DBusAddress(path, _NAME, f"{_NAME}.Scope")
        return [(name, self._reply(Properties(of).get(name), "Get", name)[0]) for name in names]

    # -- changes --------------------------------------------------------------------------------------------------

    def start(self, unit: str, properties: list[Property]) -> None:
        """StartTransientUnit, and wait until it has started.

        A dead unit of the same name that is still loaded is reset, and the start tried once more.  Raises StateError
        when one lives, SystemdError when the start fails or takes longer than 30 s.
        """
        body: tuple[Any, ...] = (unit, "replace", properties, [])
        for last in (False, True):
            try:
                result = self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", body, unit)
                break
            except SystemdError as error:
                if error.name != _EXISTS:
                    raise
                if last or self.alive(unit):
                    raise StateError(f"unit {unit} exists already", "another container may use it") from None
                self.reset_failed(unit)
        if result != "done":
            self.reset_failed(unit)
            raise SystemdError(f"start unit {unit}: {result}", f"`journalctl -u {unit}` may say why")

    def set_properties(self, unit: str, properties: list[Property]) -> None:
        """SetUnitProperties until the next boot.  Raises SystemdError."""
        self._call("SetUnitProperties", "sba(sv)", (unit, True, properties), unit)

    def stop(self, unit: str) -> None:
        """StopUnit, wait, and forget a failure; a unit that is gone is fine.  Raises SystemdError."""
        try:
            result = self._job("StopUnit", "ss", (unit, "replace"), unit)
        except SystemdError as error:
            if error.name not in _ABSENT:
                raise
            return
        self.reset_failed(unit)
        if result not in ("done", "skipped"):
            raise SystemdError(f"stop unit {unit}: {result}", f"`systemctl status {unit}` may say why")

    def attach(self, unit: str, pids: list[int]) -> None:
        """AttachProcessesToUnit: what a user may do who may not write to the cgroups between (systemd 238)."""
        self._call("AttachProcessesToUnit", "ssau", (unit, "", pids), unit)

    def reset_failed(self, unit: str) -> None:
        """ResetFailedUnit, so that the name is free again; that there is nothing to reset is fine."""
        try:
            self._call("ResetFailedUnit", "s", (unit,), unit)
        except SystemdError:
            pass

    # -- the protocol ---------------------------------------------------------------------------------------------

    def _job(self, method: str, signature: str, body: tuple[Any, ...], unit: str) -> str:
        """Call a method that starts a job, and wait for the job's result: done, failed, canceled, timeout ..."""
        rule = MatchRule(type="signal", interface=_MANAGER.interface, member="JobRemoved", path=_MANAGER.object_path)
        removed: deque[Message] = deque()
        with self._connection.filter(rule, queue=removed):  # before the call: the signal may come before the reply
            if not self._direct:
                self._reply(message_bus.AddMatch(rule), "AddMatch", unit)
            (job,) = self._call(method, signature, body, unit)
            deadline = time.monotonic() + JOB_SECONDS
            try:
                while True:
                    left = max(deadline - time.monotonic(), 0)
                    message = self._connection.recv_until_filtered(removed, timeout=left)
                    _number, path, _unit, result = message.body
                    if path == job:
                        return str(result)
            except TimeoutError:
                raise SystemdError(
                    f"{_verb(method)} unit {unit}: the job has not ended after {JOB_SECONDS:.0f} s",
                    "`systemctl list-jobs` shows what it waits for",
                ) from None
            except OSError as error:
                raise SystemdError(f"{_verb(method)} unit {unit}: connection lost ({error})") from None

    def _get(self, name: str, of: DBusAddress = _MANAGER) -> Any:
        ((_signature, value),) = self._reply(Properties(of).get(name), "Get", name)
        return value

    def _call(self, method: str, signature: str, body: tuple[Any, ...], unit: str) -> tuple[Any, ...]:
        return self._reply(new_method_call(_MANAGER, method, signature, body), method, unit)

    def _reply(self, message: Message, method: str, what: str) -> tuple[Any, ...]:
        try:
            reply = self._connection.send_and_get_reply(message, timeout=CALL_SECONDS)
            return tuple(unwrap_msg(reply))
        except DBusErrorResponse as error:
            text = error.data[0] if error.data and isinstance(error.data[0], str) else ""
            name = str(error.name)
            short = name.removeprefix(f"{_NAME}.").removeprefix("org.freedesktop.DBus.Error.")
            raise SystemdError(f"{_verb(method)} {what}: {short}: {text}", _hint(short), name) from None
        except TimeoutError:
            raise SystemdError(f"{_verb(method)} {what}: no answer after {CALL_SECONDS:.0f} s") from None
        except OSError as error:
            raise SystemdError(f"{_verb(method)} {what}: connection lost ({error})") from None


def _verb(method: str) -> str:
    return f"systemd's {method} of"


def _hint(error: str) -> str:
    if error in ("AccessDenied", "InteractiveAuthorizationRequired"):
        return "the system's systemd obeys root: an ordinary user needs --rootless"
    if error in ("PropertyReadOnly", "InvalidArgs", "UnknownProperty"):
        return f"is one of the annotations {'org.systemd.property.'}* wrong?"
    return ""


def _addresses(user: bool) -> list[tuple[str, bool]]:
    """Where to try, in this order; whether it is systemd itself.  A leading NUL is an abstract address."""
    variable = "DBUS_SESSION_BUS_ADDRESS" if user else "DBUS_SYSTEM_BUS_ADDRESS"
    given = os.environ.get(variable, "")
    if given:
        try:
            return [(address, False) for address in get_connectable_addresses(given)]
        except (RuntimeError, ValueError) as error:
            raise SystemdError(f"{variable}={given}: {error}", "a unix: address is needed") from None
    if not user:
        return [(SYSTEM_BUS, False), (PRIVATE, True)]
    directory = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{owner()}"
    return [(f"{directory}/bus", False), (f"{directory}/systemd/private", True)]


def owner() -> int:
    """The uid that sockets' peers see: that outside of a user namespace which maps ours (user_namespaces(7))."""
    uid = os.geteuid()
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            for line in file:
                inside, outside, length = map(int, line.split())
                if inside <= uid < inside + length:
                    return outside + uid - inside
    except OSError:
        pass  # no user namespaces
    return uid


def _authenticated(address: str) -> socket.socket:
    """SASL EXTERNAL, as the D-Bus specification has it; jeepney's own gives the uid as seen in our user namespace."""
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.settimeout(CALL_SECONDS)
        connected.connect(address)
        connected.sendall(b"\0AUTH EXTERNAL %b\r\n" % str(owner()).encode().hex().encode())
        answer = b""
        while not answer.endswith(b"\r\n"):
            piece = connected.recv(512)
            if not piece:
                break
            answer += piece
        if not answer.startswith(b"OK "):
            raise OSError(f"authentication refused ({answer.decode('ascii', 'replace').strip()})")
        connected.sendall(b"BEGIN\r\n")
        connected.settimeout(None)
    except BaseException:
        connected.close()
        raise
    return connected
