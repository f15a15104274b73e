"""GVariant text -> a D-Bus signature and value: the values of annotations ``org.systemd.property.NAME``.

https://docs.gtk.org/glib/gvariant-text-format.html, less ``maybe`` types and format strings, which D-Bus does not have.

    'inactive-or-failed'   uint64 5000000   true   ['a.service', 'b.service']   [('x', uint32 1)]   @as []   <'v'>
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Node: TypeAlias = tuple[str, Any]  # kind, content

KEYWORDS = {
    "boolean": "b", "byte": "y", "int16": "n", "uint16": "q", "int32": "i", "uint32": "u", "int64": "x",
    "uint64": "t", "double": "d", "string": "s", "objectpath": "o", "signature": "g",
}  # fmt: skip
INTEGERS = {
    "y": (0, 255), "n": (-(1 << 15), (1 << 15) - 1), "q": (0, (1 << 16) - 1), "i": (-(1 << 31), (1 << 31) - 1),
    "u": (0, (1 << 32) - 1), "x": (-(1 << 63), (1 << 63) - 1), "t": (0, (1 << 64) - 1),
}  # fmt: skip
_TEXTS = "sog"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_MAX_DEPTH = 32  # D-Bus allows 32 arrays and 32 structs


def parse(text: str) -> tuple[str, Any]:
    """(signature, value) of one value.  Raises ValueError, with what is wrong, for anything else."""
    parser = _Parser(text)
    node = parser.value(0)
    parser.blanks()
    if parser.position != len(text):
        raise ValueError(f"text after the value: {text[parser.position :]!r}")
    signature = _infer(node)
    return signature, _build(node, signature)


class _Parser:
    """Text to nodes: ("integer", 5), ("text", "a"), ("array", [...]), ("typed", (signature, node)) ..."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def blanks(self) -> None:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def peek(self) -> str:
        self.blanks()
        return self.text[self.position : self.position + 1]

    def take(self, letter: str) -> bool:
        if self.peek() != letter:
            return False
        self.position += 1
        return True

    def expect(self, letter: str) -> None:
        if not self.take(letter):
            raise ValueError(f"{letter!r} expected at {self.text[self.position :][:20]!r}")

    def word(self) -> str:
        """Letters, digits and what numbers are made of."""
        start = self.position
        while self.position < len(self.text) and (
            (self.text[self.position].isascii() and self.text[self.position].isalnum())
            or self.text[self.position] in "+-."
        ):
            self.position += 1
        return self.text[start : self.position]

    def value(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        letter = self.peek()
        if letter == "":
            raise ValueError("a value is missing")
        if letter in "'\"":
            return "text", self.quoted()
        if letter == "[":
            return "array", self.items("]", depth)
        if letter == "(":
            return "tuple", self.items(")", depth)
        if letter == "{":
            return self.dictionary(depth)
        if letter == "<":
            self.position += 1
            inner = self.value(depth + 1)
            self.expect(">")
            return "variant", inner
        if letter == "@":
            self.position += 1
            return "typed", (self.signature(), self.value(depth + 1))
        return self.scalar(depth)

    def scalar(self, depth: int) -> Node:
        start = self.position
        word = self.word()
        if word == "b" and self.text[self.position : self.position + 1] in ("'", '"'):
            return "bytes", [ord(letter) for letter in self.quoted(octal=True)] + [0]
        if word in ("true", "false"):
            return "boolean", word == "true"
        if word in KEYWORDS:
            return "typed", (KEYWORDS[word], self.value(depth + 1))
        digits = word.lstrip("+-")
        if not digits or not (digits[0].isdigit() or digits[0] == "." or digits in ("inf", "nan")):
            raise ValueError(f"no value: {self.text[start:][:20]!r}")
        hexadecimal = digits[:2].lower() == "0x"
        if digits in ("inf", "nan") or (not hexadecimal and any(letter in ".eE" for letter in digits)):
            return "double", float(word)
        octal = len(digits) > 1 and digits[0] == "0" and not hexadecimal
        return "integer", int(word, 16 if hexadecimal else 8 if octal else 10)

    def quoted(self, octal: bool = False) -> str:
        mark = self.text[self.position]
        out = []
        position = self.position + 1
        while position < len(self.text) and self.text[position] != mark:
            letter = self.text[position]
            if letter == "\\":
                position += 1
                letter = self.text[position : position + 1]
                if letter and letter in "uU" and not octal:
                    length = 4 if letter == "u" else 8
                    code = int(self.text[position + 1 : position + 1 + length], 16)
                    if code > 0x10FFFF:
                        raise ValueError(f"no such letter: U+{code:X}")
                    out.append(chr(code))
                    position += 1 + length
                    continue
                if octal and letter in tuple("01234567"):
                    digits = letter
                    while len(digits) < 3 and self.text[position + 1 : position + 2] in tuple("01234567"):
                        position += 1
                        digits += self.text[position]
                    out.append(chr(int(digits, 8) & 0xFF))
                    position += 1
                    continue
                letter = _ESCAPES.get(letter, letter)
            out.append(letter)
            position += 1
        if position >= len(self.text):
            raise ValueError("a string does not end")
        self.position = position + 1
        if octal and any(ord(letter) > 255 for letter in out):
            raise ValueError("a byte string has a letter beyond 255")
        return "".join(out)

    def items(self, end: str, depth: int) -> list[Node]:
        self.position += 1
        found: list[Node] = []
        while not self.take(end):
            found.append(self.value(depth + 1))
            if not self.take(","):
                self.expect(end)
                break
        return found

    def dictionary(self, depth: int) -> Node:
        self.position += 1
        entries: list[tuple[Node, Node]] = []
        while not self.take("}"):
            key = self.value(depth + 1)
            self.expect(":")
            entries.append((key, self.value(depth + 1)))
            if not self.take(","):
                self.expect("}")
                break
        return "dictionary", entries

    def signature(self) -> str:
        start = self.position
        self.position = _end_of_type(self.text, start, 0)
        return self.text[start : self.position]


def _end_of_type(text: str, start: int, depth: int) -> int:
    """Where the complete type that begins at `start` ends."""
    letter = text[start : start + 1]
    if depth > _MAX_DEPTH or letter == "":
        raise ValueError("an incomplete type")
    if letter in "bynqiuxtdsogv":
        return start + 1
    if letter == "a" and text[start + 1 : start + 2] == "{":
        if text[start + 2 : start + 3] not in tuple("bynqiuxtdsog"):
            raise ValueError("the key of a dictionary is not of a basic type")
        end = _end_of_type(text, start + 3, depth + 1)
        if text[end : end + 1] != "}":
            raise ValueError("a dictionary's type without its }")
        return end + 1
    if letter == "a":
        return _end_of_type(text, start + 1, depth + 1)
    if letter == "(":
        end = start + 1
        while text[end : end + 1] != ")":
            end = _end_of_type(text, end, depth + 1)
        if end == start + 1:
            raise ValueError("D-Bus has no empty struct")
        return end + 1
    raise ValueError(f"no D-Bus type: {text[start:][:20]!r}")


def _infer(node: Node) -> str:
    kind, content = node
    if kind == "typed":
        return str(content[0])
    if kind == "array":
        return "a" + _common(content, "an empty array needs a type, such as @as []")
    if kind == "tuple":
        if not content:
            raise ValueError("D-Bus has no empty struct")
        return f"({''.join(map(_infer, content))})"
    if kind == "dictionary":
        keys = _common([key for key, _ in content], "an empty dictionary needs a type, such as @a{ss} {}")
        if len(keys) != 1 or keys == "v":
            raise ValueError("the key of a dictionary is not of a basic type")
        return f"a{{{keys}{_common([value for _, value in content], '')}}}"
    return {"integer": "i", "double": "d", "boolean": "b", "text": "s", "variant": "v", "bytes": "ay"}[kind]


def _common(nodes: list[Node], if_empty: str) -> str:
    """The one type of all: the first explicit one decides, numbers without a type follow."""
    if not nodes:
        raise ValueError(if_empty)
    for node in nodes:
        if node[0] == "typed":
            return _infer(node)
    if all(kind in ("integer", "double") for kind, _ in nodes):
        return "d" if any(kind == "double" for kind, _ in nodes) else "i"
    return _infer(nodes[0])


def _build(node: Node, signature: str) -> Any:
    """The value of a node as jeepney takes it: lists, tuples, dicts, and (signature, value) for a variant."""
    kind, content = node
    wrong = ValueError(f"{kind} where type {signature!r} belongs")
    if kind == "typed":
        if content[0] != signature:
            raise ValueError(f"type {content[0]!r} where type {signature!r} belongs")
        return _build(content[1], signature)
    if signature == "v":
        if kind != "variant":
            raise wrong
        inner = _infer(content)
        return inner, _build(content, inner)
    if kind == "integer":
        if signature == "d":
            return float(content)
        if signature not in INTEGERS:
            raise wrong
        low, high = INTEGERS[signature]
        if not low <= content <= high:
            raise ValueError(f"{content} is out of range: {low} to {high}")
        return content
    if kind == "text":
        if signature not in tuple(_TEXTS):
            raise wrong
        if signature == "o" and not _is_object_path(content):
            raise ValueError(f"{content!r} is no object path")
        if signature == "g" and content:
            end = 0
            while end < len(content):
                end = _end_of_type(content, end, 0)
        if "\0" in content or any(0xD800 <= ord(letter) <= 0xDFFF for letter in content):
            raise ValueError("a string has a letter that D-Bus does not carry")
        return content
    if kind in ("array", "bytes") and signature[0] == "a" and signature[1] != "{":
        if kind == "bytes":
            if signature != "ay":
                raise wrong
            return bytes(content)
        return [_build(item, signature[1:]) for item in content]
    if kind == "dictionary" and signature[:2] == "a{":
        return {_build(key, signature[2]): _build(value, signature[3:-1]) for key, value in content}
    if kind == "tuple" and signature[0] == "(":
        types, position = [], 1
        while position < len(signature) - 1:
            end = _end_of_type(signature, position, 0)
            types.append(signature[position:end])
            position = end
        if len(types) != len(content):
            raise wrong
        return tuple(_build(item, type) for item, type in zip(content, types, strict=True))
    if (kind, signature) in (("boolean", "b"), ("double", "d")):
        return content
    raise wrong


def _is_object_path(text: str) -> bool:
    return text == "/" or (
        text[:1] == "/"
        and all(
            part and all(letter == "_" or (letter.isascii() and letter.isalnum()) for letter in part)
            for part in text[1:].split("/")
        )
    )
