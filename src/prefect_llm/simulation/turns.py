"""Whose turn it is, by the clock of the loop: places that change in number as the knee says."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from prefect_llm.simulation.slots import Slots, Step, limit_at


class Served(Protocol):
    """Something that waits for its turn."""

    def serve(self) -> None:
        """The turn has come."""


class Turns:
    """Places whose steps count from the first request. Made inside a running loop."""

    def __init__(self, knee: tuple[Step, ...]) -> None:
        self._knee = knee
        self._loop = asyncio.get_running_loop()
        self._slots: Slots[Served] = Slots(limit_at(knee, 0.0))
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self, first_request_at: float) -> None:
        """The first request came then, on the steady clock."""
        passed_s = time.monotonic() - first_request_at
        self._timers = [
            self._loop.call_later(step.at_s - passed_s, self._change, step.limit)
            for step in self._knee
            if step.at_s > 0
        ]

    def start_over(self) -> None:
        """Back to before the first request; those with a place keep it."""
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        self._change(limit_at(self._knee, 0.0))

    def enter(self, arrival: Served) -> bool:
        """Take a place, or wait for `serve` to be called; whether there was a place."""
        return self._slots.enter(arrival)

    def leave(self, leaving: Served) -> None:
        """Give up the place, or the wait for one."""
        self._slots.leave(leaving)
        self._take_in()

    def _change(self, limit: int | None) -> None:
        self._slots.limit = limit
        self._take_in()

    def _take_in(self) -> None:
        for served in self._slots.take_in():
            # Not called here: who is answered at once would leave, and the next would be deeper in the stack.
            self._loop.call_soon(served.serve)
