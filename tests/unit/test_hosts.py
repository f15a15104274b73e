"""Workers on other machines: what the command line says, who may take part, evidence on its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seatrial.conformance.hosts import facts, parcel, specs
from seatrial.conformance.hosts.plugin import to_copy


class Option:
    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


class Config:
    def __init__(self, **given: Any) -> None:
        self.option = Option(**given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"dist": "load", "tx": ["ssh=one//python=python3"]}, True),
        ({"dist": "no", "distload": True, "tx": ["2*ssh=one"]}, True),
        ({"dist": "load", "tx": ["id=a//vagrant_ssh=default"]}, True),
        ({"dist": "load", "tx": ["popen", "popen//via=one"]}, True),
        ({"dist": "load", "tx": ["popen", "3*popen//python=/opt/ssh=x/python3"]}, False),
        ({"dist": "no", "tx": ["ssh=one"]}, False),  # as pytest-xdist has it: without -d nothing is spread
        ({"dist": "load", "tx": []}, False),
        ({}, False),
    ],
)
def test_other_machines_are_recognised(given: dict[str, Any], expected: bool) -> None:
    assert specs.remote(Config(**given)) is expected  # type: ignore[arg-type]


def test_values_of_options_are_joined_to_them() -> None:
    given = [
        "--pyargs",
        "seatrial.conformance",
        "-k",
        "x",
        "--runtime",
        "/usr/sbin/runc",
        "--results=r",
        "-d",
        "--tx",
        "ssh=a",
    ]
    assert specs.arguments([*given, "--lf", "-v"], ["seatrial.conformance"]) == [
        "--pyargs",
        "seatrial.conformance",
        "-k",
        "x",
        "--runtime=/usr/sbin/runc",
        "--results=r",
        "-d",
        "--tx=ssh=a",
        "--lf",
        "-v",
    ]


OURS = {"seatrial": "1.0", "pytest-xdist": "3.8.0", "sources": "abc"}
THEIRS = {**OURS, "python": "3.11.2", "executable": "/usr/bin/python3", "place": "/opt/x", "runtime": "/usr/sbin/runc"}


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        ({}, None, None),
        ({}, "/opt/x", None),
        ({"seatrial": "0.9"}, None, "seatrial 0.9 there, 1.0 here: install the same version"),
        ({"pytest-xdist": "3.6.1"}, None, "pytest-xdist 3.6.1 there, 3.8.0 here"),
        ({"sources": "abd"}, None, "has other sources than here"),
        ({"refused": "no runtime at /x"}, None, "no runtime at /x"),
        ({}, "/usr/lib", "lies in /opt/x, and in /usr/lib on another machine"),
    ],
)
def test_machine_that_cannot_take_part_is_told_why(
    change: dict[str, str], place: str | None, words: str | None
) -> None:
    found = facts.complaint({**THEIRS, **change}, OURS, place)
    assert found is None if words is None else words in str(found)


def test_machine_without_seatrial_is_told_what_to_install() -> None:
    found = facts.complaint({"executable": "/usr/bin/python3", "error": "ModuleNotFoundError: seatrial"}, OURS, None)
    assert found is not None
    assert "install seatrial 1.0 there" in found
    assert "//python=" in found


def test_pytest_is_copied_where_a_machine_has_another() -> None:
    ours, roots = pytest.__version__, [Path(str(pytest.__file__)).resolve().parent, Path("/theirs")]
    assert to_copy(roots, {ours}) == [Path("/theirs")]
    for there in ({"1.0"}, {ours, "1.0"}, set()):
        assert to_copy(roots, there) == roots


def stamp(**change: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "runtime": {"digest": "sha256:1"},
        "privilege": "root",
        "airlock": True,
        "cgroup": {"view": "v2", "controllers": ["cpu"]},
        "host": {"kernel": "6.1", "machine": "x86_64", "distribution": "d", "lsm": None},
        "started": "now",
    }
    for name, value in change.items():
        made[name] = {**made[name], **value} if isinstance(value, dict) else value
    return made


def test_machines_of_a_run_must_agree() -> None:
    assert facts.difference(stamp(), stamp(started="later", host={"cpus": 9})) is None
    assert facts.difference(stamp(), stamp(host={"kernel": "6.12"})) == "host kernel 6.12, not 6.1"
    assert facts.difference(stamp(), stamp(runtime={"digest": "sha256:2"})) == "runtime digest sha256:2, not sha256:1"
    assert facts.difference(stamp(), stamp(cgroup={"view": "v1"})) == "cgroup view v1, not v2"


def test_sources_have_a_digest_that_caches_do_not_change() -> None:
    assert facts.sources() == facts.sources()
    assert len(facts.sources()) == 16


def test_evidence_travels_whole(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from/case.json").write_text("{}")
    (tmp_path / "from/dmesg.txt").write_bytes(b"a\xffb")
    files = parcel.pack(str(tmp_path / "from"))
    directory = parcel.unpack(files, str(tmp_path / "to"), "topic-case")
    assert directory == str(tmp_path / "to/topic-case")
    assert Path(directory, "case.json").read_text() == "{}"
    assert Path(directory, "dmesg.txt").read_text() == "a\\xffb"


def test_names_from_another_machine_stay_below_the_directory(tmp_path: Path) -> None:
    parcel.unpack({"../../escaped": "x", "/etc/escaped": "y"}, str(tmp_path / "to"), "../../../sub")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "to",
        "to/sub",
        "to/sub/escaped",
    ]
