"""The corpus: configs that made runtimes do something that no other config did, in a Hypothesis example database.

A database is a set of byte strings under a key; ours are documents as JSON.  A directory of them can be read and
edited; a Redis server is shared by machines (database.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis.database import ExampleDatabase

KEY = b"seatrial diff 1"


class Corpus:
    """Entries are dictionaries with `config`, `flow`, `invalid` and `traits`: what they did, as words."""

    def __init__(self, database: ExampleDatabase) -> None:
        self.database = database
        self.traits: set[str] = set()
        self.taken: set[bytes] = set()

    def entries(self) -> list[dict[str, Any]]:
        """All of them, the smallest first; what is not ours is passed over."""
        found = []
        for data in sorted(self.database.fetch(KEY), key=lambda data: (len(data), data)):
            try:
                entry = json.loads(data)
            except ValueError:
                continue
            if isinstance(entry, dict) and isinstance(entry.get("config"), dict):
                found.append({"flow": "run", "invalid": None, "traits": [], **entry})
        return found

    def learn(self) -> list[dict[str, Any]]:
        """The entries that were not learnt yet (others add some, too); their traits are known from now on."""
        new = [entry for entry in self.entries() if pack(entry) not in self.taken]
        self.taken |= {pack(entry) for entry in new}
        self.traits |= {trait for entry in new for trait in entry["traits"]}
        return new

    def offer(self, entry: dict[str, Any], traits: Iterable[str]) -> bool:
        """Keep an entry if it has a trait that none had; whether it was kept."""
        found = set(traits)
        if found <= self.traits:
            return False
        self.traits |= found
        data = pack({**entry, "traits": sorted(found)})
        self.taken.add(data)
        self.database.save(KEY, data)
        return True

    def minimise(self) -> int:
        """Drop entries all of whose traits smaller ones have too; how many were dropped."""
        covered: set[str] = set()
        dropped = 0
        for entry in self.entries():
            traits = set(entry["traits"])
            if traits <= covered:
                self.database.delete(KEY, pack(entry))
                dropped += 1
            covered |= traits
        return dropped


def pack(entry: dict[str, Any]) -> bytes:
    """An entry as bytes, the same for the same entry."""
    kept = {name: entry.get(name) for name in ("config", "flow", "invalid", "traits")}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()
