"""A network namespace for one test: the calling thread and the commands that it starts are in it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from seatrial.native import syscall


class PrivateNetwork:
    """Use it in a with statement.  Commands run by `ip` and by the test see the namespace and nothing of the host's."""

    def __enter__(self) -> PrivateNetwork:
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        syscall.unshare(syscall.CLONE_NEWNET)
        return self

    def __exit__(self, *_exception: object) -> None:
        syscall.setns(self.home, syscall.CLONE_NEWNET)
        os.close(self.home)

    def ip(self, *words: str) -> None:
        """Run ip(8)."""
        subprocess.run(["ip", *words], check=True)

    def devices(self) -> dict[str, dict[str, Any]]:
        """Every device with its addresses, by name, as `ip -json address` tells."""
        told = subprocess.run(["ip", "-json", "address"], check=True, stdout=subprocess.PIPE).stdout
        return {entry["ifname"]: entry for entry in json.loads(told)}

    def addresses(self, name: str, scope: str = "global") -> list[str]:
        """The addresses of a device, of one scope."""
        entries = self.devices()[name]["addr_info"]
        return [f"{entry['local']}/{entry['prefixlen']}" for entry in entries if entry["scope"] == scope]
