"""What is drawn: a config that is valid, or wrong in one place, and how its container is run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from seatrial.fuzz.diff.observe import RUN, STEPS, base
from seatrial.fuzz.diff.paths import Document
from seatrial.fuzz.strategies.config import configs
from seatrial.fuzz.strategies.invalid import invalid_configs

INVALID_SHARE = 4  # of so many draws one is wrong in one place
STEPS_SHARE = 16  # of so many draws one is run by create, start and delete: five commands in place of one


@cache
def _strategies() -> tuple[st.SearchStrategy[Document], st.SearchStrategy[tuple[Document, str]]]:
    """The strategies of valid and invalid configs: to make them takes longer than a draw."""
    return configs(base()), invalid_configs(base())


@st.composite
def draws(draw: st.DrawFn) -> dict[str, Any]:
    """{"config", "flow", "invalid"}: `invalid` is the JSON path of what is wrong, None where nothing is."""
    number = draw(st.integers(0, INVALID_SHARE * STEPS_SHARE - 1))
    flow = STEPS if number % STEPS_SHARE == STEPS_SHARE - 1 else RUN
    valid, invalid = _strategies()
    if number // STEPS_SHARE == INVALID_SHARE - 1:
        config, path = draw(invalid)
        return {"config": config, "flow": flow, "invalid": path}
    return {"config": draw(valid), "flow": flow, "invalid": None}


def generate(number: int, count: int, use: Callable[[dict[str, Any]], None]) -> None:
    """Call `use` with `count` draws, chosen by the seed `number`.  What `use` raises ends it."""

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(draws())
    def consume(entry: dict[str, Any]) -> None:
        use(entry)

    consume()
