#!/usr/bin/env python3
"""The table of docs/checkpoint.md, from result files: checkpoint_table.py RESULTS.jsonl...

Each file is of `seatrial check --profile runc-compat -k checkpoint --report json=RESULTS.jsonl`, or of a cell of a
matrix; the first line, the stamp, says what was tested where.  Files of the same runtime in the same place are one row:
parts of a cell, or cases that ran again, of which the later result counts.  Below the table stands what failed, once,
with the rows that it failed in.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from typing import Any

HEAD = ("runtime", "kernel", "cgroup", "CRIU", "passed", "failed", "not applicable", "CRIU or kernel cannot")


def read(path: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The stamp of a file, and its results for cases about checkpoints, by case."""
    stamp: dict[str, Any] = {}
    results = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if entry.get("kind") == "stamp":
                stamp = entry
            elif entry.get("kind") == "result" and str(entry["case"]).startswith("checkpoint/"):
                results[entry["case"]] = entry
    return stamp, results


def place(stamp: dict[str, Any]) -> tuple[str, ...]:
    """The first cells of a line: who, and where."""
    host, runtime = stamp["host"], stamp["runtime"]
    name = str(runtime["name"] or os.path.basename(runtime["path"]))  # a busy machine does not tell the version in time
    who = name.replace(" version", "").replace("seatrial-runtime", "reference runtime")
    return who, host["kernel"], stamp["cgroup"]["view"], host.get("criu") or "none"


def numbers(results: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """The other cells: how many of each outcome."""
    counts = Counter(entry["outcome"] for entry in results.values())
    blamed = sum(entry["outcome"] == "skipped" and entry["reason"].startswith("criu") for entry in results.values())
    other = counts["skipped"] - blamed
    return tuple(map(str, (counts["passed"], counts["failed"] + counts["expected-failure"], other, blamed)))


def main(paths: list[str]) -> int:
    """Print the table and the lists."""
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    found: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for stamp, results in map(read, paths):
        found.setdefault(place(stamp), {}).update(results)
    print("|", " | ".join(HEAD), "|")
    print("|", " | ".join("---" for _ in HEAD), "|")
    for cells, results in sorted(found.items()):
        print("|", " | ".join((*cells, *numbers(results))), "|")
    for title, chosen in (("Failed", {"failed", "expected-failure"}), ("Skipped for CRIU or the kernel", {"skipped"})):
        where: dict[str, list[str]] = {}
        for cells, results in sorted(found.items()):
            for entry in results.values():
                if entry["outcome"] in chosen and (title == "Failed" or entry["reason"].startswith("criu")):
                    where.setdefault(entry["case"].partition("/")[2], []).append(" ".join(cells[:3]))
        print(f"\n{title}:\n")
        for case, rows in sorted(where.items()):
            print(f"* `{case}`: {', '.join(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
