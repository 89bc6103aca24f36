"""What a simulated provider has counted since it started or was reset."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Figures:
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
    in_flight: int = 0
    max_in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    admitted_tokens: int = 0
    """What the buckets gave out, minus what was given back."""
    first_request_at: float | None = None
    """On the monotonic clock."""
    cpu_before_s: float = field(default_factory=time.process_time)

    def begin(self) -> None:
        """Count a request that is admitted and will take time."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def after_reset(self) -> Figures:
        """Figures from now on; what is in flight stays in flight."""
        return Figures(in_flight=self.in_flight, max_in_flight=self.in_flight)

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
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "admitted_tokens": self.admitted_tokens,
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
            f"{self.in_flight:,} unfinished, faults: {faults}; at most {self.max_in_flight:,} in flight; "
            f"{self.input_tokens:,} input and {self.output_tokens:,} output tokens"
        )
