"""config.md#valid-values: a value of another type is an error, also one that many languages take for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result

Rejected = Callable[..., Result]
Make = Callable[[], Bundle]
FALSE: dict[str, Any] = {"zero": 0, "false": False, "empty array": [], "empty object": {}}


@pytest.mark.parametrize("value", FALSE.values(), ids=FALSE)
@covers("config/valid-values/1")
def test_value_of_another_type_that_is_empty(
    runtime: Runtime, bundle: Bundle, make_bundle: Make, rejected: Rejected, value: Any
) -> None:
    """execCPUAffinity.final is a string, where it is given (config.md#posix-process)."""

    def pinned(bundle: Bundle, cpus: Any) -> Bundle:
        bundle.config["ociVersion"] = "1.2.1"
        bundle.process["execCPUAffinity"] = {"initial": "0", "final": cpus}
        return bundle

    control = pinned(make_bundle(), "0")
    if not runtime.create(control, check=False).created.ok:
        pytest.skip("the runtime refuses process.execCPUAffinity, or version 1.2.1")
    rejected(runtime, pinned(bundle, value))
