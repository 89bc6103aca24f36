"""What a simulated provider has counted since it started or was reset."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class InFlight:
    """Requests that were admitted and have not ended: now, and at most so far."""

    now: int = 0
    most: int = 0

    def begin(self) -> None:
        """Count a request that is admitted and will take time."""
        self.now += 1
        self.most = max(self.most, self.now)

    def end(self) -> None:
        """One has ended, or was abandoned."""
        self.now -= 1


@dataclass(slots=True)
class ServedTokens:
    """Tokens of answered requests; `admitted` are those that the buckets gave out, minus what was given back."""

    input: int = 0
    output: int = 0
    admitted: int = 0


@dataclass(slots=True)
class EndpointStats:
    """Counts of requests to a model; each ends as answered, throttled, refused, abandoned or under one of the faults.

    A slow one counts twice, as a fault and as answered.
    """

    requests: int = 0
    answered: int = 0
    throttled: int = 0
    refused: int = 0
    """Answered with 400, 401 or 404 for what they asked."""
    abandoned: int = 0
    """The client disconnected first."""
    faults: Counter[str] = field(default_factory=Counter)
    in_flight: InFlight = field(default_factory=InFlight)
    tokens: ServedTokens = field(default_factory=ServedTokens)
    first_request_at: float | None = None
    """On the monotonic clock."""
    cpu_before_s: float = field(default_factory=time.process_time)

    def after_reset(self) -> EndpointStats:
        """Stats from now on; what is in flight stays in flight."""
        return EndpointStats(in_flight=InFlight(self.in_flight.now, self.in_flight.now))

    def to_json(self, now: float, connections: int) -> dict[str, Any]:
        """The object of `/stats`; `connections` are those open now."""
        since_first_s = None if self.first_request_at is None else round(now - self.first_request_at, 6)
        return {
            "requests": self.requests,
            "answered": self.answered,
            "throttled": self.throttled,
            "refused": self.refused,
            "abandoned": self.abandoned,
            "faults": {str(kind): count for kind, count in self.faults.items()},
            "in_flight": self.in_flight.now,
            "max_in_flight": self.in_flight.most,
            "input_tokens": self.tokens.input,
            "output_tokens": self.tokens.output,
            "admitted_tokens": self.tokens.admitted,
            "connections": connections,
            "cpu_s": round(time.process_time() - self.cpu_before_s, 6),
            "seconds_since_first": since_first_s,
        }

    def sentence(self) -> str:
        """The summary a person reads at the end."""
        faults = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.faults.items())) or "none"
        return (
            f"{self.requests:,} requests: {self.answered:,} answered, {self.throttled:,} throttled (429), "
            f"{self.refused:,} refused, {self.abandoned:,} abandoned, "
            f"{self.in_flight.now:,} unfinished, faults: {faults}; at most {self.in_flight.most:,} in flight; "
            f"{self.tokens.input:,} input and {self.tokens.output:,} output tokens"
        )
