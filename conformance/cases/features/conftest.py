"""What the runtime's `features` command says, asked once."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.errors import Finding

_CACHE: dict[str, dict[str, Any] | Finding] = {}


@pytest.fixture
def features(runtime: Runtime) -> dict[str, Any]:
    """The Features structure.  Finding when the command fails or prints no JSON object."""
    if runtime.path not in _CACHE:
        try:
            _CACHE[runtime.path] = runtime.features()
        except Finding as error:
            _CACHE[runtime.path] = error
    found = _CACHE[runtime.path]
    if isinstance(found, Finding):
        raise Finding(str(found))
    return found
