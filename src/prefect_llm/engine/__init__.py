"""The engine: every request limited, retried and classified, on one event-loop thread per provider."""

from prefect_llm.engine.engine import Engine
from prefect_llm.engine.failures.breaker import BreakerState
from prefect_llm.engine.fallback import ask
from prefect_llm.engine.provider_status import ProviderStatus
from prefect_llm.engine.registry import close_engines, engine_for, open_engine, open_engines
from prefect_llm.engine.verification import Verified, verify

__all__ = [
    "BreakerState",
    "Engine",
    "ProviderStatus",
    "Verified",
    "ask",
    "close_engines",
    "engine_for",
    "open_engine",
    "open_engines",
    "verify",
]
