"""A network namespace for one case: what the case and the runtime that it starts see as the host's network."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Self

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.native import syscall


class HostNetwork:
    """In a with statement the calling thread, and every command that it starts, is in a new network namespace: no
    device of the real host takes part in a trial.  ip(8) does the work there."""

    def __enter__(self) -> HostNetwork:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscall.unshare(syscall.CLONE_NEWNET)
        except OSError as error:
            os.close(self._home)
            raise EnvironmentProblem(f"cannot make a network namespace: {error}") from error
        return self

    def __exit__(self, *_exception: object) -> None:
        syscall.setns(self._home, syscall.CLONE_NEWNET)
        os.close(self._home)

    def ip(self, *words: str) -> str:
        """The output of ip(8); EnvironmentProblem when it fails."""
        return _output(["ip", *words])

    def pair(self, name: str, peer: str) -> None:
        """Make two devices that are connected, both down."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", peer)

    def devices(self) -> dict[str, dict[str, Any]]:
        """What `ip -json address` tells about each device, by its name."""
        return {entry["ifname"]: entry for entry in json.loads(self.ip("-json", "address"))}


class KeptNetwork:
    """A network namespace that a process of ours keeps, as `script` (of sh) has made it, for containers to join."""

    def __init__(self, script: str) -> None:
        self._script = script
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", f"{script} && echo ready && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != "ready\n":
            self._keeper.communicate("")
            raise EnvironmentProblem(f"cannot make a network namespace: {self._script}")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._keeper.communicate("")

    @property
    def path(self) -> str:
        """For linux.namespaces[].path."""
        return f"/proc/{self._keeper.pid}/ns/net"


class OtherNetwork(KeptNetwork):
    """One with two devices of the names given."""

    def __init__(self, name: str, peer: str) -> None:
        super().__init__(f"ip link add {name} type veth peer name {peer}")

    def ip(self, *words: str) -> str:
        """As HostNetwork.ip."""
        return _output(["nsenter", f"--net={self.path}", "ip", *words])

    def devices(self) -> dict[str, dict[str, Any]]:
        """As HostNetwork.devices."""
        return {entry["ifname"]: entry for entry in json.loads(self.ip("-json", "address"))}


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise EnvironmentProblem(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
