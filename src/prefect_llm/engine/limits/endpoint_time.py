"""Splits endpoint time evenly among the requests in flight, to price machines rented by the hour.

The parts add up to the time in which anything was in flight.
"""

from __future__ import annotations


class EndpointTime:
    """Of one provider in this process. Instants in seconds of one clock, never going back."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._changed_at = 0.0
        self._borne_by_each = 0.0

    def enter(self, now: float) -> float:
        """A request leaves; what `leave` has to be given."""
        self._advance(now)
        self._in_flight += 1
        return self._borne_by_each

    def leave(self, now: float, entered: float) -> float:
        """It has ended: the seconds that it bears."""
        self._advance(now)
        self._in_flight -= 1
        return self._borne_by_each - entered

    def _advance(self, now: float) -> None:
        if self._in_flight:
            self._borne_by_each += (now - self._changed_at) / self._in_flight
        self._changed_at = now
