"""Hypothesis strategies for the documents of the OCI runtime specification (docs/fuzzing.md)."""

from seatrial.fuzz.strategies.answers import features, states
from seatrial.fuzz.strategies.config import HOST_PARTS, PARTS, configs
from seatrial.fuzz.strategies.hostile import hostile_documents, with_unknown_members
from seatrial.fuzz.strategies.invalid import invalid_configs
from seatrial.fuzz.strategies.process import processes
from seatrial.fuzz.strategies.resources import resources

__all__ = [
    "HOST_PARTS",
    "PARTS",
    "configs",
    "features",
    "hostile_documents",
    "invalid_configs",
    "processes",
    "resources",
    "states",
    "with_unknown_members",
]
