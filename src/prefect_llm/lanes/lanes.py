"""The lanes by name. A new lane is a module beside this one and a line here."""

from __future__ import annotations

from prefect_llm.lanes.lane import Lane
from prefect_llm.lanes.online import OnlineLane
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.outcome import ONLINE

LANES: dict[str, Lane] = {ONLINE: OnlineLane()}


def lane_named(name: str) -> Lane:
    """The lane of that name; `InvalidInput` for an unknown one."""
    if name not in LANES:
        raise InvalidInput(f"no lane is called {name!r}: take one of {', '.join(sorted(LANES))}")
    return LANES[name]
