"""The engine: every request limited, retried and classified, on one event-loop thread per provider."""

from prefect_llm.engine.engine import Engine, close_engines, engine_for
from prefect_llm.engine.stop import Stop

__all__ = ["Engine", "Stop", "close_engines", "engine_for"]
