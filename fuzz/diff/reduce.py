"""Make a config smaller while something stays true of it: delta debugging on JSON, towards the base config.

Hypothesis shrinks draws; this shrinks documents, whatever they come from (a corpus, another machine, a person).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from seatrial.fuzz.diff.paths import Document, Place, changes, features, get

TRIES = 80  # checks for one config: each is a container on every runtime


def reduce(config: Document, base: Document, holds: Callable[[Document], bool], tries: int = TRIES) -> Document:
    """The smallest config that was found for which `holds` is true, as it is of `config`.  `base` is where members go
    that do not matter."""
    left = tries
    seen = {_text(config)}

    def check(candidate: Document) -> bool:
        nonlocal left
        text = _text(candidate)
        if text in seen or left <= 0:
            return False
        seen.add(text)
        left -= 1
        return holds(candidate)

    again = True
    while again and left > 0:
        again = False
        for candidate in _smaller(config, base):
            if check(candidate):
                config, again = candidate, True
                break
    return config


def _smaller(config: Document, base: Document) -> Iterator[Document]:
    """Configs that are nearer to the base, the nearest first."""
    places = list(changes(base, config))
    tops = list(dict.fromkeys(place[:1] for place in places))
    middles = list(dict.fromkeys(place[:2] for place in places if len(place) > 2))
    if len(places) > 2:  # halves, as delta debugging does
        for part in (places[: len(places) // 2], places[len(places) // 2 :]):
            yield _reverted(config, base, part)
    for place in [*tops, *middles, *places]:
        yield _reverted(config, base, [place])
    for place in places:
        value = get(config, place)
        for simpler in _simpler(value, get(base, place)):
            yield _replaced(config, place, simpler)


def _reverted(config: Document, base: Document, places: list[Place]) -> Document:
    changed: Document = _copy(config)
    # Elements of lists go from the end, so that the others keep their numbers.
    for place in sorted(places, key=lambda place: [(isinstance(step, int), step) for step in place], reverse=True):
        _revert(changed, base, place)
    return changed


def _revert(changed: Document, base: Document, place: Place) -> None:
    *path, last = place
    holder = get(changed, tuple(path))
    origin = get(base, tuple(path))
    if isinstance(holder, list):
        if isinstance(last, int) and last < len(holder):
            del holder[last]
        elif not isinstance(last, int):  # "missing", "order": as it was
            holder[:] = _copy(origin)
    elif isinstance(holder, dict) and isinstance(last, str):
        if isinstance(origin, dict) and last in origin:
            holder[last] = _copy(origin[last])
        else:
            holder.pop(last, None)


def _replaced(config: Document, place: Place, value: Any) -> Document:
    changed: Document = _copy(config)
    *path, last = place
    holder = get(changed, tuple(path))
    holder[last] = value
    return changed


def _simpler(value: Any, origin: Any) -> Iterator[Any]:
    """Simpler values of the same kind; parts of objects and lists, one less at a time."""
    if isinstance(value, dict):
        for key in value:
            yield {name: item for name, item in value.items() if name != key}
        for key, item in value.items():
            for simpler in _simpler(item, None):
                yield {**value, key: simpler}
    elif isinstance(value, list):
        if len(value) > 3:
            yield value[: len(value) // 2]
            yield value[len(value) // 2 :]
        for number in range(len(value)):
            yield value[:number] + value[number + 1 :]
        for number, item in enumerate(value):
            for simpler in _simpler(item, None):
                yield [*value[:number], simpler, *value[number + 1 :]]
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from (number for number in (0, 1, 1024, value // 2) if abs(number) < abs(value))
    elif isinstance(value, str) and len(value) > 8:
        yield value[: len(value) // 2]


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))  # many times as fast as copy.deepcopy


def _text(config: Document) -> str:
    return json.dumps(config, sort_keys=True)


def without(config: Document, base: Document, gone: set[str]) -> Document:
    """The config with the places whose features are all in `gone` as they are in the base."""
    places = []
    for place in changes(base, config):
        alone = _reverted(config, base, [other for other in changes(base, config) if other != place])
        if set(features(base, alone)) & gone:
            places.append(place)
    return _reverted(config, base, places)
