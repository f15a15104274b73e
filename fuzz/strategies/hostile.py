"""`hostile_documents()`: bytes that are almost, or not at all, a config.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from seatrial.fuzz.strategies.config import configs
from seatrial.fuzz.strategies.draft import Document
from seatrial.fuzz.strategies.places import get, put, walk


class Raw(str):
    """JSON text that stands for itself in a document."""

    __slots__ = ()


def render(value: Any) -> str:
    """The JSON text of a value in which `Raw` pieces are copied as they are."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        members = (f"{render(name)}: {render(item)}" for name, item in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(render, value)) + "]"
    return json.dumps(value)


def _nested(depth: int) -> st.SearchStrategy[str]:
    return st.sampled_from(["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth])


NUMBERS = ("-1", "-0", "1.0", "1e3", "1.5", "1e999", "-1e999", "NaN", "Infinity", "0x10", "01", "+1", "1_0")
HUGE = (2**31, 2**32, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 10**400, 10**5000)
STRINGS = (
    '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff\\ud800"', '"\\ufeff"', '"\\uffff"', '"\\u202e"', '"\\u2028"',
    '"e\\u0301"', '"\\r\\n"', '"\\x41"', '"\\"', '"', '"\x00"', '"\x1f"', '"%s%n"', '"$(id)"', '"../../.."', '""',
)  # fmt: skip
LENGTHS = (255, 256, 4095, 4096, 65536, 2**20)
_values: st.SearchStrategy[str] = st.one_of(
    st.just("null"),
    st.sampled_from(["true", "false", "[]", "{}", "[null]", '{"": null}', '"text"', "0"]),
    st.sampled_from(NUMBERS),
    st.integers(0, len(HUGE) - 1).map(lambda index: Raw(_digits(HUGE[index]))),
    st.integers(0, len(HUGE) - 1).map(lambda index: Raw("-" + _digits(HUGE[index]))),
    st.sampled_from(STRINGS),
    st.sampled_from(LENGTHS).map(lambda length: '"/' + "a" * (length - 1) + '"'),
    st.sampled_from(LENGTHS).map(lambda length: '"' + "/a" * (length // 2) + '"'),
    st.sampled_from([10, 100, 1000, 100000]).flatmap(_nested),
)


def _digits(number: int) -> str:
    """Decimal digits, past the interpreter's limit too."""
    if number < 10**300:
        return str(number)
    return "1" + "0" * (400 if number == 10**400 else 5000)


def _replace(draw: st.DrawFn, config: Document) -> None:
    """Some place has a value that nobody expects there."""
    places = [place for place, value in walk(config) if not isinstance(value, Raw)]
    if places:
        put(config, draw(st.sampled_from(places)), Raw(draw(_values)))


def _objects(config: Document) -> list[Any]:
    return [config, *(value for _, value in walk(config) if isinstance(value, dict))]


def _unknown(draw: st.DrawFn, config: Document) -> None:
    """Some object has a member more."""
    names = st.one_of(st.text(max_size=8).map(json.dumps), st.sampled_from(STRINGS))
    draw(st.sampled_from(_objects(config)))[Raw(draw(names))] = Raw(draw(_values))


LETTERS: tuple[Callable[[str], str], ...] = (str, str.upper, str.capitalize)


def _repeat(draw: st.DrawFn, config: Document) -> None:
    """Some object has a member twice: with another value, or in other letters, which Go's decoder takes as the same."""
    target = draw(st.sampled_from([value for value in _objects(config) if value]))
    name = draw(st.sampled_from(list(target)))
    other = draw(st.sampled_from(LETTERS))(str(name))
    # A Raw of the same text is another key: the two are not equal as dictionary keys when blanks differ.
    target[Raw(" " + (other if isinstance(name, Raw) else json.dumps(other)))] = Raw(draw(_values))


CHANGES: tuple[Callable[[st.DrawFn, Document], None], ...] = (_replace, _unknown, _repeat)


def _truncate(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def _insert(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.sampled_from(BYTES)) + data[at:]


# NUL, overlong and cut UTF-8, a surrogate, Latin-1, byte order marks, other encodings' blanks, comments, more data
BYTES = (
    b"\0", b"\xc0\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xe9", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc2\xa0", b"//x\n",
    b"/**/", b",", b"{", b"}", b"]", b'"', b"\x0b", b"{}", b"null",
)  # fmt: skip


def _append(draw: st.DrawFn, data: bytes) -> bytes:
    return data + draw(st.sampled_from(BYTES))


def _prepend(draw: st.DrawFn, data: bytes) -> bytes:
    return draw(st.sampled_from(BYTES)) + data


def _utf16(draw: st.DrawFn, data: bytes) -> bytes:
    return data.decode("utf-8", "surrogateescape").encode("utf-16", "surrogatepass")


DAMAGE: tuple[Callable[[st.DrawFn, bytes], bytes], ...] = (_append, _prepend, _insert, _truncate, _utf16)


@st.composite
def hostile_documents(draw: st.DrawFn, base: Document | None = None) -> bytes:
    """Bytes for a config.json: nulls, wrong types, huge numbers, repeated names, deep nesting, odd characters, NULs,
    unknown members, very long paths, broken encodings, cut or continued texts; some draws are none of it or just data.

    A runtime may accept or reject each, with a message and an exit status; it may not crash or hang.
    """
    if draw(st.integers(0, 9)) == 9:
        return draw(st.binary(max_size=64))
    config = draw(configs(base, most=2))
    for _ in range(draw(st.integers(0, 3))):
        draw(st.sampled_from(CHANGES))(draw, config)
    data = render(config).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 3:
        data = draw(st.sampled_from(DAMAGE))(draw, data)
    return data


_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def with_unknown_members(draw: st.DrawFn, config: Document) -> dict[str, Any]:
    """A copy of `config` with members that no version of the specification has, which a runtime must ignore
    (config.md#extensibility)."""
    changed: dict[str, Any] = json.loads(json.dumps(config))
    # Not in maps, whose names are free: there, a new name is a new entry.
    free = {"annotations", "sysctl", "rdma", "unified", "timeOffsets", "netDevices"}
    places = [place for place, value in walk(changed) if isinstance(value, dict) and place[-1] not in free]
    for place in draw(st.lists(st.sampled_from([(), *places]), min_size=1, max_size=3, unique=True)):
        value = draw(
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
                ),
                max_leaves=4,
            )
        )
        get(changed, place)[f"x-{draw(st.text('abc', max_size=4))}"] = value
    return changed
