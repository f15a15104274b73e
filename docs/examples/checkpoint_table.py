#!/usr/bin/env python3
"""The table of docs/checkpoint.md, from result files: checkpoint_table.py RESULTS.jsonl...

Each file is of `seatrial check --profile runc-compat -k checkpoint --report json=RESULTS.jsonl`; the first line, the
stamp, says what was tested where.  Below the table stands what failed, once, with the rows that it failed in.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

HEAD = ("runtime", "kernel", "cgroup", "CRIU", "passed", "failed", "not applicable", "CRIU or kernel cannot")


def read(path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The stamp of a file, and its results for cases about checkpoints."""
    stamp: dict[str, Any] = {}
    results = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if entry.get("kind") == "stamp":
                stamp = entry
            elif str(entry.get("case", "")).startswith("checkpoint/"):
                results.append(entry)
    return stamp, results


def row(stamp: dict[str, Any], results: list[dict[str, Any]]) -> tuple[str, ...]:
    """One line: who, where, and how many of each outcome."""
    host, name = stamp["host"], str(stamp["runtime"]["name"] or stamp["runtime"]["path"])
    counts = Counter(entry["outcome"] for entry in results)
    blamed = sum(entry["outcome"] == "skipped" and entry["reason"].startswith("criu") for entry in results)
    other = counts["skipped"] - blamed
    numbers = (counts["passed"], counts["failed"] + counts["expected-failure"], other, blamed)
    who = name.replace(" version", "").replace("seatrial-runtime", "reference runtime")
    return who, host["kernel"], stamp["cgroup"]["view"], host.get("criu") or "none", *map(str, numbers)


def main(paths: list[str]) -> int:
    """Print the table and the lists."""
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    found = sorted((row(*pair), pair[1]) for pair in map(read, paths))
    print("|", " | ".join(HEAD), "|")
    print("|", " | ".join("---" for _ in HEAD), "|")
    for cells, _ in found:
        print("|", " | ".join(cells), "|")
    for title, chosen in (("Failed", {"failed", "expected-failure"}), ("Skipped for CRIU or the kernel", {"skipped"})):
        where: dict[str, list[str]] = {}
        for cells, results in found:
            for entry in results:
                if entry["outcome"] in chosen and (title == "Failed" or entry["reason"].startswith("criu")):
                    where.setdefault(entry["case"].partition("/")[2], []).append(" ".join(cells[:3]))
        print(f"\n{title}:\n")
        for case, rows in sorted(where.items()):
            print(f"* `{case}`: {', '.join(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
