"""What a chunk cost that its rows do not say: requests, retries, throttling, and billed answers thrown away.

Each part carries its chunk's figures in its own metadata, so that they are durable exactly when the rows are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from prefect_llm.values.money import MONEY, add_money
from prefect_llm.values.outcome import Outcome, Usage


@dataclass(frozen=True, slots=True)
class Discarded:
    """Billed attempts that did not end a row. `cost` is `None` where one of them has no known cost."""

    attempts: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True)
class RowFigures:
    """Rows that have ended, and what they took; `counted_in` names the process's own count that they are in.

    `new` of them, `new_failed` among those, ended in this attempt, and not in one before or in another run.
    """

    counted_in: str
    ok: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = Decimal(0)
    currency: str | None = None
    failed_by_kind: Mapping[str, int] = field(default_factory=dict)
    new: int = 0
    new_failed: int = 0


@dataclass(frozen=True, slots=True)
class ChunkStats:
    """One chunk's counters, or the sum of several. `requests` were sent, `retries` of them not the first.

    `throttled` counts 429 answers; `seconds` is the time the chunk took. `lost` attempts brought no answer and may
    have been billed; `uncertain` is what those and answers without usage cost at most, `None` where it is not known.
    `ended` says what became of the rows, `reused` how many of them were taken from other rows, to whoever waits for
    the chunk; the part itself says it better.
    `cache_saved` is what the rows' cached input would have cost more, had it been read anew.
    """

    requests: int = 0
    retries: int = 0
    throttled: int = 0
    discarded: Discarded = field(default_factory=Discarded)
    seconds: float = 0.0
    lost: int = 0
    uncertain: Decimal | None = Decimal(0)
    ended: RowFigures | None = field(default=None, compare=False)
    reused: int = field(default=0, compare=False)
    cache_saved: Decimal = Decimal(0)

    def to_json(self) -> str:
        """The text kept in a part's metadata; money is a decimal string."""
        thrown = self.discarded
        return json.dumps(
            {
                "requests": self.requests,
                "retries": self.retries,
                "throttled": self.throttled,
                "discarded": {
                    "attempts": thrown.attempts,
                    "input_tokens": thrown.input_tokens,
                    "cached_input_tokens": thrown.cached_input_tokens,
                    "output_tokens": thrown.output_tokens,
                    "reasoning_tokens": thrown.reasoning_tokens,
                    "cost": None if thrown.cost is None else format(thrown.cost, "f"),
                },
                "seconds": self.seconds,
                "lost": self.lost,
                "uncertain": None if self.uncertain is None else format(self.uncertain, "f"),
                "cache_saved": format(self.cache_saved, "f"),
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> ChunkStats:
        """Read what `to_json` wrote; `ValueError`, `TypeError` or `KeyError` for anything else."""
        read: dict[str, Any] = json.loads(text)
        thrown: dict[str, Any] = dict(read.pop("discarded"))
        cost = thrown.pop("cost")
        discarded = Discarded(**thrown, cost=None if cost is None else Decimal(cost))
        uncertain = read.pop("uncertain", "0")
        saved = Decimal(read.pop("cache_saved", "0"))
        most = None if uncertain is None else Decimal(uncertain)
        return cls(**read, discarded=discarded, uncertain=most, cache_saved=saved)


def stats_of(
    outcomes: Iterable[Outcome],
    *,
    discarded_cost: Decimal | None,
    seconds: float,
    uncertain: Decimal | None = Decimal(0),
) -> ChunkStats:
    """Count a chunk's outcomes. `discarded_cost` is what their discarded usage cost, `None` if unknown."""
    requests = retries = throttled = lost = 0
    discarded: list[Usage] = []
    for outcome in outcomes:
        requests += outcome.attempts
        retries += max(outcome.attempts - 1, 0)
        throttled += outcome.throttled
        lost += outcome.lost
        discarded += [each.usage for each in outcome.discarded]
    return ChunkStats(
        requests=requests,
        retries=retries,
        throttled=throttled,
        discarded=Discarded(
            attempts=len(discarded),
            input_tokens=sum(usage.input_tokens or 0 for usage in discarded),
            cached_input_tokens=sum(usage.cached_input_tokens or 0 for usage in discarded),
            output_tokens=sum(usage.output_tokens or 0 for usage in discarded),
            reasoning_tokens=sum(usage.reasoning_tokens or 0 for usage in discarded),
            cost=discarded_cost if discarded else Decimal(0),
        ),
        seconds=seconds,
        lost=lost,
        uncertain=uncertain,
    )


def sum_stats(figures: Iterable[ChunkStats]) -> ChunkStats:
    """One sum of many chunks; its discarded cost is unknown as soon as one chunk's is."""
    total = ChunkStats()
    for each in figures:
        total = ChunkStats(
            requests=total.requests + each.requests,
            retries=total.retries + each.retries,
            throttled=total.throttled + each.throttled,
            discarded=_sum_discarded(total.discarded, each.discarded),
            seconds=total.seconds + each.seconds,
            lost=total.lost + each.lost,
            uncertain=add_money(total.uncertain, each.uncertain),
            reused=total.reused + each.reused,
            cache_saved=MONEY.add(total.cache_saved, each.cache_saved),
        )
    return total


def _sum_discarded(one: Discarded, other: Discarded) -> Discarded:
    return Discarded(
        attempts=one.attempts + other.attempts,
        input_tokens=one.input_tokens + other.input_tokens,
        cached_input_tokens=one.cached_input_tokens + other.cached_input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        cost=add_money(one.cost, other.cost),
    )
