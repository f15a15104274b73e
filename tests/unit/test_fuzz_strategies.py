"""The strategies of seatrial.fuzz.strategies, held against the reference runtime's own rules."""

from __future__ import annotations

import contextlib
import json
import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from seatrial.conformance.driver import defaults
from seatrial.fuzz.strategies import (
    HOST_PARTS,
    PARTS,
    configs,
    features,
    hostile_documents,
    invalid_configs,
    processes,
    resources,
    states,
    with_unknown_members,
)
from seatrial.fuzz.strategies.places import get, json_path, put, walk
from seatrial.runtime import document
from seatrial.runtime.config import Config
from seatrial.runtime.convert_process import convert_process
from seatrial.runtime.convert_resources import convert_resources
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.load import load_config
from seatrial.runtime.spec import schema
from seatrial.runtime.spec.rules import check

# Other work shares the machine: no deadlines, and a small number of draws tells as much.
few = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("bundle"))
    os.mkdir(os.path.join(path, "rootfs"))
    return path


def load(bundle: str, config: dict[str, Any] | bytes) -> Config:
    with open(os.path.join(bundle, "config.json"), "wb") as file:
        file.write(config if isinstance(config, bytes) else json.dumps(config).encode())
    return load_config(bundle)


def about(error: ConfigError, path: str) -> bool:
    """Whether an error is about the place, something in it, or the object around it."""
    return error.path.startswith(path) or bool(error.path and path.startswith(error.path))


@few
@given(config=configs(parts=(*PARTS, *HOST_PARTS), most=8))
def test_configs_are_accepted(bundle: str, config: dict[str, Any]) -> None:
    load(bundle, config)


@few
@given(drawn=invalid_configs())
def test_invalid_configs_are_refused_where_they_are_wrong(bundle: str, drawn: tuple[dict[str, Any], str]) -> None:
    config, path = drawn
    with pytest.raises(ConfigError) as caught:
        load(bundle, config)
    assert about(caught.value, path), (path, caught.value.path)


@few
@given(data=hostile_documents())
def test_hostile_documents_meet_no_other_error(bundle: str, data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        load(bundle, data)


@few
@given(process=processes())
def test_processes_are_accepted(process: dict[str, Any]) -> None:
    check(schema.PROCESS, process)
    convert_process(process, Config(oci_version="1.0.2", bundle="/", rootfs="/"))


@few
@given(block=resources(host=True))
def test_resources_are_accepted(block: dict[str, Any]) -> None:
    check(schema.RESOURCES, block)
    convert_resources(block, Config(oci_version="1.0.2", bundle="/", rootfs="/"), set())


@few
@given(state=states(), answer=features())
def test_answers_have_their_required_members(state: dict[str, Any], answer: dict[str, Any]) -> None:
    assert state.keys() >= {"ociVersion", "id", "status", "bundle"}
    assert "pid" in state or state["status"] in ("creating", "stopped")
    assert answer.keys() >= {"ociVersionMin", "ociVersionMax"}
    assert document.loads(document.dumps([state, answer]).encode()) == [state, answer]


@pytest.mark.parametrize("part", [*PARTS, *HOST_PARTS])
def test_every_part_changes_something(part: str) -> None:
    base = defaults.document()
    calm = settings(few, phases=[Phase.generate], max_examples=200)
    found = find(configs(parts=[part]), lambda config: config != base, settings=calm)
    assert found["process"]["args"] == base["process"]["args"]
    assert found["root"]["path"] == base["root"]["path"]


def test_a_part_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError, match="no such part"):
        find(configs(parts=["no such part"]), lambda config: True, settings=few)


def test_draws_shrink_to_the_base_and_one_readable_change() -> None:
    base = defaults.document()
    assert find(configs(), lambda config: True, settings=few) == base
    many = settings(few, max_examples=2000)
    # One seed: from a fifth of all Hypothesis does not find out that a user namespace is not needed.
    found = find(
        configs(), lambda config: len(config["mounts"]) > len(base["mounts"]), settings=many, random=random.Random(0)
    )
    assert found["mounts"].pop()["destination"] in ("/mnt/0", "/mnt/a")
    assert found == base
    found = find(configs(), lambda config: config["process"]["user"]["uid"] > 1, settings=many)
    assert found["process"].pop("user") == {"uid": 1000, "gid": 0}
    assert found["process"] == {name: value for name, value in base["process"].items() if name != "user"}


def test_the_base_is_the_callers_and_stays_as_it_is() -> None:
    base = {"ociVersion": "1.0.2", "root": {"path": "other"}, "process": {"args": ["sh", "-c", "true"], "cwd": "/"}}
    before = json.dumps(base)
    found = find(configs(base), lambda config: config != base, settings=settings(few, max_examples=500))
    assert json.dumps(base) == before
    assert found["root"]["path"] == "other"
    assert found["process"]["args"] == ["sh", "-c", "true"]


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_hostile_documents_have_every_kind_of_trouble() -> None:
    calm = settings(few, max_examples=4000, phases=[Phase.generate])
    wanted = {
        "null": lambda data: b": null" in data,
        "huge number": lambda data: b"1" + b"0" * 400 in data,
        "deep nesting": lambda data: b"[" * 1000 in data or b'{"a":' * 1000 in data,
        "escaped NUL": lambda data: b"\\u0000" in data,
        "NUL byte": lambda data: b"\0" in data and data[:2] != b"\xff\xfe",
        "half a surrogate pair": lambda data: b"\\ud800" in data,
        "very long path": lambda data: b"/" + b"a" * 4095 in data or b"/a" * 2048 in data,
        "not UTF-8": lambda data: b"\xe9" in data,
        "not an object": lambda data: not data.startswith(b"{"),
    }
    for what, holds in wanted.items():
        assert isinstance(find(hostile_documents(), holds, settings=calm), bytes), what

    def repeated(data: bytes) -> bool:
        try:
            document.loads(data)
        except ConfigError as error:
            return "more than once" in error.problem
        return False

    assert find(hostile_documents(), repeated, settings=calm)


@few
@given(data=st.data())
def test_unknown_members_are_ignored(bundle: str, data: st.DataObject) -> None:
    config = data.draw(configs())
    assert load(bundle, data.draw(with_unknown_members(config))) == load(bundle, config)


@pytest.fixture
def sample() -> dict[str, Any]:
    return {"a": [{"b": 1}], "net.x": True}


def test_places(sample: dict[str, Any]) -> None:
    assert [json_path(place) for place, _ in walk(sample)] == ["a", "a[0]", "a[0].b", '["net.x"]']
    assert get(sample, ("a", 0, "b")) == 1
    put(sample, ("c", "d"), 2)
    assert sample["c"] == {"d": 2}
