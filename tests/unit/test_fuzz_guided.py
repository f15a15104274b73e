"""`seatrial fuzz config` around the targets: names, what is missing, what libFuzzer says, plants, dictionaries."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from seatrial.conformance import cli
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.fuzz.guided import build, search, targets

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

LOG = """\
INFO: Seed: 1
#2\tINITED cov: 12 ft: 12 corp: 1/1b exec/s: 0 rss: 41Mb
#153\tREDUCE cov: 19 ft: 19 corp: 4/6b lim: 4 exec/s: 0 rss: 41Mb L: 1/3 MS: 4 CrossOver-
#82842\tDONE   cov: 26 ft: 26 corp: 5/6b lim: 814 exec/s: 11834 rss: 41Mb
stat::number_of_executed_units: 82843
"""


def test_figures_of_a_run() -> None:
    outcome = search.read(LOG + "\nseatrial: 2.000 s\n")
    assert (outcome.executions, outcome.coverage, outcome.seconds, outcome.reason) == (82843, 26, 2.0, "")
    assert outcome.rate == 82843 / 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (" === Uncaught Python exception: ===\nKeyError: 'major'\nTraceback\n", "KeyError: 'major'"),
        (
            "==7==ERROR: AddressSanitizer: heap-use-after-free\nSUMMARY: AddressSanitizer: heap-use-after-free x.c:1\n",
            "SUMMARY: AddressSanitizer: heap-use-after-free x.c:1",
        ),
        (
            "main.c:71:23: runtime error: signed integer overflow\n",
            "main.c:71:23: runtime error: signed integer overflow",
        ),
        ("==8== ERROR: libFuzzer: timeout after 30 seconds\n", "==8== ERROR: libFuzzer: timeout after 30 seconds"),
    ],
)
def test_reason_of_a_crash(said: str, reason: str) -> None:
    assert search.read(LOG + said).reason == reason


def test_a_log_without_an_execution_has_no_figures() -> None:
    outcome = search.read("Traceback (most recent call last):\nImportError: atheris\n")
    assert (outcome.executions, outcome.coverage, outcome.rate) == (0, 0, 0)


def test_unknown_target_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fuzz", "config", "--target", "loader", "--target", "nobody"]) == 2
    error = capsys.readouterr().err
    assert "nobody" in error
    assert "loader" in error


def test_list_names_every_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fuzz", "config", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(targets.TARGETS)


def test_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert cli.main(["fuzz", "config", "--target", "plan_decoder"]) == 2
    assert "apt-get install clang" in capsys.readouterr().err


def test_missing_atheris_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "atheris" else name)
    assert cli.main(["fuzz", "config", "--target", "loader"]) == 2
    assert "pip install atheris" in capsys.readouterr().err


def test_missing_hypothesis_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["fuzz", "config", "--target", "loader"]) == 2
    assert "seatrial[fuzz]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "target", [target for target in targets.TARGETS.values() if target.native], ids=lambda t: t.name
)
def test_there_is_a_place_for_the_planted_bug(target: targets.Target) -> None:
    name, old, new = target.plant
    with open(os.path.join(build.EXECUTOR, name)) as file:
        assert file.read().count(old) == 1
    assert old != new


def test_a_plant_without_a_place_is_our_bug(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    monkeypatch.setattr(build, "check_clang", lambda: None)
    target = targets.Target("plan_decoder", "", "plan", native=True, plant=("decode.c", "no such text", ""))
    with pytest.raises(HarnessBug, match="where is the bug to go"):
        build.native(target, str(tmp_path), planted=True)


def test_every_target_has_its_program() -> None:
    for target in targets.TARGETS.values():
        source = os.path.join(build.SOURCES, f"{target.name}.c") if target.native else build.program(target.name)[-1]
        assert os.path.isfile(source)


def test_first_inputs_and_dictionaries(tmp_path: os.PathLike[str]) -> None:
    build.seeds(str(tmp_path))
    for target in targets.TARGETS.values():
        inputs = os.listdir(os.path.join(tmp_path, "corpora", target.name))
        assert len(inputs) > 5, target.name
        with open(os.path.join(tmp_path, "dictionaries", f"{target.dictionary}.dict")) as file:
            lines = file.read().splitlines()
        assert lines
        assert all(line[0] == line[-1] == '"' and len(line) > 2 and line.isascii() for line in lines)


def test_oss_fuzz_builds_every_target() -> None:
    with open(os.path.join(ROOT, "fuzz", "oss-fuzz", "build.sh")) as file:
        script = file.read()
    for name in targets.TARGETS:
        assert name in script


def test_a_tree_without_sources_is_no_place_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "EXECUTOR", "/nowhere")
    with pytest.raises(EnvironmentProblem, match="source tree"):
        build.check_source()


def usable(target: targets.Target) -> None:
    """Skip where the tools for a target are not installed."""
    try:
        if target.native:
            build.check_clang()
        else:
            build.check_atheris()
    except EnvironmentProblem as error:
        pytest.skip(f"needs a tool: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mount_options", "compiler", "plan_decoder", "executor_front"])
def test_planted_bug_is_found_and_the_search_has_coverage(name: str, tmp_path: os.PathLike[str]) -> None:
    usable(targets.TARGETS[name])
    command = [sys.executable, "-m", "seatrial.conformance.cli", "fuzz", "config", "--target", name, "--budget", "2s"]
    done = subprocess.run(
        [*command, "--directory", str(tmp_path)], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    line = done.stdout.splitlines()[1].split()
    assert line[:3] == [name, "found", "in"]
    assert line[-1] == "none"
    executions, _, coverage = map(int, line[-4:-1])
    assert executions > 0
    assert coverage > 0
    assert os.listdir(os.path.join(tmp_path, "corpus", name))


def test_a_target_that_finds_nothing_planted_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.fuzz.command import config

    class Blind(search.Search):
        def run(self, target: targets.Target, seconds: float, *, planted: bool = False) -> search.Outcome:
            return search.Outcome(executions=1000, seconds=1, coverage=0 if not planted else 5)

    with pytest.raises(HarnessBug, match="planted bug was not found"):
        config._one(Blind("", "", ""), targets.TARGETS["loader"], 1)

    class Deaf(search.Search):
        def run(self, target: targets.Target, seconds: float, *, planted: bool = False) -> search.Outcome:
            return search.Outcome(executions=1000, seconds=1, crashers=["crash"] if planted else [])

    with pytest.raises(HarnessBug, match="no coverage"):
        config._one(Deaf("", "", ""), targets.TARGETS["loader"], 1)


@pytest.mark.slow
def test_oss_fuzz_project_builds_here(tmp_path: os.PathLike[str]) -> None:
    """Without a container: every target runs, and has first inputs and a dictionary beside it."""
    for target in targets.TARGETS.values():
        usable(target)
    script = os.path.join(ROOT, "fuzz", "oss-fuzz", "local.sh")
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", script, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in targets.TARGETS:
        beside = {f"{name}.dict", f"{name}_seed_corpus.zip"}
        assert beside <= set(os.listdir(tmp_path))
        ran = subprocess.run([os.path.join(tmp_path, name), "-runs=5"], capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
        assert search.read(ran.stderr).executions >= 5, ran.stderr
