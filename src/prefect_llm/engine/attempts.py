"""What a request has been through on its way to an outcome, and the slot it is in flight with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from prefect_llm.values.outcome import DiscardedAnswer


@dataclass(slots=True)
class Attempts:
    """What all providers together have done with one document, as its outcome reports it.

    The scheduler writes `queued_s`, the asker `sent` and `started_at_us`, the sender `endpoint_s`, the job the rest.
    `lost` attempts may have been billed; `discarded` holds the billed answers that were asked again.
    """

    queued_s: float = 0.0
    sent: int = 0
    started_at_us: int | None = None
    endpoint_s: float = 0.0
    throttled: int = 0
    lost: int = 0
    discarded: list[DiscardedAnswer] = field(default_factory=list)


class Slot(NamedTuple):
    """The scheduler's permission to be in flight: since when, whether for a retry, whether as the breaker's probe."""

    left_at: float
    is_retry: bool
    is_probe: bool
