"""The moment between runtime and program: the process is in the container, and is still the runtime's.

What it runs, holds open and lets others see must be of no use to the container (CVE-2016-9962, CVE-2019-5736,
CVE-2024-21626)."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import held
from seatrial.conformance.cases.security.hostile import attempt
from seatrial.conformance.cases.security.intruder import intruder
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.errors import Finding

pytestmark = [needs("root"), profile("runc-compat")]


def waiting(runtime: Runtime, bundle: Bundle) -> Container:
    """A created container: its process waits for `start` with the program's identity."""
    return runtime.create(bundle.probe("hold", report=False))


@covers("runtime/create/9")
def test_waiting_process_does_not_run_a_file_of_the_host(runtime: Runtime, bundle: Bundle) -> None:
    """Who gets hold of /proc/PID/exe and waits until the process has gone (else the kernel says ETXTBSY) cannot write
    to a file that the host runs the next container with (CVE-2019-5736)."""
    container = waiting(runtime, bundle)
    name = os.readlink(f"/proc/{container.pid}/exe")
    fd = os.open(f"/proc/{container.pid}/exe", os.O_PATH | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if os.fstatvfs(fd).f_flag & os.ST_RDONLY:  # asked of the mount: others who run the file make it ETXTBSY
            return
        container.kill("KILL")
        container.wait_status("stopped")
        container.delete()
        try:
            os.close(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_CLOEXEC))
        except OSError as error:
            if error.errno != errno.ETXTBSY:
                return
    finally:
        os.close(fd)
    # It can be written to, so it had better be a copy in memory, which has no name on the host.
    assert found.st_nlink == 0, f"{name} can be written to once its process is gone"


def files_of(runtime: Runtime) -> dict[str, str]:
    """What the runtime consists of, as far as that can be told from outside: its file, and what its first line runs."""
    names = {os.path.realpath(runtime.path)}
    with open(runtime.path, "rb") as file:
        first = file.readline()
    if first.startswith(b"#!"):
        names.add(os.path.realpath(os.fsdecode(first[2:].split()[0])))
    found = {}
    for name in names:
        with open(name, "rb") as file:
            found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


@covers("config/process/13")
@pytest.mark.parametrize("form", ["itself", "link", "script"])
def test_program_is_the_runtime_itself(runtime: Runtime, bundle: Bundle, form: str) -> None:
    """/proc/self/exe as the program, named in three ways, is refused or runs with the container's identity: the
    runtime's files stay what they are (CVE-2019-5736)."""
    runtime.prove_sane()
    bundle.symlink("/proc/self/exe", "link")
    bundle.file("script", "#!/proc/self/exe\n", 0o755)
    bundle.args({"itself": "/proc/self/exe", "link": "/link", "script": "/script"}[form], "version")
    before = files_of(runtime)
    result = runtime.run(bundle, check=False)
    assert not result.timed_out
    assert files_of(runtime) == before


@covers("config/process/13")
@pytest.mark.parametrize("numbers", [(3, 4, 5), (6, 7, 8), (9, 10, 11)], ids=str)
def test_program_through_a_descriptor(runtime: Runtime, make_bundle: Callable[[], Bundle], numbers: tuple[int]) -> None:
    """A program named by way of a descriptor that the runtime may have left open is not one of the host
    (CVE-2024-21626)."""
    runtime.prove_sane()
    for number in numbers:
        bundle = make_bundle()
        program = "../" * 12 + bundle.hook_program[1:]
        bundle.probe()
        bundle.process["args"][0] = f"/proc/self/fd/{number}/{program}"
        assert attempt(runtime, bundle) is None


@covers("config-linux/namespaces/2", "runtime/create/9")
def test_joining_process_shows_itself_to_nobody_inside(runtime: Runtime, make_bundle: Callable[[], Bundle]) -> None:
    """Of a process that joins a pid namespace and waits there, its neighbours see neither what it has open nor which
    program it runs: they could take descriptors of the host from it, or change its memory (CVE-2016-9962).

    Looked at with the ids and capabilities of a process of the container.  The program itself, once it runs, hides
    nothing from its like: that is the control."""
    neighbour = held(runtime, make_bundle())
    joining = make_bundle().namespace("pid", f"/proc/{neighbour.pid}/ns/pid")
    container = waiting(runtime, joining)
    assert intruder(container.pid) == {"exe": "EACCES", "fd": "EACCES", "mem": "EACCES"}
    container.start()
    container.wait_output('"verb":"hold"')
    seen = intruder(container.pid)
    if seen != {"exe": "", "fd": "", "mem": ""}:
        raise Finding(f"a process of the container's identity cannot look at the program: {seen}")
    container.kill("KILL")
    container.wait_status("stopped")
