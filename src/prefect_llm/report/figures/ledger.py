"""The run's ledger, `_run/ledger.json`: who was paid what for how many tokens on which day.

Its lines add up to the known cost of the run to the last digit: rows as the results hold them, and one line for the
discarded answers, which were billed too. What is estimated stands apart from them and is never added in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from prefect_llm.values.formatting import plain_decimal, plain_if_known
from prefect_llm.values.money import sum_known
from prefect_llm.values.tally import TokenTally

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Sizes:
    """Mean UTF-8 bytes of a request's messages and of an answer's text; `None` where it cannot be told."""

    request: float | None = None
    answer: float | None = None


class LedgerKey(NamedTuple):
    """What the rows of a line share: the day they ended (UTC), who was asked for what, and at which price.

    The day of reused rows is `None`: nothing was paid for them.
    """

    day: date | None
    provider: str | None
    model: str | None
    lane: str | None
    currency: str | None
    price_source: str | None


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows, and how many of them were what; `metered` ones have their token usage.

    `unpriced` and `unmetered` ones were billed more than is known, for want of a price or of the usage.
    """

    total: int = 0
    ok: int = 0
    reused: int = 0
    metered: int = 0
    unpriced: int = 0
    unmetered: int = 0

    def __add__(self, other: RowCounts) -> RowCounts:
        return RowCounts(
            self.total + other.total,
            self.ok + other.ok,
            self.reused + other.reused,
            self.metered + other.metered,
            self.unpriced + other.unpriced,
            self.unmetered + other.unmetered,
        )


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """Rows with one `key`. `known_cost` is exact; `cost` is the same, or `None` where more was billed than is known.

    `entry` is `discarded` for the billed answers that ended no row: `rows` then counts answers, and what parts do
    not keep of them is `None`.
    """

    entry: Literal["rows", "discarded"]
    key: LedgerKey
    rows: RowCounts
    tokens: TokenTally
    known_cost: Decimal
    cost: Decimal | None

    def to_json(self) -> dict[str, Any]:
        """All counts beside each other; money as strings, without an exponent."""
        counts = asdict(self.rows)
        return {
            "entry": self.entry,
            **self.key._asdict(),
            "day": None if self.key.day is None else self.key.day.isoformat(),
            "rows": counts.pop("total"),
            **counts,
            **self.tokens.by_name(),
            "known_cost": plain_decimal(self.known_cost),
            "cost": plain_if_known(self.cost),
        }


@dataclass(frozen=True, slots=True)
class EstimatedUse:
    """Tokens and money that no endpoint counted, for `rows` rows; `None` where nothing says how much.

    `basis` says in words what it is reckoned from.
    """

    rows: int
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    basis: str

    def to_json(self) -> dict[str, Any]:
        """Marked as an estimate."""
        return {"estimate": True} | asdict(self) | {"cost": plain_if_known(self.cost)}


@dataclass(frozen=True, slots=True)
class RunLedger:
    """Every line, and apart from them: `lost` attempts that may have been billed, the answers without usage, what
    reuse and asking once saved (`reused`), and exactly what input read from a cache did (`cache_saved`).
    """

    lines: tuple[LedgerLine, ...]
    lost: int
    unmetered: EstimatedUse | None
    reused: EstimatedUse | None
    cache_saved: Decimal

    @property
    def known_cost(self) -> Decimal:
        """The sum of the lines."""
        return sum_known(line.known_cost for line in self.lines)

    @property
    def rows(self) -> tuple[LedgerLine, ...]:
        """The lines of rows."""
        return tuple(line for line in self.lines if line.entry == "rows")

    @property
    def cached_input_tokens(self) -> int:
        """Of the rows."""
        return tokens_of(self.rows).cached_input_tokens

    def to_json(self, *, run_id: str, cost: Decimal | None, cost_uncertain: Decimal | None) -> dict[str, Any]:
        """The file's content. `cost` is the run's, `None` where part of it is unknown."""
        currencies = sorted({line.key.currency for line in self.lines if line.key.currency})
        return {
            "format": FORMAT,
            "run_id": run_id,
            "currency": currencies[0] if len(currencies) == 1 else None,
            "lines": [line.to_json() for line in self.lines],
            "totals": {
                "rows": rows_of(self.rows).total,
                **tokens_of(self.lines).by_name(),
                "known_cost": plain_decimal(self.known_cost),
                "cost": plain_if_known(cost),
            },
            "uncertain": {"lost_attempts": self.lost, "cost_at_most": plain_if_known(cost_uncertain)},
            "unmetered": None if self.unmetered is None else self.unmetered.to_json(),
            "saved": {
                "taken_over": None if self.reused is None else self.reused.to_json(),
                "cached_input_tokens": self.cached_input_tokens,
                "cached_input_cost": plain_decimal(self.cache_saved),
            },
        }


def tokens_of(lines: Iterable[LedgerLine]) -> TokenTally:
    """The tokens of several lines."""
    return sum((line.tokens for line in lines), TokenTally())


def rows_of(lines: Iterable[LedgerLine]) -> RowCounts:
    """The rows of several lines."""
    return sum((line.rows for line in lines), RowCounts())
