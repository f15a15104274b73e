"""The option parser of the command line: hand-written, because argparse alone would double the start-up time.

It reads what Go's flag package (which runc and its callers use) reads: ``--name value``, ``--name=value``, ``-name``,
boolean ``--name=false``, and ``--`` as the end of the options.
"""

from __future__ import annotations

from seatrial.runtime.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TRUE = ("1", "t", "true", "T", "TRUE", "True")
_FALSE = ("0", "f", "false", "F", "FALSE", "False")


class Options:
    """The options that were given.  One that was not given is "" (text), [] (list), False (flag) or 0 (count).

    The table says, for each name without its dashes, the destination and the kind: "text", "list" (may be repeated),
    "flag" or "count".
    """

    def __init__(self, table: Mapping[str, tuple[str, str]]) -> None:
        self.texts: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.flags: dict[str, bool] = {}
        self.counts: dict[str, int] = {}
        self.given: set[str] = set()
        self._table = table

    def text(self, name: str, default: str = "") -> str:
        """The value of a text option."""
        return self.texts.get(name, default)

    def repeated(self, name: str) -> list[str]:
        """The values of an option that may be repeated, in their order."""
        return self.lists.get(name, [])

    def flag(self, name: str) -> bool:
        """Whether a boolean option is on."""
        return self.flags.get(name, False)

    def count(self, name: str) -> int:
        """The value of an option that takes a number of at least 0."""
        return self.counts.get(name, 0)

    def take(self, word: str, rest: list[str]) -> None:
        """Read the option in `word`, and its value from the front of `rest` if it needs one there."""
        name, equals, value = word.lstrip("-").partition("=")
        if name not in self._table:
            raise UsageError(f"unknown option {word.partition('=')[0]}")
        destination, kind = self._table[name]
        self.given.add(destination)
        if kind == "flag":
            if equals and value not in _TRUE + _FALSE:
                raise UsageError(f"option --{name} takes true or false, not {value!r}")
            self.flags[destination] = not equals or value in _TRUE
            return
        if not equals:
            if not rest:
                raise UsageError(f"option --{name} needs a value")
            value = rest.pop(0)
        if kind == "text":
            self.texts[destination] = value
        elif kind == "list":
            self.lists.setdefault(destination, []).append(value)
        else:
            if not (value.isascii() and value.isdigit()):
                raise UsageError(f"option --{name} takes a number, not {value!r}")
            self.counts[destination] = int(value)


def parse(table: Mapping[str, tuple[str, str]], words: list[str], interspersed: bool) -> tuple[Options, list[str]]:
    """Split `words` into options and positional arguments.

    With `interspersed` options may follow arguments; otherwise the first argument ends them, as in `kill ID -9`.
    Raises UsageError.
    """
    options = Options(table)
    arguments: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return options, arguments + rest
        if len(word) > 1 and word[0] == "-":
            options.take(word, rest)
            continue
        arguments.append(word)
        if not interspersed:
            return options, arguments + rest
    return options, arguments
