"""What a run leaves on disk: the row schema, its parts, the run directory and its manifest."""

from prefect_llm.store.chunk_stats import ChunkStats, EndedRows
from prefect_llm.store.directory import FAILED, PAGE, RunDirectory, stats_in_journal
from prefect_llm.store.failed_rows import FAILED_BY, discarded_rows, failed_rows, replaced
from prefect_llm.store.finding import PREVIOUS, runs_below
from prefect_llm.store.flushing import flushed
from prefect_llm.store.journal import (
    ChunkAttempt,
    JournalEntry,
    JournalKind,
    claim,
    is_latest,
    journaled,
    open_journal,
    remove_journals,
)
from prefect_llm.store.lease import acquired, check_owner, current_epoch, release, when_lease_ends
from prefect_llm.store.lost_requests import LostRequests
from prefect_llm.store.manifest import Manifest, State, Stopped, check_same_spec
from prefect_llm.store.parts import stats_in
from prefect_llm.store.rows import ResultRow, as_reused, result_table
from prefect_llm.store.schema import RAW, REASONING, RESULT_COLUMNS, reserved_columns, result_schema
from prefect_llm.store.spec import difference
from prefect_llm.store.tail import Tail

__all__ = [
    "FAILED",
    "FAILED_BY",
    "PAGE",
    "PREVIOUS",
    "RAW",
    "REASONING",
    "RESULT_COLUMNS",
    "ChunkAttempt",
    "ChunkStats",
    "EndedRows",
    "JournalEntry",
    "JournalKind",
    "LostRequests",
    "Manifest",
    "ResultRow",
    "RunDirectory",
    "State",
    "Stopped",
    "Tail",
    "acquired",
    "as_reused",
    "check_owner",
    "check_same_spec",
    "claim",
    "current_epoch",
    "difference",
    "discarded_rows",
    "failed_rows",
    "flushed",
    "is_latest",
    "journaled",
    "open_journal",
    "release",
    "remove_journals",
    "replaced",
    "reserved_columns",
    "result_schema",
    "result_table",
    "runs_below",
    "stats_in",
    "stats_in_journal",
    "when_lease_ends",
]
