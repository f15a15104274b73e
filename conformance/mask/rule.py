"""What a seccomp filter can see of a system call, and the errno that an older kernel would give for it."""

from __future__ import annotations

from dataclasses import dataclass
from errno import errorcode

INT = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Test:
    """A condition on one argument (0 to 5).  `kind` is one of

    "bits"      any bit of values[0] is set
    "equal"     it is one of the values
    "other"     it is none of the values
    "least"     it is at least values[0]

    `wide` looks at all 64 bits (an unsigned long, a size), otherwise at the low 32: what the kernel ignores in the
    register of an int must not matter.
    """

    argument: int
    kind: str
    values: tuple[int, ...]
    wide: bool = False

    def holds(self, arguments: tuple[int, ...]) -> bool:
        """Whether the condition holds for these arguments, 64-bit registers that are not negative."""
        value = arguments[self.argument] & (0xFFFFFFFFFFFFFFFF if self.wide else INT)
        if self.kind == "bits":
            return bool(value & self.values[0])
        if self.kind == "least":
            return value >= self.values[0]
        return (value in self.values) == (self.kind == "equal")

    def __str__(self) -> str:
        values = " or ".join(hex(value) if value > 9 else str(value) for value in self.values)
        sign = {"bits": "has a bit of", "equal": "is", "other": "is not", "least": "is at least"}[self.kind]
        return f"argument {self.argument + 1} {sign} {values}"


@dataclass(frozen=True, slots=True)
class Rule:
    """The system call `call` (a name in numbers.py) fails with `errno` when all tests hold."""

    call: str
    errno: int
    tests: tuple[Test, ...] = ()

    def answers(self, call: str, arguments: tuple[int, ...]) -> bool:
        """Whether it is this rule that answers a call."""
        return call == self.call and all(test.holds(arguments) for test in self.tests)

    def __str__(self) -> str:
        where = f" where {' and '.join(str(test) for test in self.tests)}" if self.tests else ""
        return f"{self.call}{where}: {errorcode[self.errno]}"


def bits(argument: int, mask: int, *, wide: bool = False) -> Test:
    """Any of these bits is set."""
    return Test(argument, "bits", (mask,), wide)


def equal(argument: int, *values: int, wide: bool = False) -> Test:
    """It is one of these."""
    return Test(argument, "equal", values, wide)


def other(argument: int, *values: int, wide: bool = False) -> Test:
    """It is none of these."""
    return Test(argument, "other", values, wide)


def least(argument: int, value: int, *, wide: bool = False) -> Test:
    """It is at least that."""
    return Test(argument, "least", (value,), wide)
