"""CRIU's RPC: the wire format by the examples of its specification, requests, responses, the log."""

from __future__ import annotations

import pytest

from seatrial.runtime.criu import messages
from seatrial.runtime.criu.messages import Response, answer, request
from seatrial.runtime.criu.report import failure, last_errors
from seatrial.runtime.criu.service import version_text
from seatrial.runtime.criu.wire import decode, encode, signed


@pytest.mark.parametrize(
    ("number", "value", "data"),
    [  # protobuf.dev/programming-guides/encoding: field 1 = 150, field 2 = "testing", int32 -2
        (1, 150, "089601"),
        (2, "testing", "120774657374696e67"),
        (1, -2, "08feffffffffffffffff01"),
        (3, True, "1801"),
        (3, False, "1800"),
        (37, "", "aa0200"),
        (3, b"\x08\x96\x01", "1a03089601"),
    ],
)
def test_fields(number: int, value: int | str | bytes, data: str) -> None:
    assert encode([(number, value)]).hex() == data
    found = decode(bytes.fromhex(data))
    assert list(found) == [number]
    if isinstance(value, int):
        assert signed(found[number][0]) == value
    else:
        assert found[number] == [value.encode() if isinstance(value, str) else value]


def test_fixed_fields_are_passed_over() -> None:
    assert decode(bytes.fromhex("0d01020304") + b"\x19" + bytes(8) + b"\x10\x01")[2] == [1]


@pytest.mark.parametrize("data", ["08", "08ff", "1205616263", "0b", "08" + "ff" * 11])
def test_no_message(data: str) -> None:
    with pytest.raises(ValueError, match="protocol buffer"):
        decode(bytes.fromhex(data))
    with pytest.raises(ValueError, match=r"protocol buffer|no response"):
        Response(bytes.fromhex(data))


def test_request() -> None:
    options = {
        "images_dir_fd": 7,
        "leave_running": True,
        "external": ["mnt[/a]:/a", "net[5]:key"],
        "inherit_fd": [{"key": "pipe:[1]", "fd": 4}],
        "ps": {"address": "::1", "port": 80},
    }
    fields = decode(request(messages.DUMP, options))
    assert fields[1] == [messages.DUMP]
    sent = decode(fields[2][0])  # type: ignore[arg-type]
    assert (sent[1], sent[3]) == ([7], [1])
    assert sent[37] == [b"mnt[/a]:/a", b"net[5]:key"]
    assert decode(sent[27][0]) == {1: [b"pipe:[1]"], 2: [4]}  # type: ignore[arg-type]
    assert decode(sent[11][0]) == {1: [b"::1"], 2: [80]}  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        request(messages.DUMP, {"no_such_option": 1})


def test_numbers_of_options_are_distinct() -> None:
    assert len(set(messages.OPTIONS.values())) == len(messages.OPTIONS)


def test_answer_to_a_notification() -> None:
    assert decode(answer(True)) == {1: [messages.NOTIFY], 3: [1]}
    assert decode(answer(False)) == {1: [messages.NOTIFY], 3: [0]}


def test_responses() -> None:
    notify = Response(encode([(1, messages.NOTIFY), (2, True), (5, encode([(1, "setup-namespaces"), (2, 42)]))]))
    assert (notify.type, notify.success, notify.script, notify.pid) == (6, True, "setup-namespaces", 42)
    restored = Response(encode([(1, messages.RESTORE), (2, True), (4, encode([(1, 4711)]))]))
    assert restored.pid == 4711
    failed = Response(encode([(1, messages.DUMP), (2, False), (7, 17), (9, "no luck")]))
    assert (failed.success, failed.errno, failed.message) == (False, 17, "no luck")
    features = Response(encode([(1, messages.FEATURE_CHECK), (2, True), (8, encode([(1, True), (2, False)]))]))
    assert features.features == {"mem_track"}
    version = Response(encode([(1, messages.VERSION), (2, True), (10, encode([(1, 3), (2, 17), (4, 1)]))]))
    assert version.version == (3, 17, 1)


def test_versions_as_text() -> None:
    assert version_text((3, 17, 1)) == "3.17.1"
    assert version_text((4, 2, 0)) == "4.2"


LOG = b"""(00.000100) Warn  (criu/a.c:1): not this
(00.000200) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.101010) Error (criu/files.c:12): Can't do it: No such file
(00.101011)      1: Error (criu/pie.c:7): pie: 1: second
(00.101011)      1: Error (criu/pie.c:7): pie: 1: second
(00.101012) said Error (without an end
(00.200000) Error (criu/cr-dump.c:2093): Dumping FAILED.
"""


def test_last_errors_of_a_log() -> None:
    assert last_errors(LOG) == ["Can't do it: No such file", "pie: 1: second", "Dumping FAILED."]
    many = b"".join(b"(0) Error (c:%d): number %d\n" % (number, number) for number in range(9))
    assert last_errors(many) == [f"number {number}" for number in (5, 6, 7, 8)]
    assert len(last_errors(b"(0) Error (c:1): " + b"x" * 1000)[0]) < 400


def test_failure_names_log_and_errors(tmp_path: object) -> None:
    path = f"{tmp_path}/dump.log"
    with open(path, "wb") as file:
        file.write(LOG)
    error = failure("dump container c1", None, path)
    assert str(error).startswith("CRIU cannot dump container c1: Can't do it: No such file; ")
    assert error.hint == f"the log is {path}"


def test_failure_without_a_log(tmp_path: object) -> None:
    response = Response(encode([(1, messages.DUMP), (2, False), (7, 17)]))
    error = failure("dump container c1", response, f"{tmp_path}/none", ": from stderr")
    assert str(error) == "CRIU cannot dump container c1: error 17: from stderr"
