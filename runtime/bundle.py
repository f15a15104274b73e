"""The code of all our modules in one file, for the command line.

A container's start waits for some seventy small modules, and the import system spends more time on finding each than
on running it.  The file lies in ``__pycache__`` beside the ordinary .pyc files, is made from the sources after a
command that missed it, and stands for a module only while the source has the size and the time that it was made from:
whatever is newer, or missing, is imported in the ordinary way.

Format: marshal of (MAGIC_NUMBER of the interpreter, {name: (source, mtime_ns, size, package, offset, length)}), then
from HEADER on the code objects, marshalled, at their offsets.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    Entry = tuple[str, int, int, bool, int, int]

HEADER = 1 << 15
_OTHERS = ("native/compile.py", "native/generate.py", "runtime/warm.py")  # programs that no command imports
_SKIPPED = ("__pycache__", "entry", "executor", "probe", "bindings", "build", "bin")


class Finder:
    """A meta path entry: finds and loads what the file has."""

    def __init__(self, place: str) -> None:
        self.place = place  # the directory of our packages
        self.path = f"{place}/runtime/__pycache__/bundle.{sys.implementation.cache_tag}"
        self.fd = -1
        self.index: dict[str, Entry] = {}
        self.stale = True

    def open(self) -> None:
        """Read the index; a file that is missing, foreign or damaged is as good as empty."""
        try:
            self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            magic, index = marshal.loads(os.pread(self.fd, HEADER, 0))
        except (OSError, ValueError, TypeError, EOFError):
            return
        if magic == MAGIC_NUMBER:
            self.index = index
            self.stale = False

    def fresh(self, name: str) -> bool:
        """Whether the file has a module, made from the source that is there now."""
        entry = self.index.get(name)
        if entry is None:
            return False
        try:
            source = os.stat(entry[0])
        except OSError:
            return False
        return source.st_mtime_ns == entry[1] and source.st_size == entry[2]

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The import system's question; None sends it on to the next finder."""
        if not name.startswith("seatrial."):
            return None
        if not self.fresh(name):
            file = f"{self.place}/{name[9:].replace('.', '/')}"  # without "seatrial."
            if name in self.index or os.path.isfile(f"{file}.py") or os.path.isfile(f"{file}/__init__.py"):
                self.stale = True
            return None  # it has changed, or is not written in Python
        entry = self.index[name]
        spec = ModuleSpec(name, self, origin=entry[0], is_package=entry[3])  # type: ignore[arg-type]
        spec.has_location = True
        spec.cached = self.path  # else the import system works it out, for every module
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(entry[0]))
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """An ordinary module will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code."""
        entry = self.index[module.__name__]
        exec(marshal.loads(os.pread(self.fd, entry[5], HEADER + entry[4])), module.__dict__)

    def refresh(self) -> None:
        """Write the file anew if something was missing in it; where nobody may write, that is that."""
        if not self.stale or not os.access(os.path.dirname(self.path), os.W_OK):
            return
        temporary = f"{self.path}.{os.getpid()}"
        try:
            code, index = self._collect()
            header = marshal.dumps((MAGIC_NUMBER, index))
            if len(header) > HEADER:
                return
            with open(temporary, "wb") as file:
                file.write(header.ljust(HEADER, b"\0") + code)
            os.replace(temporary, self.path)
        except (OSError, SyntaxError, ValueError):  # a full disk, or a module that is being edited
            try:
                os.unlink(temporary)
            except OSError:
                pass

    def _collect(self) -> tuple[bytes, dict[str, Entry]]:
        """Every module's code: the old one while its source is unchanged."""
        code = b""
        index: dict[str, Entry] = {}
        for name, path, package in sources(self.place):
            if self.fresh(name):
                old = self.index[name]
                data = os.pread(self.fd, old[5], HEADER + old[4])
                modified, size = old[1:3]
            else:
                with open(path, "rb") as file:
                    found = os.fstat(file.fileno())
                    text = file.read()
                modified, size = found.st_mtime_ns, found.st_size
                # Level 2 leaves docstrings out; our assertions only tell the type checker what is so.
                data = marshal.dumps(compile(text, path, "exec", dont_inherit=True, optimize=2))
            index[name] = (path, modified, size, package, len(code), len(data))
            code += data
        return code, index


def sources(place: str) -> list[tuple[str, str, bool]]:
    """(module, source, is a package) of `seatrial.native` and `seatrial.runtime`."""
    found = []
    for top in ("native", "runtime"):
        for directory, below, files in os.walk(os.path.join(place, top)):
            below[:] = sorted(name for name in below if name not in _SKIPPED)
            package = "seatrial." + os.path.relpath(directory, place).replace(os.sep, ".")
            for file in sorted(files):
                if os.path.relpath(os.path.join(directory, file), place) in _OTHERS:
                    continue
                if file == "__init__.py":
                    found.append((package, os.path.join(directory, file), True))
                elif file.endswith(".py"):
                    found.append((f"{package}.{file[:-3]}", os.path.join(directory, file), False))
    return found
