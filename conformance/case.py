"""Decorators that every conformance case carries.

    @covers("config/hostname/1")        ledger ids that the case verifies (at least one)
    @needs("root", "kernel>=5.12")      typed needs, see needs.py; one that is not met skips the case
    @profile("runc-compat")             the case belongs to this profile only; without it, to both

An unknown id, need or profile raises HarnessBug while the module is imported, which is a collection error.
"""

from __future__ import annotations

import pytest

from seatrial.conformance.engine import needs as needs_module
from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.ledger import ledger

PROFILES = ("spec", "runc-compat")


def covers(*ids: str) -> pytest.MarkDecorator:
    """The ledger ids that a case verifies."""
    if not ids:
        raise HarnessBug("covers() wants at least one ledger id")
    ledger.check_ids(ids)
    return pytest.mark.covers(*ids)


def needs(*words: str) -> pytest.MarkDecorator:
    """What the host or the runtime must offer for the case to give a verdict."""
    for word in words:
        needs_module.check_word(word)
    return pytest.mark.needs(*words)


def profile(*names: str) -> pytest.MarkDecorator:
    """The profiles that a case belongs to."""
    for name in names:
        if name not in PROFILES:
            raise HarnessBug(f"unknown profile {name!r}: one of {', '.join(PROFILES)}")
    return pytest.mark.profile(*names)
