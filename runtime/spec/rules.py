"""Rules of a schema: each checks one JSON value and raises `Mismatch` where it does not fit.

A mismatch collects its JSON path while it travels up, so that a value that fits costs no path at all.
"""

from __future__ import annotations

from seatrial.runtime.document import member, quote
from seatrial.runtime.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Mismatch(Exception):  # noqa: N818  (it never leaves this package: `check` turns it into a ConfigError)
    """A value that breaks a rule; `trail` is its path, innermost first."""

    def __init__(self, problem: str, *trail: str | int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.trail: list[str | int] = list(trail)


class Rule:
    """Base of the rules; `expected` names the type in messages."""

    __slots__ = ()
    expected = "a value"

    def check(self, value: Any) -> None:
        """Return if the value fits; raise Mismatch if not."""
        raise NotImplementedError

    def refuse(self, value: Any) -> Mismatch:
        """The mismatch that says what was expected and what was found."""
        return Mismatch(f"expected {self.expected}, found {found(value)}")


class Text(Rule):
    """A string that can be a C string: without NUL."""

    __slots__ = ()
    expected = "a string"

    def check(self, value: Any) -> None:
        """See Rule.check."""
        if type(value) is not str:
            raise self.refuse(value)
        if "\0" in value:
            # Not the string itself: messages are logged, and an environment may hold passwords.
            raise Mismatch(f"a NUL character at position {value.index(chr(0))} of a string of {len(value)} characters")


class AnyText(Rule):
    """A string, NUL included: it reaches no system call."""

    __slots__ = ()
    expected = "a string"

    def check(self, value: Any) -> None:
        """See Rule.check."""
        if type(value) is not str:
            raise self.refuse(value)


class Boolean(Rule):
    """true or false."""

    __slots__ = ()
    expected = "true or false"

    def check(self, value: Any) -> None:
        """See Rule.check."""
        if value is not True and value is not False:
            raise self.refuse(value)


class Integer(Rule):
    """A whole number within bounds, both included."""

    __slots__ = ("expected", "least", "most")

    def __init__(self, expected: str, least: int, most: int) -> None:
        self.expected = expected
        self.least = least
        self.most = most

    def check(self, value: Any) -> None:
        """See Rule.check."""
        if type(value) is not int or not self.least <= value <= self.most:
            raise self.refuse(value)


class OneOf(Rule):
    """One of some constants."""

    __slots__ = ("expected", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.expected = "one of " + ", ".join(names)

    def check(self, value: Any) -> None:
        """See Rule.check."""
        if type(value) is not str or value not in self.names:
            raise self.refuse(value)


class Pattern(Text):
    """A string for which a predicate holds."""

    __slots__ = ("expected", "fits")

    def __init__(self, expected: str, fits: Any) -> None:
        self.expected = expected
        self.fits = fits

    def check(self, value: Any) -> None:
        """See Rule.check."""
        super().check(value)
        if not self.fits(value):
            raise self.refuse(value)


class Array(Rule):
    """An array whose items follow one rule."""

    __slots__ = ("item", "least")
    expected = "an array"

    def __init__(self, item: Rule, least: int = 0) -> None:
        self.item = item
        self.least = least

    def check(self, value: Any) -> None:
        """See Rule.check."""
        if type(value) is not list:
            raise self.refuse(value)
        if len(value) < self.least:
            raise Mismatch(f"expected at least {self.least} item, found an empty array")
        index = 0
        check = self.item.check
        try:
            for item in value:
                check(item)
                index += 1
        except Mismatch as mismatch:
            mismatch.trail.append(index)
            raise


class Map(Rule):
    """An object with free names whose values follow one rule."""

    __slots__ = ("item",)
    expected = "an object"

    def __init__(self, item: Rule) -> None:
        self.item = item

    def check(self, value: Any) -> None:
        """See Rule.check."""
        if type(value) is not dict:
            raise self.refuse(value)
        name = ""
        try:
            for name, item in value.items():  # noqa: B007  (used in the handler)
                self.item.check(item)
        except Mismatch as mismatch:
            mismatch.trail.append(name)
            raise


class Object(Rule):
    """An object with known members; others are accepted (config.md#extensibility)."""

    __slots__ = ("members", "required")
    expected = "an object"

    def __init__(self, members: dict[str, Rule], required: tuple[str, ...] = ()) -> None:
        self.members = members
        self.required = required

    def check(self, value: Any) -> None:
        """See Rule.check."""
        if type(value) is not dict:
            raise self.refuse(value)
        for name in self.required:
            if name not in value:
                raise Mismatch("missing; it is required", name)
        members = self.members
        name = ""
        try:
            for name, item in value.items():
                if name in members:
                    members[name].check(item)
        except Mismatch as mismatch:
            mismatch.trail.append(name)
            raise


def check(rule: Rule, value: Any, path: str = "") -> None:
    """Check a whole value; raises ConfigError with the JSON path (below `path`) of the member that does not fit."""
    try:
        rule.check(value)
    except Mismatch as mismatch:
        for part in reversed(mismatch.trail):
            path = f"{path}[{part}]" if isinstance(part, int) else member(path, part)
        hint = "leave the member out" if mismatch.problem.endswith("found null") else ""
        raise ConfigError(path, mismatch.problem, hint) from None


def found(value: Any) -> str:
    """A JSON value for a message, cut to a readable length."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, int):
        # Not through str(): above sys.get_int_max_str_digits() that raises.
        return str(value) if value.bit_length() <= 128 else f"a number of {value.bit_length()} bits"
    if isinstance(value, float):
        return repr(value)
    return "an array" if isinstance(value, list) else "an object"
