"""How fast we soak and compare: containers and comparisons a second, as the commands themselves tell."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

CONTAINERS = 200
BUDGET = 20  # seconds of a comparison
COMPARISONS = 40  # a second, on two cores, for two runtimes


def seatrial(directory: str, *words: str) -> str:
    """The last line about figures that a command prints; findings (status 1) are none of ours."""
    argv = [sys.executable, "-m", "seatrial.conformance.cli", *words]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=directory, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(argv)}: exit status {done.returncode}: {done.stderr}")
    return next(line for line in reversed(done.stdout.splitlines()) if " a second" in line or "/s" in line)


def main(runtimes: dict[str, str]) -> None:
    """Print a line for each runtime, and for each pair of the first with another."""
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as directory:
        for name, path in runtimes.items():
            line = seatrial(directory, "soak", "--runtime", path, "--containers", str(CONTAINERS))
            print(f"{'soak, ' + name:<34}{line.partition(': ')[2]}")
        first, *others = runtimes.items()
        for name, path in others:
            where = os.path.join(directory, name)
            words = ("fuzz", "diff", "--runtime", first[1], "--runtime", path, "--seed", "1", "--directory", where)
            line = seatrial(directory, *words, "--budget", f"{BUDGET}s")
            print(
                f"{f'diff, {first[0]} and {name}':<34}{line.partition('; corpus')[0]} (target: {COMPARISONS} a second)"
            )
