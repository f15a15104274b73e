"""The runtime under test inside a container of its own: what an engine in a container does.

    outer = nest_bundle(make_bundle(), runtime)                 a bundle whose container can run the runtime
    inner = NestedRuntime(runtime.create(outer), runtime)       a Runtime (driver.py): each command is executed in it

The outer container sees the host's programs and libraries read-only, so that any runtime finds what it needs, and a
directory of the bundle at its own path, where the inner bundles and the inner state are.
"""

from __future__ import annotations

import fcntl
import os
from typing import Any

from seatrial.conformance.driver.bundle import Bundle, Workshop
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result, Stream, alive
from seatrial.conformance.driver.ordinary import trees_of
from seatrial.conformance.engine.needs import CAPABILITIES, effective_capabilities
from seatrial.conformance.errors import Finding

NEST = "nest"  # of the outer bundle
PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")
# Streams into files of the outer container: a runtime whose exec copies them through pipes waits for all who hold them.
TO_FILES = 'exec "$@" >"$0.out" 2>"$0.err"'
NS_GET_PARENT = 0xB702  # ioctl_ns(2)


def nest_bundle(bundle: Bundle, runtime: Runtime) -> Bundle:
    """Give a bundle what a runtime in its container needs: programs, capabilities, devices, and cgroups of its own to
    write to.  Its program waits; what it starts is for `exec`."""
    for path in PROGRAMS:
        if os.path.islink(path):
            bundle.symlink(os.readlink(path), path)
        elif os.path.isdir(path):
            bundle.mount(path, "bind", path, "rbind", "ro")
    for path in FILES:
        if os.path.exists(path):
            bundle.mount(path, "bind", path, "rbind", "ro")
    for tree in dict.fromkeys(trees_of(runtime.path)):
        if not tree.startswith(("/usr/", "/bin", "/sbin", "/lib")):
            bundle.mount(tree, "bind", tree, "rbind", "ro")
    nest = bundle.outside(NEST)
    os.mkdir(nest)
    bundle.mount(nest, "bind", nest, "rbind", "rw")
    bundle.mount("/run", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=755")
    bundle.process["env"] += ["HOME=/root", f"XDG_RUNTIME_DIR={nest}"]
    bundle.process["noNewPrivileges"] = False
    bits = effective_capabilities()
    held = [f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if bits >> number & 1]
    bundle.process["capabilities"] = {name: list(held) for name in ("bounding", "effective", "permitted")}
    linux = bundle.linux
    linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
    linux["maskedPaths"] = linux["readonlyPaths"] = []
    bundle.namespace("cgroup")
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/sys/fs/cgroup":
            mount["options"].remove("ro")
    return bundle.probe("hold", report=False)


class NestedRuntime(Runtime):
    """The runtime in a running container; its state and bundles are in the outer bundle's directory `nest`."""

    def __init__(self, outer: Container, runtime: Runtime) -> None:
        directory = outer.bundle.outside(NEST)
        workshop = Workshop(os.path.join(directory, "bundles"), f"{outer.id}-in")
        super().__init__(runtime.path, directory, workshop, timeout=runtime.timeout)
        self.outer = outer
        self._count = 0
        self.env = dict(runtime.env)  # of the outer runtime; what is inside has the outer container's

    def argv(self, *words: str) -> list[str]:
        """The command line: the outer runtime's `exec` of the same runtime."""
        outside = self.outer.runtime
        shell = ["/bin/sh", "-c", TO_FILES, self._output()]
        return [*outside.argv("--root", outside.root, "exec", self.outer.id), *shell, *super().argv(*words)]

    def _output(self) -> str:
        return os.path.join(self.directory, f"said-{self._count}")

    def command(self, *words: str, **options: Any) -> Result:
        """As Runtime.command(): the streams are those of the runtime inside."""
        self._count += 1
        result = super().command(*words, **options)
        out, err = (_taken(f"{self._output()}.{name}", self.directory) for name in ("out", "err"))
        if out is not None and err is not None:
            result.stdout, result.stream = out.read(), out
            result.stderr = err.read() + result.stderr
        return result

    def host_pid(self, pid: int) -> int:
        """The pid, as we see it, of a process that the inner runtime calls `pid`.  Finding when there is none."""
        space = os.stat(f"/proc/{self.outer.pid}/ns/pid").st_ino
        depth = len(_namespace_pids(self.outer.pid)) - 1
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    numbers = _namespace_pids(int(entry))
                    if len(numbers) > depth and numbers[depth] == pid and is_below(int(entry), space):
                        return int(entry)
                except OSError:
                    continue  # it has just ended
        raise Finding(f"the inner runtime speaks of process {pid}, which is not in the outer container")


def _taken(path: str, directory: str) -> Stream | None:
    """The file that a command wrote, without its name; None when it never came to that."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    stream = Stream(directory)
    os.dup2(fd, stream.fd, inheritable=False)
    os.close(fd)
    os.unlink(path)
    return stream


def _namespace_pids(pid: int) -> list[int]:
    """The pids of a process in each pid namespace from ours on (NSpid of proc_pid_status(5))."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return [int(word) for word in line.split()[1:]]
    return []


def is_below(pid: int, space: int) -> bool:
    """Whether a process's pid namespace is the one with this inode number, or inside it (ioctl_ns(2))."""
    fd = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    while True:
        try:
            if os.fstat(fd).st_ino == space:
                return True
            parent = fcntl.ioctl(fd, NS_GET_PARENT)
        except OSError:
            return False  # EPERM: the next one is above ours
        finally:
            os.close(fd)
        fd = parent


def descendants(outer: Container) -> set[int]:
    """Every process in the outer container and in containers in it, as we see them, without zombies."""
    space = os.stat(f"/proc/{outer.pid}/ns/pid").st_ino
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if alive(int(entry)) and is_below(int(entry), space):
                    found.add(int(entry))
            except OSError:
                continue
    return found
