"""What an engine shows of its provider, for those who watch a run."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.engine.failures.breaker import BreakerState


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A provider as seen from outside: its breaker, the outages so far, and what waits.

    `fault` is why it did not answer last, and after `outage_limit_s` seconds without a success it is given up.
    `throttled` of its answers since the last success were 429, the first of them `throttled_s` seconds ago; for
    `pause_s` seconds more nothing leaves.
    """

    provider: str
    state: BreakerState = BreakerState.CLOSED
    outages: int = 0
    in_flight: int = 0
    waiting: int = 0
    base_url: str = ""
    fault: str = ""
    outage_limit_s: float = 0.0
    throttled: int = 0
    throttled_s: float = 0.0
    pause_s: float = 0.0
