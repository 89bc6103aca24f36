"""Slots on the clock of the loop: their number changes as the knee says."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from prefect_llm.simulation.slots import Slots, Step, limit_at


class Served(Protocol):
    """Something that waits for a slot."""

    def serve(self) -> None:
        """A slot is free, and now taken."""


class Turns:
    """Slots whose steps count from the first request. Must be created inside a running loop."""

    def __init__(self, knee: tuple[Step, ...]) -> None:
        self._knee = knee
        self._loop = asyncio.get_running_loop()
        self._slots: Slots[Served] = Slots(limit_at(knee, 0.0))
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self, first_request_at: float) -> None:
        """Start the steps: the first request arrived at that time on the monotonic clock."""
        passed_s = time.monotonic() - first_request_at
        self._timers = [
            self._loop.call_later(step.at_s - passed_s, self._change, step.limit)
            for step in self._knee
            if step.at_s > 0
        ]

    def start_over(self) -> None:
        """Return to the state before the first request; those with a slot keep it."""
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        self._change(limit_at(self._knee, 0.0))

    def enter(self, arrival: Served) -> bool:
        """Take a slot, or wait until `serve` is called; returns whether there was a slot."""
        return self._slots.enter(arrival)

    def leave(self, leaving: Served) -> None:
        """Give up the slot, or the wait for one."""
        self._slots.leave(leaving)
        self._take_in()

    def _change(self, limit: int | None) -> None:
        self._slots.limit = limit
        self._take_in()

    def _take_in(self) -> None:
        for served in self._slots.take_in():
            # Not called directly: requests that are answered at once would nest one call in another.
            self._loop.call_soon(served.serve)
