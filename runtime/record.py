"""Records: typed plain objects with ``__slots__`` and a JSON form, without the start-up cost of ``dataclasses``.

A subclass lists its fields as annotations, with or without a default; the constructor takes keywords only.  A list, a
dict or a record given as a default is copied for every instance.  The module of a subclass must have ``from __future__
import annotations``: the JSON reader looks record types up by the text of the annotation.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        """Stand in for ``typing.dataclass_transform``: importing typing costs milliseconds."""
        return lambda cls: cls


_REQUIRED = object()
_COPIED = (list, dict)


def _is_mutable(value: Any) -> bool:
    return type(value) in _COPIED or isinstance(type(value), RecordType)


def _factory(default: Any) -> Any:
    """What makes a fresh copy of a default: for the usual ones, such as [], the type itself, which is faster."""
    kind = type(default)
    if kind in _COPIED:
        return default.copy if default else kind
    return kind if not default.to_json() else default.copy


class RecordType(type):
    """The metaclass: annotations become slots and defaults become tables."""

    def __new__(mcls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> RecordType:
        annotations = body.get("__annotations__", {})
        if "__annotate_func__" in body or "__annotate__" in body:
            raise TypeError(f"the module of record {name} needs 'from __future__ import annotations'")
        fields: dict[str, Any] = {}
        for base in bases:
            fields.update(getattr(base, "_fields", {}))
        own = {field: body.pop(field, _REQUIRED) for field in annotations if field[0] != "_"}
        fields.update(own)
        body["__slots__"] = tuple(own)
        body["_fields"] = fields
        body["_defaults"] = {field: default for field, default in fields.items() if default is not _REQUIRED}
        body["_fresh"] = [(field, _factory(default)) for field, default in fields.items() if _is_mutable(default)]
        body["_readers"] = None
        return super().__new__(mcls, name, bases, body)


if TYPE_CHECKING:

    @dataclass_transform(kw_only_default=True, eq_default=True)
    class _Transform(type):
        """What type checkers see of RecordType."""

    _Metaclass = _Transform
else:
    _Metaclass = RecordType


class Record(metaclass=_Metaclass):
    """Base of the records.  Equal when of the same class with equal fields; not hashable."""

    if not TYPE_CHECKING:

        def __init__(self, **given):
            values = self._defaults | given
            if len(values) != len(self._fields):
                raise _wrong_fields(type(self), given)
            for name, factory in self._fresh:
                if name not in given:
                    values[name] = factory()
            try:
                for name, value in values.items():
                    setattr(self, name, value)
            except AttributeError:
                raise _wrong_fields(type(self), given) from None

    else:
        _fields: ClassVar[dict[str, Any]]
        _readers: ClassVar[dict[str, Any] | None]

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._fields)

    __hash__ = None  # type: ignore[assignment]  # records are mutable

    def __repr__(self) -> str:
        shown = []
        for name, default in self._fields.items():
            value = getattr(self, name)
            if default is _REQUIRED or value != default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def copy(self) -> Self:
        """A deep copy: nested records, lists and dicts are copied too."""
        return self.replace()

    def replace(self, **changes: Any) -> Self:
        """A deep copy with some fields changed."""
        for name in self._fields:
            if name not in changes:
                changes[name] = _deep(getattr(self, name))
        return type(self)(**changes)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values.  Fields that have their default value are left out."""
        out: dict[str, Any] = {}
        for name, default in self._fields.items():
            value = getattr(self, name)
            if default is _REQUIRED or value != default:
                out[name] = _plain(value)
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The record that `to_json` wrote.

        Unknown members raise TypeError: data written by another version must not lose meaning silently.
        """
        readers = cls.__dict__["_readers"]
        if readers is None:
            names = sys.modules[cls.__module__].__dict__
            readers = {}
            for base in reversed(cls.__mro__):
                annotations: dict[str, str] = vars(base).get("__annotations__", {})
                for name, annotation in annotations.items():
                    reader = _reader(annotation, names)
                    if reader is not None:
                        readers[name] = reader
            cls._readers = readers
        return cls(**{name: readers[name](value) if name in readers else value for name, value in data.items()})


def _wrong_fields(kind: type[Record], given: dict[str, Any]) -> TypeError:
    fields = kind._fields
    missing = [name for name, default in fields.items() if default is _REQUIRED and name not in given]
    unknown = [name for name in given if name not in fields]
    return TypeError(f"{kind.__name__}: missing fields {missing}, unknown fields {unknown}")


def _deep(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return [_deep(item) for item in value]
    if kind is dict:
        return {key: _deep(item) for key, item in value.items()}
    return value.copy() if isinstance(value, Record) else value


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is list or kind is tuple:
        return [_plain(item) for item in value]
    if kind is dict:
        return {key: _plain(item) for key, item in value.items()}
    return value.to_json() if isinstance(value, Record) else value


def _reader(annotation: str, names: dict[str, Any]) -> Any:
    """The converter for a field of this annotation: ``X``, ``X | None``, ``list[X]``, ``dict[str, X]``; or None."""
    text = annotation.removesuffix(" | None")
    for prefix in ("list[", "dict[str, "):
        if text.startswith(prefix):
            item = _reader(text[len(prefix) : -1], names)
            if item is None:
                return None
            if prefix == "list[":
                return lambda value: value and [item(each) for each in value]
            return lambda value: value and {key: item(each) for key, each in value.items()}
    found = names.get(text)
    if isinstance(found, type) and issubclass(found, Record):
        return lambda value: None if value is None else found.from_json(value)
    return None
