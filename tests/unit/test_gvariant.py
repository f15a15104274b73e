"""GVariant text: what its documentation shows, what is refused, and that nothing else than ValueError comes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jeepney.low_level import Endianness, parse_signature

from seatrial.runtime.cgroup.gvariant import KEYWORDS, parse


@pytest.mark.parametrize(
    ("text", "signature", "value"),
    [
        ("true", "b", True),
        ("  'inactive-or-failed' ", "s", "inactive-or-failed"),
        ('"it\'s"', "s", "it's"),
        (r"'a\'b\n\u00e9\\'", "s", "a'b\né\\"),
        ("5", "i", 5),
        ("-0x10", "i", -16),
        ("010", "i", 8),
        ("1.5", "d", 1.5),
        ("2e3", "d", 2000.0),
        ("uint64 18446744073709551615", "t", 2**64 - 1),
        ("byte 0xff", "y", 255),
        ("@t 7", "t", 7),
        ("double 1", "d", 1.0),
        ("objectpath '/org/x'", "o", "/org/x"),
        ("signature 'a{sv}'", "g", "a{sv}"),
        ("['a.service', 'b.service']", "as", ["a.service", "b.service"]),
        ("@as []", "as", []),
        ("[1, 2.5]", "ad", [1.0, 2.5]),
        ("[uint64 1, 2]", "at", [1, 2]),
        ("[1, uint64 2,]", "at", [1, 2]),
        ("('x', uint32 1, [true])", "(suab)", ("x", 1, [True])),
        ("[('/dev/null', 'rw')]", "a(ss)", [("/dev/null", "rw")]),
        ("{'a': 1, 'b': 2}", "a{si}", {"a": 1, "b": 2}),
        ("@a{sv} {}", "a{sv}", {}),
        ("{'k': <uint16 3>}", "a{sv}", {"k": ("q", 3)}),
        ("<'v'>", "v", ("s", "v")),
        (r"b'\101b'", "ay", b"Ab\0"),
    ],
)  # fmt: skip
def test_values(text: str, signature: str, value: Any) -> None:
    assert parse(text) == (signature, value)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "bare", "'open", "[1", "(1", "{'a' 1}", "[]", "{}", "()", "1 2", "byte 256", "uint32 -1", "int32 'x'",
     "['a', 1]", "2147483648", "@zz 1", "@a 1", "@( 1", "nothing", "just 1", "uint64", "08", "1x", "objectpath 'x'",
     "@as 5", "{[1]: 2}", "@v 1", "'\\uDC00'", "'\\UFFFFFFFF'", "signature 'zz'", "b'\\u00e9é€'", "<", "@(is) (1,)",
     "[" * 100, "@" + "a" * 100 + "s []"],
)  # fmt: skip
def test_what_is_no_value(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@given(st.text(alphabet="'\"\\[](){}<>@,: 0123456789-+.exubnaos_true", max_size=40) | st.text(max_size=30))
def test_any_text_is_a_value_or_a_valueerror(text: str) -> None:
    try:
        signature, value = parse(text)
    except ValueError:
        return
    parse_signature(list(signature)).serialise(value, 0, Endianness.little)


_numbers = st.integers(-(2**63), 2**64 - 1)


@given(st.sampled_from(sorted(KEYWORDS)), _numbers)
def test_numbers_keep_to_their_type(keyword: str, number: int) -> None:
    try:
        signature, value = parse(f"{keyword} {number}")
    except ValueError:
        return
    assert signature == KEYWORDS[keyword]
    assert value == number or keyword == "double"
    parse_signature([signature]).serialise(value, 0, Endianness.little)
