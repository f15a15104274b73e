"""The figures of a campaign: the kill rate, by operation too, the survivors, the cases that noticed nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from seatrial.conformance.sensitivity.choice import subject
from seatrial.conformance.sensitivity.parameters import ARGUMENTS
from seatrial.conformance.sensitivity.results import KILLED, Verdict
from seatrial.conformance.sensitivity.survey import Survey
from seatrial.conformance.verdict import outcome

FAMILIES = {
    "plan": "operations of the plan",
    "step": "steps of the parent",
    "file": "what the parent writes to cgroups and id maps",
    "answer": "what the command line prints",
    "status": "exit statuses",
}


def group(mutation: str) -> str:
    """The operation, module or command that a mutant belongs to in the tables."""
    family, _, rest = mutation.partition("/")
    if family == "plan":
        return f"{rest.partition('/')[0]} {subject(mutation)}"
    return rest.partition(":")[0].partition("/")[0]


def make(verdicts: dict[str, Verdict], surveys: Iterable[Survey], steps: Iterable[str]) -> dict[str, Any]:
    """Everything that docs/sensitivity.json has.  A mutant whose change never happened, though every case that calls
    the step has been asked, is none: the two calls lie in a branch that no case comes to."""
    surveys = list(surveys)
    branches = sorted(
        name
        for name, verdict in verdicts.items()
        if verdict.verdict != KILLED and verdict.complete and not verdict.applied
    )
    verdicts = {name: verdict for name, verdict in verdicts.items() if name not in branches}
    killed = {name for name, verdict in verdicts.items() if verdict.verdict == KILLED}
    families: dict[str, dict[str, dict[str, int]]] = {name: {} for name in FAMILIES}
    for name in sorted(verdicts):
        entry = families[name.partition("/")[0]].setdefault(group(name), {"mutants": 0, "killed": 0})
        entry["mutants"] += 1
        entry["killed"] += name in killed
    reached = set().union(*(survey.points_of_any() for survey in surveys)) if surveys else set()
    return {
        "version": version("seatrial"),
        "views": [survey.view for survey in surveys],
        "mutants": len(verdicts),
        "killed": len(killed),
        "kill_rate": rate(len(killed), len(verdicts)),
        "survivors": sorted(set(verdicts) - killed),
        "operations": families,
        "not_reached": {
            "steps": sorted(name for name in steps if name not in reached),
            "branches": branches,
            "operations": sorted(
                f"{kind} {name}"
                for name in ARGUMENTS
                for kind in ("init", "exec")
                if f"plan/{kind}/{name}/dropped" not in reached
            ),
            "no_effect_here": sorted(set().union(*(survey.without_effect() for survey in surveys))),
        },
        "cases": _cases(verdicts.values(), surveys),
    }


def rate(killed: int, mutants: int) -> float:
    """Per cent, with two digits, rounded down: 94.999 is not 95."""
    return killed * 10000 // mutants / 100 if mutants else 0.0


def _cases(verdicts: Iterable[Verdict], surveys: list[Survey]) -> dict[str, Any]:
    """How the cases share the work.  A case is needed if it alone kills some mutant, and redundant if each mutant that
    it was seen to kill has another killer too; one at a time: what two cases kill, one of the two must stay for."""
    dead = [verdict for verdict in verdicts if verdict.verdict == KILLED]
    kills = Counter(verdict.killer for verdict in dead)
    cases = {case for survey in surveys for case, found in survey.outcomes.items() if found == outcome.PASSED}
    needed = {verdict.killer for verdict in dead if verdict.alone}
    open_ = {verdict.killer for verdict in dead if not verdict.second and not verdict.alone}
    seen = {case for verdict in dead for case in (verdict.killer, verdict.second) if case}
    return {
        "passed_by_the_control": len(cases),
        "killers": len(kills),
        "most_kills": kills.most_common(10),
        "mutants_with_two_killers": sum(bool(verdict.second) for verdict in dead),
        "mutants_with_one_killer": sum(verdict.alone for verdict in dead),
        "needed": sorted(needed),
        "redundant": sorted(seen - needed - open_),
    }


def text(found: dict[str, Any]) -> str:
    """The figures for a terminal."""
    lines = [f"{'':<52} mutants  killed"]
    for family, title in FAMILIES.items():
        rows = found["operations"][family].values()
        mutants, killed = sum(row["mutants"] for row in rows), sum(row["killed"] for row in rows)
        if mutants:
            lines.append(f"{title:<52} {mutants:>7} {killed:>7}  {rate(killed, mutants):.1f} %")
    lines.append(f"{'all':<52} {found['mutants']:>7} {found['killed']:>7}  {found['kill_rate']:.2f} %")
    lines += ["", *(f"survives: {name}" for name in found["survivors"])]
    lines += [f"redundant: {case}" for case in found["cases"]["redundant"]]
    return "\n".join(lines)
