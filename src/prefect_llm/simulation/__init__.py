"""A simulated provider: an OpenAI-compatible endpoint with configurable latency, rates, capacity and faults.

Protocol objects on one event loop answer from prepared bytes, so that it is faster than anything it measures.
"""

from __future__ import annotations

from prefect_llm.simulation.server import serve
from prefect_llm.simulation.settings import Simulation, parse_simulation

__all__ = ["Simulation", "parse_simulation", "serve"]
