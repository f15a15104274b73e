"""docs/findings: each finding shows what it says, on the versions that it names, and the reference runtime has none."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

FINDINGS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "findings")
NAMES = sorted(name for name in os.listdir(FINDINGS) if os.path.isdir(os.path.join(FINDINGS, name)))
TRIED = {"runc": ("1.1.5", "1.1.15", "1.3.6", "1.4.3"), "crun": ("1.8.1", "1.21", "1.28")}
AS_REQUIRED, DIFFERS, UNKNOWN = 0, 1, 2

pytestmark = pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed (busybox-static)")


def show(name: str, runtime: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [os.path.join(FINDINGS, "show"), name, runtime], check=False, capture_output=True, text=True, timeout=120
    )


def shown_by(name: str) -> dict[str, list[str]]:
    """Runtime -> versions that the finding's file `versions` names."""
    with open(os.path.join(FINDINGS, name, "versions"), encoding="ascii") as file:
        return {words[0]: words[1:] for words in map(str.split, file)}


def version_of(program: str) -> str:
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.match(r"\w+ version ([0-9.]+)", said)
    return found.group(1) if found else ""


@pytest.mark.parametrize("name", NAMES)
def test_reference_runtime_is_as_required(name: str) -> None:
    done = show(name, os.path.join(os.path.dirname(sys.executable), "seatrial-runtime"))
    assert done.returncode == AS_REQUIRED, done.stdout + done.stderr


@pytest.mark.parametrize("program", TRIED)
@pytest.mark.parametrize("name", NAMES)
def test_engine_is_as_the_finding_says(name: str, program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    version = version_of(program)
    if version not in TRIED[program]:
        pytest.skip(f"{program} {version} was not tried when the findings were written")
    done = show(name, program)
    wanted = (DIFFERS,) if version in shown_by(name).get(program, []) else (AS_REQUIRED, UNKNOWN)
    assert done.returncode in wanted, done.stdout + done.stderr


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false"])
def test_what_is_no_runtime_is_not_judged(program: str) -> None:
    assert show("repeated-limit", program).returncode == UNKNOWN


def test_findings_are_described() -> None:
    """docs/findings.md has a section for each, with the versions; configs are JSON once their places are filled."""
    with open(FINDINGS + ".md", encoding="utf-8") as file:
        text = file.read()
    for name in NAMES:
        assert f"\n### {name}\n" in text, name
        section = text.split(f"\n### {name}\n")[1].split("\n#")[0]
        for program, versions in shown_by(name).items():
            assert set(versions) <= set(TRIED[program])
            assert f"{program} {', '.join(versions)}" in section, (name, program)
        with open(os.path.join(FINDINGS, name, "config.json"), encoding="utf-8") as config:
            assert json.load(config)["root"] == {"path": "rootfs"}


def test_usage() -> None:
    done = show("nosuch", "runc")
    assert done.returncode == UNKNOWN
    assert "usage:" in done.stderr
