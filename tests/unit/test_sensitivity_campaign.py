"""What the harness makes of mutants: steps, executables, the order of the cases, verdicts, figures."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.sensitivity import executables, figures
from seatrial.conformance.sensitivity.campaign import Campaign, Settings
from seatrial.conformance.sensitivity.choice import Chooser, subject, words
from seatrial.conformance.sensitivity.mutant import steps as source
from seatrial.conformance.sensitivity.points import Ears
from seatrial.conformance.sensitivity.results import KILLED, SURVIVED, Results, Verdict
from seatrial.conformance.sensitivity.survey import Survey, read

STEPS = executables.steps()


def test_steps_are_found_in_the_source() -> None:
    assert STEPS["step/hooks:run_poststop/skipped"] == "None"
    assert STEPS["step/cgroup.cgroup:Cgroup.exists/skipped"] == "False"
    assert STEPS["step/creation:Creation._limits_and_hooks/swapped 1"] == ""
    assert not any(name.startswith(("step/log:", "step/errors:", "step/hints:")) for name in STEPS)
    assert len(STEPS) > 400


def test_natural_empty_values() -> None:
    cases = {
        "None": "None", "bool": "False", "list[int]": "[]", "str | None": "None", "tuple[str, int]": "('', 0,)",
        "tuple[int, ...]": "()", "Plan": None, "tuple[Plan, int]": None,
    }  # fmt: skip
    for annotation, expected in cases.items():
        assert source._empty(annotation) == expected, annotation


def test_only_different_calls_in_a_row_change_places() -> None:
    function = dict(source.functions(ast.parse("def f():\n a()\n a()\n b(1)\n x = 1\n c()")))["f"]
    assert [(index, len(block)) for block, index in source.pairs(function)] == [(1, 5)]


def run(path: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([path, *words], capture_output=True, text=True)


def test_a_mutant_is_the_runtime_with_one_bug(tmp_path: object) -> None:
    directory = str(tmp_path)
    control = executables.mutant(os.path.join(directory, "control"), [])
    mark = os.path.join(directory, "mark")
    false = executables.mutant(os.path.join(directory, "false"), ["answer/features/ociVersionMax/false"], mark)
    good, bad = run(control, "features"), run(false, "features")
    assert (good.returncode, bad.returncode) == (0, 0)
    assert json.loads(bad.stdout)["ociVersionMax"] == json.loads(good.stdout)["ociVersionMax"] + "x"
    assert os.path.exists(mark)


@pytest.mark.parametrize(
    ("mutation", "arguments", "status", "output"),
    [
        ("status/features/success/1", ("features",), 1, None),
        ("status/state/failure/0", ("state", "no-such-container"), 0, ""),
        ("answer/features/output/empty", ("features",), 0, ""),
        ("step/cli.features:main/skipped", ("features",), 0, ""),
        ("step/cli.main:write_stdout/skipped", ("features",), 0, ""),
        ("answer/state/output/empty", ("features",), 0, None),
    ],
)
def test_answers_of_a_mutant(
    tmp_path: object, mutation: str, arguments: tuple[str, ...], status: int, output: str | None
) -> None:
    done = run(executables.mutant(os.path.join(str(tmp_path), "mutant"), [mutation]), *arguments)
    assert done.returncode == status
    assert done.stdout == output or (output is None and done.stdout.startswith("{"))


def test_a_name_that_is_none_is_refused(tmp_path: object) -> None:
    done = run(executables.mutant(os.path.join(str(tmp_path), "mutant"), ["nonsense"]), "features")
    assert done.returncode != 0
    assert "no mutation is called nonsense" in done.stderr


def test_the_recorder_writes_what_is_exercised(tmp_path: object) -> None:
    log = os.path.join(str(tmp_path), "log")
    recorder = executables.recorder(os.path.join(str(tmp_path), "recorder"), log)
    assert run(recorder, "features").returncode == 0
    with open(log, encoding="utf-8") as lines:
        points = Ears(set(STEPS)).points(lines)
    assert {"answer/features/ociVersionMin/missing", "status/features/success/1"} <= points
    assert "step/cli.features:main/skipped" in points
    assert "step/hooks:run_poststop/skipped" not in points


def test_export(tmp_path: object) -> None:
    names = ["answer/features/hooks/missing", "plan/init/mount[/proc]/dropped", "plan/init/mount[/proc/]/dropped"]
    index = executables.export(os.path.join(str(tmp_path), "out"), names)
    assert sorted(index.values()) == sorted(names)
    for file in [*index, "control"]:
        done = run(os.path.join(str(tmp_path), "out", file), "features")
        assert ("hooks" in json.loads(done.stdout)) == (index.get(file) != names[0])


def test_likely_cases_come_first() -> None:
    cases = [
        "process/test_limits.py::test_rlimit[core]",
        "hooks/test_hooks.py::test_poststop",
        "linux/test_sysctl.py::test_x",
    ]
    points = {case: ["a"] for case in cases}
    chooser = Chooser(cases, points, {})
    assert chooser.order("step/hooks:run_poststop/skipped", cases)[0] == cases[1]
    assert chooser.order("plan/init/sysctl/dropped", cases)[0] == cases[2]
    chooser.learn("plan/init/sysctl.value/emptied", cases[0])
    chooser.learn("plan/init/sysctl.value/emptied", cases[0])
    chooser.learn("plan/init/sysctl.value/emptied", cases[0])
    assert chooser.order("plan/init/sysctl.key/root", ["x", *cases][1:])[0] in (cases[0], cases[2])
    assert words("mounts/test_idmap.py") == {"mount", "test", "idmap", "mapping", "py"}
    assert subject("plan/exec/setns[0x4000000]/dropped") == "setns"


def test_verdicts_survive_and_the_last_counts(tmp_path: object) -> None:
    directory = str(tmp_path)
    results = Results(directory)
    results.add(Verdict("m", "hybrid", SURVIVED, candidates=2, silent=["a"]))
    assert not results.verdicts["m", "hybrid"].complete
    results.add(Verdict("m", "hybrid", SURVIVED, candidates=2, silent=["a", "b"]))
    results.add(Verdict("m", "v2", KILLED, killer="c"))
    results.add(Verdict("n", "hybrid", SURVIVED, candidates=1, silent=["a"]))
    again = Results(directory)
    assert again.verdicts["m", "hybrid"].complete
    assert {name: verdict.verdict for name, verdict in again.merged().items()} == {"m": KILLED, "n": SURVIVED}


def test_a_damaged_file_is_named(tmp_path: object) -> None:
    for name in ("results.jsonl", "survey-host.jsonl"):
        with open(os.path.join(str(tmp_path), name), "w", encoding="utf-8") as file:
            file.write("{}\n")
    with pytest.raises(EnvironmentProblem, match=r"results\.jsonl:1"):
        Results(str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"survey-host\.jsonl:1"):
        read(str(tmp_path), "host")


def test_paths_of_single_cases_make_no_mutants() -> None:
    survey = Survey("host")
    common = ["plan/init/exec/dropped", "plan/init/mount/dropped"]
    both = [
        *common,
        "plan/init/mount[/proc]/dropped",
        "plan/init/mount[/dev]/dropped",
        "plan/init/mask[/no/such/path]/dropped",
    ]
    for number in range(3):
        own = [f"plan/init/mount[/own/{number}]/dropped"]
        survey.add({"case": f"t::c{number}", "outcome": "passed", "seconds": 1.0, "points": both + own})
    survey.add({"case": "t::failed", "outcome": "failed", "seconds": 1.0, "points": ["step/a:b/skipped"]})
    found = survey.mutations()
    assert set(found) == {*common, "plan/init/mount[/proc]/dropped", "plan/init/mount[/dev]/dropped"}
    assert survey.without_effect() == []  # one alone is no more than its operation


def test_figures() -> None:
    verdicts = {
        "plan/init/mount/dropped": Verdict("plan/init/mount/dropped", "host", KILLED, killer="t::a"),
        "plan/init/mount.flags/without 0x1": Verdict(
            "plan/init/mount.flags/without 0x1", "host", SURVIVED, applied=True
        ),
        "step/hooks:run_hook/skipped": Verdict("step/hooks:run_hook/skipped", "host", KILLED, killer="t::a"),
        "step/launch:Launch.abort/swapped 1": Verdict(
            "step/launch:Launch.abort/swapped 1", "host", SURVIVED, candidates=1, silent=["t::a"]
        ),
    }
    survey = Survey("host")
    survey.add({"case": "t::a", "outcome": "passed", "seconds": 1.0, "points": sorted(verdicts)})
    found = figures.make(verdicts, [survey], ["step/hooks:run_hook/skipped", "step/x:y/skipped"])
    assert (found["mutants"], found["killed"], found["kill_rate"]) == (3, 2, 66.66)
    assert found["operations"]["plan"] == {"init mount": {"mutants": 2, "killed": 1}}
    assert found["survivors"] == ["plan/init/mount.flags/without 0x1"]
    assert found["not_reached"]["steps"] == ["step/x:y/skipped"]
    assert found["not_reached"]["branches"] == ["step/launch:Launch.abort/swapped 1"]
    assert "init mount" not in found["not_reached"]["operations"]
    assert "exec mount" in found["not_reached"]["operations"]
    assert "66.66 %" in figures.text(found)
    assert figures.rate(94999, 100000) == 94.99


def test_redundant_cases() -> None:
    """a alone kills m, so it stays; what b kills c kills too; of d's only kill nobody knows whether others do."""
    verdicts = {
        "m": Verdict("m", "host", KILLED, killer="a", candidates=2, silent=["b"]),
        "n": Verdict("n", "host", KILLED, killer="b", candidates=3, second="c"),
        "o": Verdict("o", "host", KILLED, killer="a", candidates=3, second="b"),
        "p": Verdict("p", "host", KILLED, killer="d", candidates=3, silent=["a"]),
    }
    found = figures._cases(verdicts.values(), [])
    assert (found["needed"], found["redundant"]) == (["a"], ["b", "c"])
    assert (found["mutants_with_two_killers"], found["mutants_with_one_killer"]) == (2, 1)


class PlayedLane:
    """A lane whose cases fail for the mutants that a table says; it notes what was asked."""

    def __init__(self, directory: str, fails: dict[str, set[str]]) -> None:
        self.directory = directory
        self.fails = fails
        self.asked: list[str] = []

    def ask(self, runtime: str, cases: list[str], *, stop: bool, timeout: float) -> Iterator[dict[str, Any]]:
        with open(runtime, encoding="utf-8") as file:
            text = file.read()
        for case in cases:
            self.asked.append(case)
            failing = any(name in text for name in self.fails.get(case, ()))
            if failing:
                with open(os.path.join(self.directory, "mark"), "wb"):
                    pass
            yield {"case": case, "outcome": "failed" if failing else "passed", "reason": ""}
            if failing:
                break
        yield {"done": True, "died": None}


def played(tmp_path: object, fails: dict[str, set[str]], **settings: Any) -> tuple[Campaign, PlayedLane]:
    """A campaign of three cases, each of which exercises two mutants."""
    survey = Survey("host")
    for case in ("t::a", "t::b", "t::c"):
        points = ["plan/init/exec/dropped", "plan/init/umask/dropped"]
        survey.add({"case": case, "outcome": "passed", "seconds": 1.0, "points": points})
    lane = PlayedLane(str(tmp_path), fails)
    lanes: Any = SimpleNamespace(lanes=[lane])
    return Campaign(lanes, survey, Results(str(tmp_path)), Settings(**settings), lambda verdict: None), lane


def test_only_the_cases_that_are_wanted_are_asked(tmp_path: object) -> None:
    campaign, lane = played(tmp_path, {"t::c": {"umask"}}, cases=frozenset({"t::a", "t::b"}))
    campaign.run(["plan/init/umask/dropped"])
    assert set(lane.asked) == {"t::a", "t::b"}
    verdict = campaign.results.verdicts["plan/init/umask/dropped", "host"]
    assert (verdict.verdict, sorted(verdict.silent), verdict.complete) == (SURVIVED, ["t::a", "t::b"], False)


def test_a_second_killer_is_looked_for(tmp_path: object) -> None:
    fails = {"t::a": {"umask", "exec"}, "t::c": {"umask"}}
    campaign, _ = played(tmp_path, fails)
    names = ["plan/init/exec/dropped", "plan/init/umask/dropped"]
    campaign.run(names)
    campaign.find_seconds(names)
    lonely, other = (campaign.results.verdicts[name, "host"] for name in names)
    assert (lonely.killer, lonely.second, lonely.alone) == ("t::a", "", True)
    assert ({other.killer, other.second}, other.alone) == ({"t::a", "t::c"}, False)
    again = Results(str(tmp_path))
    assert again.verdicts["plan/init/umask/dropped", "host"].second == other.second
