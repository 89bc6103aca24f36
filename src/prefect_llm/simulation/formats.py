"""The formats that the simulated provider speaks: the one place where one is registered."""

from __future__ import annotations

from prefect_llm.simulation.format import SimulatedFormat
from prefect_llm.simulation.openai_chat import OpenAIChat

FORMATS: tuple[SimulatedFormat, ...] = (OpenAIChat(),)


def format_at(path: str) -> SimulatedFormat | None:
    """The format of requests to that path; `None` where none goes there."""
    for each in FORMATS:
        if each.takes(path):
            return each
    return None


def format_listing_at(path: str) -> SimulatedFormat | None:
    """The format that lists its models there."""
    return next((each for each in FORMATS if each.models_path == path), None)
