"""Requests and tokens per minute: reserved before a request leaves, first come first served.

Some providers sum up a minute, some keep a bucket that holds a minute's worth or hardly a second's. Each limit
keeps all of these rules: a small bucket paces, and a log of the last minute makes the sum exact. Pure in `now`,
in seconds of any steady clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import Limits

WINDOW_S = 60.0
PROVIDER_BURST_S = 1.0
"""The least that a provider's bucket is taken to hold: 60,000 requests a minute "may be enforced as 1,000
requests/second", https://help.openai.com/en/articles/6891753."""
JITTER_S = 0.02
"""How much the ways of two requests to the provider may differ."""
SLOTS_PER_S = 16
"""Resolution of the log; with a power of two, slots begin at exact instants."""
HELD_SLOTS = math.ceil((WINDOW_S + JITTER_S) * SLOTS_PER_S) + 1
"""A slot is held until the last that left in it is older than the window and the jitter."""
ROUNDING_S = 1e-6
"""A shorter wait is none."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a request is expected to take."""

    input: int
    output: int


class TokenBucket:
    """A small bucket that fills evenly. A request for more than it holds waits for a full one and leaves a debt.

    A provider's bucket with the same rate has then always more in it: what it holds beyond this one, but for
    the jitter. Requests for which that may not be enough wait until this one has been full as long as the jitter.
    """

    def __init__(self, per_second: float) -> None:
        self._per_s = self._filling_per_s = per_second
        self._level = math.inf
        self._as_of = 0.0
        self.set_rate(per_second)

    def set_rate(self, per_second: float) -> None:
        """Fill at another rate; since the last call, at the slower of the two."""
        self._filling_per_s = min(self._per_s, per_second)
        self._per_s = per_second
        jitter = JITTER_S * per_second
        self._burst = max(1.0, PROVIDER_BURST_S * per_second)
        self._capacity = max(1.0, self._burst / 2)
        self._spare = self._burst - self._capacity - jitter
        self._long_full = self._capacity + jitter

    def wait_s(self, now: float, units: int) -> float:
        """Seconds until `units` may leave; 0 means now."""
        self._fill(now)
        needed = max(min(units, self._capacity), min(units, self._burst) - self._spare)
        wait_s = (needed - self._level) / self._per_s
        return wait_s if wait_s > ROUNDING_S else 0.0

    def take(self, now: float, units: int) -> None:
        """Charge `units`, including ones discovered late."""
        self._fill(now)
        self.take_now(units)

    def take_now(self, units: int) -> None:
        """Charge `units` at the instant of the last call."""
        self._level = min(self._level, self._capacity) - units

    def give_back(self, now: float, units: int) -> None:
        """Return unused units. What does not fit is lost, as a provider's full bucket gains nothing."""
        self._fill(now)
        self._level = max(self._level, min(self._level + units, self._capacity))

    def _fill(self, now: float) -> None:
        self._level = min(self._level + (now - self._as_of) * self._filling_per_s, self._long_full)
        self._filling_per_s = self._per_s
        self._as_of = now


class SlidingWindow:
    """What left in the last minute, in slots of 1 / `SLOTS_PER_S` seconds: at most `limit`, or one request alone."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._slots = [0] * HELD_SLOTS
        self._oldest = self._current = 0
        self._held = 0

    def wait_s(self, now: float, units: int) -> float:
        """Seconds until it is worth asking again: something has expired by then; 0 means now."""
        self._expire(now)
        if not self._held or self._held + units <= self.limit + 1e-9:
            return 0.0
        return (self._oldest + HELD_SLOTS) / SLOTS_PER_S - now

    def take(self, now: float, units: int) -> None:
        """Charge `units`, including ones discovered late."""
        self._expire(now)
        self.take_now(units)

    def take_now(self, units: int) -> None:
        """Charge `units` at the instant of the last call."""
        self._slots[self._current % HELD_SLOTS] += units
        self._held += units

    def give_back(self, now: float, taken_at: float, units: int) -> None:
        """Return unused units of those that were charged at `taken_at`."""
        self._expire(now)
        slot = math.floor(taken_at * SLOTS_PER_S)
        if slot >= self._oldest:
            self._slots[slot % HELD_SLOTS] -= units
            self._held -= units

    def _expire(self, now: float) -> None:
        """Forget what is older than the window."""
        self._current = current = math.floor(now * SLOTS_PER_S)
        while self._held:
            index = self._oldest % HELD_SLOTS
            if self._slots[index] and current - self._oldest < HELD_SLOTS:
                return
            self._held -= self._slots[index]
            self._slots[index] = 0
            self._oldest += 1
        self._oldest = current


class RateLimit:
    """One limit, in units a minute."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bucket = TokenBucket(limit / WINDOW_S)
        self._window = SlidingWindow(limit)

    def set_share(self, share: float) -> None:
        """Keep that part of the limit; what was taken stays taken."""
        self._bucket.set_rate(share * self._limit / WINDOW_S)
        self._window.limit = share * self._limit

    def wait_s(self, now: float, units: int) -> float:
        """Seconds until it is worth asking again; 0 means that `units` may leave now."""
        return max(self._bucket.wait_s(now, units), self._window.wait_s(now, units))

    def take(self, now: float, units: int) -> None:
        """Charge `units`, including ones discovered late."""
        self._bucket.take(now, units)
        self._window.take(now, units)

    def take_now(self, units: int) -> None:
        """Charge `units` at the instant of the last call."""
        self._bucket.take_now(units)
        self._window.take_now(units)

    def give_back(self, now: float, taken_at: float, units: int) -> None:
        """Return unused units of those that were charged at `taken_at`."""
        self._bucket.give_back(now, units)
        self._window.give_back(now, taken_at, units)


class RateLimits:
    """One provider's rates.

    A request that is larger than a whole limit leaves once nothing else is held in its window, and is paid for
    by the pause after it. Under `reserved` nothing is given back.
    """

    def __init__(self, limits: Limits) -> None:
        self.counts_tokens = limits.counts_tokens
        self._share = 1.0
        self._gives_back = limits.token_accounting == "used"
        rates: tuple[tuple[int | None, Callable[[Tokens], int]], ...] = (
            (limits.requests_per_minute, _one),
            (limits.tokens_per_minute, _all),
            (limits.input_tokens_per_minute, _input),
            (limits.output_tokens_per_minute, _output),
        )
        self._rates = [(RateLimit(limit), units) for limit, units in rates if limit]

    @property
    def share(self) -> float:
        """Part of every rate that is this process's, above 0 and at most 1; may change at any time."""
        return self._share

    @share.setter
    def share(self, share: float) -> None:
        self._share = share
        for rate, _ in self._rates:
            rate.set_share(share)

    def wait_s(self, now: float, tokens: Tokens) -> float:
        """Seconds until it is worth asking again; 0 means that such a request may leave now."""
        longest_s = 0.0
        for rate, units in self._rates:
            longest_s = max(longest_s, rate.wait_s(now, units(tokens)))
        return longest_s

    def take(self, now: float, tokens: Tokens) -> float:
        """One request leaves, if it may: 0; else seconds until it is worth asking again, and nothing is taken."""
        wait_s = self.wait_s(now, tokens)
        if not wait_s:
            for rate, units in self._rates:
                rate.take_now(units(tokens))
        return wait_s

    def settle(self, now: float, taken: Tokens, used: Usage, taken_at: float) -> None:
        """Charge what an answer used beyond its estimate; give back what it did not use of it, under `used`.

        `taken_at` is when its request left: what is given back counts from then. What the endpoint did not count is
        taken to be as estimated.
        """
        if not self._rates:
            return
        counted = Tokens(
            taken.input if used.input_tokens is None else used.input_tokens,
            taken.output if used.output_tokens is None else used.output_tokens,
        )
        for rate, units in self._rates:
            beyond = units(counted) - units(taken)
            if beyond > 0:
                rate.take(now, beyond)
            elif beyond < 0 and self._gives_back:
                rate.give_back(now, taken_at, -beyond)


def _one(tokens: Tokens) -> int:
    return 1


def _all(tokens: Tokens) -> int:
    return tokens.input + tokens.output


def _input(tokens: Tokens) -> int:
    return tokens.input


def _output(tokens: Tokens) -> int:
    return tokens.output
