"""What a process does that waits for a slot: it tells its run, and in the end takes the slots for lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from prefect_llm.tasks.run_log import log_of_run

LOST_AFTER_S = 90.0
"""Longer than a lease: after this long without a slot, slots were lost with a killed process."""
TOLD_AFTER_S = 3.0
"""A shorter wait is not told: a process that has just begun has a slot sooner, if any is free."""

logger = logging.getLogger(__name__)


def waiting_for(limits: Sequence[str]) -> str:
    """What a run is told to wait for."""
    named = f"{'limit' if len(limits) == 1 else 'limits'} {' and '.join(limits)}"
    return (
        f"waiting for slots of Prefect's global concurrency {named}, which others hold: it goes on by itself as soon "
        "as one is free"
    )


class SlotWait:
    """How long a process has had work and no slot. `active` while others hold all slots and it is not given up."""

    def __init__(self, limit_name: str) -> None:
        self.active = False
        self._limit_name = limit_name
        self._log = log_of_run(logger)
        self._since = time.monotonic()
        self._told_waiting = False
        self._told_alone = False

    def begin(self) -> None:
        """Start again: an earlier wait counts no more, and this run is the one that is told."""
        self._since = time.monotonic()
        self._told_waiting = False
        self._log = log_of_run(logger)

    def end(self) -> None:
        """No longer wait."""
        self.active = False

    def is_in_vain(self, *, starved: bool, all_taken: bool) -> bool:
        """Whether the slots must be lost, so that going on alone is better than waiting for ever.

        `starved` says that it has work and no slot, `all_taken` that no slot is free.
        """
        now = time.monotonic()
        if not starved:
            self._since = now
        waited_s = now - self._since
        self.active = all_taken and TOLD_AFTER_S < waited_s <= LOST_AFTER_S

        if self.active and not self._told_waiting:
            self._told_waiting = True
            self._log.info("%s", waiting_for([self._limit_name]))
        if waited_s <= LOST_AFTER_S:
            return False
        if not self._told_alone:
            self._told_alone = True
            self._log.warning("%s: no slot came free in %.0f s; going on alone", self._limit_name, LOST_AFTER_S)
        return True
