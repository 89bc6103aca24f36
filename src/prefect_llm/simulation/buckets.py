"""The account's rate limits as a provider keeps them: token buckets that fill evenly and hold `burst` seconds' worth.

A refused request takes nothing. Time is an input: `now` is in seconds of any monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.values.provider import TokenAccounting

WINDOW_S = 60.0
_ROUNDING = 1e-6
"""Rounding errors in sums of fractions must not refuse the last whole unit."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Units per minute, `None` without a limit; `burst_s` is how many seconds' worth a bucket holds."""

    requests: int | None = None
    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    accounting: TokenAccounting = "reserved"
    burst_s: float = WINDOW_S


class Bucket:
    """A token bucket of `limit` units per minute, full at first."""

    __slots__ = ("_as_of", "_level", "capacity", "limit", "per_second")

    def __init__(self, limit: int, burst_s: float, *, least: float = 0.0) -> None:
        self.limit = limit
        self.per_second = limit / WINDOW_S
        self.capacity = max(least, self.per_second * burst_s)
        self._level = self.capacity
        self._as_of: float | None = None

    def missing(self, now: float) -> float:
        """How many units the bucket is short of full."""
        if self._as_of is None:
            self._as_of = now
        elif now > self._as_of:
            self._level = min(self.capacity, self._level + (now - self._as_of) * self.per_second)
            self._as_of = now
        return self.capacity - self._level

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until `amount` is available; infinite if the bucket is too small for it."""
        lacking = amount - (self.capacity - self.missing(now))
        if lacking <= _ROUNDING:
            return 0.0
        return lacking / self.per_second if amount <= self.capacity else float("inf")

    def take(self, amount: float) -> None:
        """Take an amount for which `wait_s` was 0."""
        self._level -= amount

    def give_back(self, amount: float) -> None:
        """Put back what was reserved and not used."""
        self._level = min(self.capacity, self._level + amount)


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a request is refused: the bucket, the amount requested of it, and the seconds until it is available."""

    of: str
    bucket: Bucket
    requested: int
    wait_s: float


class Buckets:
    """All buckets of one account, by name: requests, tokens, input-tokens, output-tokens."""

    def __init__(self, rates: Rates) -> None:
        self._settles = rates.accounting == "used"
        limits = {
            "requests": rates.requests,
            "tokens": rates.tokens,
            "input-tokens": rates.input_tokens,
            "output-tokens": rates.output_tokens,
        }

        self.by_name = {
            # A bucket that holds less than one request would never admit any.
            name: Bucket(limit, rates.burst_s, least=1.0 if name == "requests" else 0.0)
            for name, limit in limits.items()
            if limit is not None
        }

    def admit(self, now: float, input_tokens: int, output_tokens: int) -> Shortage | None:
        """Reserve one request of that many tokens; on a shortage take nothing and return the longest wait."""
        if not self.by_name:
            return None

        amounts = _amounts(1, input_tokens, output_tokens)
        shortages = [
            Shortage(name, bucket, amounts[name], wait_s)
            for name, bucket in self.by_name.items()
            if (wait_s := bucket.wait_s(now, amounts[name])) > 0
        ]
        if shortages:
            return max(shortages, key=lambda shortage: shortage.wait_s)

        for name, bucket in self.by_name.items():
            bucket.take(amounts[name])
        return None

    def settle(self, now: float, reserved: int, used: int) -> int:
        """Give back the unused output tokens, if the account counts used ones; returns how many."""
        if not self._settles or used >= reserved:
            return 0
        for name, amount in _amounts(0, 0, reserved - used).items():
            if bucket := self.by_name.get(name):
                bucket.missing(now)
                bucket.give_back(amount)
        return reserved - used


def _amounts(requests: int, input_tokens: int, output_tokens: int) -> dict[str, int]:
    return {
        "requests": requests,
        "tokens": input_tokens + output_tokens,
        "input-tokens": input_tokens,
        "output-tokens": output_tokens,
    }
