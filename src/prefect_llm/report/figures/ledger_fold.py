"""Rows folded into the lines of the run's ledger, and what no endpoint counted reckoned from those that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from prefect_llm.pricing import COST_STEP
from prefect_llm.report.figures.ledger import (
    EstimatedUse,
    LedgerKey,
    LedgerLine,
    RowCounts,
    RunLedger,
    Sizes,
    rows_of,
    tokens_of,
)
from prefect_llm.report.figures.totals import metered, unknown_costs
from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.values.money import MONEY, ZERO, sum_known
from prefect_llm.values.request import BYTES_PER_TOKEN
from prefect_llm.values.tally import TOKEN_COLUMNS, Discarded, TokenTally

COLUMNS = ("status", "requested_model", "provider", "lane", *TOKEN_COLUMNS, "cost", "currency", "price_source",
           "reused", "attempts", "finished_at")  # fmt: skip
_ROW_COUNTS = ("ok", "reused", "metered", "unpriced", "unmetered")
_COUNTS = (*_ROW_COUNTS, *TOKEN_COLUMNS)


class LedgerFold:
    """Adds up tables with `COLUMNS`; what it keeps grows with the lines, not with the rows."""

    def __init__(self) -> None:
        self._lines: dict[LedgerKey, LedgerLine] = {}

    def add(self, table: pa.Table) -> None:
        """Take in a chunk's rows."""
        sums = _keyed(table).group_by(list(LedgerKey._fields), use_threads=False).aggregate(
            [([], "count_all"), *((name, "sum") for name in (*_COUNTS, "cost"))]
        )  # fmt: skip
        for sum_ in sums.to_pylist():
            key = LedgerKey(*(sum_[name] for name in LedgerKey._fields))
            counts = {name: sum_[f"{name}_sum"] or 0 for name in _COUNTS}
            rows = RowCounts(sum_["count_all"], *(counts[name] for name in _ROW_COUNTS))
            tokens = TokenTally(*(counts[name] for name in TOKEN_COLUMNS))
            known = sum_["cost_sum"]

            if (line := self._lines.get(key)) is not None:
                rows, tokens, known = line.rows + rows, line.tokens + tokens, sum_known((line.known_cost, known))
            self._lines[key] = _line_of_rows(key, rows, tokens, sum_known((known,)))

    def lines(self, discarded: Discarded) -> tuple[LedgerLine, ...]:
        """By day, provider, model; the discarded answers last."""
        ordered = sorted(self._lines, key=lambda key: tuple((value is None, str(value)) for value in key))
        lines = [self._lines[key] for key in ordered]
        return (*lines, _discarded_line(discarded, lines)) if discarded.attempts else tuple(lines)

    def ledger(self, stats: ChunkStats, sizes: Callable[[], Sizes] = Sizes) -> RunLedger:
        """The ledger so far. `sizes` is asked for those of the run where no answer has its usage."""
        lines = self.lines(stats.discarded)
        rows = rows_of(lines)
        return RunLedger(
            lines=lines,
            lost=stats.requests.lost,
            unmetered=_estimated(lines, "unmetered", sizes) if rows.unmetered else None,
            reused=_estimated(lines, "reused", Sizes) if rows.reused else None,
            cache_saved=stats.cache_saved,
        )


def _line_of_rows(key: LedgerKey, rows: RowCounts, tokens: TokenTally, known: Decimal) -> LedgerLine:
    return LedgerLine("rows", key, rows, tokens, known, None if rows.unpriced or rows.unmetered else known)


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
    asked = [line.key for line in lines if not line.rows.reused]

    def only(values: Iterable[Any]) -> Any:
        given = {value for value in values if value is not None}
        return given.pop() if len(given) == 1 else None

    return LedgerLine(
        entry="discarded",
        key=LedgerKey(*(only(getattr(key, name) for key in asked) for name in LedgerKey._fields)),
        rows=RowCounts(discarded.attempts, metered=discarded.attempts),
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
        rows[line.key.model] += getattr(line.rows, counted)

    of_rows = [line for line in lines if line.entry == "rows" and line.rows.metered]
    if not of_rows:
        return _by_size(rows.total(), sizes())

    given = written = 0
    cost: Decimal | None = Decimal(0)
    for model, number in (+rows).items():
        like = [line for line in of_rows if line.key.model == model] or of_rows
        basis_rows, tokens = rows_of(like).metered, tokens_of(like)
        given += number * tokens.input_tokens // basis_rows
        written += number * tokens.output_tokens // basis_rows
        known = not rows_of(like).unpriced and len({line.key.currency for line in like}) == 1
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
