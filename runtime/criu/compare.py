"""Whether a config.json fits an image.

CRIU restores what was dumped, whatever config.json says.  What the restored container would then lack, or have
unasked, is refused; other differences have no effect and are warnings.  Sources of bind mounts, paths of namespaces to
join, limits and hooks are those of the new config.json and may differ.
"""

from __future__ import annotations

from seatrial.runtime.criu.mounts import key_of
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.mount_options import MS_BIND, MS_RDONLY, MS_REMOUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.runtime.config import Config, Mount

# (JSON path, Config member): confinement that a restored container must not lack.
_MEMBERS = (
    ("root.readonly", "readonlyfs"),
    ("linux.uidMappings", "uid_mappings"),
    ("linux.gidMappings", "gid_mappings"),
    ("linux.timeOffsets", "time_offsets"),
)
_SETS = (("linux.maskedPaths", "mask_paths"), ("linux.readonlyPaths", "readonly_paths"))
# What the image decides.
_IGNORED = (
    ("process", "process"),
    ("process.capabilities", "capabilities"),
    ("process.rlimits", "rlimits"),
    ("process.noNewPrivileges", "no_new_privileges"),
    ("process.oomScoreAdj", "oom_score_adj"),
    ("process.scheduler", "scheduler"),
    ("process.ioPriority", "io_priority"),
    ("linux.seccomp", "seccomp"),
    ("linux.sysctl", "sysctl"),
    ("linux.personality", "personality"),
    ("hostname", "hostname"),
    ("domainname", "domainname"),
)


# The same, unless CRIU is told of another one.
_LABELS = (("process.apparmorProfile", "apparmor_profile"), ("process.selinuxLabel", "process_label"))
_MOUNT_LABELS = (("linux.mountLabel", "mount_label"),)


def compare(
    image: Config,
    config: Config,
    warn: Callable[[str], None],
    *,
    profile_given: bool = False,
    context_given: bool = False,
) -> None:
    """Check a config against the one of the image.  Raises ConfigError, which names the member and both values.

    `profile_given`, `context_given`: CRIU gives processes, mounts other labels than those of the image.
    """
    _namespaces(image, config)
    _mounts(image, config)
    before, after = image.to_json(), config.to_json()
    labels = (() if profile_given else _LABELS) + (() if context_given else _MOUNT_LABELS)
    for path, member in _MEMBERS + labels:
        if getattr(image, member) != getattr(config, member):
            had, has = _shown(before.get(member)), _shown(after.get(member))
            raise ConfigError(path, f"the image was made with {had}, config.json has {has}")
    for path, member in _SETS:
        was, is_now = set(getattr(image, member)), set(getattr(config, member))
        if was != is_now:
            raise ConfigError(path, _difference(was, is_now))
    terminal = [each.process is not None and each.process.terminal for each in (image, config)]
    if terminal[0] != terminal[1]:
        raise ConfigError("process.terminal", f"the image was made with {_shown(terminal[0])}")
    differs = [path for path, member in _IGNORED if getattr(image, member) != getattr(config, member)]
    if differs:
        warn(f"the restored container keeps what was dumped; config.json differs in {', '.join(differs)}")


def _namespaces(image: Config, config: Config) -> None:
    """The same types, new and joined ones.  CRIU puts everything into a time namespace of its own, asked or not."""
    had, has = (
        {f"{each.type}{' (joined)' if each.path else ''}" for each in one.namespaces if each.type != "time"}
        for one in (image, config)
    )
    if had != has:
        raise ConfigError("linux.namespaces", _difference(had, has))


def _mounts(image: Config, config: Config) -> None:
    had, has = ({_mount(mount) for mount in one.mounts} for one in (image, config))
    if had != has:
        raise ConfigError("mounts", _difference(had, has))


def _mount(mount: Mount) -> str:
    kind = "bind" if mount.flags & MS_BIND else "remount" if mount.flags & MS_REMOUNT else mount.fstype
    return f"{kind} on {key_of(mount.destination)}{' read-only' if mount.flags & MS_RDONLY else ''}"


def _difference(had: set[str], has: set[str]) -> str:
    parts = []
    if had - has:
        parts.append(f"the image has {', '.join(sorted(had - has))}, config.json has not")
    if has - had:
        parts.append(f"config.json has {', '.join(sorted(has - had))}, the image has not")
    return "; ".join(parts)


def _shown(value: object) -> str:
    """A JSON value, cut where it is long; a member that is not there has its default."""
    from seatrial.runtime.document import dumps

    text = "the default" if value is None else dumps(value)
    return text if len(text) <= 120 else text[:120] + "..."
