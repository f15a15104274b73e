"""A container's cgroup as a transient scope of systemd (--systemd-cgroup): StartTransientUnit in the place of mkdir.

A scope needs a process to exist.  So the executor is spawned outside, waits at its first operation (sync CGROUP), and
`join` gives its pid to systemd, which makes the cgroup and moves it there: no birth by CLONE_INTO_CGROUP for `create`,
but for `exec`, when the cgroup is there.  What systemd does not do is done through cgroupfs, in the same directories:
limits without a property, device programs, freezing, killing, and on v1 the hierarchies that systemd leaves alone.

Limits are told to systemd first, then written to the files, as it would write its own idea of them on a daemon-reload.
"""

from __future__ import annotations

from seatrial.runtime.cgroup import systemd_properties
from seatrial.runtime.cgroup.cgroup import Cgroup
from seatrial.runtime.cgroup.hierarchy import V2, Hierarchy
from seatrial.runtime.cgroup.place import V1_ORDER
from seatrial.runtime.cgroup.systemd_path import cgroup_name, expand, unit_for
from seatrial.runtime.cgroup.v1 import CgroupV1
from seatrial.runtime.cgroup.v2 import CgroupV2
from seatrial.runtime.errors import SeatrialError, StateError, SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cgroup.systemd_bus import Systemd
    from seatrial.runtime.cgroup.systemd_properties import Property
    from seatrial.runtime.cgroup.undo import Undo
    from seatrial.runtime.config import Config, DeviceRule, Resources


class Scope(Cgroup):
    """What the scopes on v1 and on v2 have in common."""

    __slots__ = ("_absent", "_start_properties", "_told", "slice", "unit", "user")

    def __init__(self, paths: dict[str, str], unit: str, user: bool) -> None:
        super().__init__(paths)
        self.unit = unit
        self.user = user  # of the user's manager, not of the system's
        self.slice = ""  # known to who creates
        self._start_properties: list[Property] = []  # the same
        self._absent = False  # from `create` to `join`
        self._told = False  # from `join` to `apply`: systemd knows the limits and devices

    def systemd(self) -> Systemd:
        """A connection to the manager.  Raises SystemdError, or SeatrialError where jeepney is not installed."""
        try:
            from seatrial.runtime.cgroup.systemd_bus import Systemd
        except ImportError as error:
            raise SeatrialError(f"--systemd-cgroup needs the library jeepney: {error}", "pip install jeepney") from None
        return Systemd.connect(self.user)

    def prepare(self, config: Config, id: str) -> None:
        """Before `create`: what the unit is to have.  Raises ConfigError for annotations that are no properties."""
        self.slice = unit_for(config.cgroups.path, id, self.user)[0]
        self._start_properties = [
            ("Description", ("s", f"seatrial container {id}")),
            ("Slice", ("s", self.slice)),
            ("Delegate", ("b", True)),
            ("MemoryAccounting", ("b", True)),
            ("CPUAccounting", ("b", True)),
            ("IOAccounting" if self.version == 2 else "BlockIOAccounting", ("b", True)),
            ("TasksAccounting", ("b", True)),
            ("DefaultDependencies", ("b", False)),  # not stopped early at shutdown: engines stop their containers
            *systemd_properties.devices(config.cgroups.resources.devices),
        ]
        given = systemd_properties.annotated(config.annotations)
        names = {name for name, _ in given}
        self._start_properties = [each for each in self._start_properties if each[0] not in names] + given

    def create(self, resources: Resources | None = None) -> None:
        """Nothing yet but to see that the name is free.  Raises StateError, SystemdError."""
        with self.systemd() as systemd:
            if systemd.alive(self.unit):
                raise StateError(f"unit {self.unit} exists already", "another container may use it")
            if resources is not None:
                known = {name for name, _ in self._start_properties}
                limits = systemd_properties.limits(resources, self.version, systemd.version())
                self._start_properties += [each for each in limits if each[0] not in known]
        self._refuse_frozen()
        self._absent = True

    def fd(self) -> int:
        return -1 if self._absent else super().fd()

    def tasks(self) -> list[int]:
        return [] if self._absent else super().tasks()

    def join(self, pid: int) -> None:
        """Start the scope with the process in it; later: move one there.  Raises StateError for a name in use."""
        if not self._absent:
            self._join_later(pid)
            return
        with self.systemd() as systemd:
            systemd.start(self.unit, [*self._start_properties, ("PIDs", ("au", [pid]))])
        made: list[str] = []
        for directory in self.directories():
            self._create_one(directory, made, None)
        self._absent, self._told = False, True
        super().join(pid)

    def _join_later(self, pid: int) -> None:
        """An ordinary user may write to the scope, but not to the cgroup that is above it and the caller's both."""
        try:
            super().join(pid)
        except SyscallError:
            if not self.user:
                raise
            self.attach(pid)

    def attach(self, pid: int) -> None:
        """Let systemd move a process into the scope.  Raises SystemdError."""
        with self.systemd() as systemd:
            systemd.attach(self.unit, [pid])

    def apply(self, resources: Resources) -> None:
        """The files; systemd has been told when the scope started, or by `change`."""
        super().apply(resources)
        self._told = False

    def change(self, resources: Resources) -> Undo:
        """The files, which are refused at once when the kernel does not like a value; systemd; the files again.

        For systemd writes its own idea of the limits too, which is coarser: a quota in whole percents.
        """
        undo = super().change(resources)
        try:
            with self.systemd() as systemd:
                properties = systemd_properties.limits(resources, self.version, systemd.version())
                if properties:
                    before = systemd.properties(self.unit, [name for name, _ in properties])
                    systemd.set_properties(self.unit, properties)
                    undo.also(lambda: self._set_properties(before))
                    super().apply(resources.replace(devices=[]))
        except SeatrialError as error:
            error.add_hints(*undo.run())
            raise
        return undo

    def _set_properties(self, properties: list[Property]) -> None:
        with self.systemd() as systemd:
            systemd.set_properties(self.unit, properties)

    def apply_devices(self, rules: list[DeviceRule]) -> None:
        if not self._told:
            self._set_properties(systemd_properties.devices(rules))
        super().apply_devices(rules)

    def remove(self) -> None:
        """Stop the unit and forget its failure, then remove what systemd leaves."""
        with self.systemd() as systemd:
            systemd.stop(self.unit)
        super().remove()


class ScopeV2(Scope, CgroupV2):
    """A scope in the unified hierarchy."""

    __slots__ = ()


class ScopeV1(Scope, CgroupV1):
    """A scope on a v1 or hybrid host."""

    __slots__ = ()

    def apply_devices(self, rules: list[DeviceRule]) -> None:
        """Frozen meanwhile: systemd denies everything for a moment before it allows what the rules say."""
        frozen = self._told or self.frozen()
        if not frozen:
            self.freeze()
        try:
            super().apply_devices(rules)
        finally:
            if not frozen:
                self.thaw()


def scope(paths: dict[str, str], unit: str, user: bool) -> Scope:
    """The scope that state.json tells of."""
    return ScopeV2(dict(paths), unit, user) if list(paths) == [""] else ScopeV1(dict(paths), unit, user)


def place_scope(config: Config, id: str, hierarchy: Hierarchy) -> Scope:
    """The scope of a new container; nothing is started yet.

    Raises ConfigError (linux.cgroupsPath, annotations), SystemdError; SeatrialError for a user's scope on v1.
    """
    user = config.rootless_cgroups
    slice, unit = unit_for(config.cgroups.path, id, user)
    if not hierarchy.mode:
        raise SeatrialError("no cgroup hierarchy is mounted", "mount cgroup2 on /sys/fs/cgroup")
    below = "/".join(part for part in (expand(slice), cgroup_name(unit)) if part)
    if hierarchy.mode != V2:
        if user:
            raise SeatrialError(
                "a user's systemd manages no cgroups of version 1", "leave --systemd-cgroup out, or boot with cgroup v2"
            )
        names = [name for name in V1_ORDER if name in hierarchy.v1]
        names += sorted(name for name in hierarchy.v1 if name not in V1_ORDER)
        paths = {name: f"{hierarchy.v1[name].mount_point}/{below}" for name in names}
        if hierarchy.v2 is not None:
            paths[""] = f"{hierarchy.v2.mount_point}/{below}"
    else:
        assert hierarchy.v2 is not None
        paths = {"": f"{hierarchy.v2.mount_point}/{below}"}
    found = scope(paths, unit, user)
    if user:
        with found.systemd() as systemd:
            top = systemd.control_group()
        assert hierarchy.v2 is not None
        found.paths = {"": f"{hierarchy.v2.mount_point}{top}/{below}"}
    found.prepare(config, id)
    return found
