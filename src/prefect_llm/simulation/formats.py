"""The formats that the simulated provider speaks. A new format is registered here."""

from __future__ import annotations

from prefect_llm.simulation.format import SimulatedFormat
from prefect_llm.simulation.openai_chat import OpenAIChat

FORMATS: tuple[SimulatedFormat, ...] = (OpenAIChat(),)


def format_at(path: str) -> SimulatedFormat | None:
    """The format of requests to that path; `None` if there is none."""
    for each in FORMATS:
        if each.takes(path):
            return each
    return None


def format_listing_at(path: str) -> SimulatedFormat | None:
    """The format whose models are listed at that path."""
    return next((each for each in FORMATS if each.models_path == path), None)
