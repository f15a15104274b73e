"""Start a program from a descriptor without running Python in the child."""

from __future__ import annotations

from seatrial.native._native import ffi, lib
from seatrial.native.syscall import encoded, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS = {
    lib.SPAWN_CHDIR: "chdir",
    lib.SPAWN_DUP: "dup3",
    lib.SPAWN_CLOSE: "close_range",
    lib.SPAWN_EXEC: "execveat",
    lib.SPAWN_TASKS: "write",
}


def _block(strings: Sequence[bytes], what: str) -> bytes:
    block = b"\0".join(strings) + b"\0" if strings else b""
    if block.count(0) != len(strings):
        raise ValueError(f"NUL in {what}")
    return block


def spawn(
    program_fd: int,
    argv: Sequence[bytes],
    env: Sequence[bytes],
    fds: Sequence[tuple[int, int]],
    *,
    cgroup_fd: int = -1,
    tasks: Sequence[int] = (),
    flags: int = 0,
    cwd: str | bytes | None = None,
    classic: bool = False,
) -> tuple[int, int]:
    """Execute the file behind `program_fd` in a new child; (pid, pidfd).

    fds: (number in the child, descriptor here); every other descriptor is closed in the child, 0 to 2 included.
    flags: CLONE_NEW* only.  cgroup_fd: an open directory of a v2 hierarchy for CLONE_INTO_CGROUP (Linux 5.7).
    tasks: descriptors of `tasks` files of v1 hierarchies, open for writing; the child enters these cgroups first of
    all, some 10 ms faster than its pid is written to cgroup.procs (Linux 5.17: no global lock).
    classic: clone(2) in place of clone3(2), which takes neither cgroup_fd nor CLONE_NEWTIME.
    The child starts with no signal blocked or ignored, in `cwd` (default: ours).  The pidfd is -1 only with `classic`
    on a kernel without pidfds (before 5.2).  The caller reaps the child.

    The calling thread sleeps until the program runs: do not place a child in a frozen cgroup.

    Raises OSError whose call (`syscall.call_of`) is the step that failed: clone3 or clone (no child was made); write,
    to a `tasks` file, chdir, dup3, close_range or execveat (the child is reaped already).  ESRCH: the child was killed
    before its exec.
    A script (#!) needs a program_fd that is not a memory file without a path and fails with ENOENT: execveat(2).
    ValueError for a NUL in argv, env or cwd, or for two equal numbers in fds.
    """
    if not argv:
        raise ValueError("argv is empty")
    arguments = _block(argv, "argv")
    environment = _block(env, "env")
    numbers = [number for pair in fds for number in pair]
    if min(numbers, default=0) < 0 or len(set(numbers[::2])) != len(fds):
        raise ValueError(f"descriptors {fds!r}")
    result = ffi.new("int[3]")
    error = lib.seatrial_spawn(
        program_fd, arguments, len(arguments), environment, len(environment), numbers, len(fds), list(tasks),
        len(tasks), cgroup_fd, flags, ffi.NULL if cwd is None else encoded(cwd), classic, result,
    )  # fmt: skip
    if error < 0:
        call = _STEPS.get(result[2], "clone" if classic else "clone3")
        objects = {"chdir": cwd, "write": "0 to a cgroup's tasks"}
        raise failure(-error, call, objects.get(call, argv[0].decode(errors="replace")))
    return result[0], result[1]
