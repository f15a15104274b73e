"""Bad values of the JSON schema, requirement by requirement: create refuses each (config.md#valid-values)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from seatrial.conformance.case import covers, profile
from seatrial.conformance.cases.config import schema_objects
from seatrial.conformance.cases.config.schema_table import EMPTY, ROWS, Row
from seatrial.conformance.driver import defaults
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.errors import Finding

Make = Callable[[], Bundle]
controls = schema_objects.Controls()


def parameters(rows: Iterable[Row]) -> list[Any]:
    """One parameter set per row, named after its path."""
    return [pytest.param(row, id=row.path, marks=covers(row.ledger_id)) for row in rows]


def refused(runtime: Runtime, make_bundle: Make, row: Row, trials: Iterable[tuple[str, Any]]) -> None:
    """Each trial, a bad value at a path of an otherwise good config, is refused and leaves no container.  Skipped where
    the runtime refuses the good config as well."""
    runtime.prove_sane()
    bundle = make_bundle()
    for path, value in trials:
        bundle.config = defaults.config(f"/{bundle.name}")
        schema_objects.install(bundle, schema_objects.chain(row.path))
        bundle.config["ociVersion"] = row.since  # where an older runtime may say that it does not know this version
        schema_objects.put(bundle.config, path, value)
        container = runtime.create(bundle, check=False)
        result = container.created
        if result.crashed:
            raise Finding(f"{path} = {value!r}: a crash is no refusal: {result.describe()}")
        assert not result.ok, (
            f"{path} = {json.dumps(value)}: not of the kind {row.kind.name}, but accepted "
            f"(field since {row.since}, ociVersion {bundle.config['ociVersion']})"
        )
    assert not runtime.knows(bundle.name), f"create was refused, but state of {bundle.name} succeeds"
    reason = controls.refusal(runtime, make_bundle, row)
    if reason is not None:
        pytest.skip(f"a correct {row.path} is refused as well, so the refusals say nothing: {reason}")


@pytest.mark.parametrize("row", parameters(ROWS))
def test_refuses_a_bad_value(runtime: Runtime, make_bundle: Make, row: Row) -> None:
    """A value that the schema excludes (type, range, constant, pattern) makes create fail: config.md#valid-values."""
    refused(runtime, make_bundle, row, schema_objects.trials(row))


@profile("spec")
@pytest.mark.parametrize("row", parameters(EMPTY))
def test_refuses_an_empty_constant(runtime: Runtime, make_bundle: Make, row: Row) -> None:
    """An empty string is none of the listed constants, although some runtimes take it for an absent member:
    config.md#valid-values."""
    refused(runtime, make_bundle, row, [(place, "") for place in schema_objects.places(row.path)])


@profile("spec")
@pytest.mark.parametrize("row", parameters(row for row in ROWS if row.id == "linux/devices/devices-file-mode"))
def test_refuses_a_file_mode_above_0777(runtime: Runtime, make_bundle: Make, row: Row) -> None:
    """The schema ends fileMode at 0777; the text has no bound, and engines send the type bits along:
    config-linux.md#devices."""
    refused(runtime, make_bundle, row, [("linux.devices[].fileMode", 512)])
