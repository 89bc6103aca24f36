"""The run's ledger, `_run/ledger.json`: who was paid what for how many tokens on which day.

Its lines add up to the known cost of the run to the last digit: rows as the results hold them, and one line for the
discarded answers, which were billed too. What is estimated stands apart from them and is never added in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from prefect_llm.pricing import COST_STEP
from prefect_llm.report.figures.totals import metered, unknown_costs
from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.values.formatting import plain_decimal, plain_if_known
from prefect_llm.values.money import MONEY, ZERO, sum_known
from prefect_llm.values.request import BYTES_PER_TOKEN
from prefect_llm.values.tally import TOKEN_COLUMNS, Discarded, TokenTally

FORMAT = 1
COLUMNS = ("status", "requested_model", "provider", "lane", *TOKEN_COLUMNS, "cost", "currency", "price_source",
           "reused", "attempts", "finished_at")  # fmt: skip
_KEYS = ("day", "provider", "model", "lane", "currency", "price_source")
_ROW_COUNTS = ("ok", "reused", "metered", "unpriced", "unmetered")
_COUNTS = (*_ROW_COUNTS, *TOKEN_COLUMNS)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Mean UTF-8 bytes of a request's messages and of an answer's text; `None` where it cannot be told."""

    request: float | None = None
    answer: float | None = None


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """Rows that share a day (UTC, when they ended), provider, model asked for, lane, currency and price source.

    `entry` is `discarded` for the billed answers that ended no row: `rows` then counts answers, and what parts do
    not keep of them is `None`, as is the day of reused rows, for which nothing was paid. `known_cost` is exact;
    `cost` is the same, or `None` where `unpriced` or `unmetered` rows were billed more.
    """

    entry: Literal["rows", "discarded"]
    day: date | None
    provider: str | None
    model: str | None
    lane: str | None
    currency: str | None
    price_source: str | None
    rows: int
    ok: int
    reused: int
    metered: int
    unpriced: int
    unmetered: int
    tokens: TokenTally
    known_cost: Decimal
    cost: Decimal | None

    def to_json(self) -> dict[str, Any]:
        """The token counts beside the others; money as strings, without an exponent."""
        line = {each.name: getattr(self, each.name) for each in fields(self)}
        tokens, known_cost, cost = (line.pop(name) for name in ("tokens", "known_cost", "cost"))
        return {
            **line,
            "day": None if self.day is None else self.day.isoformat(),
            **tokens.by_name(),
            "known_cost": plain_decimal(known_cost),
            "cost": plain_if_known(cost),
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
        currencies = sorted({line.currency for line in self.lines if line.currency})
        return {
            "format": FORMAT,
            "run_id": run_id,
            "currency": currencies[0] if len(currencies) == 1 else None,
            "lines": [line.to_json() for line in self.lines],
            "totals": {
                "rows": sum(line.rows for line in self.rows),
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


class LedgerFold:
    """Adds up tables with `COLUMNS`; what it keeps grows with the lines, not with the rows."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Any, ...], Counter[str]] = {}
        self._costs: dict[tuple[Any, ...], Decimal] = {}

    def add(self, table: pa.Table) -> None:
        """Take in a chunk's rows."""
        sums = _keyed(table).group_by(list(_KEYS), use_threads=False).aggregate(
            [([], "count_all"), *((name, "sum") for name in (*_COUNTS, "cost"))]
        )  # fmt: skip
        for line in sums.to_pylist():
            key = tuple(line[name] for name in _KEYS)
            count = self._counts.setdefault(key, Counter())
            count["rows"] += line["count_all"]
            for name in _COUNTS:
                count[name] += line[f"{name}_sum"] or 0
            self._costs[key] = sum_known((self._costs.get(key), line["cost_sum"]))

    def lines(self, discarded: Discarded) -> tuple[LedgerLine, ...]:
        """By day, provider, model; the discarded answers last."""
        ordered = sorted(self._counts, key=lambda key: tuple((value is None, str(value)) for value in key))
        lines = [self._line(key) for key in ordered]
        return (*lines, _discarded_line(discarded, lines)) if discarded.attempts else tuple(lines)

    def _line(self, key: tuple[Any, ...]) -> LedgerLine:
        count, known = self._counts[key], self._costs[key]
        more = count["unpriced"] or count["unmetered"]
        named: dict[str, Any] = dict(zip(_KEYS, key, strict=True)) | {name: count[name] for name in _ROW_COUNTS}
        return LedgerLine(
            "rows",
            **named,
            rows=count["rows"],
            tokens=TokenTally(**{name: count[name] for name in TOKEN_COLUMNS}),
            known_cost=known,
            cost=None if more else known,
        )

    def ledger(self, stats: ChunkStats, sizes: Callable[[], Sizes] = Sizes) -> RunLedger:
        """The ledger so far. `sizes` is asked for those of the run where no answer has its usage."""
        lines = self.lines(stats.discarded)
        unmetered = sum(line.unmetered for line in lines)
        return RunLedger(
            lines=lines,
            lost=stats.requests.lost,
            unmetered=_estimated(lines, "unmetered", sizes) if unmetered else None,
            reused=_estimated(lines, "reused", Sizes) if any(line.reused for line in lines) else None,
            cache_saved=stats.cache_saved,
        )


def _keyed(table: pa.Table) -> pa.Table:
    """The columns to group by and to sum."""
    ok = pc.equal(table["status"], "ok")
    unpriced, unmetered = unknown_costs(table, ok)
    day = pc.if_else(table["reused"], pa.scalar(None, pa.date32()), pc.cast(table["finished_at"], pa.date32()))
    lane = pc.if_else(pc.equal(table["lane"], ""), pa.scalar(None, pa.string()), table["lane"])
    asked = pc.greater(table["attempts"], 0)

    masks = {"ok": ok, "reused": table["reused"], "metered": pc.and_(asked, metered(table)), "unpriced": unpriced,
             "unmetered": unmetered}  # fmt: skip
    return pa.table(
        {
            "day": day,
            "provider": table["provider"],
            "model": table["requested_model"],
            "lane": lane,
            "currency": table["currency"],
            "price_source": table["price_source"],
            **{name: pc.cast(mask, pa.int64()) for name, mask in masks.items()},
            **{name: table[name] for name in TOKEN_COLUMNS},
            "cost": table["cost"],
        }
    )


def _discarded_line(discarded: Discarded, lines: Sequence[LedgerLine]) -> LedgerLine:
    """Parts do not say who gave the discarded answers, unless only one was asked."""
    asked = [line for line in lines if not line.reused]

    def only(name: str) -> Any:
        values = {getattr(line, name) for line in asked if getattr(line, name) is not None}
        return values.pop() if len(values) == 1 else None

    return LedgerLine(
        entry="discarded",
        **{name: only(name) for name in _KEYS},
        rows=discarded.attempts,
        ok=0,
        reused=0,
        metered=discarded.attempts,
        unpriced=0,
        unmetered=0,
        tokens=discarded.tokens,
        known_cost=discarded.cost or ZERO,
        cost=discarded.cost,
    )


def _estimated(
    lines: Sequence[LedgerLine], counted: Literal["unmetered", "reused"], sizes: Callable[[], Sizes]
) -> EstimatedUse:
    """Rows at the mean of those that the endpoint counted: of the same model, else of the run."""
    rows = Counter[str | None]()
    for line in lines:
        rows[line.model] += getattr(line, counted)

    of_rows = [line for line in lines if line.entry == "rows" and line.metered]
    if not of_rows:
        return _by_size(rows.total(), sizes())

    given = written = 0
    cost: Decimal | None = Decimal(0)
    for model, number in (+rows).items():
        like = [line for line in of_rows if line.model == model] or of_rows
        basis_rows = sum(line.metered for line in like)
        tokens = tokens_of(like)
        given += number * tokens.input_tokens // basis_rows
        written += number * tokens.output_tokens // basis_rows
        known = not any(line.unpriced for line in like) and len({line.currency for line in like}) == 1
        spent = MONEY.multiply(sum_known(line.known_cost for line in like), number)
        cost = MONEY.add(cost, MONEY.divide(spent, basis_rows)) if known and cost is not None else None

    cost = None if cost is None else MONEY.quantize(cost, COST_STEP)
    return EstimatedUse(
        rows.total(), given, written, cost, "the mean of the same model's counted answers, else the run's"
    )


def _by_size(rows: int, sizes: Sizes) -> EstimatedUse:
    def tokens(mean_bytes: float | None) -> int | None:
        return None if mean_bytes is None else round(mean_bytes / BYTES_PER_TOKEN * rows)

    basis = f"no answer has its usage: {BYTES_PER_TOKEN} bytes of text a token"
    return EstimatedUse(rows, tokens(sizes.request), tokens(sizes.answer), None, basis)
