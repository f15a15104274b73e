"""Stands for the program in a machine: writes result lines for the cases that it is given, each as its name says."""

from __future__ import annotations

import json
import os
import sys
import time

PANIC = 86  # the exit status that stands for a machine that is gone
STAMP = {
    "format": 1,
    "started": "2026-01-31T12:00:00Z",
    "seatrial": "0",
    "spec": "1.3.0",
    "profile": "spec",
    "privilege": "root",
    "cgroup": {"view": "v2", "controllers": [], "manager": "cgroupfs"},
    "accelerator": None,
    "airlock": True,
    "masks": [],
    "host": {"kernel": "6.1.0", "machine": "x86_64"},
}


def say(kind: str, **members: object) -> None:
    print(json.dumps({"kind": kind, **members}), flush=True)


def main() -> int:
    selection = json.loads(sys.argv[1])
    with open(selection["cases"], encoding="utf-8") as file:
        cases = file.read().split()
    runtime = {"path": selection["runtime"], "digest": "sha256:" + "0" * 64, "name": "fake 1"}
    say("stamp", **STAMP, runtime=runtime)
    say("plan", cases=len(cases), topics={})
    for case in cases:
        say("start", case=case)
        name = case.partition("::")[2]
        evidence = None
        if "panic" in name:
            return PANIC
        if "hang" in name:
            time.sleep(600)
        if "break" in name:
            print("pytest fell over", file=sys.stderr)
            return 3
        if "slow" in name:
            time.sleep(0.5)
        if "lost" in name:
            continue  # as if the machine did not have it
        failed = "fail" in name
        if failed:
            evidence = "/tmp/seatrial-evidence/" + case.replace("/", "_")
            os.makedirs(evidence.lstrip("/"))
        say(
            "result", case=case, requirements=[], outcome="failed" if failed else "passed", profile="spec",
            reason="wrong" if failed else "", seconds=0.1, runtime_seconds=0.1, evidence=evidence,
        )  # fmt: skip
    say("end", seconds=1.0, workers=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
