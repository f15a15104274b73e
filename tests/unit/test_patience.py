"""Cases wait longer on a host that is given more time, and never shorter than usual."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seatrial.conformance.driver.patience import DEFAULT_TIMEOUT, adapt, patience


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    yield
    adapt(DEFAULT_TIMEOUT)


@pytest.mark.parametrize(("timeout", "waited"), [(1.0, 5.0), (DEFAULT_TIMEOUT, 5.0), (60.0, 30.0)])
def test_patience_grows_with_the_timeout(timeout: float, waited: float) -> None:
    adapt(timeout)
    assert patience(5.0) == waited
