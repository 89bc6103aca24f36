"""Whether a failed attempt is asked again, and after how long.

tenacity's strategies compute the waits; the waiting itself is the scheduler's, so that a backoff holds no
slot among the requests in flight. Each sort of failure has a budget of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import tenacity
from tenacity import RetryCallState, wait_exponential, wait_random

from prefect_llm.values.errors import RequestError, Retryable, Throttled
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import RetryOptions

THROTTLED_PER_ATTEMPT = 4
"""A document may be throttled this many times `max_attempts` while others are answered: waiting is not its fault."""

OUTAGES_PER_ATTEMPT = 1
"""A document may fail in this many outages times `max_attempts`: where many hang while others are answered, each time
they meet looks like an outage, and none would be charged."""

LONGEST_PAUSE_S = 5.0
"""Between two probes of a provider that is down: a run goes on so soon after it is back."""

UNUSABLE_AGAIN: Mapping[ErrorKind, int] = MappingProxyType(
    {ErrorKind.BAD_RESPONSE: 2, ErrorKind.SCHEMA_MISMATCH: 1, ErrorKind.TRUNCATED: 0}
)
"""How many more times an unusable answer is asked again: each one is billed."""


@dataclass(slots=True)
class TurnedAway:
    """A document's 429s since the instant `since`, the first of them; `tries` came after others were answered.

    `probed_in_vain` since the last one: only the document itself tells more. The rest are the provider's counts then:
    of answers, and of those to documents that were turned away before.
    """

    since: float
    answered_at_first: int
    got_through_at_first: int
    answered_last: int
    tries: int = 0
    probed_in_vain: bool = False


@dataclass(slots=True)
class RetryCounts:
    """The failed attempts of one document, counted by budget; `waited` says that its last 429 cost it a wait.

    Of `outages` that it failed in, the provider's `last_outage`-th was the last.
    """

    faults: int = 0
    outages: int = 0
    last_outage: int = 0
    throttled: int = 0
    unusable: dict[ErrorKind, int] = field(default_factory=dict)
    turned_away: TurnedAway | None = None
    waited: bool = False

    def failed_in(self, outage: int) -> None:
        """Count the provider's outage of that number, once."""
        self.outages += outage != self.last_outage
        self.last_outage = outage


class RetryPolicy:
    """Decides by one provider's retry options. Holds no state of any document."""

    def __init__(self, options: RetryOptions) -> None:
        self._max_attempts = options.max_attempts
        self._longest_pause_s = min(options.max_backoff_s, LONGEST_PAUSE_S)
        self._patience_s = options.outage_s
        exponential = wait_exponential(multiplier=options.backoff_s, max=options.max_backoff_s)
        self._backoff = exponential + wait_random(0, options.backoff_s)

    def delay_s(self, error: RequestError, counts: RetryCounts, *, outage: bool) -> float | None:
        """Count the failure; seconds until the next attempt, or `None` where this was the last.

        In an `outage`, while nothing succeeds, a fault costs no attempt and a 429 no wait for its turn: the document
        is not to blame, and breaker or cooldown decide when it leaves. Too many outages are to be blamed on it.
        """
        if isinstance(error, Throttled):
            counts.throttled += not outage
            spent = counts.throttled >= THROTTLED_PER_ATTEMPT * self._max_attempts
            return None if spent else self._wait_s(error, max(counts.throttled, 1))
        if isinstance(error, Retryable):
            return self._after_fault(error, counts, outage=outage)
        allowed = UNUSABLE_AGAIN.get(error.kind, 0)
        counts.unusable[error.kind] = counts.unusable.get(error.kind, 0) + 1
        return self._wait_s(error, 1) if counts.unusable[error.kind] <= allowed else None

    def cooldown_s(self, error: Throttled, in_a_row: int) -> float:
        """How long the whole provider pauses after its `in_a_row`-th throttling without a success."""
        return self._wait_s(error, in_a_row)

    @property
    def first_pause_s(self) -> float:
        """Before what has failed through no fault of its own is sent again."""
        return self._backoff(_state_after(1))

    def pause_s(self, openings: int) -> float:
        """How long the breaker stays open before the next probe, after that many openings in a row."""
        return min(self._backoff(_state_after(openings)), self._longest_pause_s)

    def _after_fault(self, error: Retryable, counts: RetryCounts, *, outage: bool) -> float | None:
        if outage:  # the breaker holds it back for as long as it takes
            return None if counts.outages > OUTAGES_PER_ATTEMPT * self._max_attempts else self.first_pause_s
        counts.faults += 1
        spent = counts.faults >= self._max_attempts
        return None if spent else self._wait_s(error, counts.faults)

    def _wait_s(self, error: RequestError, failures: int) -> float:
        """Exponential with jitter; never less than the endpoint asked for, within the patience with an outage."""
        asked_s = error.retry_after_s if isinstance(error, Retryable) else None
        return max(self._backoff(_state_after(failures)), min(asked_s or 0.0, self._patience_s))


def _state_after(failures: int) -> RetryCallState:
    state = RetryCallState(tenacity.Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = failures
    return state
