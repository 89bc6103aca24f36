"""Parts of a run that an earlier version began, which had fewer columns."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.failed_rows import discarded_rows, failed_rows, replaced
from prefect_llm.store.parts import STATS_KEY, encode_part, part_name
from prefect_llm.store.rows import ResultRow, result_table
from prefect_llm.store.schema import lacking_columns, result_schema, with_lacking_columns
from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.tally import Discarded, TokenTally

ADDED = "cache_write_tokens"
NOTHING = pa.schema([])
SAME_NAME = pa.schema([(ADDED, pa.string())])
"""An input column that 0.1.0 kept under this name, for no result column had it."""
BILLED = Outcome(Completion("no", usage=Usage(10, 4, 5, 1, 3)), Failure(ErrorKind.REFUSED, "no"), attempts=1)


def part_of(kept: pa.Schema, lacking: frozenset[str]) -> pa.Table:
    """Two rows, the second of which failed."""
    schema = result_schema(kept=kept, output_type=None, keep_raw=False, lacking=lacking)
    rows = [ResultRow("a", "f", "m", outcome, Decimal("0.5"), None) for outcome in (Outcome(), BILLED)]
    columns = pa.table({name: ["x", "y"] for name in kept.names}, schema=kept)
    return result_table(rows, schema=schema, run_id="r", kept=columns, output=None)


def written(directory: RunDirectory, table: pa.Table) -> RunDirectory:
    """The directory with that part."""
    directory.folder.write(part_name(0), encode_part(table, {STATS_KEY: ChunkStats().to_json()}))
    return directory


@pytest.mark.parametrize(
    ("kept", "lacking"),
    [(NOTHING, frozenset()), (NOTHING, frozenset({ADDED})), (SAME_NAME, frozenset({ADDED}))],
)
def test_a_part_says_by_its_own_columns_what_it_lacks(
    directory: RunDirectory, kept: pa.Schema, lacking: frozenset[str]
) -> None:
    table = part_of(kept, lacking)
    assert lacking_columns(table.schema) == lacking
    assert written(directory, table).lacking_columns() == lacking


def test_a_directory_without_a_part_lacks_nothing(directory: RunDirectory) -> None:
    assert directory.lacking_columns() == frozenset()


@pytest.mark.parametrize("kept", [NOTHING, SAME_NAME])
def test_a_column_that_came_later_is_read_as_null(directory: RunDirectory, kept: pa.Schema) -> None:
    """Also where a kept column has its name, which is another thing."""
    written(directory, part_of(kept, frozenset({ADDED})))
    table = directory.read_chunk(0, ("id", ADDED, "cached_input_tokens"))
    assert table.column_names == ["id", ADDED, "cached_input_tokens"]
    assert table[ADDED].to_pylist() == [None, None]
    assert table[ADDED].type == pa.int64()


def test_a_kept_column_with_the_name_of_a_later_one_stays_what_it_is(directory: RunDirectory) -> None:
    part = part_of(SAME_NAME, frozenset({ADDED}))
    written(directory, part)
    read = directory.read_chunk(0, part.column_names, as_written=True)
    assert read[ADDED].to_pylist() == ["x", "y"]
    assert with_lacking_columns(part.schema) == part.schema


@pytest.mark.parametrize("kept", [NOTHING, SAME_NAME])
def test_failed_rows_of_such_a_part_are_replaced_and_what_they_cost_is_kept(kept: pa.Schema) -> None:
    part = part_of(kept, frozenset({ADDED}))
    assert failed_rows(part) == [1]
    assert discarded_rows(part, [1]).discarded == Discarded(1, TokenTally(10, 4, 0, 5, 1), Decimal("0.5"))
    assert replaced(part, part.slice(0, 1), [1]).schema.names == part.schema.names


def test_of_a_part_with_the_column_its_tokens_are_kept_too() -> None:
    part = part_of(NOTHING, frozenset())
    assert discarded_rows(part, [1]).discarded.tokens == TokenTally(10, 4, 3, 5, 1)
