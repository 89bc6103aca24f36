"""The account's rates as a provider keeps them: buckets that fill evenly and hold `burst` seconds' worth.

A refused request takes nothing. Pure in `now`, in seconds of any steady clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.values.provider import TokenAccounting

WINDOW_S = 60.0
_ROUNDING = 1e-6
"""Sums of fractions of a unit must not refuse the last whole one."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Units per minute, `None` where there is no limit; `burst_s` is how many seconds' worth a bucket holds."""

    requests: int | None = None
    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    accounting: TokenAccounting = "reserved"
    burst_s: float = WINDOW_S


class Bucket:
    """`limit` units a minute, full at first."""

    __slots__ = ("_as_of", "_level", "capacity", "limit", "per_second")

    def __init__(self, limit: int, burst_s: float, *, least: float = 0.0) -> None:
        self.limit = limit
        self.per_second = limit / WINDOW_S
        self.capacity = max(least, self.per_second * burst_s)
        self._level = self.capacity
        self._as_of: float | None = None

    def missing(self, now: float) -> float:
        """Units that the bucket lacks to be full."""
        if self._as_of is None:
            self._as_of = now
        elif now > self._as_of:
            self._level = min(self.capacity, self._level + (now - self._as_of) * self.per_second)
            self._as_of = now
        return self.capacity - self._level

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until `amount` is there: 0 now, infinite if the bucket is too small for it."""
        lacking = amount - (self.capacity - self.missing(now))
        if lacking <= _ROUNDING:
            return 0.0
        return lacking / self.per_second if amount <= self.capacity else float("inf")

    def take(self, amount: float) -> None:
        """Take what `wait_s` said is there."""
        self._level -= amount

    def give_back(self, amount: float) -> None:
        """Return what was reserved and not used."""
        self._level = min(self.capacity, self._level + amount)


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a request is refused: the bucket, how much was asked of it, and in how many seconds it is there."""

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
            # A bucket below one request would never admit any.
            name: Bucket(limit, rates.burst_s, least=1.0 if name == "requests" else 0.0)
            for name, limit in limits.items()
            if limit is not None
        }

    def admit(self, now: float, input_tokens: int, output_tokens: int) -> Shortage | None:
        """Reserve one request of so many tokens; where a bucket lacks, say which lacks longest, and take nothing."""
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
        """Give back the output tokens that were not used, where usage counts; returns how many."""
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
