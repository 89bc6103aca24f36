"""The engine: every request limited, retried and classified, on one event-loop thread per provider."""

from prefect_llm.engine.engine import Engine
from prefect_llm.engine.fallback import ask
from prefect_llm.engine.registry import close_engines, engine_for
from prefect_llm.engine.stop import Stop
from prefect_llm.engine.verification import Verified, verify

__all__ = ["Engine", "Stop", "Verified", "ask", "close_engines", "engine_for", "verify"]
