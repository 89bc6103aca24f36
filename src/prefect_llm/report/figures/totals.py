"""One fold over the durable rows gives every figure of a run: nothing is counted while it runs.

It reads the parts one by one and only the columns it needs; what it keeps is two numbers a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prefect_llm.report.figures.failures import FAILURE_COLUMNS, FailureCounts, FailureExample
from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.parts import stats_in
from prefect_llm.values.formatting import plain_if_known
from prefect_llm.values.money import ZERO
from prefect_llm.values.tally import TOKEN_COLUMNS, Tally, TokenTally

COLUMNS = (
    "status",
    "requested_model",
    *TOKEN_COLUMNS,
    "cost",
    "currency",
    "price_source",
    "reused",
    "attempts",
    "latency_ms",
    "queued_ms",
    *FAILURE_COLUMNS,
)


@dataclass(frozen=True, slots=True)
class Times:
    """How long the answered rows took, in milliseconds; percentiles are interpolated between neighbours."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class RowPrices:
    """At what prices the rows were billed, and how many at none.

    `unpriced` rows have tokens and no price, `unmetered` ones were answered without their token usage.
    """

    currencies: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    unpriced: int = 0
    unmetered: int = 0


NO_PRICES = RowPrices()


@dataclass(frozen=True, slots=True)
class Totals:
    """Every figure of a run directory. `rows` are the snapshot's; those without a durable row are pending.

    The tokens of the `tally` are those of the rows, its money includes that of discarded answers. `asked` rows had at
    least one request. A cost that is not known is that of an unpriced row, an unmetered row or a discarded answer.
    """

    rows: int
    tally: Tally = field(default_factory=Tally)
    failure_examples: tuple[FailureExample, ...] = ()
    reused: int = 0
    asked: int = 0
    prices: RowPrices = NO_PRICES
    models: tuple[str, ...] = ()
    latency: Times | None = None
    queued: Times | None = None
    chunk_stats: ChunkStats = field(default_factory=ChunkStats)

    @property
    def ok(self) -> int:
        """Documents with an answer."""
        return self.tally.ok

    @property
    def failed(self) -> int:
        """Documents that ended without one."""
        return self.tally.failed

    @property
    def failed_by_kind(self) -> Mapping[str, int]:
        """Failed documents by `error_kind`, the commonest first."""
        return self.tally.failed_by_kind

    @property
    def tokens(self) -> TokenTally:
        """Of the rows."""
        return self.tally.tokens

    @property
    def known_cost(self) -> Decimal:
        """What the run is known to have cost."""
        return self.tally.known_cost

    @property
    def pending(self) -> int:
        """Documents without a result row."""
        return self.rows - self.ok - self.failed

    @property
    def cost(self) -> Decimal | None:
        """What the run cost; `None` if any of it is unknown, or if it is in several currencies."""
        return None if len(self.prices.currencies) > 1 else self.tally.cost

    @property
    def currency(self) -> str | None:
        """The one currency of the rows' prices."""
        currencies = self.prices.currencies
        return currencies[0] if len(currencies) == 1 else None

    def to_json(self, cost_uncertain: Decimal | None = Decimal(0)) -> dict[str, Any]:
        """The figures of the whole run directory in `--json`; the totals in the manifest."""
        return {
            "rows": self.rows,
            "ok": self.ok,
            "failed": self.failed,
            "failed_by_kind": dict(self.failed_by_kind),
            "reused": self.reused,
            **self.tokens.by_name(),
            "cost": plain_if_known(self.cost),
            "cost_uncertain": plain_if_known(cost_uncertain),
            "currency": self.currency,
        }

    @property
    def top_failure(self) -> FailureExample | None:
        """The kind, status and message that most failures share."""
        return max(self.failure_examples, key=lambda example: example.count, default=None)


def fold(directory: RunDirectory, rows: int) -> Totals:
    """The totals of every durable row, of unfinished chunks too. `rows` is how many documents the snapshot has."""
    sums = TotalsFold()
    for table in chain(directory.scan(COLUMNS), directory.scan_journals(COLUMNS)):
        sums.add(table, stats_in(table.schema, directory.results_url))
    return sums.totals(rows)


class TotalsFold:
    """The fold's running figures: of tables with `COLUMNS`."""

    def __init__(self) -> None:
        self.chunk_stats = ChunkStats()
        self._tally = Tally()
        self._count: Counter[str] = Counter()
        self._currencies: set[str] = set()
        self._price_sources: set[str] = set()
        self._models: set[str] = set()
        self._failures = FailureCounts()
        self._latencies: list[pa.ChunkedArray] = []
        self._queued: list[pa.ChunkedArray] = []

    def add(self, table: pa.Table, stats: ChunkStats) -> None:
        """Take in a chunk's rows and stats."""
        self.chunk_stats += stats
        ok = pc.equal(table["status"], "ok")
        unpriced, unmetered = map(_sum, unknown_costs(table, ok))
        self._tally += Tally(
            ok=_sum(ok),
            tokens=TokenTally(**{name: _sum(table[name]) for name in TOKEN_COLUMNS}),
            known_cost=pc.sum(table["cost"]).as_py() or ZERO,
            unknown_costs=unpriced + unmetered,
        )

        self._count.update(
            reused=_sum(table["reused"]),
            asked=_sum(pc.greater(table["attempts"], 0)),
            unpriced=unpriced,
            unmetered=unmetered,
        )
        self._models |= _names(table["requested_model"])
        self._currencies |= _names(table["currency"])
        self._price_sources |= _names(table["price_source"])

        self._failures.add(table.select(FAILURE_COLUMNS).filter(pc.invert(ok)))
        self._latencies.append(table["latency_ms"].filter(ok))  # null where the row was reused
        self._queued.append(table["queued_ms"].filter(ok))

    def totals(self, rows: int) -> Totals:
        """The totals so far."""
        count, discarded_cost = self._count, self.chunk_stats.discarded.cost
        tally = self._tally + Tally(known_cost=discarded_cost or ZERO, unknown_costs=int(discarded_cost is None))

        return Totals(
            rows=rows,
            tally=replace(tally, failed_by_kind=self._failures.by_kind()),
            failure_examples=self._failures.examples(),
            reused=count["reused"],
            asked=count["asked"],
            prices=RowPrices(
                currencies=tuple(sorted(self._currencies)),
                sources=tuple(sorted(self._price_sources)),
                unpriced=count["unpriced"],
                unmetered=count["unmetered"],
            ),
            models=tuple(sorted(self._models)),
            latency=_times(self._latencies),
            queued=_times(self._queued),
            chunk_stats=self.chunk_stats,
        )


def metered(table: pa.Table) -> pa.ChunkedArray:
    """Which rows have their token usage."""
    return pc.and_(pc.is_valid(table["input_tokens"]), pc.is_valid(table["output_tokens"]))


def unknown_costs(table: pa.Table, ok: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Which rows were billed at a price that is not known, and which were answered without their usage."""
    unknown = pc.and_(pc.is_null(table["cost"]), pc.greater(table["attempts"], 0))
    known_usage = metered(table)
    return pc.and_(unknown, known_usage), pc.and_(unknown, pc.and_(ok, pc.invert(known_usage)))


def _names(column: pa.ChunkedArray) -> set[str]:
    return {name for name in pc.unique(column).to_pylist() if name}


def _sum(column: Any) -> int:
    return int(pc.sum(column).as_py() or 0)


def _times(columns: list[pa.ChunkedArray]) -> Times | None:
    values = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.float64())
    if values.null_count == len(values):
        return None
    p50, p95, p99 = pc.quantile(values, q=[0.5, 0.95, 0.99], interpolation="linear").to_pylist()
    return Times(mean_ms=pc.mean(values).as_py(), p50_ms=p50, p95_ms=p95, p99_ms=p99)
