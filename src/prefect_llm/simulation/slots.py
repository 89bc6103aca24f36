"""The knee: a limited number of requests is served at once; the rest wait in order of arrival."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")


@dataclass(frozen=True, slots=True)
class Step:
    """From `at_s` seconds after the first request, `limit` requests are served at once."""

    at_s: float
    limit: int


def limit_at(knee: tuple[Step, ...], seconds_since_first: float) -> int | None:
    """How many are served at once at that time, `None` without a limit. The steps are in order of time."""
    reached = list(takewhile(lambda step: step.at_s <= seconds_since_first, knee))
    return reached[-1].limit if reached else None


class Slots(Generic[Waiting]):
    """Who is served and who waits. `limit` may change at any time; requests being served stay."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._served = 0
        self._waiting: OrderedDict[Waiting, None] = OrderedDict()

    def enter(self, arrival: Waiting) -> bool:
        """Take a slot, or join the end of the queue; returns whether there was a slot."""
        if self._waiting or not self._free():
            self._waiting[arrival] = None
            return False
        self._served += 1
        return True

    def leave(self, leaving: Waiting) -> None:
        """Give up the slot, or the wait for one."""
        if leaving in self._waiting:
            del self._waiting[leaving]
        else:
            self._served -= 1

    def take_in(self) -> Iterator[Waiting]:
        """Give free slots to those who wait longest; yields each."""
        while self._waiting and self._free():
            first, _ = self._waiting.popitem(last=False)
            self._served += 1
            yield first

    def _free(self) -> bool:
        return self.limit is None or self._served < self.limit
