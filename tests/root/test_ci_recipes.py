"""The CI recipes of docs/ci: valid by the schemas of GitHub and GitLab, and their steps run here, against runc."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from seatrial.conformance.verdict.results import read_file

SETUP = "is of the dependency group test: make setup installs it"
yaml = pytest.importorskip("yaml", reason=f"PyYAML {SETUP}")
pytest.importorskip("check_jsonschema", reason=f"check-jsonschema {SETUP}")

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECIPES = os.path.join(REPOSITORY, "docs", "ci")
SUBSET = "-k test_delete -n 2"  # some pass and one fails, in both shards
# What the steps would do to the machine of CI and need not do here: the packages are there already, and one virtual
# environment is enough for all jobs.
STAND_INS = {
    "apt-get": '#!/bin/sh\necho "apt-get $*" >> "$APT_LOG"\n',
    "sudo": '#!/bin/sh\nexec "$@"\n',
    "python3": """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec "$PYTHON" "$@"
[ -e "$ENVIRONMENT/bin/pip" ] || "$PYTHON" -m venv "$ENVIRONMENT"
[ -e "$3" ] || { mkdir -p "$(dirname "$3")" && ln -s "$ENVIRONMENT" "$3"; }
""",
}


def load(name: str) -> dict[str, Any]:
    with open(os.path.join(RECIPES, name), encoding="utf-8") as file:
        document: dict[str, Any] = yaml.safe_load(file)
    return document


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("github.yml", "vendor.github-workflows"),
        ("fuzz.yml", "vendor.github-workflows"),
        ("gitlab.yml", "vendor.gitlab-ci"),
    ],
)
def test_recipe_is_valid_by_the_public_schema(name: str, schema: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run([*command, os.path.join(RECIPES, name)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / name
    text = Path(RECIPES, name).read_text().replace("    runs-on:", "    runs-at:").replace("stages:", "stages: 5 #")
    broken.write_text(text)
    assert subprocess.run([*command, str(broken)], capture_output=True, timeout=120).returncode == 1


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the first job makes its virtual environment, and the others find it."""
    return str(tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The package as a project's CI installs it, built once."""
    directory = str(tmp_path_factory.mktemp("wheel"))
    source = os.path.join(directory, "source")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout: the sources cannot be told from what was built")
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if os.path.exists(os.path.join(REPOSITORY, name)):  # not one that is being removed
            os.makedirs(os.path.dirname(os.path.join(source, name)), exist_ok=True)
            shutil.copy2(os.path.join(REPOSITORY, name), os.path.join(source, name))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=clean_environment())
    assert done.returncode == 0, done.stderr
    [found] = glob.glob(os.path.join(directory, "*.whl"))
    return found


def clean_environment() -> dict[str, str]:
    """Without what the tests themselves are run with: warnings of pip's would be its errors."""
    unwanted = ("PYTHON", "PYTEST", "VIRTUAL_ENV", "PIP_REQUIRE")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


@pytest.fixture
def project(tmp_path: Path, shared: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime project whose build makes a copy of runc."""
    runc = shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin")
    if runc is None:
        pytest.skip("no program runc")
    if shutil.which("make") is None:
        pytest.skip("no program make")
    monkeypatch.setenv("ENVIRONMENT", shared)
    monkeypatch.setenv("PYTHON", os.path.realpath(sys.executable))
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "Makefile").write_text(f"my-runtime:\n\tcp {os.path.realpath(runc)} my-runtime\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in STAND_INS.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return directory


def environment(project: Path, wheel: str, more: Mapping[str, str]) -> dict[str, str]:
    made = {**clean_environment(), **more, "SEATRIAL": wheel, "ARGS": SUBSET}
    made["PYTHON"] = os.environ["PYTHON"]
    made["PATH"] = f"{project.parent}/programs:{os.environ['PATH']}"
    made["APT_LOG"] = str(project.parent / "apt.log")
    return made


def shell(text: str, directory: Path, env: Mapping[str, str]) -> int:
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", text],
        cwd=directory,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=900,
    )
    print(text, done.stdout, done.stderr, sep="\n")  # pytest shows it when the test fails
    return done.returncode


def asked_packages(project: Path) -> set[str]:
    """The packages that the steps would have installed."""
    words = Path(project.parent / "apt.log").read_text().split()
    return {word for word in words if not word.startswith("-")} - {"apt-get", "update", "install"}


def packages_of_the_build() -> set[str]:
    found = re.search(r"^PACKAGES := (.*)$", Path(REPOSITORY, "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    return set(found.group(1).split())


# -- GitHub ------------------------------------------------------------------------------------------------------------


class Workflow:
    """Runs jobs of a workflow: `run` steps in a shell; artifacts are kept in a folder; other actions do nothing."""

    def __init__(self, project: Path, wheel: str) -> None:
        self.document = load("github.yml")
        self.project = project
        self.artifacts = project.parent / "artifacts"
        self.env = environment(project, wheel, {**self.document["env"], "RUNNER_TEMP": str(project.parent / "temp")})
        self.env.update(SEATRIAL=wheel, ARGS=SUBSET)

    def job(self, name: str, **context: str) -> list[tuple[str, int]]:
        """(step, exit status) of each step that ran.  After one that failed only those run that always do."""
        done: list[tuple[str, int]] = []
        for step in self.document["jobs"][name]["steps"]:
            if any(status for _, status in done) and step.get("if") != "always()":
                continue
            if "run" in step:
                env = {key: self.expand(str(value), context) for key, value in step.get("env", {}).items()}
                done.append((step["name"], shell(self.expand(step["run"], context), self.project, {**self.env, **env})))
            else:
                self.action(
                    step["uses"], {key: self.expand(str(value), context) for key, value in step.get("with", {}).items()}
                )
        return done

    def action(self, uses: str, inputs: dict[str, str]) -> None:
        if uses.startswith("actions/upload-artifact@"):
            source, target = self.project / inputs["path"], self.artifacts / inputs["name"]
            assert source.exists(), f"nothing to upload at {source}"
            if source.is_dir():
                shutil.copytree(source, target)
                shutil.rmtree(source)  # each job has a machine of its own
            else:
                target.mkdir(parents=True)
                shutil.copy2(source, target)
        elif uses.startswith("actions/download-artifact@"):
            for found in self.artifacts.glob(inputs["pattern"]):
                shutil.copytree(found, self.project / inputs["path"] / found.name)
        else:
            assert uses.partition("@")[0] in ("actions/checkout", "actions/setup-python", "actions/cache")

    def expand(self, text: str, context: dict[str, str]) -> str:
        def value(found: re.Match[str]) -> str:
            return context[found.group(1).strip()]

        return re.sub(r"\$\{\{(.*?)\}\}", value, text)


def test_the_github_workflow_gates_runc(project: Path, wheel: str) -> None:
    workflow = Workflow(project, wheel)
    fixed = {"runner.os": "Linux", "env.SEATRIAL": "seatrial"}
    # Without a baseline the gate is shut: runc has known failures.
    (project / "conformance").mkdir()
    (project / "conformance" / "expected.toml").write_text("")
    shards = [{"matrix.shard": f"{number + 1}/2", "strategy.job-index": str(number), **fixed} for number in range(2)]
    statuses = [dict(workflow.job("conformance", **shard)) for shard in shards]
    assert max(status["Check"] for status in statuses) == 1
    assert all(status["What this machine can test"] == 0 for status in statuses)
    # The report of both shards is made all the same, with the evidence beside it.
    assert workflow.job("report", **fixed)[-1][1] in (0, 1)
    page = (workflow.artifacts / "report" / "conformance.html").read_text()
    assert "runc version" in page
    evidence = re.findall(r"\./conformance-[01]/evidence/[^\"&]+/", page)
    assert evidence
    assert (workflow.artifacts / "report" / evidence[0] / "failure.txt").exists()
    # The baseline, recorded by hand, opens it.
    shutil.rmtree(workflow.artifacts)
    assert [status for _, status in workflow.job("baseline", **fixed)] == [0, 0]
    shutil.copy2(workflow.artifacts / "expectations" / "expected.toml", project / "conformance" / "expected.toml")
    statuses = [dict(workflow.job("conformance", **shard)) for shard in shards]
    assert [status["Check"] for status in statuses] == [0, 0]
    runs = [
        run for path in sorted(workflow.artifacts.glob("conformance-*/results.jsonl")) for run in read_file(str(path))
    ]
    assert len(runs) == 2
    assert any(result.outcome == "expected-failure" for run in runs for result in run.results)
    assert not {result.case for result in runs[0].results} & {result.case for result in runs[1].results}
    assert asked_packages(project) <= packages_of_the_build()


# -- GitLab ------------------------------------------------------------------------------------------------------------


def gitlab_job(project: Path, wheel: str, name: str, **variables: str) -> int:
    """The exit status of a job: before_script of the job that it extends, then its script."""
    document = load("gitlab.yml")
    job = {**document.get(document[name].get("extends", ""), {}), **document[name]}
    given = {key: str(value) for key, value in document["variables"].items()}
    given["PIP_CACHE_DIR"] = os.path.expanduser("~/.cache/pip")
    env = environment(project, wheel, {**given, **variables, "CI_PROJECT_DIR": str(project)})
    env.update(SEATRIAL=wheel, ARGS=SUBSET)
    text = "\n".join([*job.get("before_script", ()), *job["script"]])
    status = shell(text, project, env)
    if status == 0 or job.get("artifacts", {}).get("when") == "always":
        for path in job.get("artifacts", {}).get("paths", ()):
            assert (project / path.replace("$RUNTIME", given["RUNTIME"]).replace("$EXPECT", given["EXPECT"])).exists()
    return status


def test_the_gitlab_jobs_gate_runc(project: Path, wheel: str) -> None:
    assert gitlab_job(project, wheel, "build") == 0
    assert gitlab_job(project, wheel, "baseline") == 0
    for number in ("1", "2"):
        assert gitlab_job(project, wheel, "conformance", CI_NODE_INDEX=number, CI_NODE_TOTAL="2") == 0
    assert gitlab_job(project, wheel, "report") == 0
    assert "runc version" in (project / "conformance-results" / "conformance.html").read_text()
    reports = load("gitlab.yml")["conformance"]["artifacts"]["reports"]["junit"]
    assert len(list(project.glob(reports))) == 2
    assert asked_packages(project) <= packages_of_the_build() | {"procps"}
