"""A simulated provider: an OpenAI-compatible endpoint with settable latency, rates, capacity and faults.

Protocol objects on one event loop answer from prepared bytes, so that it is never slower than what it measures.
"""

from __future__ import annotations

from prefect_llm.simulation.server import serve
from prefect_llm.simulation.settings import Simulation, parse_simulation

__all__ = ["Simulation", "parse_simulation", "serve"]
