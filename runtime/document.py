"""JSON documents: a strict reader and two writers on the C accelerator `_json`.

The `json` package is not imported: it pulls in `re`, which costs more than the whole load of a configuration.  The
reader refuses what the runtime-spec forbids (text that is not UTF-8, repeated member names: glossary.md#json) and
what RFC 8259 forbids (NaN, Infinity, trailing data, a byte order mark).  Integers keep every digit; a number with a
fraction or an exponent becomes a float, which no integer member accepts.
"""

from __future__ import annotations

import _json

from seatrial.runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WHITESPACE = " \t\n\r"


class _RepeatedNameError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RepeatedNameError(_mark(pairs).repeated)
    return members


class _Marked(dict[str, "Any"]):
    """An object that remembers a repeated name."""

    repeated: str


def _mark(pairs: list[tuple[str, Any]]) -> Any:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            marked = _Marked(pairs)
            marked.repeated = name
            return marked
        seen.add(name)
    return dict(pairs)


def _constant(name: str) -> float:
    raise ConfigError("", f"not valid JSON: {name} is not a number")


class _Scanning:
    """What `_json.make_scanner` reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_unique)
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_constant)


class _Locating(_Scanning):
    object_pairs_hook = staticmethod(_mark)


_settings: Any = _Scanning
_scan = _json.make_scanner(_settings)


def loads(data: bytes, name: str = "") -> Any:
    """The value of a JSON text in UTF-8.  `name` (a file name) starts the messages.

    Raises ConfigError, with the byte offset of a bad encoding, the line and column of a syntax error, or the JSON
    path of a repeated member name.
    """
    prefix = f"{name}: " if name else ""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError("", f"{prefix}not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}") from None
    if text.startswith("\ufeff"):
        raise ConfigError("", f"{prefix}starts with a byte order mark", "save it without one")
    start = len(text) - len(text.lstrip(_WHITESPACE))
    try:
        try:
            value, end = _scan(text, start)
        except SystemError:
            # CPython 3.11: the scanner takes JSONDecodeError from json.decoder, if somebody has imported that.
            import json.decoder  # noqa: F401

            value, end = _scan(text, start)
    except StopIteration as stop:
        raise _syntax(prefix, text, "a value is missing", stop.value) from None
    except _RepeatedNameError as error:
        path, repeated = _locate(text, start) or ("", quote(error.args[0]))
        raise ConfigError(path, f"{'' if path else prefix}member {repeated} is given more than once") from None
    except RecursionError:
        raise ConfigError("", f"{prefix}nested too deeply") from None
    except ConfigError as error:
        raise ConfigError("", prefix + error.problem) from None
    except ValueError as error:
        # json.JSONDecodeError, or int() of more than sys.get_int_max_str_digits() digits
        at = getattr(error, "pos", None)
        if at is None:
            raise ConfigError("", f"{prefix}a number has too many digits") from None
        raise _syntax(prefix, text, getattr(error, "msg", str(error)), at) from None
    if end != len(text) and text[end:].strip(_WHITESPACE):
        rest = end + len(text[end:]) - len(text[end:].lstrip(_WHITESPACE))
        raise _syntax(prefix, text, "data after the end of the document", rest)
    if "\\u" in text:
        _refuse_surrogates(value, "")
    return value


def _syntax(prefix: str, text: str, problem: str, at: int) -> ConfigError:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return ConfigError("", f"{prefix}not valid JSON: {problem} (line {line}, column {column})")


def _locate(text: str, start: int) -> tuple[str, str] | None:
    """JSON path of the object with a repeated member, and that member's name; None if it is out of reach: the text is
    no JSON further on, or the object is in a value that a repeated name has overwritten."""
    settings: Any = _Locating
    try:
        value, _ = _json.make_scanner(settings)(text, start)
    except (ValueError, StopIteration, RecursionError, SystemError, ConfigError):
        return None
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, _Marked):
            return path, quote(value.repeated)
        if isinstance(value, dict):
            pending += [(member(path, name), item) for name, item in value.items()]
        elif isinstance(value, list):
            pending += [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    return None


def _refuse_surrogates(value: Any, path: str) -> None:
    """Half of a surrogate pair, written as an escape, is no character and cannot reach the kernel as UTF-8."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(path, f"half of a surrogate pair in {quote(value)}") from None
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_surrogates(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            _refuse_surrogates(name, path)
            _refuse_surrogates(item, member(path, name))


def member(path: str, name: str) -> str:
    """The JSON path of a member: ``linux.sysctl["net.ipv4.ip_forward"]``, ``process.user``."""
    if name.isidentifier():
        return f"{path}.{name}" if path else name
    return f"{path}[{quote(name)}]"


def quote(text: str) -> str:
    """A string as a JSON string in ASCII, cut to about 60 characters, for messages."""
    if len(text) > 60:
        text = text[:57] + "..."
    return _json.encode_basestring_ascii(text)


def _refuse(value: Any) -> Any:
    raise TypeError(f"not a JSON value: {value!r}")


def dumps(value: Any) -> str:
    """One line of compact JSON, non-ASCII characters as they are."""
    encode = _json.make_encoder(None, _refuse, _json.encode_basestring, None, ":", ",", False, False, False)
    return "".join(encode(value, 0))


def pretty(value: Any, indent: str = "  ") -> str:
    """JSON over several lines as Go's encoder indents it, without a newline at the end."""
    parts: list[str] = []
    _indented(value, "\n", indent, parts)
    return "".join(parts)


def for_go(text: str) -> str:
    """The same JSON text in the bytes that Go's encoder writes: it escapes what HTML and JavaScript would trip over."""
    if text.isascii() and "<" not in text and ">" not in text and "&" not in text:
        return text
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _indented(value: Any, newline: str, indent: str, parts: list[str]) -> None:
    deeper = newline + indent
    if isinstance(value, dict) and value:
        separator = "{"
        for name, item in value.items():
            parts += (separator, deeper, _json.encode_basestring(name), ": ")
            _indented(item, deeper, indent, parts)
            separator = ","
        parts += (newline, "}")
    elif isinstance(value, (list, tuple)) and value:
        separator = "["
        for item in value:
            parts += (separator, deeper)
            _indented(item, deeper, indent, parts)
            separator = ","
        parts += (newline, "]")
    else:
        parts.append(dumps(value))
