"""Every figure that people are shown of a run, out of one reading of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

from prefect_llm.report.figures import endings, ledger_fold, pace, totals
from prefect_llm.report.figures.endings import Endings, EndingsFold
from prefect_llm.report.figures.ledger import RunLedger, Sizes
from prefect_llm.report.figures.ledger_fold import LedgerFold
from prefect_llm.report.figures.pace import Pace, PaceFold
from prefect_llm.report.figures.totals import Totals, TotalsFold
from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.parts import stats_in

COLUMNS = tuple(dict.fromkeys((*totals.COLUMNS, *ledger_fold.COLUMNS, *pace.COLUMNS, *endings.COLUMNS)))

NO_REQUESTS = ChunkStats()


@dataclass(frozen=True, slots=True)
class RunFigures:
    """A run directory's totals, ledger and pace, and how its answers ended."""

    totals: Totals
    ledger: RunLedger
    pace: Pace
    endings: Endings = field(default_factory=Endings)


def fold_all(
    directory: RunDirectory, rows: int, sizes: Callable[[], Sizes] = Sizes, without_row: ChunkStats = NO_REQUESTS
) -> RunFigures:
    """The figures of every durable row, of unfinished chunks too; `rows` as for `fold`, `sizes` as for the ledger.

    `without_row` are requests for documents that have no row.
    """
    sums, lines, times, ends = TotalsFold(), LedgerFold(), PaceFold(), EndingsFold()
    for table in chain(directory.scan(COLUMNS), directory.scan_journals(COLUMNS)):
        sums.add(table, stats_in(table.schema, directory.results_url))
        lines.add(table)
        times.add(table)
        ends.add(table)
    sums.chunk_stats += without_row
    return RunFigures(sums.totals(rows), lines.ledger(sums.chunk_stats, sizes), times.pace(), ends.endings())
