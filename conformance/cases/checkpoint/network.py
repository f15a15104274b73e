"""A network namespace that is there before the container and after it, as engines make one."""

from __future__ import annotations

import subprocess

from seatrial.conformance.errors import EnvironmentProblem

SCRIPT = "ip link set lo up && ip address add 10.11.12.13/32 dev lo && echo ready && exec cat"


class LastingNetwork:
    """In a with statement there is a network namespace with a loopback device that is up; `path` leads to it."""

    def __enter__(self) -> LastingNetwork:
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != "ready\n":
            self._keeper.communicate("")
            raise EnvironmentProblem("cannot make a network namespace whose loopback device is up")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._keeper.communicate("")

    @property
    def path(self) -> str:
        """For linux.namespaces[].path."""
        return f"/proc/{self._keeper.pid}/ns/net"
