"""The probe's verbs, each with a success and a failure."""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from probe_run import PROBE, probe

from seatrial.native import programs


def test_chain_goes_on_after_a_failure(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    run = probe("write", path, "hello", "--", "read", path + "x", "--", "read", path, "--", "exit", "3", "--", "getpid")
    assert [(line["verb"], line["ok"], line["errno"]) for line in run.lines] == [
        ("write", True, None),
        ("read", False, "ENOENT"),
        ("read", True, None),
        ("exit", True, None),
    ]
    assert run.lines[2] == {"verb": "read", "args": [path], "value": "hello", "ok": True, "errno": None}
    assert run.status == 3


@pytest.mark.parametrize(
    "words",
    [("nosuch",), ("",), ("read",), ("read", "a", "1", "b"), ("--",), ("print", "a", "--")],
)
def test_what_cannot_be_tried_is_refused_before_anything_runs(words: tuple[str, ...], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    run = probe("touch", str(marker), "--", *words)
    assert run.status == 64
    assert run.only["ok"] is False
    assert run.only["error"]
    assert not marker.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("exit", "x"), ("sleep", "soon"), ("kill", "1", "SIGNOSUCH"), ("kill", "x", "9"), ("open", "/", "sideways"),
        ("mount", "a", "b", "c", "wobbly"), ("umount", "/x", "y"), ("syscall", "nosuchcall"),
        ("syscall", "getpid", "a"),
        ("mknod", "x", "z"), ("chmod", "x", "9"), ("socket", "inet", "tin"), ("prctl-get", "x"), ("memory", "lots"),
        ("fork", "-1"), ("signal-log", "1", "--until"), ("hold", "x"), ("state-to", "--append"), ("read", "/x", "y"),
    ],
)  # fmt: skip
def test_bad_arguments_end_the_chain(words: tuple[str, ...]) -> None:
    run = probe(*words, "--", "getpid")
    assert run.status == 64
    assert run.only["errno"] is None
    assert run.only["error"].startswith(words[0])


def test_every_verb_is_documented() -> None:
    page = Path(__file__).parent.joinpath("..", "..", "docs", "probe.md").read_text(encoding="utf-8")
    verbs = probe("verbs").value
    assert len(verbs) > 50
    assert [usage for usage in verbs.values() if f"`{usage}`" not in page] == []


def test_output_to_a_file_and_a_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert probe("--to", str(path), "print", "a").output == b""
    assert probe("--to", str(path), "report").output == b""
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert '"value":"a"' in lines[0]
    assert probe("--fd", "2", "print", "b").errors.startswith(b'{"verb":"print"')
    assert probe("--to", str(tmp_path / "no" / "out"), "print", "a").status == 73
    assert probe("report", "--to", str(path)).output == b""
    assert len(path.read_text().splitlines()) == 3


def test_output_file_is_not_among_the_descriptors(tmp_path: Path) -> None:
    path = tmp_path / "out"
    probe("--to", str(path), "fd-list")
    import json

    assert [entry["fd"] for entry in json.loads(path.read_text())["value"]] == [0, 1, 2]


def test_arguments_beside_the_program(tmp_path: Path) -> None:
    program = str(tmp_path / "hook")
    shutil.copyfile(PROBE, program)
    os.chmod(program, 0o755)
    assert "schema" in probe(program=program).only
    Path(program + ".args").write_text("print\ntwo words\n--\nexit\n4\n")
    run = probe(program=program)
    assert (run.lines[0]["value"], run.status) == ("two words", 4)
    assert probe("print", "given", program=program).value == "given"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        ("é€😀".encode(), "é€😀"),
        (b'"\\\n\t\x01\x7f', '"\\\n\t\x01\x7f'),
        (b"\xff\xfe", "\xff\xfe"),
        (b"\xc3", "\xc3"),
        (b"a\xe2\x82z", "a\xe2\x82z"),
        (b"\xc0\x80", "\xc0\x80"),
        (b"\xed\xa0\x80", "\xed\xa0\x80"),
        (b"\xf4\x90\x80\x80", "\xf4\x90\x80\x80"),
        (b"", ""),
        ("a\x85\u2028\u2029\x84".encode(), "a\x85\u2028\u2029\x84"),
        (b"\x0b\x0c\x1c\x1d\x1e\r", "\x0b\x0c\x1c\x1d\x1e\r"),
    ],
)
def test_bytes_of_an_argument(raw: bytes, text: str) -> None:
    run = probe("print", raw)
    assert run.value == text
    assert run.only["args"] == [text]
    assert len(run.output.decode().splitlines()) == 1


def test_files(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    assert probe("write", path, "one").value == 3
    assert probe("append", path, "two").value == 3
    assert probe("read", path).value == "onetwo"
    assert probe("read", path, "2").value == "on"
    assert probe("write", path, "x").value == 1
    assert probe("read", path).value == "x"
    assert probe("read", str(tmp_path)).errno == "EISDIR"
    assert probe("append", str(tmp_path), "x").errno == "EISDIR"
    assert probe("write", path + "/y", "x").errno == "ENOTDIR"
    assert probe("open", path, "rdwr").value["type"] == "f"
    assert probe("open", path, "rdonly,directory").errno == "ENOTDIR"
    assert probe("open", path, "wronly,creat|excl").errno == "EEXIST"
    assert probe("list", str(tmp_path)).value == ["f"]
    assert probe("list", path).errno == "ENOTDIR"


def test_endless_and_silent_files(tmp_path: Path) -> None:
    assert probe("read", "/dev/zero", "10").value == "\0" * 10
    assert len(probe("read", "/dev/zero").value) == 65536
    assert len(probe("read", "/dev/zero", "300000").value) == 300000
    assert len(probe("read", "/dev/urandom", "300000").value) > 150000
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    assert probe("read", fifo).value == ""
    assert probe("write", fifo, "x").errno == "ENXIO"


def test_paths(tmp_path: Path) -> None:
    base = str(tmp_path) + "/"
    run = probe(
        "mkdir", base + "d", "700", "--", "symlink", "target", base + "l", "--", "readlink", base + "l", "--",
        "stat", base + "l", "--", "touch", base + "target", "--", "stat", base + "l", "--",
        "chmod", base + "target", "640", "--", "rename", base + "target", base + "d/moved", "--",
        "stat", base + "d/moved", "--", "unlink", base + "d/moved", "--", "rmdir", base + "d",
    )  # fmt: skip
    assert [line["ok"] for line in run.lines] == [True] * 11
    assert run.lines[2]["value"] == "target"
    assert (run.lines[3]["value"]["type"], run.lines[3]["value"]["text"], run.lines[3]["value"]["follow"]) == (
        "l", "target", None,
    )  # fmt: skip
    assert run.lines[5]["value"]["follow"]["type"] == "f"
    assert run.lines[8]["value"]["mode"] == 0o640
    assert os.listdir(tmp_path) == ["l"]
    for words in (["rmdir"], ["unlink"], ["readlink"], ["stat"], ["statfs"], ["chdir"], ["chroot"], ["chmod"]):
        extra = ["600"] if words == ["chmod"] else []
        assert probe(*words, base + "none", *extra).errno in ("ENOENT", "EPERM"), words
    assert probe("mkdir", base).errno == "EEXIST"
    assert probe("symlink", "x", base + "l").errno == "EEXIST"
    assert probe("rename", base + "none", base + "m").errno == "ENOENT"
    assert probe("chown", base + "none", "0", "0").errno == "ENOENT"
    assert probe("chdir", base, "--", "stat", "l").value["type"] == "l"


def test_stat_agrees_with_python(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("12345")
    os.utime(path, ns=(123456789, 1700000000_987654321))
    seen, status = probe("stat", str(path)).value, path.stat()
    assert (seen["size"], seen["nlink"], seen["ino"], seen["dev"]) == (5, 1, status.st_ino, status.st_dev)
    assert (seen["atime"], seen["mtime"]) == (status.st_atime_ns, status.st_mtime_ns)
    assert seen["mode"] == stat.S_IMODE(status.st_mode)


@pytest.mark.root
def test_nodes_and_owners(tmp_path: Path) -> None:
    node = str(tmp_path / "null")
    run = probe("mknod", node, "c", "1", "3", "600", "--", "chown", node, "5", "6", "--", "stat", node)
    value = run.value
    assert [value[key] for key in ("type", "major", "minor", "mode", "uid", "gid")] == ["c", 1, 3, 0o600, 5, 6]
    assert probe("mknod", node, "p").errno == "EEXIST"
    assert probe("mknod", node + "p", "p", "--", "stat", node + "p").value["type"] == "p"
    assert probe("setuid", "1000", "--", "mknod", node + "x", "c", "1", "3").errno in ("EPERM", "EACCES")


@pytest.mark.root
def test_mounts_and_namespaces(tmp_path: Path) -> None:
    target = str(tmp_path)
    private = ["unshare", "mnt,uts", "--", "mount", "none", "/", "-", "rprivate", "--"]
    run = probe(
        *private,
        "mount",
        "t",
        target,
        "tmpfs",
        "ro",
        "--",
        "write",
        target + "/x",
        "y",
        "--",
        "umount",
        target,
        "detach",
    )
    assert [line["errno"] for line in run.lines] == [None, None, None, "EROFS", None]
    assert probe(*private, "umount", target).errno == "EINVAL"
    assert probe(*private, "mount", "t", target, "nosuchfs").errno == "ENODEV"
    run = probe(*private, "sethostname", "inside", "--", "hostname", "within", "--", "report")
    assert run.lines[-1]["uts"]["nodename"] == "within"
    assert os.uname().nodename != "within"
    assert probe("sethostname", "x" * 65).errno == "EINVAL"
    assert probe("setns", "/proc/self/ns/uts", "uts").lines[-1]["ok"]
    assert probe("setns", "/proc/self/ns/uts", "net").errno == "EINVAL"
    assert probe("setns", "/proc/nosuch").errno == "ENOENT"
    assert probe("unshare", "0x7").errno == "EINVAL"


def test_namespaces_of_another_process() -> None:
    assert probe("namespaces", str(os.getpid())).value["mnt"] == os.stat("/proc/self/ns/mnt").st_ino
    assert set(probe("namespaces", "999999999").value.values()) == {None}


def test_mount_needs_privilege_or_a_target(tmp_path: Path) -> None:
    assert probe("mount", "none", str(tmp_path / "none"), "tmpfs").errno in ("ENOENT", "EPERM")
    assert probe("mounts-at", "/proc").value[-1]["fstype"] == "proc"
    assert probe("mounts-at", "/nonexistent").value == []


def test_atime(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x")
    seen = probe("atime-check", str(path)).value
    assert len(seen["times"]) == 3
    assert seen["times"][2] == os.stat(path).st_atime_ns
    assert seen["first"] == (seen["times"][0] != seen["times"][1])
    assert probe("atime-check", str(path) + "x").errno == "ENOENT"


@pytest.mark.root
@pytest.mark.parametrize(("option", "second"), [("noatime", False), ("strictatime", True)])
def test_atime_of_mounts(option: str, second: bool, tmp_path: Path) -> None:
    target = str(tmp_path)
    run = probe(
        "unshare", "mnt", "--", "mount", "none", "/", "-", "rprivate", "--", "mount", "t", target, "tmpfs", option,
        "--", "write", target + "/f", "x", "--", "atime-check", target + "/f",
    )  # fmt: skip
    assert (run.value["first"], run.value["second"]) == (second, second)


def test_wait_file(tmp_path: Path) -> None:
    began = time.monotonic()
    assert probe("wait-file", str(tmp_path / "f"), "0.2").errno == "ETIMEDOUT"
    assert 0.2 <= time.monotonic() - began < 5
    (tmp_path / "f").touch()
    assert probe("wait-file", str(tmp_path / "f"), "5").value < 1_000_000_000


def test_getxattr(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    assert probe("getxattr", str(path), "user.none").errno in ("ENODATA", "EOPNOTSUPP")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("prctl-get", "dumpable"), 1), (("prctl-get", "pdeathsig"), 0), (("prctl-get", "name"), "seatrial-probe"),
        (("prctl-get", "no_new_privs"), 0), (("env", "NOSUCH"), None), (("print", ""), ""),
    ],
)  # fmt: skip
def test_values(words: tuple[str, ...], expected: Any) -> None:
    assert probe(*words).value == expected


def test_environment_and_clocks() -> None:
    assert probe("env", "A", env={"A": "b c"}).value == "b c"
    assert probe("clocks").value["monotonic"] <= time.monotonic_ns()


def test_program_is_static_and_stripped() -> None:
    image = Path(PROBE).read_bytes()
    assert image[:5] == b"\x7fELF\x02"
    headers, sections = struct.unpack_from("QQ", image, 32)
    size, count, section_size, section_count = struct.unpack_from("HHHH", image, 54)
    kinds = {struct.unpack_from("I", image, headers + i * size)[0] for i in range(count)}
    assert 3 not in kinds  # PT_INTERP
    tables = {struct.unpack_from("I", image, sections + i * section_size + 4)[0] for i in range(section_count)}
    assert 2 not in tables  # SHT_SYMTAB


def test_path_of_a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = programs.path("probe")
    assert os.path.isabs(path)
    assert filecmp.cmp(path, PROBE, shallow=False)  # PROBE may be a copy of it
    monkeypatch.setattr(programs, "HERE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"compile\.py probe"):
        programs.path("probe")
    with pytest.raises(ValueError, match="executor or probe"):
        programs.path("../probe")
