"""`invalid_configs()`: config.json documents that are wrong in exactly one place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import strategies as st

from seatrial.fuzz.strategies.config import PARTS, configs
from seatrial.fuzz.strategies.draft import Document
from seatrial.fuzz.strategies.faults import KINDS


@st.composite
def invalid_configs(
    draw: st.DrawFn, base: Document | None = None, *, parts: Collection[str] = PARTS, most: int = 6
) -> tuple[dict[str, Any], str]:
    """(config, JSON path): a draw of `configs` with one fault, which a correct runtime rejects.

    The path is that of the value at fault, or of the member that is missing.  A runtime that names something inside of
    it, or the object around it, means the same.  The arguments are those of `configs`.
    """
    config = draw(configs(base, parts=parts, most=most))
    fault = draw(st.sampled_from(draw(st.sampled_from(KINDS))(config)))
    fault.change(config)
    return config, fault.path
