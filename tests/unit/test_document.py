"""The JSON reader and writers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.runtime.document import dumps, loads, member, pretty
from seatrial.runtime.errors import ConfigError

BAD = [
    (b"", "", "a value is missing (line 1, column 1)"),
    (b"  \n ", "", "a value is missing"),
    (b"{", "", "not valid JSON"),
    (b'{"a":1,}', "", "not valid JSON"),
    (b"{'a':1}", "", "not valid JSON"),
    (b'{"a":\n\n  tru}', "", "line 3, column 3"),
    (b"[1,2", "", "not valid JSON"),
    (b"01", "", "data after the end"),
    (b"{} {}", "", "data after the end of the document (line 1, column 4)"),
    (b"{}\0", "", "data after the end"),
    (b'"\x01"', "", "Invalid control character"),
    (b"[NaN]", "", "NaN is not a number"),
    (b"[-Infinity]", "", "-Infinity is not a number"),
    (b"\xff\xfe{\0}\0", "", "not UTF-8: byte 0xff at offset 0"),
    (b'{"a": "\xc3("}', "", "not UTF-8: byte 0xc3 at offset 7"),
    (b"\xef\xbb\xbf{}", "", "byte order mark"),
    (b"[" * 100_000, "", "nested too deeply"),
    (b"[" + b"9" * 5000 + b"]", "", "too many digits"),
    (b'{"a":1,"a":2}', "", 'member "a" is given more than once'),
    (b'{"x":[0,{"y z":{"b":1,"b":1}}]}', 'x[1]["y z"]', 'member "b" is given more than once'),
    (b'{"a":{"b":["\\ud800"]}}', "a.b[0]", "surrogate"),
    (b'{"a":{"\\udfff":1}}', "a", "surrogate"),
]


@pytest.mark.parametrize(("data", "path", "text"), BAD)
def test_bad_text_is_refused(data: bytes, path: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(data, "config.json")
    assert caught.value.path == path
    assert text in str(caught.value)
    assert str(caught.value).startswith(path or "config.json: ")


def test_numbers_stay_exact() -> None:
    assert loads(b"[18446744073709551615, -9223372036854775808, 1e2, 1.0]") == [2**64 - 1, -(2**63), 100.0, 1.0]
    assert [type(value) for value in loads(b"[1, 1.0, 1e2]")] == [int, float, float]


def test_escaped_pairs_and_space_around_are_fine() -> None:
    assert loads(b' \r\n\t{"a": "\\ud83d\\ude00", "\xc3\xa9": null}\n') == {"a": "\U0001f600", "é": None}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_writers_agree_with_the_standard_library(value: Any) -> None:
    assert dumps(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert pretty(value) == json.dumps(value, ensure_ascii=False, indent=2)
    assert loads(dumps(value).encode()) == value


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_give_a_value_or_an_error(data: bytes) -> None:
    try:
        expected: Any = json.loads(data.decode(), parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        with pytest.raises(ConfigError):
            loads(data)
        return
    try:
        assert loads(data) == expected
    except ConfigError as error:
        assert "more than once" in str(error) or "surrogate" in str(error)  # noqa: PT017


def test_writing_something_else_is_an_error() -> None:
    with pytest.raises(TypeError):
        dumps({"a": object()})
    with pytest.raises(ValueError):
        dumps(float("nan"))


def test_paths() -> None:
    assert member("", "a") == "a"
    assert member("a[0]", "b") == "a[0].b"
    assert member("linux.sysctl", "net.x") == 'linux.sysctl["net.x"]'


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2} {',
        '{"a": {"b": 1, "b": 2}, "c": }',
        '{"a": {"b": 1, "b": 2}, "c": NaN}',
        '{"a": {"b": 1, "b": 2}, "c": %s}' % ("1" * 5000),
        '{"a": {"b": 1, "b": 2}, "c": %s' % ("[" * 100000),
        '{"a": {"b": 1, "b": 2}, "a": 1}',
    ],
    ids=["more data", "no value", "NaN", "digits", "depth", "overwritten"],
)
def test_repeated_name_before_something_worse(text: str) -> None:
    with pytest.raises(ConfigError, match="more than once"):
        loads(text.encode())
