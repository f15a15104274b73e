"""The lock file: which package versions a kernel name stands for, with digests, so that a matrix stays the same."""

from __future__ import annotations

import os
import re
import tomllib

from seatrial.vm.errors import BlueprintError

NAME = "seatrial-vm.lock"


class Lock:
    """A TOML file with a table per kernel name.  A missing file is an empty one."""

    def __init__(self, path: str = NAME) -> None:
        self.path = path
        self.entries: dict[str, tuple[tuple[str, str, str], ...]] = {}
        if os.path.exists(path):
            self._read()

    def packages(self, kernel: str) -> tuple[tuple[str, str, str], ...]:
        """(name, version, sha256) of the packages pinned for a kernel name; empty when it is not pinned."""
        return self.entries.get(kernel, ())

    def pin(self, kernel: str, packages: tuple[tuple[str, str, str], ...]) -> None:
        """Pin the packages, and write the file."""
        self.entries[kernel] = packages
        lines = ["# Kernel packages by name, made by seatrial vm: remove a table to take the newest again.\n"]
        for name in sorted(self.entries):
            lines.append(f'\n[kernel."{name}"]\npackages = [\n')
            lines += [f'    ["{one}", "{version}", "{digest}"],\n' for one, version, digest in self.entries[name]]
            lines.append("]\n")
        temporary = f"{self.path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            file.writelines(lines)
        os.replace(temporary, self.path)

    def _read(self) -> None:
        try:
            with open(self.path, "rb") as file:
                document = tomllib.load(file)
            for name, table in document.get("kernel", {}).items():
                rows = [(str(row[0]), str(row[1]), str(row[2])) for row in table["packages"]]
                if not rows or not all(re.fullmatch(r"[0-9a-f]{64}", row[2]) for row in rows):
                    raise ValueError(f"kernel.{name}.packages: expected [name, version, sha256]")
                self.entries[name] = tuple(rows)
        except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise BlueprintError(f"lock file {self.path}: {error}") from error
