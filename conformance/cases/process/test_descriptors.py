"""runtime-linux.md: the program's descriptors and the symlinks of /dev."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver import probe
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime, flags
from seatrial.conformance.driver.execute import execute
from seatrial.conformance.driver.probe import Report

LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}


@pytest.fixture
def many(bundle: Bundle) -> Iterator[tuple[int, ...]]:
    """Descriptors without close-on-exec, as a careless engine would leave them."""
    with open(bundle.outside("secret"), "w", encoding="utf-8") as file:
        file.write("secret")
    numbers = tuple(os.open(bundle.outside("secret"), os.O_RDONLY) for _ in range(6))
    yield numbers
    for number in numbers:
        os.close(number)


@covers("runtime-linux/file-descriptors/1")
def test_program_gets_three_descriptors(
    runtime: Runtime, bundle: Bundle, report: Callable[..., Report], many: tuple[int, ...]
) -> None:
    """Descriptors that the caller leaked to the runtime do not reach the program
    (runtime-linux.md#file-descriptors)."""
    found = report(bundle, pass_fds=many)
    assert sorted(entry["fd"] for entry in found["fds"]) == [0, 1, 2]


@covers("runtime-linux/file-descriptors/1")
def test_program_gets_three_descriptors_through_create_and_start(
    runtime: Runtime, bundle: Bundle, many: tuple[int, ...]
) -> None:
    """The same by create and start (runtime-linux.md#file-descriptors)."""
    container = runtime.create(bundle, pass_fds=many)
    container.start()
    container.wait_status("stopped")
    found = probe.parse(container.output(), container.created)
    assert sorted(entry["fd"] for entry in found["fds"]) == [0, 1, 2]


# A caller whose descriptor 3 is the file "$0", and who names itself in LISTEN_PID as sd_listen_fds(3) wants it.
WITH_THREE = 'exec 3<"$0"; LISTEN_PID=$$; export LISTEN_PID; exec "$@"'


@covers("runtime-linux/file-descriptors/2")
@pytest.mark.parametrize(
    ("options", "env"),
    [pytest.param({"preserve_fds": 1}, {}, id="preserve-fds"), pytest.param({}, {"LISTEN_FDS": "1"}, id="LISTEN_FDS")],
)
def test_further_descriptors_are_the_callers(
    runtime: Runtime, bundle: Bundle, options: dict[str, int], env: dict[str, str]
) -> None:
    """A runtime may pass on descriptors that it is told of: then 3 is the caller's file, and there is no other
    (runtime-linux.md#file-descriptors).  LISTEN_FDS may be ignored; --preserve-fds is refused or obeyed."""
    runtime.prove_sane()
    path = bundle.outside("socket")
    with open(path, "w", encoding="utf-8") as file:
        file.write("activated")
    bundle.probe("read-fd 3").write()
    words = ["--root", runtime.root, "run", "--bundle", bundle.path, *flags({**options}), bundle.name]
    argv = ["sh", "-c", WITH_THREE, path, runtime.path, *words]
    environment = {**runtime.env, **env}
    result = execute(argv, env=environment, timeout=runtime.timeout, directory=runtime.directory, masks=runtime.masks)
    if options and not result.ok and not result.crashed and not result.stdout:
        pytest.skip("the runtime has no --preserve-fds")
    found = probe.parse(result.check().stdout, result)
    numbers = sorted(entry["fd"] for entry in found["fds"])
    if numbers == [0, 1, 2]:
        assert not options, "--preserve-fds is ignored"
        return
    assert numbers == [0, 1, 2, 3]
    assert found.verb("read-fd").value == "activated"


@covers("runtime-linux/file-descriptors/3")
def test_standard_streams_are_open(default_report: Report) -> None:
    """0, 1 and 2 are the caller's or /dev/null, never closed (runtime-linux.md#file-descriptors)."""
    assert [entry["fd"] for entry in default_report["fds"]][:3] == [0, 1, 2]
    assert all(stream.get("dev") is not None for stream in default_report["stdio"])


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=covers(f"runtime-linux/dev-symbolic-links/{row}"), id=path)
        for row, path in enumerate(LINKS, 1)
    ],
)
def test_dev_symlink(default_report: Report, path: str) -> None:
    """/dev has symlinks into /proc (runtime-linux.md#dev-symbolic-links)."""
    entry = default_report["devices"].get(path)
    assert entry is not None, f"{path} is missing"
    assert (entry["type"], entry.get("text")) == ("l", LINKS[path])


@covers("runtime-linux/dev-symbolic-links/5", "runtime-linux/dev-symbolic-links/1")
def test_dev_symlinks_when_proc_comes_last(bundle: Bundle, report: Callable[..., Report]) -> None:
    """What counts is whether the source exists when all mounts have been made: /proc may be the last of them
    (runtime-linux.md#dev-symbolic-links)."""
    mounts = bundle.config["mounts"]
    mounts.sort(key=lambda entry: entry["destination"] == "/proc")
    assert mounts[-1]["destination"] == "/proc"
    devices = report(bundle)["devices"]
    assert {path: devices.get(path, {}).get("text") for path in LINKS} == LINKS


@covers("runtime-linux/dev-symbolic-links/5")
def test_dev_symlinks_without_proc(runtime: Runtime, bundle: Bundle) -> None:
    """Without a source the links are not owed: a container without /proc works, and has no link, or one that leads
    nowhere (runtime-linux.md#dev-symbolic-links)."""
    runtime.prove_sane()
    bundle.without_mount("/proc")
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    result = runtime.run(bundle.probe("readlink /dev/fd -- list /dev/fd", report=False))
    link, entries = probe.parse(result.stdout, result).verbs
    assert link.errno == "ENOENT" or link.value == LINKS["/dev/fd"]
    assert not entries.ok


@covers("config/hostname/1")
def test_hostname(bundle: Bundle, report: Callable[..., Report]) -> None:
    """The program sees hostname; the host keeps its own (config.md#hostname)."""
    before = os.uname().nodename
    bundle.config["hostname"] = "trial-host.example"
    assert report(bundle)["uts"]["nodename"] == "trial-host.example"
    assert os.uname().nodename == before


@covers("config/hostname/1")
def test_hostname_left_out(bundle: Bundle, report: Callable[..., Report]) -> None:
    """Without hostname, a new uts namespace starts with the host's (config.md#hostname)."""
    del bundle.config["hostname"]
    assert report(bundle)["uts"]["nodename"] == os.uname().nodename


@needs("root")
@pytest.mark.parametrize(
    "member",
    [
        pytest.param("hostname", marks=covers("config/hostname/2")),
        pytest.param("domainname", marks=covers("config/domainname/2")),
    ],
)
def test_name_of_a_joined_uts_namespace(
    runtime: Runtime, bundle: Bundle, make_bundle: Callable[[], Bundle], report: Callable[..., Report], member: str
) -> None:
    """With a joined uts namespace it is that one's name that changes (config.md#hostname)."""
    owner = runtime.create(make_bundle().probe("hold", report=False))
    bundle.namespace("uts", f"/proc/{owner.pid}/ns/uts")
    bundle.config[member] = "joined"
    found = report(bundle)
    assert found["uts"]["nodename" if member == "hostname" else "domainname"] == "joined"
    assert found["namespaces"]["uts"] == os.stat(f"/proc/{owner.pid}/ns/uts").st_ino


@covers("config/domainname/1")
def test_domainname(bundle: Bundle, report: Callable[..., Report]) -> None:
    """The program sees domainname; the host keeps its own (config.md#domainname)."""
    with open("/proc/sys/kernel/domainname", encoding="utf-8") as file:
        before = file.read()
    bundle.config["domainname"] = "trial.example"
    assert report(bundle)["uts"]["domainname"] == "trial.example"
    with open("/proc/sys/kernel/domainname", encoding="utf-8") as file:
        assert file.read() == before
