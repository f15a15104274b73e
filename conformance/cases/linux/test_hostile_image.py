"""Images and configs that would lead a runtime out of the container.  Refusing them is fine everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import Report, parse

pytestmark = needs("root")
Make = Callable[[], Bundle]
DEV = ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")


def victim(bundle: Bundle) -> str:
    """A directory of the host, outside of the rootfs, with a file that a runtime may want to replace."""
    path = bundle.outside("victim")
    os.mkdir(path)
    with open(os.path.join(path, "ptmx"), "w", encoding="ascii") as file:
        file.write("host")
    return path


def entries(path: str) -> list[tuple[Any, ...]]:
    """Name, kind and change time of what is below a directory, and of the directory."""
    found = []
    for directory, folders, files in os.walk(path):
        for name in ("", *folders, *files):
            status = os.lstat(os.path.join(directory, name))
            found.append((os.path.join(directory, name), status.st_mode, status.st_size, status.st_ctime_ns))
    return sorted(found)


def attempt(runtime: Runtime, bundle: Bundle) -> Report | None:
    """The report of a run, or None where the runtime refuses it properly."""
    result = runtime.run(bundle, check=False)
    if result.crashed:
        result.check()
    return parse(result.stdout, result) if result.ok else None


@pytest.mark.parametrize("form", ["absolute", "relative"])
@covers("config-linux/default-devices/1", "config-linux/default-devices/8")
def test_devices_stay_in_the_image(runtime: Runtime, bundle: Bundle, form: str) -> None:
    """/dev of the image is a link to a directory of the host: no device, no link and no file appears or goes there."""
    runtime.prove_sane()
    path = victim(bundle)
    for destination in DEV:
        bundle.without_mount(destination)
    os.rmdir(os.path.join(bundle.rootfs, "dev"))
    bundle.symlink(path if form == "absolute" else "../victim", "dev")
    before = entries(path)
    attempt(runtime, bundle)
    assert entries(path) == before


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("form", ["inside", "absolute", "relative"])
@covers("config/mounts/4")
def test_proc_and_sys_stay_in_the_image(runtime: Runtime, bundle: Bundle, name: str, form: str) -> None:
    """The mount point of a procfs or sysfs is a link: nothing is mounted where it leads on the host, and the program
    finds at the destination what the config says."""
    runtime.prove_sane()
    path = victim(bundle)
    os.rmdir(os.path.join(bundle.rootfs, name))
    bundle.directory("elsewhere")
    bundle.symlink({"inside": "/elsewhere", "absolute": path, "relative": "../victim"}[form], name)
    before = entries(path)
    found = attempt(runtime, bundle.probe(f"statfs /{name}"))
    assert entries(path) == before
    assert found is None or found.verb("statfs").value["fstype"] == {"proc": "proc", "sys": "sysfs"}[name]


@covers("config/process/9")
def test_cwd_through_a_descriptor(runtime: Runtime, make_bundle: Make) -> None:
    """A working directory named by a descriptor of the runtime's is refused, or is in the container."""
    runtime.prove_sane()
    for number in (3, 4, 5, 6, 7, 8, 9, 10, 12, 14):
        for text in (f"/proc/self/fd/{number}", f"/link{number}"):
            bundle = make_bundle()
            bundle.symlink(f"/proc/self/fd/{number}", f"link{number}")
            bundle.process["cwd"] = text
            found = attempt(runtime, bundle)
            # getcwd(2) says "(unreachable)/..." for a directory that is not below the root.
            assert found is None or str(found["cwd"]).startswith("/"), text
