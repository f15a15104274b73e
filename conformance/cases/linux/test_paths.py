"""config-linux.md#masked-paths and #readonly-paths, seen from inside."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report, Verb, parse
from seatrial.conformance.engine.together import together

Part = Generator[str | None, Report, None]
Reader = Callable[..., Report]
Rejected = Callable[..., Result]
MASKED = "config-linux/masked-paths/"
READONLY = "config-linux/readonly-paths/"


def mask(bundle: Bundle, *paths: str) -> Bundle:
    """Add to maskedPaths."""
    bundle.linux["maskedPaths"] += paths
    return bundle


def protect(bundle: Bundle, *paths: str) -> Bundle:
    """Add to readonlyPaths."""
    bundle.linux["readonlyPaths"] += paths
    return bundle


def hidden(verb: Verb) -> bool:
    """Whether a read or a list gave nothing, or an error other than that there is nothing."""
    return not verb.value and verb.errno != "ENOENT"


def source(bundle: Bundle, path: str, *names: str) -> str:
    """Make a directory of the host to bind on a path of the container; its files contain their names."""
    directory = bundle.outside(f"source{path}")
    os.makedirs(directory)
    for name in names:
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(name)
    return directory


def text(path: str) -> str:
    """A file of the host."""
    with open(path, encoding="utf-8") as file:
        return file.read()


# -- masked ------------------------------------------------------------------------------------------------------------


@together()
@covers(MASKED + "1")
@pytest.mark.parametrize("mode", [0o644, 0o600, 0o444], ids=oct)
def test_masked_file(bundle: Bundle, mode: int) -> Part:
    """A masked file shows nothing of itself and takes nothing (config-linux.md#masked-paths)."""
    inside = f"{bundle.spot()}/secret"
    path = bundle.file(inside, "secret", mode)
    mask(bundle, inside)
    found = yield f"read {inside} -- write {inside} x -- append {inside} y -- read {inside}"
    assert hidden(found.verbs[0])
    assert hidden(found.verbs[3])
    assert text(path) == "secret"


@together()
@covers(MASKED + "1")
def test_masked_directory(bundle: Bundle) -> Part:
    """A masked directory is empty, and what is made in it does not reach the original
    (config-linux.md#masked-paths)."""
    path = bundle.spot()
    bundle.file(f"{path}/key", "secret")
    bundle.directory(f"{path}/below")
    mask(bundle, path)
    found = yield f"list {path} -- read {path}/key -- list {path}/below -- touch {path}/new -- unlink {path}/key"
    assert hidden(found.verbs[0])
    assert [verb.value for verb in found.verbs[:3]] in ([[], None, None], [None, None, None])
    assert sorted(os.listdir(bundle.rootfs + path)) == ["below", "key"]


@together()
@covers(MASKED + "1")
def test_masked_directory_with_mounts(bundle: Bundle) -> Part:
    """Mounts below a masked directory are hidden as well (config-linux.md#masked-paths)."""
    path = bundle.spot()
    bundle.mount(f"{path}/inner", "bind", source(bundle, path, "key"), "bind")
    mask(bundle, path)
    found = yield f"list {path} -- read {path}/inner/key"
    assert hidden(found.verbs[0])
    assert found.verbs[1].value is None


@together()
@covers(MASKED + "1")
def test_masked_path_in_a_mount(bundle: Bundle) -> Part:
    """A path below a mount can be masked, the rest of the mount stays readable (config-linux.md#masked-paths)."""
    path = bundle.spot()
    bundle.mount(path, "bind", source(bundle, path, "key", "open"), "bind", "ro")
    mask(bundle, f"{path}/key")
    found = yield f"read {path}/key -- read {path}/open"
    assert hidden(found.verbs[0])
    assert found.verbs[1].value == "open"


@together()
@covers(MASKED + "1")
def test_masked_file_of_proc(bundle: Bundle) -> Part:
    """Files of proc can be masked (config-linux.md#masked-paths)."""
    mask(bundle, "/proc/meminfo", "/proc/sys/kernel")
    found = yield "read /proc/meminfo -- list /proc/sys/kernel"
    assert hidden(found.verbs[0])
    assert hidden(found.verbs[1])


@needs("cap:MKNOD")
@covers(MASKED + "1")
def test_masked_device(bundle: Bundle, report: Reader) -> None:
    """A masked device node gives nothing (config-linux.md#masked-paths)."""
    bundle.linux["devices"] = [{"path": "/dev/noise", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}]
    bundle.linux["resources"]["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"})
    found = report(mask(bundle, "/dev/noise").probe("read /dev/noise 4 -- read /dev/zero 4"))
    assert hidden(found.verbs[0])
    assert found.verbs[1].value == "\0\0\0\0"


@covers(MASKED + "1")
def test_masked_fifo(bundle: Bundle, report: Reader) -> None:
    """A masked FIFO is a FIFO no more: who writes to it reaches nobody (config-linux.md#masked-paths)."""
    path = os.path.join(bundle.rootfs, "pipe")
    os.mkfifo(path, 0o666)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        found = report(mask(bundle, "/pipe").probe("stat /pipe -- write /pipe text"))
        assert found.verbs[0].value["type"] != "p"
        assert os.read(reader, 10) == b""
    finally:
        os.close(reader)


@covers(MASKED + "1")
@pytest.mark.parametrize("where", ["/etc/secret", "etc/secret", "../../etc/secret", "/inner"])
def test_masked_symbolic_link(bundle: Bundle, report: Reader, where: str) -> None:
    """Through a masked symbolic link nothing is read; it counts from the container's root
    (config-linux.md#masked-paths)."""
    bundle.file("etc/secret", "secret")
    bundle.symlink("etc/secret", "inner")
    bundle.symlink(where, "link")
    assert report(mask(bundle, "/link").probe("read /link")).verbs[0].value in (None, "")


@together()
@covers(MASKED + "1")
def test_masked_path_below_a_symbolic_link(bundle: Bundle) -> Part:
    """A path through a linked directory is masked under both names (config-linux.md#masked-paths)."""
    real, link = bundle.spot(), f"{bundle.spot()}/link"
    bundle.file(f"{real}/key", "secret")
    bundle.symlink(real, link)
    mask(bundle, f"{link}/key")
    found = yield f"read {link}/key -- read {real}/key"
    assert [bool(verb.value) for verb in found.verbs] == [False, False]


@covers(MASKED + "1")
def test_mask_does_not_rely_on_dev_null_of_the_image(runtime: Runtime, bundle: Bundle) -> None:
    """An image whose /dev/null is a link to the file does not unmask it; refusing such an image is fine
    (config-linux.md#masked-paths)."""
    runtime.prove_sane()
    for destination in ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"):
        bundle.without_mount(destination)
    bundle.file("secret", "unmasked")
    bundle.symlink("/secret", "dev/null")
    bundle.linux["maskedPaths"] = []
    # not over stdout: a runtime that reopens streams that are /dev/null may take it for one of them
    result = runtime.run(mask(bundle, "/secret").args("/probe", "--to", "/result", "read", "/secret"), check=False)
    assert not result.crashed
    if result.ok:
        found = parse(text(os.path.join(bundle.rootfs, "result")))
        assert not found.verbs[0].value


@together()
@covers(MASKED + "1")
def test_masking_what_does_not_exist(bundle: Bundle) -> Part:
    """A path that is not there is no error, and is not made (config-linux.md#masked-paths)."""
    path = bundle.spot()
    bundle.symlink(f"{path}/nowhere", f"{path}/dangling")
    mask(bundle, f"{path}/no/such", f"{path}/nosuch", f"{path}/dangling")
    found = yield f"stat {path}/no -- stat {path}/nosuch -- stat {path}/nowhere"
    assert [verb.errno for verb in found.verbs] == ["ENOENT", "ENOENT", "ENOENT"]


@covers(MASKED + "1")
@pytest.mark.parametrize("paths", [None, []], ids=["absent", "empty"])
def test_nothing_is_masked_by_default(bundle: Bundle, report: Reader, paths: list[str] | None) -> None:
    """maskedPaths is optional (config-linux.md#masked-paths)."""
    del bundle.linux["maskedPaths"]
    if paths is not None:
        bundle.linux["maskedPaths"] = paths
    bundle.file("open", "text")
    found = report(bundle.probe("read /open -- read /proc/timer_list 10"))
    assert found.verbs[0].value == "text"
    assert [entry["target"] for entry in found["mounts"] if entry["target"].startswith("/proc/t")] == []


@together()
@covers(MASKED + "2")
def test_masked_path_is_the_containers(bundle: Bundle) -> Part:
    """The path is looked up in the container, not on the host (config-linux.md#masked-paths)."""
    outside = bundle.outside("masked-host")
    with open(outside, "w", encoding="ascii") as file:
        file.write("host")
    bundle.file(outside, "inside")
    mask(bundle, outside)
    found = yield f"read {outside}"
    assert hidden(found.verbs[0])
    assert text(outside) == "host"


@covers(MASKED + "2")
@pytest.mark.parametrize("path", ["proc/kcore", "./etc", "etc/passwd"])
def test_relative_masked_path_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, path: str) -> None:
    """A relative path is refused (config-linux.md#masked-paths)."""
    rejected(runtime, mask(bundle, path))


# -- read-only ---------------------------------------------------------------------------------------------------------


@together()
@covers(READONLY + "1")
def test_readonly_file(bundle: Bundle) -> Part:
    """A read-only file can be read, and not written (config-linux.md#readonly-paths)."""
    where = bundle.spot()
    kept = f"{where}/kept"
    path = bundle.file(kept, "text", 0o666)
    protect(bundle, kept)
    found = yield f"read {kept} -- write {kept} x -- append {kept} x -- chmod {kept} 0600 -- touch {where}/other"
    assert [verb.errno for verb in found.verbs] == [None, "EROFS", "EROFS", "EROFS", None]
    assert found.verbs[0].value == text(path) == "text"


@together()
@covers(READONLY + "1")
def test_readonly_directory(bundle: Bundle) -> Part:
    """Files below a read-only directory can be read; none is written, made or removed
    (config-linux.md#readonly-paths)."""
    kept = bundle.spot()
    path = bundle.file(f"{kept}/below/file", "text", 0o666)
    writes = [f"write {kept}/below/file x", f"touch {kept}/new", f"mkdir {kept}/below/new", f"unlink {kept}/below/file"]
    protect(bundle, kept)
    found = yield " -- ".join([f"read {kept}/below/file", f"list {kept}", *writes])
    assert (found.verbs[0].value, found.verbs[1].value) == ("text", ["below"])
    assert [verb.errno for verb in found.verbs[2:]] == ["EROFS"] * 4
    assert text(path) == "text"


@covers(READONLY + "1")
def test_readonly_directory_of_proc(bundle: Bundle, report: Reader) -> None:
    """/proc/sys can be read and not written, with every capability (config-linux.md#readonly-paths)."""
    bundle.capabilities("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_DAC_OVERRIDE")
    verbs = "read /proc/sys/net/ipv4/ip_forward -- write /proc/sys/net/ipv4/ip_forward 0"
    found = report(protect(bundle, "/proc/sys").probe(verbs))
    assert [verb.errno for verb in found.verbs] == [None, "EROFS"]


@together()
@covers(READONLY + "1")
@pytest.mark.parametrize(
    "option",
    [
        *(
            pytest.param(name, marks=covers(f"config/linux-mount-options/{name}"))
            for name in ("nosuid", "nodev", "noexec")
        ),
        # In a user namespace the source's access time mode is locked (mount_namespaces(7)).
        pytest.param("noatime", marks=[covers("config/linux-mount-options/noatime"), needs("root")]),
    ],
)
def test_readonly_path_in_a_mount_keeps_its_options(bundle: Bundle, option: str) -> Part:
    """Below a mount with options the path gets read-only and loses none of them (config-linux.md#readonly-paths)."""
    path = bundle.spot()
    outside = source(bundle, path)
    os.mkdir(os.path.join(outside, "kept"))
    bundle.mount(path, "bind", outside, "bind", option)
    protect(bundle, f"{path}/kept")
    found = yield f"touch {path}/kept/x -- touch {path}/x"
    assert [verb.errno for verb in found.verbs] == ["EROFS", None]
    assert {"ro", option} <= found.mount_options(f"{path}/kept")


@together()
@covers(READONLY + "1")
def test_readonly_directory_keeps_its_mounts(bundle: Bundle) -> Part:
    """Mounts below a read-only directory stay where they are (config-linux.md#readonly-paths)."""
    path = bundle.spot()
    bundle.mount(f"{path}/inner", "bind", source(bundle, path, "file"), "bind")
    protect(bundle, path)
    found = yield f"read {path}/inner/file -- touch {path}/x"
    assert (found.verbs[0].value, found.verbs[1].errno) == ("file", "EROFS")


@together()
@covers(READONLY + "1")
@pytest.mark.parametrize("where", ["/kept", "kept", "../../kept"])
def test_readonly_symbolic_link(bundle: Bundle, where: str) -> Part:
    """Through a link that is a read-only path nothing is written; it counts from the container's root
    (config-linux.md#readonly-paths)."""
    number = bundle.spot().rpartition("/")[2]
    path = bundle.file(f"kept{number}", "text", 0o666)
    link = f"/link{number}"
    bundle.symlink(f"{where}{number}", link)
    protect(bundle, link)
    found = yield f"read {link} -- write {link} x"
    assert [verb.errno for verb in found.verbs] == [None, "EROFS"]
    assert text(path) == "text"


@together()
@covers(READONLY + "1")
def test_readonly_path_that_does_not_exist(bundle: Bundle) -> Part:
    """A path that is not there is no error, and is not made (config-linux.md#readonly-paths)."""
    path = bundle.spot()
    bundle.symlink(f"{path}/nowhere", f"{path}/dangling")
    protect(bundle, f"{path}/no/such", f"{path}/dangling")
    found = yield f"stat {path}/no -- stat {path}/nowhere"
    assert [verb.errno for verb in found.verbs] == ["ENOENT", "ENOENT"]


@covers(READONLY + "1")
@pytest.mark.parametrize("paths", [None, []], ids=["absent", "empty"])
def test_nothing_is_readonly_by_default(bundle: Bundle, report: Reader, paths: list[str] | None) -> None:
    """readonlyPaths is optional (config-linux.md#readonly-paths)."""
    del bundle.linux["readonlyPaths"]
    if paths is not None:
        bundle.linux["readonlyPaths"] = paths
    bundle.capabilities("CAP_NET_ADMIN")
    found = report(bundle.probe("write /proc/sys/net/ipv4/ip_forward 1 -- read /proc/sys/net/ipv4/ip_forward"))
    assert (found.verbs[0].errno, found.verbs[1].value) == (None, "1\n")


@together()
@covers(READONLY + "2")
def test_readonly_path_is_the_containers(bundle: Bundle) -> Part:
    """The path is looked up in the container, not on the host (config-linux.md#readonly-paths)."""
    outside = bundle.outside("readonly-host")
    with open(outside, "w", encoding="ascii") as file:
        file.write("host")
    bundle.file(outside, "inside")
    protect(bundle, outside)
    found = yield f"read {outside} -- write {outside} x"
    assert (found.verbs[0].value, found.verbs[1].errno) == ("inside", "EROFS")
    with open(outside, "w", encoding="ascii") as file:
        file.write("still writable here")


@covers(READONLY + "2")
@pytest.mark.parametrize("path", ["proc/sys", "./etc", "etc/passwd"])
def test_relative_readonly_path_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, path: str) -> None:
    """A relative path is refused (config-linux.md#readonly-paths)."""
    rejected(runtime, protect(bundle, path))


@together()
@covers(MASKED + "1", READONLY + "1")
def test_masked_path_below_a_readonly_one(bundle: Bundle) -> Part:
    """A mask inside a read-only directory, and the same path in both lists (config-linux.md#masked-paths)."""
    kept, both = bundle.spot(), f"{bundle.spot()}/both"
    bundle.file(f"{kept}/secret", "secret")
    bundle.file(f"{kept}/open", "open")
    bundle.file(both, "secret")
    protect(mask(bundle, f"{kept}/secret", both), both, kept)
    found = yield f"read {kept}/secret -- read {both} -- read {kept}/open -- write {kept}/open x"
    assert (hidden(found.verbs[0]), hidden(found.verbs[1])) == (True, True)
    assert (found.verbs[2].value, found.verbs[3].errno) == ("open", "EROFS")
