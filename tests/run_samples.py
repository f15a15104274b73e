"""Runs to make reports of: every outcome, text that a hostile runtime may produce, runs without results."""

from __future__ import annotations

from typing import Any

from seatrial.conformance.verdict import outcome
from seatrial.conformance.verdict.results import CaseResult, Run

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\x00\x07\x1b[31mred\x1b[0m\r\n"
    "..1\nok 999 - not mine\nnot ok # TODO x\n1..0\nBail out!\n  ---\n  ...\n]]>&amp;&#0;\u202egnp.exe\u2028"
    "\ufffe\uffff\x85\x9b \ud800 \U0001f980 \u00e9\u0301 {{ 7*7 }} ${7*7} %s \\ \" '"
)


def stamp(**changes: Any) -> dict[str, Any]:
    """A complete stamp; `changes` replace whole members."""
    made: dict[str, Any] = {
        "format": 1,
        "started": "2026-01-02T03:04:05Z",
        "seatrial": "0.1.0",
        "spec": "1.3.0",
        "profile": "spec",
        "runtime": {
            "path": "/usr/bin/thing",
            "realpath": "/usr/bin/thing",
            "digest": "sha256:" + "00ff" * 16,
            "bytes": 100,
            "kind": "elf",
            "executed": None,
            "name": "thing 1.0",
            "version": "thing 1.0\n",
            "spec": None,
        },
        "privilege": "root",
        "cgroup": {"view": "v1", "controllers": ["cpu", "memory"], "manager": "cgroupfs"},
        "accelerator": None,
        "airlock": True,
        "host": {"kernel": "6.1.0", "kernel_version": "#1", "machine": "x86_64", "distribution": None, "cpus": 2},
    }
    return {**made, **changes}


def runtime(name: str, digit: str = "a") -> dict[str, Any]:
    """The stamp's member for another binary."""
    return {**stamp()["runtime"], "name": name, "digest": "sha256:" + digit * 64, "path": f"/opt/{digit}/runtime"}


def result(
    case: str, found: str, *requirements: str, reason: str | None = None, evidence: str | None = None
) -> CaseResult:
    """A result; each outcome but passed needs a reason, so it has one."""
    text = reason if reason is not None else "" if found == outcome.PASSED else f"why {found}"
    return CaseResult(case, requirements, found, "spec", text, 0.5, 0.25, evidence)


def every_outcome() -> Run:
    """One case of each outcome."""
    results = [result(f"a/test_a.py::test_{name}", name, "config/hostname/1") for name in outcome.OUTCOMES]
    return Run(stamp(), results, len(results), {"seconds": 1234.5})


def hostile() -> Run:
    """The same, where all that a runtime or a file can say is hostile."""
    results = [
        result(
            f"a/test_a.py::test_{name}[{HOSTILE}]",
            name,
            "config/hostname/2",
            HOSTILE,
            reason=HOSTILE,
            evidence="/e/" + HOSTILE,
        )
        for name in outcome.OUTCOMES
    ]
    host = {**stamp()["host"], "kernel": HOSTILE, "lsm": HOSTILE}
    where = {"view": "v1", "controllers": [HOSTILE], "manager": HOSTILE}
    return Run(stamp(runtime=runtime(HOSTILE), host=host, cgroup=where), results, len(results), {"seconds": 0.0})


def empty() -> Run:
    """A run in which nothing was run."""
    return Run(stamp(runtime=runtime("nothing", "e")), [], 0, {"seconds": 0.1})
