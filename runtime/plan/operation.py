"""Operations of a plan: one class, and one typed constructor for each entry of `seatrial.native.operations`.

The constructors' parameters are the table's arguments in the table's order; a unit test holds the two together.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Value = int | str | bytes | Sequence[str] | Sequence[int]


class Operation:
    """One instruction: its name in the table and its argument values, in the table's order."""

    __slots__ = ("name", "values")

    def __init__(self, name: str, *values: Value) -> None:
        self.name = name
        self.values = values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Operation):
            return NotImplemented
        return self.name == other.name and self.values == other.values

    def __hash__(self) -> int:
        return hash((self.name, repr(self.values)))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.arguments().items())
        return f"{self.name}({arguments})"

    def arguments(self) -> dict[str, Value]:
        """Argument name -> value."""
        from seatrial.runtime.plan.encode import argument_names

        return dict(zip(argument_names(self.name), self.values, strict=True))

    def replace(self, **changes: Value) -> Operation:
        """A copy with some arguments changed.  Raises TypeError for a name that the operation does not have."""
        arguments = self.arguments()
        unknown = [name for name in changes if name not in arguments]
        if unknown:
            raise TypeError(f"{self.name} has no argument {', '.join(unknown)}")
        arguments.update(changes)
        return Operation(self.name, *arguments.values())

    def describe(self) -> str:
        """One line: what is done to what.  ``mount proc on /proc (type proc, nosuid,nodev,noexec)``."""
        from seatrial.runtime.plan.description import describe

        return describe(self)

    def title(self) -> str:
        """`describe` without the parenthesis of details: the form for error messages."""
        from seatrial.runtime.plan.description import title

        return title(self)


# -- talking to the parent, birth, namespaces --------------------------------------------------------------------------


def sync(point: int) -> Operation:
    return Operation("sync", point)


def setns(fd: int, type: int) -> Operation:
    return Operation("setns", fd, type)


def unshare(flags: int) -> Operation:
    return Operation("unshare", flags)


def clone(flags: int) -> Operation:
    return Operation("clone", flags)


def timens_offsets(offsets: str) -> Operation:
    return Operation("timens_offsets", offsets)


def become_root(setgroups: int) -> Operation:
    return Operation("become_root", setgroups)


def nondumpable() -> Operation:
    return Operation("nondumpable")


def death_signal(signal: int) -> Operation:
    return Operation("death_signal", signal)


def setsid() -> Operation:
    return Operation("setsid")


def session_keyring(name: str, grant: int) -> Operation:
    return Operation("session_keyring", name, grant)


def oom_score_adj(value: int) -> Operation:
    return Operation("oom_score_adj", value)


def loopback_up() -> Operation:
    return Operation("loopback_up")


def hostname(name: str) -> Operation:
    return Operation("hostname", name)


def domainname(name: str) -> Operation:
    return Operation("domainname", name)


def reset_affinity() -> Operation:
    return Operation("reset_affinity")


# -- the root and its mounts -------------------------------------------------------------------------------------------


def propagation(path: str, flags: int) -> Operation:
    return Operation("propagation", path, flags)


def parent_private(path: str) -> Operation:
    return Operation("parent_private", path)


def open_root(path: str, bind: int) -> Operation:
    return Operation("open_root", path, bind)


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "", mode: int = 0) -> Operation:
    return Operation("mount", source, target, fstype, flags, data, mode)


def bind(source: str, target: str, recursive: int = 0) -> Operation:
    return Operation("bind", source, target, recursive)


def bind_mapped(source: str, target: str, recursive: int, uids: str, gids: str, map_recursive: int) -> Operation:
    return Operation("bind_mapped", source, target, recursive, uids, gids, map_recursive)


def bind_inside(source: str, target: str, recursive: int = 0) -> Operation:
    return Operation("bind_inside", source, target, recursive)


def remount(target: str, set: int, clear: int = 0, data: str = "", bind: int = 1) -> Operation:
    return Operation("remount", target, set, clear, data, bind)


def mount_attr(target: str, set: int, clear: int, recursive: int = 1) -> Operation:
    return Operation("mount_attr", target, set, clear, recursive)


def propagate(target: str, flags: int) -> Operation:
    return Operation("propagate", target, flags)


def copy_up(target: str, flags: int, data: str) -> Operation:
    return Operation("copy_up", target, flags, data)


def mkdir(target: str, mode: int = 0o755) -> Operation:
    return Operation("mkdir", target, mode)


def mknod(target: str, mode: int, device: int, uid: int = 0, gid: int = 0) -> Operation:
    return Operation("mknod", target, mode, device, uid, gid)


def bind_device(source: str, target: str) -> Operation:
    return Operation("bind_device", source, target)


def symlink(text: str, target: str, replace: int = 0) -> Operation:
    return Operation("symlink", text, target, replace)


def mask(target: str) -> Operation:
    return Operation("mask", target)


def readonly(target: str) -> Operation:
    return Operation("readonly", target)


def pivot_root() -> Operation:
    return Operation("pivot_root")


def move_root() -> Operation:
    return Operation("move_root")


def chroot() -> Operation:
    return Operation("chroot")


def sysctl(key: str, value: str) -> Operation:
    return Operation("sysctl", key, value)


def null_stdio() -> Operation:
    return Operation("null_stdio")


def console(width: int, height: int, uid: int, mount: int) -> Operation:
    return Operation("console", width, height, uid, mount)


# -- security modules --------------------------------------------------------------------------------------------------


def apparmor(profile: str) -> Operation:
    return Operation("apparmor", profile)


def selinux(what: int, label: str) -> Operation:
    return Operation("selinux", what, label)


def relabel(target: str, label: str) -> Operation:
    return Operation("relabel", target, label)


def mask_label(label: str) -> Operation:
    return Operation("mask_label", label)


# -- the process -------------------------------------------------------------------------------------------------------


def umask(mask: int) -> Operation:
    return Operation("umask", mask)


def rlimit(resource: int, soft: int, hard: int) -> Operation:
    return Operation("rlimit", resource, soft, hard)


def personality(domain: int) -> Operation:
    return Operation("personality", domain)


def scheduler(
    policy: int, nice: int = 0, priority: int = 0, flags: int = 0, runtime: int = 0, deadline: int = 0, period: int = 0
) -> Operation:
    return Operation("scheduler", policy, nice, priority, flags, runtime, deadline, period)


def io_priority(value: int) -> Operation:
    return Operation("io_priority", value)


def memory_policy(mode: int, nodes: Sequence[int]) -> Operation:
    return Operation("memory_policy", mode, nodes)


def no_new_privs() -> Operation:
    return Operation("no_new_privs")


def bounding(keep: int) -> Operation:
    return Operation("bounding", keep)


def keep_caps(on: int) -> Operation:
    return Operation("keep_caps", on)


def stdio_owner(uid: int) -> Operation:
    return Operation("stdio_owner", uid)


def groups(gids: Sequence[int]) -> Operation:
    return Operation("groups", gids)


def identity(uid: int, gid: int) -> Operation:
    return Operation("identity", uid, gid)


def capset(effective: int, permitted: int, inheritable: int) -> Operation:
    return Operation("capset", effective, permitted, inheritable)


def ambient(raised: int) -> Operation:
    return Operation("ambient", raised)


def chdir(target: str, create: int = 0) -> Operation:
    return Operation("chdir", target, create)


def chdir_retry(target: str) -> Operation:
    return Operation("chdir_retry", target)


def seccomp(filter: bytes, flags: int = 0, notify: int = 0) -> Operation:
    return Operation("seccomp", filter, flags, notify)


def home(uid: int) -> Operation:
    return Operation("home", uid)


def find(file: str) -> Operation:
    return Operation("find", file)


def environment(env: Sequence[str]) -> Operation:
    return Operation("environment", env)


def hook(
    name: str, path: str, args: Sequence[str], env: Sequence[str], timeout: int, before_pid: bytes, after_pid: bytes
) -> Operation:
    return Operation("hook", name, path, args, env, timeout, before_pid, after_pid)


def gate(fd: int) -> Operation:
    return Operation("gate", fd)


def close_fds(keep: int) -> Operation:
    return Operation("close_fds", keep)


def exec(args: Sequence[str]) -> Operation:
    return Operation("exec", args)


def user(user: str, group: str) -> Operation:
    return Operation("user", user, group)


def affinity(cpus: bytes) -> Operation:
    return Operation("affinity", cpus)


def enter_root(fd: int) -> Operation:
    return Operation("enter_root", fd)
