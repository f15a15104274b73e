"""A configuration in the making: what the parts of `configs()` change and ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st

Document: TypeAlias = dict[str, Any]


class Draft:
    """A copy of a base document.  Parts change `config` in a fixed order, namespaces first."""

    def __init__(self, base: Document) -> None:
        self.config: Document = json.loads(json.dumps(base))  # many times as fast as copy.deepcopy

    @property
    def process(self) -> Document:
        """config["process"], made where it is missing."""
        process: Document = self.config.setdefault("process", {"args": ["true"], "cwd": "/"})
        return process

    @property
    def linux(self) -> Document:
        """config["linux"], made where it is missing."""
        linux: Document = self.config.setdefault("linux", {})
        return linux

    @property
    def resources(self) -> Document:
        """linux["resources"], made where it is missing."""
        resources: Document = self.linux.setdefault("resources", {})
        return resources

    @property
    def mounts(self) -> list[Document]:
        """config["mounts"], made where it is missing."""
        mounts: list[Document] = self.config.setdefault("mounts", [])
        return mounts

    @property
    def namespaces(self) -> set[str]:
        """The types of linux.namespaces."""
        return {entry["type"] for entry in self.linux.get("namespaces", ())}

    def add_namespace(self, type: str) -> None:
        """A new namespace of this type, unless there is an entry for it."""
        if type not in self.namespaces:
            self.linux.setdefault("namespaces", []).append({"type": type})

    def drop_namespace(self, type: str) -> None:
        """Share the runtime's."""
        kept = [entry for entry in self.linux.get("namespaces", ()) if entry["type"] != type]
        self.linux["namespaces"] = kept

    def mapped(self, kind: str) -> int:
        """Ids from 0 up to, not including, this one exist in the container.  `kind` is "uid" or "gid"."""
        if "user" not in self.namespaces:
            return 2**32 - 1  # 2**32 - 1 itself is -1: no id
        ranges = {entry["containerID"]: entry["size"] for entry in self.linux.get(f"{kind}Mappings", ())}
        end = 0
        while end in ranges:
            end += ranges[end]
        return end


# Changes a draft, drawing what it needs.
Part: TypeAlias = Callable[[st.DrawFn, Draft], None]
