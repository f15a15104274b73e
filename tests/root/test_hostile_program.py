"""What a hostile program or hook can reach: descriptors, working directories, the runtime's own files."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import Any

import pytest
from bundles import PROBE, Bundle, CommandLine
from victim import host_state

from seatrial import native, runtime

F_GET_SEALS = 1034
SEALED = 0xF  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE
HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture
def id() -> str:
    return f"hostile-program-{os.getpid()}"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


# -- the working directory and the program ----------------------------------------------------------------------------


def ways_out(bundle: Bundle) -> list[str]:
    """Paths that a leaked descriptor of a host directory would turn into the host's."""
    os.makedirs(os.path.join(bundle.rootfs, "links"))
    found = ["/proc/self/cwd/../../..", "/proc/self/root/../..", "/proc/thread-self/cwd", "/proc/1/cwd"]
    for number in range(3, 24):
        os.symlink(f"/proc/self/fd/{number}", os.path.join(bundle.rootfs, "links", str(number)))
        found += [f"/proc/self/fd/{number}", f"/proc/self/fd/{number}/../..", f"/links/{number}"]
    return found


def test_the_working_directory_is_inside(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """CVE-2024-21626: process.cwd through a descriptor.  It is refused, or it is a directory of the container."""
    before = host_state(bundle.path)
    ran = []
    for cwd in ways_out(bundle):
        bundle.config["process"]["cwd"] = cwd
        done = cli("run", "--bundle", bundle.args("report").path, id, check=False)
        if done.returncode == 0:
            report = lines(done.stdout)[0]
            assert report["cwd"].startswith("/"), cwd
            assert report["cwd_stat"]["dev"] in (report["root"]["dev"], *proc_devices(report)), cwd
            ran.append(cwd)
        else:
            assert done.returncode == 1
            assert "/proc/self/fd" not in done.stdout
    assert not [cwd for cwd in ran if "/fd/" in cwd or "links" in cwd]
    assert host_state(bundle.path) == before


def proc_devices(report: dict[str, Any]) -> list[int]:
    """The device of the container's /proc."""
    found = []
    for mount in report["mounts"]:
        if mount["target"] == "/proc":
            major, minor = map(int, mount["device"].split(":"))
            found.append(os.makedev(major, minor))
    return found


def test_the_working_directory_of_exec_is_inside(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """CVE-2024-21626 through exec, where the directory must exist already."""
    ways = ways_out(bundle)
    cli("create", "--bundle", bundle.args("hold").path, id)
    cli("start", id)
    for cwd in ways:
        done = cli("exec", "--cwd", cwd, id, "/probe", "report", check=False)
        if done.returncode == 0:
            report = lines(done.stdout)[0]
            assert report["cwd"].startswith("/"), cwd
            assert "/fd/" not in cwd, cwd
            assert "links" not in cwd, cwd
        else:
            assert done.returncode == 255, done.stderr


def test_the_program_is_the_containers(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """CVE-2024-21626, CVE-2019-5736: args[0] and a script's interpreter through /proc/self."""
    true = shutil.which("true")
    assert true
    with open(os.path.join(bundle.rootfs, "script"), "w") as file:
        file.write("#!/proc/self/exe\n")
    os.chmod(os.path.join(bundle.rootfs, "script"), 0o755)
    programs = ["/proc/self/exe", "/proc/1/exe", "/script"]
    for number in range(3, 24):
        programs += [f"/proc/self/fd/{number}", f"/proc/self/fd/{number}{true}", f"/proc/self/fd/{number}/../..{true}"]
    for program in programs:
        bundle.config["process"]["args"] = [program, "report"]
        done = cli("run", "--bundle", bundle.write().path, id, check=False)
        # /proc/self/exe is the executor, sealed and without a plan: it ends at once.
        assert done.returncode != 0, program
        assert done.stdout == "", program


# -- descriptors ------------------------------------------------------------------------------------------------------


def test_no_descriptor_reaches_the_program(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """CVE-2024-21626, runc 5007: run, create and start, exec; the runtime itself having more of them open."""
    extra = [os.open("/", os.O_RDONLY | os.O_DIRECTORY) for _ in range(5)]
    for fd in extra:
        os.set_inheritable(fd, True)
    try:
        argv = cli.argv("run", "--bundle", bundle.args("fd-list").path, id)
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, pass_fds=extra
        )
        assert [entry["fd"] for entry in lines(done.stdout)[0]["value"]] == [0, 1, 2]
        out = os.path.join(bundle.rootfs, "out")
        cli("create", "--bundle", bundle.args("--to", "/out", "fd-list", "--", "hold").path, id)
        cli("start", id)
        done = subprocess.run(
            cli.argv("exec", id, "/probe", "fd-list"),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, pass_fds=extra,
        )  # fmt: skip
        assert [entry["fd"] for entry in lines(done.stdout)[0]["value"]] == [0, 1, 2]
        with open(out) as file:
            found = [entry["fd"] for entry in lines(file.read())[0]["value"]]
        assert [fd for fd in found if fd > 2] in ([], [3])  # the probe's own output file
    finally:
        for fd in extra:
            os.close(fd)


@pytest.mark.parametrize(
    "kind", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
)
def test_no_descriptor_reaches_a_hook(cli: CommandLine, bundle: Bundle, id: str, kind: str) -> None:
    inside = kind == "startContainer"
    path = "/out" if inside else os.path.join(bundle.path, "out")
    bundle.hook(kind, "--to", path, "fd-list")
    cli("run", "--bundle", bundle.args("exit", "0").path, id)
    with open(os.path.join(bundle.rootfs, "out") if inside else path) as file:
        (found,) = lines(file.read())
    numbers = [entry["fd"] for entry in found["value"] if entry["target"] != path]
    assert numbers == [0, 1, 2]
    assert [entry["target"] for entry in found["value"] if entry["type"] == "d"] == []


# -- the runtime's own program ----------------------------------------------------------------------------------------


def own_files() -> dict[str, str]:
    """Digest of everything that the runtime executes or loads."""
    found = {}
    roots = [os.path.dirname(str(runtime.__file__)), os.path.dirname(str(native.__file__))]
    names = [name for root in roots for name in glob.glob(f"{root}/**/*", recursive=True)]
    launcher = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
    names += [launcher, os.path.realpath(sys.executable), PROBE]
    for name in names:
        if os.path.isfile(name) and "__pycache__" not in name:
            with open(name, "rb") as file:
                found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


def test_the_executor_is_a_sealed_copy(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """CVE-2019-5736: who holds on to /proc/PID/exe of the waiting process holds a copy that nobody can change."""
    before = own_files()
    cli("create", "--bundle", bundle.args("exit", "0").path, id)
    exe = f"/proc/{cli.state(id)['pid']}/exe"
    assert os.readlink(exe).startswith("/memfd:")
    with pytest.raises(OSError, match="Text file busy"):
        os.open(exe, os.O_RDWR)
    kept = os.open(exe, os.O_PATH)
    reading = os.open(exe, os.O_RDONLY)
    try:
        assert fcntl.fcntl(reading, F_GET_SEALS) & SEALED == SEALED
        content = hashlib.sha256(os.pread(reading, 1 << 24, 0)).hexdigest()
        cli("start", id)
        cli("delete", "--force", id)
        # Nobody executes it any more: now it can be opened, and still not be written.
        fd = os.open(f"/proc/self/fd/{kept}", os.O_RDWR)
        try:
            with pytest.raises(PermissionError):
                os.write(fd, b"x")
            with pytest.raises(PermissionError):
                os.ftruncate(fd, 0)
        finally:
            os.close(fd)
        assert hashlib.sha256(os.pread(reading, 1 << 24, 0)).hexdigest() == content
    finally:
        os.close(kept)
        os.close(reading)
    assert own_files() == before


def test_a_hook_inside_cannot_write_the_executor(cli: CommandLine, bundle: Bundle, id: str) -> None:
    """CVE-2019-5736 from inside: the startContainer hook runs while pid 1 is still the executor."""
    before = own_files()
    bundle.hook("startContainer", "--to", "/out", "readlink", "/proc/1/exe", "--", "open", "/proc/1/exe", "rdwr")
    cli("run", "--bundle", bundle.args("exit", "0").path, id)
    with open(os.path.join(bundle.rootfs, "out")) as file:
        link, opened = lines(file.read())
    assert link["value"].startswith("/memfd:")
    assert opened["errno"] == "ETXTBSY"
    assert own_files() == before


@pytest.fixture(scope="session")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """watcher.c, static."""
    compiler = shutil.which("gcc") or pytest.skip("needs gcc")
    output = str(tmp_path_factory.mktemp("w") / "watcher")
    source = os.path.join(HERE, "watcher.c")
    subprocess.run([compiler, "-static", "-O1", "-Wall", "-Wextra", "-Werror", source, "-o", output], check=True)
    return output


def test_what_the_container_sees_of_a_joining_process(cli: CommandLine, bundle: Bundle, id: str, watcher: str) -> None:
    """CVE-2016-9962: a root with every capability looks into each process that exec brings in, all the time.

    Statistical: what it finds is wrong, and it may find nothing.
    """
    shutil.copy(watcher, os.path.join(bundle.rootfs, "watcher"))
    every = [f"CAP_{name}" for name in ("SYS_PTRACE", "DAC_OVERRIDE", "DAC_READ_SEARCH", "SYS_ADMIN", "KILL")]
    bundle.config["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), every)
    bundle.config["process"]["args"] = ["/watcher", "/found", "/stop"]
    cli("create", "--bundle", bundle.write().path, id)
    cli("start", id)
    for _ in range(20):
        cli("exec", id, "/probe", "print", "x")
    with open(os.path.join(bundle.rootfs, "stop"), "w"):
        pass
    deadline = time.monotonic() + 20
    while cli.status(id) != "stopped" and time.monotonic() < deadline:
        time.sleep(0.05)
    with open(os.path.join(bundle.rootfs, "found")) as file:
        found = [line.rstrip("\n").partition(" ")[::2] for line in file]
    assert ("looked", "") in found
    root = os.stat(bundle.rootfs)
    assert {text for what, text in found if what == "directory"} <= {f"{root.st_dev}:{root.st_ino}"}
    assert [text for what, text in found if what == "written"] == []
    programs = {text for what, text in found if what == "exe"}
    assert all(text.startswith(("/memfd:seatrial-executor", "/probe")) for text in programs), programs
    known = ("socket:", "pipe:", "anon_inode:", "/memfd:seatrial-", "/dev/null")
    descriptors = [text for what, text in found if what == "fd" and text != "/" and not text.startswith(known)]
    # The probe, once it is executed, reads its cgroup in the container's own /proc.
    assert [text for text in descriptors if not re.fullmatch(r"/proc/\d+/cgroup", text)] == []
