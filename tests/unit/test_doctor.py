"""What `seatrial doctor` makes of a host, and how it says it; that it is true is for tests/root/test_doctor_host.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from seatrial.conformance.command import doctor as command
from seatrial.conformance.doctor import catalogue, diagnosis, host, remedies
from seatrial.conformance.doctor.trial import Trial
from seatrial.conformance.engine import needs
from seatrial.conformance.engine.collect import Case
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.ledger import ledger

FOUND = [
    Case("a::one", ("config/hostname/1",), ()),
    Case("a::two", ("config/hostname/1", "config/hostname/2"), ("cgroup:memory", "kernel>=99.1")),
    Case("a::three", ("config/domainname/1",), ("cgroup:memory", "features")),
    Case("a::four", ("config/domainname/2",), ("command:update",)),
]


def test_every_word_has_a_remedy() -> None:
    for word in [*needs.HOST, *needs.COMMANDS, *(word for row in ledger.load().values() for word in row.needs)]:
        assert len(remedies.remedy(word)) > 10, word
    for word in ("kernel>=6.1", "cap:KILL", "cgroup:io", "program:ps", "filesystem:overlay", "command:ps"):
        needs.check_word(word)
        assert remedies.remedy(word)
    assert set(remedies.WORDS) == {*needs.HOST, *needs.COMMANDS}


def test_remedies_name_what_is_missing() -> None:
    assert "util-linux" in remedies.remedy("program:setpriv")
    assert "6.9" in remedies.remedy("kernel>=6.9")
    assert "4.1" in remedies.remedy("criu>=4.1")
    assert "uffd-noncoop" in remedies.remedy("criu:uffd-noncoop")
    assert "CONFIG_CGROUP_PIDS" in remedies.remedy("cgroup:pids")
    assert "v1" not in remedies.remedy("cgroup:io")
    assert remedies.remedy("cgroup:pids", "an ordinary user's container has no place") == "run as root"


def one_need(word: str, *trials: Trial) -> dict[str, Any]:
    return diagnosis._need(word, trials, FOUND)


def test_a_need_is_met_where_one_view_meets_it() -> None:
    v1, v2 = Trial("v1"), Trial("v2", needs={"cgroup:memory": "no memory controller in the v2 cgroup view"})
    need = one_need("cgroup:memory", v1, v2)
    assert (need["met"], need["views"], need["cases"], need["requirements"]) == (True, ["v1"], 2, 3)
    assert need["remedy"] is None
    need = one_need("cgroup:memory", v2)
    assert (need["met"], need["reason"]) == (False, "no memory controller in the v2 cgroup view")
    assert "CONFIG_MEMCG" in need["remedy"]


def test_commands_are_asked_of_runtimes() -> None:
    trial = Trial("v1", commands={"/bin/a": ["update"], "/bin/b": []})
    assert one_need("command:update", trial)["runtimes"] == ["/bin/b"]
    trial = Trial("v1", commands={"/bin/a": ["update"]})
    assert (one_need("command:update", trial)["met"], one_need("features", trial)["met"]) == (False, True)


def test_cases_that_can_run_in_a_view_are_counted() -> None:
    trial = Trial("v1", needs={"kernel>=99.1": "kernel 6 is older than 99.1"})
    assert diagnosis._view(trial, FOUND)["cases"] == 3
    assert diagnosis._view(trial, FOUND)["requirements"] == 3
    assert diagnosis._view(Trial("v1", error="no"), FOUND)["cases"] == 0


def test_words_are_in_order() -> None:
    words = ["command:ps", "kernel>=5.12", "kernel>=5.9", "cgroup:io", "root", "cap:KILL"]
    assert sorted(words, key=diagnosis._order) == [
        "root",
        "kernel>=5.9",
        "kernel>=5.12",
        "cap:KILL",
        "cgroup:io",
        "command:ps",
    ]


def diagnosed(monkeypatch: pytest.MonkeyPatch, trial: Trial) -> dict[str, Any]:
    """The report of a host that gives this answer in each view."""
    monkeypatch.setattr(catalogue, "cases", lambda: FOUND)
    monkeypatch.setattr(host, "runtimes", lambda more: ["/bin/false"])
    monkeypatch.setattr(diagnosis, "try_views", lambda *asked: [trial])
    return diagnosis.diagnose([])


def test_no_check_where_no_runtime_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    report = diagnosed(monkeypatch, Trial("v1", runtimes={"/bin/false": "exit\nstatus 1"}))
    assert not report["can_check"]
    text = "\n".join(command._text(report, True))
    assert "No check can run here: no runtime here can run a container" in text
    assert "not in v1: exit status 1" in text
    report = diagnosed(monkeypatch, Trial("v1", error="cannot make the cgroup"))
    assert "No check can run here: cannot make the cgroup" in "\n".join(command._text(report, False))
    assert command.run(_options(monkeypatch, report)) == 2
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(report))


def _options(monkeypatch: pytest.MonkeyPatch, report: dict[str, Any]) -> Any:
    import argparse

    monkeypatch.setattr(diagnosis, "diagnose", lambda more: report)
    return argparse.Namespace(json=True, all=False, runtime=[])


def test_a_check_can_run_where_one_runtime_works_in_one_view(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial("v1", needs={"swap": "the host has no swap"}, runtimes={"/bin/false": None})
    report = diagnosed(monkeypatch, trial)
    assert report["can_check"]
    text = "\n".join(command._text(report, True))
    assert "A check can run here" in text
    assert "the host has no swap" in text
    assert "get it: swap space" in text


def test_a_named_runtime_must_exist() -> None:
    with pytest.raises(EnvironmentProblem, match="no runtime at /no/such/runtime"):
        host.runtimes(["/no/such/runtime"])


def test_a_runtime_is_tried_once_whatever_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "runc"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "crun").symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = host.runtimes([str(program)])
    assert found[0] == str(program)
    assert len({os.path.realpath(one) for one in found}) == len(found)


def test_versions_come_from_programs_that_answer(tmp_path: Path) -> None:
    assert host.version("no-such-program-anywhere") is None
    assert host.version("sh", "-c", "echo one; echo two") == "one"
    assert host.version("sh", "-c", "echo one; exit 1") is None


def test_the_catalogue_is_kept_and_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def collect(profile: str) -> list[Case]:
        asked.append(profile)
        return FOUND

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(catalogue, "collect", collect)
    assert catalogue.cases() == FOUND
    assert catalogue.cases() == FOUND
    assert len(asked) == 1
    [kept] = (tmp_path / "seatrial").glob("cases-*.json")
    kept.write_text("[1, 2")  # a damaged one is made anew
    assert catalogue.cases() == FOUND
    assert len(asked) == 2
    monkeypatch.setattr(catalogue, "_state", lambda: "of-other-sources")
    assert catalogue.cases() == FOUND
    assert len(asked) == 3
    assert [path.name for path in (tmp_path / "seatrial").iterdir()] == ["cases-of-other-sources.json"]


def test_no_cache_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no/such")
    monkeypatch.setattr(catalogue, "collect", lambda profile: FOUND)
    assert catalogue.cases() == FOUND
