"""What the cases of this topic share: something of the host's to lose, and attempts that may be refused.

A bug that is present must not hurt: whatever could be overwritten, mounted over or given away is a file of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.probe import Report, parse

DEV = ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")  # the mounts of the default config at and below /dev
TEXT = "of the host"


def victim(bundle: Bundle, name: str = "victim") -> str:
    """A directory of the host, outside of the rootfs, with a file `kept`."""
    path = bundle.outside(name)
    os.mkdir(path)
    with open(os.path.join(path, "kept"), "w", encoding="ascii") as file:
        file.write(TEXT)
    return path


def entries(path: str) -> list[tuple[Any, ...]]:
    """Name, kind, size, owner and change time of a directory and of everything below it."""
    return sorted(_walk(path))


def _walk(path: str) -> Iterator[tuple[Any, ...]]:
    for directory, folders, files in os.walk(path):
        for name in ("", *folders, *files):
            found = os.lstat(os.path.join(directory, name))
            yield os.path.join(directory, name), found.st_mode, found.st_size, found.st_uid, found.st_ctime_ns


def attempt(runtime: Runtime, bundle: Bundle) -> Report | None:
    """The report of a run, or None where the runtime refuses it properly: by an exit status, not by a crash."""
    result = runtime.run(bundle, check=False)
    if result.crashed:
        result.check()
    return parse(result.stdout, result) if result.ok else None


def attempted(runtime: Runtime, bundle: Bundle, **options: Any) -> Container | None:
    """A container that holds, or None where the runtime refuses it properly, at create or at start."""
    container = runtime.create(bundle.probe("hold", report=False), check=False, **options)
    if container.created.crashed:
        container.created.check()
    if not container.created.ok:
        return None
    started = container.start(check=False)
    if started.crashed:
        started.check()
    if not started.ok:
        return None
    container.wait_output('"verb":"hold"')
    return container
