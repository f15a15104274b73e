"""What this host can and cannot test, put together."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from typing import Any

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.doctor import catalogue, host
from seatrial.conformance.doctor.remedies import remedy
from seatrial.conformance.doctor.trial import Trial, try_views
from seatrial.conformance.engine import needs
from seatrial.conformance.engine.collect import Case
from seatrial.conformance.ledger import ledger

PREFIXED = ("kernel>=", "cap:", "cgroup:", "program:", "filesystem:", "command:", "criu>=", "criu:")


def diagnose(more_runtimes: list[str]) -> dict[str, Any]:
    """The whole report, as `seatrial doctor --json` prints it (docs/doctor.md).

    EnvironmentProblem when a named runtime does not exist.
    """
    found = catalogue.cases()
    words = sorted({*needs.HOST, *(word for case in found for word in case.needs)}, key=_order)
    asked = [word for word in words if not _of_runtime(word)]
    commands = [_command(word) for word in words if _of_runtime(word)]
    paths = host.runtimes(more_runtimes)
    views = available_views()
    names = list(views) if os.geteuid() == 0 else ["auto"]
    if needs.unmet("root") and os.geteuid() == 0:
        trials = [Trial("none", f"root, but not enough of it: {needs.unmet('root')}")]
    else:
        trials = try_views(names, paths, asked, commands) if names and paths else []
    working = [trial for trial in trials if trial.error is None]
    return {
        "seatrial": importlib.metadata.version("seatrial"),
        "spec": ledger.SPEC_VERSION,
        "host": {**host.facts(), "python": host.python()},
        "machines": host.machines(),
        "cases": len(found),
        "requirements": len({name for case in found for name in case.requirements}),
        "views": [_view(trial, found) for trial in trials],
        "unavailable_views": unavailable_views(views),
        "runtimes": [_runtime(path, trials) for path in paths],
        "needs": [_need(word, working, found) for word in words],
        "leftovers": host.leftovers(),
        "can_check": any(reason is None for trial in working for reason in trial.runtimes.values()),
    }


def available_views() -> list[str]:
    """The cgroup views that `--cgroup-view` can show on this host, its own first."""
    here = cgroups.read_view()
    found = [here.mode] if here.mode != "none" else []
    for name, there in (("hybrid", here.v1 and here.v2), ("v1", here.v1), ("v2", here.v2)):
        if there and name not in found:
            found.append(name)
    return found


def unavailable_views(there: Sequence[str]) -> dict[str, str]:
    """Why a view is not available, by its name."""
    here = cgroups.read_view()
    lacking = "the host has no v1 hierarchies" if not here.v1 else "the host has no v2 hierarchy"
    if os.geteuid() != 0:
        return {}
    return {name: lacking for name in ("v1", "v2", "hybrid") if name not in there}


def _of_runtime(word: str) -> bool:
    return word in needs.COMMANDS or word.startswith("command:")


def _command(word: str) -> str:
    return needs.COMMANDS.get(word) or word.partition(":")[2]


def _order(word: str) -> tuple[int, str, tuple[int, int]]:
    """Plain words first, then by kind; kernels by their version."""
    for place, prefix in enumerate(PREFIXED, 1):
        if word.startswith(prefix):
            version = needs.kernel_version(word[8:]) if place == 1 else (0, 0)
            return place, "" if place == 1 else word, version
    return 0, word, (0, 0)


def _view(trial: Trial, found: Sequence[Case]) -> dict[str, Any]:
    runnable = [case for case in found if not any(word in trial.needs for word in case.needs)]
    none = trial.error is not None
    return {
        "view": trial.view,
        "error": trial.error,
        "controllers": trial.controllers,
        "cases": 0 if none else len(runnable),
        "requirements": 0 if none else len({name for case in runnable for name in case.requirements}),
    }


def _runtime(path: str, trials: Sequence[Trial]) -> dict[str, Any]:
    lacking = [command for trial in trials for command in trial.commands.get(path, ())]
    return {
        "path": path,
        "version": host.version(path, "--version"),
        "views": {trial.view: trial.error or trial.runtimes.get(path) for trial in trials},
        "lacks_commands": lacking,
    }


def _need(word: str, trials: Sequence[Trial], found: Sequence[Case]) -> dict[str, Any]:
    depending = [case for case in found if word in case.needs]
    made: dict[str, Any] = {
        "word": word,
        "cases": len(depending),
        "requirements": len({name for case in depending for name in case.requirements}),
    }
    if _of_runtime(word):
        command = _command(word)
        first = trials[0] if trials else None
        having = [path for path, lacks in (first.commands if first else {}).items() if command not in lacks]
        return {**made, "met": bool(having), "of": "runtime", "runtimes": having, "reason": None, "remedy": None} | (
            {} if having else {"reason": f"no runtime here has a {command} command", "remedy": remedy(word)}
        )
    met = [trial.view for trial in trials if word not in trial.needs]
    reasons = {trial.view: trial.needs[word] for trial in trials if word in trial.needs}
    reason = "; ".join(dict.fromkeys(reasons.values())) or (None if met else needs.unmet(word))
    if word.startswith("cgroup:") and len(reasons) > 1:
        reason = f"no {word[7:]} controller in the view {', '.join(reasons)}"
    return {
        **made,
        "met": bool(met),
        "of": "host",
        "views": met,
        "reason": reason,
        "remedy": None if met else remedy(word, reason or ""),
    }
