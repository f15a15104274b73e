"""Evidence on its way from a worker's machine to the one that collects the results."""

from __future__ import annotations

import os
import shutil

LIMIT = 1 << 20  # bytes of a file that are carried


def pack(directory: str) -> dict[str, str]:
    """The files of an evidence directory, name -> text."""
    files = {}
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as file:
            files[name] = file.read(LIMIT).decode("utf-8", "backslashreplace")
    return files


def unpack(files: dict[str, str], base: str, name: str) -> str:
    """Write the files below `base` and return their directory.  Names come from another machine: only plain ones."""
    directory = os.path.join(os.path.abspath(base), os.path.basename(name))
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    for file, text in files.items():
        with open(os.path.join(directory, os.path.basename(file)), "w", encoding="utf-8") as opened:
            opened.write(text)
    return directory
