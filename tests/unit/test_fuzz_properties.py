"""What must hold for every document: reading and writing, the compiler, the plan's bytes, where a refusal points."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.fuzz.strategies import (
    HOST_PARTS,
    PARTS,
    configs,
    hostile_documents,
    invalid_configs,
    with_unknown_members,
)
from seatrial.runtime.config import Config
from seatrial.runtime.document import dumps, loads, pretty
from seatrial.runtime.errors import ConfigError, SeatrialError
from seatrial.runtime.launch import preview, preview_exec
from seatrial.runtime.load import load_config
from seatrial.runtime.plan.decode import decode
from seatrial.runtime.plan.plan import Plan

few = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None)
everything = configs(parts=(*PARTS, *HOST_PARTS), most=8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("properties"))
    os.mkdir(os.path.join(path, "rootfs"))
    return path


def load(bundle: str, data: bytes) -> Config:
    with open(os.path.join(bundle, "config.json"), "wb") as file:
        file.write(data)
    return load_config(bundle)


def plans(config: Config) -> list[Plan]:
    found = [preview("properties", config)]
    if config.process is not None:
        found.append(preview_exec("properties", config))
    return found


@few
@given(data=st.data())
def test_reading_what_was_written_is_the_identity(data: st.DataObject) -> None:
    """Members that nobody knows are documents too: they survive."""
    spec = data.draw(with_unknown_members(data.draw(everything)))
    assert loads(dumps(spec).encode()) == spec
    assert loads(pretty(spec).encode()) == spec
    assert json.loads(dumps(spec)) == spec


@few
@given(spec=everything)
def test_config_survives_state_json(bundle: str, spec: dict[str, Any]) -> None:
    config = load(bundle, dumps(spec).encode())
    assert Config.from_json(loads(dumps(config.to_json()).encode())) == config


@few
@given(spec=everything)
def test_compiling_is_deterministic_and_plans_decode_to_themselves(bundle: str, spec: dict[str, Any]) -> None:
    """A host may lack what a draw asks for: then it says so, each time in the same words."""

    def compiled() -> list[Plan] | str:
        try:
            return plans(load(bundle, dumps(spec).encode()))
        except SeatrialError as error:
            return str(error)

    first = compiled()
    assert compiled() == first
    for plan in first if isinstance(first, list) else []:
        assert decode(plan.encode()) == plan.operations
        assert plan.encode() == Plan(decode(plan.encode())).encode()


@few
@given(data=hostile_documents())
def test_compiling_is_total(bundle: str, data: bytes) -> None:
    with contextlib.suppress(SeatrialError):
        for plan in plans(load(bundle, data)):
            assert plan.encode()


@few
@given(drawn=invalid_configs(parts=(*PARTS, *HOST_PARTS)))
def test_a_refusal_has_a_json_path(bundle: str, drawn: tuple[dict[str, Any], str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(bundle, dumps(drawn[0]).encode())
    assert caught.value.path
    assert str(caught.value).startswith(f"{caught.value.path}: ")
