"""New limits for a container that exists: `Container.set`, and `update` of the command line.

What is given replaces what state.json remembers; what is not given stays, in the kernel and in state.json.  Only what
is given is written, plus the values that the kernel or the conversion ties to it (`to_write`).
"""

from __future__ import annotations

from seatrial.runtime.config import Config, Resources
from seatrial.runtime.errors import SeatrialError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.log import Log
    from seatrial.runtime.state import State, StateDirectory

# Lists that are merged entry by entry, with what tells entries apart.
_KEYS = {
    "blkio_weight_devices": ("major", "minor"),
    "blkio_read_bps": ("major", "minor"),
    "blkio_write_bps": ("major", "minor"),
    "blkio_read_iops": ("major", "minor"),
    "blkio_write_iops": ("major", "minor"),
    "hugepage_limits": ("page_size",),
    "net_priorities": ("name",),
}


def update(directory: StateDirectory, state: State, change: Config | Resources, log: Log) -> Config:
    """Apply a change to the container's cgroup and save it; the configuration as it is now.

    All or nothing: when something fails, the limits that were there before are back, also if only state.json cannot
    be written.  The caller holds the container's lock.  Raises ConfigError, UsageError, StateError, SyscallError.
    """
    from seatrial.runtime.cgroup.place import of_container
    from seatrial.runtime.validate_resources import validate_cgroups

    before = Config.from_json(state.config)
    if isinstance(change, Config):
        given, after = change.cgroups.resources, change.copy()
        _check_the_rest(before, change)
    else:
        given = change
        after = before.copy()
        after.cgroups.resources = merged(before.cgroups.resources, change)
    validate_cgroups(after)
    if not state.cgroup_paths:
        raise SeatrialError(f"container {state.id} has no cgroup", "its limits cannot be set")
    rules = given.devices if given.devices != before.cgroups.resources.devices else []
    cgroup = of_container(state, tolerant=state.rootless and not before.cgroups.path)
    write = to_write(given, after.cgroups.resources, cgroup.version, systemd=bool(state.systemd_unit))
    undo = cgroup.change(write)
    old, state.config = state.config, after.to_json()
    try:
        if rules:
            cgroup.apply_devices(rules)
        directory.save(state)
    except SeatrialError:
        state.config = old
        for problem in undo.run():
            log.warning(problem)
        if rules and before.cgroups.resources.devices:
            try:
                cgroup.apply_devices(before.cgroups.resources.devices)
            except SeatrialError as error:
                log.warning(f"the device rules could not be taken back: {error}")
        raise
    return after


def _check_the_rest(before: Config, after: Config) -> None:
    """A container that exists changes nothing but its limits."""
    old: dict[str, Any] = before.to_json()
    new = after.to_json()
    for document in (old, new):
        document.get("cgroups", {}).pop("resources", None)
    for name in sorted(old.keys() | new.keys()):
        if (old.get(name) or {}) != (new.get(name) or {}):
            raise UsageError(f"{name} of a container that exists cannot change", "set takes limits only")


def merged(stored: Resources, given: Resources) -> Resources:
    """`stored` with what `given` says in its place.  Lists are merged by device, page size or interface."""
    result = stored.copy()
    for name, default in Resources._fields.items():
        value = getattr(given, name)
        if value == default:
            continue
        if name in _KEYS:
            value = _merged_list(getattr(stored, name), value, _KEYS[name])
        elif name in ("rdma", "unified"):
            value = getattr(stored, name) | value
        setattr(result, name, value)
    result.memory_check_before_update = given.memory_check_before_update  # it is about one update, not about the next
    if given.memory_limit == -1 and given.memory_swap is None:
        result.memory_swap = None  # memory without a limit and a limit of memory + swap contradict each other
    return result.copy()


def _merged_list(stored: list[Any], given: list[Any], key: tuple[str, ...]) -> list[Any]:
    entries = {tuple(getattr(entry, name) for name in key): entry for entry in stored}
    for entry in given:
        identity = tuple(getattr(entry, name) for name in key)
        old = entries.get(identity)
        # An entry of weights may give one of its two.
        entries[identity] = entry if old is None or key[-1] != "minor" else _filled(old, entry)
    return list(entries.values())


def _filled(old: Any, new: Any) -> Any:
    return old.replace(**{name: getattr(new, name) for name in new._fields if getattr(new, name) is not None})


def to_write(given: Resources, after: Resources, version: int, *, systemd: bool = False) -> Resources:
    """What has to be written: the values given, and those that hang together with them.

    swap     OCI's includes memory: v2's limit of swap alone is another one when the limit of memory is
    shares   the kernel resets the weight of a cgroup that ceases to be idle
    systemd  has one property for quota and period, and one for swap alone: it needs to be told both values
    """
    result = given.copy()
    if version == 2 and given.memory_limit is not None:
        result.memory_swap = after.memory_swap
    if given.cpu_idle == 0:
        result.cpu_shares = after.cpu_shares
    if systemd and (given.cpu_quota is not None or given.cpu_period is not None):
        result.cpu_quota, result.cpu_period = after.cpu_quota, after.cpu_period
    if systemd and version == 2 and given.memory_swap is not None:
        result.memory_limit = after.memory_limit
    return result
