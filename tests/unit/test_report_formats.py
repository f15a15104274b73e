"""JUnit, TAP and JSON lines, read by programs that are not ours."""

from __future__ import annotations

import importlib.resources
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import run_samples

from seatrial.conformance.report.views import view
from seatrial.conformance.verdict import outcome, results
from seatrial.conformance.verdict.results import Run

SETUP = "is of the dependency group test: make setup installs it"
jsonschema = pytest.importorskip("jsonschema", reason=f"jsonschema {SETUP}")
junitparser = pytest.importorskip("junitparser", reason=f"junitparser {SETUP}")
tap_parser = pytest.importorskip("tap.parser", reason=f"tap.py {SETUP}")
xmlschema = pytest.importorskip("xmlschema", reason=f"xmlschema {SETUP}")
yaml = pytest.importorskip("yaml", reason=f"PyYAML {SETUP}")

HERE = os.path.dirname(__file__)
SAMPLES = {
    "every outcome": lambda: [run_samples.every_outcome()],
    "hostile text": lambda: [run_samples.hostile()],
    "an empty run": lambda: [run_samples.empty()],
    "several": lambda: [run_samples.every_outcome(), run_samples.hostile(), run_samples.empty()],
}
GOOD_IN_TAP = (outcome.PASSED, outcome.SKIPPED)


@pytest.fixture(params=SAMPLES, ids=lambda name: name.replace(" ", "-"))
def runs(request: pytest.FixtureRequest) -> list[Run]:
    made: list[Run] = SAMPLES[request.param]()
    return made


@pytest.fixture(scope="module")
def line_schema() -> Any:
    text = (importlib.resources.files("seatrial.conformance") / "report" / "results.schema.json").read_text()
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


# -- JUnit -------------------------------------------------------------------------------------------------------------


def test_junit_is_valid_by_the_schema_of_jenkins(runs: list[Run]) -> None:
    xmlschema.XMLSchema(os.path.join(HERE, "junit.xsd")).validate(view(runs, "junit", "x"))


def test_junit_schema_notices_what_jenkins_refuses() -> None:
    """Such as properties of a test case, which others write."""
    text = view([run_samples.every_outcome()], "junit", "x")
    broken = text.replace("<system-out>", "<properties><property name='x' value='y'/></properties><system-out>", 1)
    schema = xmlschema.XMLSchema(os.path.join(HERE, "junit.xsd"))
    assert not schema.is_valid(broken)
    assert not schema.is_valid(text.replace(' failures="', ' fails="'))


def test_junit_reads_back_with_junitparser(runs: list[Run]) -> None:
    suites = list(junitparser.JUnitXml.fromstring(view(runs, "junit", "x").encode()))
    assert len(suites) == len(runs)
    for suite, run in zip(suites, runs, strict=True):
        assert suite.tests == len(run.results) == len(list(suite))
        kinds = [type(verdict).__name__ for case in suite for verdict in case.result]
        stated = {"Failure": suite.failures, "Error": suite.errors, "Skipped": suite.skipped}
        assert {kind: kinds.count(kind) for kind in stated} == stated
        for case, result in zip(suite, run.results, strict=True):
            assert (case.result[0].type if case.result else "passed") == result.outcome
            assert f"requirement {result.requirements[0]}" in case.system_out


# -- TAP ---------------------------------------------------------------------------------------------------------------


def test_tap_reads_back_with_prove(runs: list[Run], tmp_path: Path) -> None:
    """prove (TAP::Parser, of Perl's own distribution) finds as many tests as there are, and no error of syntax."""
    program = shutil.which("prove")
    if program is None:
        pytest.skip("no program prove (Debian: perl)")
    file = tmp_path / "results.tap"
    file.write_text(view(runs, "tap", "x"), encoding="utf-8")
    done = subprocess.run(
        [program, "--exec", "cat", "--verbose", "--parse", str(file)], capture_output=True, text=True, timeout=120
    )
    output = done.stdout + done.stderr
    found = [result.outcome for run in runs for result in run.results]
    bad = [name for name in found if name not in GOOD_IN_TAP and name != outcome.EXPECTED_FAILURE]
    assert "Parse errors" not in output
    assert "out of sequence" not in output
    assert done.returncode == (1 if bad else 0), output
    if bad:
        assert f"Failed {len(bad)}/{len(found)} subtests" in output
    else:
        assert "skipped: no case was run" in output


def test_tap_reads_back_with_tap_py(runs: list[Run]) -> None:
    lines = list(tap_parser.Parser().parse_text(view(runs, "tap", "x")))
    assert [line.category for line in lines if line.category in ("unknown", "bail")] == []
    points: list[Any] = [line for line in lines if line.category == "test"]
    found = [result for run in runs for result in run.results]
    assert [line.number for line in points] == list(range(1, len(found) + 1))
    for line, result in zip(points, found, strict=True):
        assert line.ok == (result.outcome in GOOD_IN_TAP)
        assert bool(line.skip) == (result.outcome == outcome.SKIPPED)
        assert bool(line.todo) == (result.outcome == outcome.EXPECTED_FAILURE)
        if not line.ok:
            assert line.yaml_block["outcome"] == result.outcome
            assert line.yaml_block["requirements"][0] == result.requirements[0]


def test_every_yaml_block_of_tap_is_yaml(runs: list[Run]) -> None:
    blocks = view(runs, "tap", "x").split("  ---\n")[1:]
    expected = [result for run in runs for result in run.results if result.outcome not in GOOD_IN_TAP]
    assert len(blocks) == len(expected)
    for block, result in zip(blocks, expected, strict=True):
        document = yaml.safe_load(block.partition("\n  ...\n")[0])
        assert document["outcome"] == result.outcome
        assert document["requirements"][0] == result.requirements[0]


# -- JSON lines --------------------------------------------------------------------------------------------------------


def test_json_lines_are_valid_by_the_shipped_schema(runs: list[Run], line_schema: Any) -> None:
    lines = [json.loads(line) for line in view(runs, "json", "x").splitlines()]
    assert [str(error.message) for line in lines for error in line_schema.iter_errors(line)] == []
    assert sum(1 for line in lines if line["kind"] == "stamp") == len(runs)
    again = results.read(view(runs, "json", "x").splitlines())
    assert [run.results for run in again] == [run.results for run in runs]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("result", {"outcome": "splendid"}),
        ("result", {"outcome": "failed", "reason": ""}),
        ("result", {"seconds": -1}),
        ("result", {"requirements": "config/hostname/1"}),
        ("stamp", {"format": 2}),
        ("stamp", {"masks": "no-clone3"}),
        ("stamp", {"runtime": {}}),
        ("end", {"seconds": None}),
        ("end", {"kind": "finish"}),
    ],
)
def test_schema_refuses_what_is_no_line_of_ours(line_schema: Any, kind: str, change: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in view([run_samples.every_outcome()], "json", "x").splitlines()]
    line = next(line for line in lines if line["kind"] == kind)
    assert line_schema.is_valid(line)
    assert not line_schema.is_valid({**line, **change})


def test_schema_knows_the_outcomes(line_schema: Any) -> None:
    assert tuple(sorted(line_schema.schema["$defs"]["outcome"]["enum"])) == tuple(sorted(outcome.OUTCOMES))
