"""What a chunk's rows do not tell: its requests, retries, throttling, and billed answers that were discarded.

Each part carries its chunk's stats in its own metadata, so that they become durable together with the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from prefect_llm.values.money import MONEY, ZERO, add_money
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.tally import TOKEN_COLUMNS, Discarded, RequestTally, Tally, TokenTally


@dataclass(frozen=True, slots=True)
class EndedRows:
    """The rows of a chunk that have ended; `counted_in` names the process that has already counted them.

    `new` of them, `new_failed` of those, ended in this attempt, not in an earlier one or in another run.
    """

    counted_in: str
    tally: Tally = field(default_factory=Tally)
    new: int = 0
    new_failed: int = 0


@dataclass(frozen=True, slots=True)
class ChunkStats:
    """One chunk's counters, or the sum of several; `seconds` is the time the chunk took.

    `possibly_billed` bounds the cost of lost requests and of answers without usage; `None` if nothing bounds it.
    `cache_saved` is how much more the cached input would have cost uncached. `ended` and `reused` describe the rows
    to the process that waits for the chunk; parts hold the rows themselves and leave both out.
    """

    requests: RequestTally = RequestTally()  # noqa: RUF009
    discarded: Discarded = Discarded()  # noqa: RUF009
    seconds: float = 0.0
    possibly_billed: Decimal | None = ZERO
    ended: EndedRows | None = field(default=None, compare=False)
    reused: int = field(default=0, compare=False)
    cache_saved: Decimal = ZERO

    def __add__(self, other: ChunkStats) -> ChunkStats:
        """The sum; `ended` describes a single chunk and is left out."""
        return ChunkStats(
            requests=self.requests + other.requests,
            discarded=self.discarded + other.discarded,
            seconds=self.seconds + other.seconds,
            possibly_billed=add_money(self.possibly_billed, other.possibly_billed),
            reused=self.reused + other.reused,
            cache_saved=MONEY.add(self.cache_saved, other.cache_saved),
        )

    @classmethod
    def of(
        cls,
        outcomes: Iterable[Outcome],
        *,
        discarded_cost: Decimal | None,
        seconds: float,
        possibly_billed: Decimal | None = ZERO,
    ) -> ChunkStats:
        """Count a chunk's outcomes. `discarded_cost` is that of all discarded answers, `None` if unknown."""
        requests, discarded = RequestTally(), Discarded()
        for outcome in outcomes:
            requests += RequestTally.of(outcome)
            for answer in outcome.discarded:
                discarded += Discarded(1, TokenTally() + answer.usage, ZERO)

        if discarded.attempts:
            discarded = Discarded(discarded.attempts, discarded.tokens, discarded_cost)
        return cls(requests, discarded, seconds, possibly_billed)

    def to_json(self) -> str:
        """The text kept in a part's metadata; money is a decimal string."""
        requests, discarded = self.requests, self.discarded
        return json.dumps(
            {
                "requests": requests.sent,
                "retries": requests.retries,
                "throttled": requests.throttled,
                "discarded": {
                    "attempts": discarded.attempts,
                    **_readable_by_0_1_0(discarded.tokens.by_name()),
                    "cost": _money_text(discarded.cost),
                },
                "seconds": self.seconds,
                "lost": requests.lost,
                "uncertain": _money_text(self.possibly_billed),
                "cache_saved": _money_text(self.cache_saved),
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> ChunkStats:
        """Read what this or an earlier version wrote; counters that the earlier one did not have are 0.

        Raises `ValueError`, `TypeError`, `KeyError` or `ArithmeticError` for anything else.
        """
        read: Mapping[str, Any] = json.loads(text)
        discarded: Mapping[str, Any] = read["discarded"]

        return cls(
            requests=RequestTally(read["requests"], read["retries"], read["throttled"], read.get("lost", 0)),
            discarded=Discarded(
                discarded["attempts"],
                TokenTally(**{name: discarded.get(name, 0) for name in TOKEN_COLUMNS}),
                _money(discarded["cost"]),
            ),
            seconds=read["seconds"],
            possibly_billed=_money(read.get("uncertain", "0")),
            cache_saved=Decimal(read.get("cache_saved", "0")),
        )


def _readable_by_0_1_0(tokens: Mapping[str, int]) -> dict[str, int]:
    """Without a 0 of the count that 0.1.0 does not know, and refuses: most parts have no other."""
    return {name: count for name, count in tokens.items() if count or name != "cache_write_tokens"}


def _money_text(amount: Decimal | None) -> str | None:
    return None if amount is None else format(amount, "f")


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
