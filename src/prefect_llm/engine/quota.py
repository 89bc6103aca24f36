"""Requests and tokens per minute: reserved before a request leaves, first come first served.

A bucket as providers keep it, filled evenly and holding one second's worth: what leaves in any 60 seconds
stays within the limit. Pure in `now`, in seconds of any steady clock.
"""

from __future__ import annotations

from prefect_llm.records import Limits

WINDOW_S = 60.0
BYTES_PER_TOKEN = 4
"""The usual rule of thumb for English, https://platform.openai.com/tokenizer."""
UNSTATED_OUTPUT_TOKENS = 256
"""Counted for an answer whose length nobody limited."""


class Bucket:
    """`limit` units a minute. Amounts larger than the bucket wait for a full one and leave a debt."""

    def __init__(self, limit: int) -> None:
        self._capacity = max(1.0, limit / WINDOW_S)
        # The first unit needs no refill, every further unit held back must fit the same window.
        self._per_second = (limit - (self._capacity - 1.0)) / WINDOW_S
        self._level = self._capacity
        self._as_of: float | None = None

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until `amount` may be taken; 0 means now."""
        self._fill(now)
        missing = min(amount, self._capacity) - self._level
        return max(0.0, missing / self._per_second) if missing > 1e-9 else 0.0

    def take(self, now: float, amount: float) -> None:
        """Take what `wait_s` said may be taken, or charge what was used beyond it."""
        self._fill(now)
        self._level -= amount

    def _fill(self, now: float) -> None:
        if self._as_of is not None:
            self._level = min(self._capacity, self._level + (now - self._as_of) * self._per_second)
        self._as_of = now


class Quota:
    """One provider's rates. An estimate that proves too low is charged later; one too high is not given back.

    Some providers admit by `max_tokens` and give nothing back (OpenAI documents this): never giving back is
    the rule that is safe with all of them.
    """

    def __init__(self, limits: Limits) -> None:
        self._requests = Bucket(limits.requests_per_minute) if limits.requests_per_minute else None
        self._tokens = Bucket(limits.tokens_per_minute) if limits.tokens_per_minute else None

    def wait_s(self, now: float, tokens: int) -> float:
        """Seconds until a request of that many tokens may leave."""
        requests_s = self._requests.wait_s(now, 1) if self._requests else 0.0
        tokens_s = self._tokens.wait_s(now, tokens) if self._tokens else 0.0
        return max(requests_s, tokens_s)

    def take(self, now: float, tokens: int) -> None:
        """One request leaves."""
        if self._requests:
            self._requests.take(now, 1)
        if self._tokens:
            self._tokens.take(now, tokens)

    def settle(self, now: float, estimated: int, used: int) -> None:
        """Charge what the answer used beyond its estimate."""
        if self._tokens and used > estimated:
            self._tokens.take(now, used - estimated)


def estimated_tokens(body: bytes, max_output_tokens: int | None) -> int:
    """Tokens a request may use: its bytes by rule of thumb, and its output limit."""
    return len(body) // BYTES_PER_TOKEN + (max_output_tokens or UNSTATED_OUTPUT_TOKENS)
