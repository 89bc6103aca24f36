"""How fast a provider lets requests leave: its limits per minute, and the pauses that it asks for."""

from __future__ import annotations

import math

from prefect_llm.engine.limits.rate_limits import RateLimits, Tokens
from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import Limits

HELD_BACK_S = 2.0
"""For this long after a wait for a rate limit, a higher limit would still be used."""


class Pace:
    """One provider's. Instants in seconds; nothing leaves before `cool_until`."""

    def __init__(self, limits: Limits) -> None:
        self.cool_until = 0.0
        self._rate_limits = RateLimits(limits)
        self._rate_limited_at = -math.inf

    @property
    def counts_tokens(self) -> bool:
        """Whether a limit is one of tokens."""
        return self._rate_limits.counts_tokens

    def set_share(self, share: float) -> None:
        """Keep to this share of the limits; above 0."""
        self._rate_limits.share = share

    def cool_down(self, until: float) -> None:
        """Let nothing leave before that instant."""
        self.cool_until = max(self.cool_until, until)

    def take(self, now: float, tokens: Tokens) -> float:
        """One request leaves, if it may: 0; else seconds until it is worth asking again, and nothing is taken."""
        wait_s = self._rate_limits.take(now, tokens)
        if wait_s > 0:
            self._rate_limited_at = now
        return wait_s

    def settle(self, now: float, tokens: Tokens, used: Usage, left_at: float) -> None:
        """Correct the limits by what an answer to the request that left at `left_at` really used."""
        self._rate_limits.settle(now, tokens, used, left_at)

    def was_limited(self, now: float) -> bool:
        """Whether a higher limit would be used."""
        return now - self._rate_limited_at < HELD_BACK_S
