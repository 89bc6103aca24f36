"""`read_results`: one run's rows in order, or those of the newest complete run below a directory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import prefect_llm
from prefect_llm.store import ChunkStats, Manifest, ResultRow, RunDirectory, result_schema, result_table
from prefect_llm.store.finding import LEVELS_SEARCHED
from prefect_llm.store.reading import read_results
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.outcome import Completion, Outcome, Usage

SCHEMA = result_schema(kept=pa.schema([]), output_type=None, keep_raw=False)
WriteRun = Callable[..., RunDirectory]


@pytest.fixture
def write_run(make_manifest: Callable[..., Manifest]) -> WriteRun:
    """Writes a run of one row per chunk, `first` and the chunk's number as its id; the last chunk comes first."""

    def write(url: str, day: int = 1, *, parts: int = 3, first: str = "r", **manifest: Any) -> RunDirectory:
        directory = RunDirectory.open(url)
        fields = {"created_at": datetime(2026, 1, day, tzinfo=UTC), "state": "completed", **manifest}
        directory.create(make_manifest().changed(**fields))
        directory.write_schema_part(SCHEMA)
        for chunk in reversed(range(parts)):
            directory.commit_part(chunk, _table(f"{first}{chunk}"), ChunkStats())
        return directory

    return write


def _table(id: str) -> pa.Table:
    row = ResultRow(
        id, "f", "m", Outcome(Completion("Ja", "stop", "m", Usage(3, 1), raw=b"{}"), attempts=1), None, None
    )
    return result_table([row], schema=SCHEMA, run_id="r", kept=pa.table({}), output=None)


def _ids(url: str | Path) -> list[str]:
    ids: list[str] = read_results(url).to_table()["id"].to_pylist()
    return ids


def test_a_run_directory_is_read_in_the_order_of_the_input(directory: RunDirectory, write_run: WriteRun) -> None:
    write_run(directory.url)
    assert _ids(directory.url) == ["r0", "r1", "r2"]
    schema = read_results(directory.url).schema
    assert (schema, schema.metadata) == (SCHEMA, None)


def test_parts_are_in_the_order_of_their_numbers_not_of_their_names(
    directory: RunDirectory, write_run: WriteRun
) -> None:
    write_run(directory.url, parts=0, snapshot={"chunks": 100_001})
    for chunk in (100_000, 99_999, 2):
        directory.commit_part(chunk, _table(str(chunk)), ChunkStats())
    assert _ids(directory.url) == ["2", "99999", "100000"]


def test_the_columns_are_there_before_the_first_part(directory: RunDirectory, write_run: WriteRun) -> None:
    write_run(directory.url, parts=0, state="running")
    table = read_results(directory.url).to_table()
    assert (table.num_rows, table.column_names) == (0, SCHEMA.names)


def test_a_path_object_and_a_trailing_slash_will_do(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(str(tmp_path / "base" / "run"))
    assert _ids(tmp_path / "base" / "run") == _ids(f"{tmp_path}/base/") == ["r0", "r1", "r2"]


def test_of_a_base_directory_the_complete_run_that_was_begun_last_is_read(
    directory: RunDirectory, write_run: WriteRun
) -> None:
    later = datetime(2099, 1, 1, tzinfo=UTC)
    write_run(f"{directory.url}/9", 1, first="old", updated_at=later)  # the same command again changes that only
    write_run(f"{directory.url}/5", 3, first="new")
    write_run(f"{directory.url}/1", 4, first="unfinished", state="stopped")
    assert _ids(directory.url) == ["new0", "new1", "new2"]


def test_runs_are_found_as_deep_as_a_template_of_dates_puts_them(
    directory: RunDirectory, write_run: WriteRun
) -> None:
    write_run(f"{directory.url}/2026/01/02/23", 1, first="deep")
    assert _ids(directory.url) == ["deep0", "deep1", "deep2"]
    write_run(f"{directory.url}/daily/today", 2, first="flat")
    assert _ids(directory.url) == ["flat0", "flat1", "flat2"]


def test_deeper_than_that_nothing_is_looked_for(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(str(tmp_path.joinpath("base", *"a" * (LEVELS_SEARCHED + 1))))
    with pytest.raises(InvalidInput, match="none below it"):
        read_results(tmp_path / "base")


def test_an_unfinished_run_is_read_by_its_own_name_and_said_to_be_unfinished(
    directory: RunDirectory, write_run: WriteRun, caplog: pytest.LogCaptureFixture
) -> None:
    write_run(directory.url, parts=2, state="interrupted")
    with caplog.at_level(logging.WARNING):
        assert _ids(directory.url) == ["r0", "r1"]
    assert caplog.messages == [f"{directory.url} is not finished: 2 of its 3 chunks are read"]


def test_where_all_runs_are_unfinished_that_is_said(directory: RunDirectory, write_run: WriteRun) -> None:
    write_run(f"{directory.url}/a", 1, state="stopped")
    write_run(f"{directory.url}/b", 2, state="running")
    with pytest.raises(InvalidInput) as refused:
        read_results(directory.url)
    assert refused.value.message == (
        f"{directory.url} has unfinished runs only (2 in all; the newest, {directory.url}/b, is running): finish one "
        "with `prefect-llm resume`, or give the directory of a run to read what it has so far"
    )


def test_what_is_absent_is_said_to_be_absent(directory: RunDirectory) -> None:
    with pytest.raises(InvalidInput, match=rf"^there is no directory {directory.url}: give that of a run"):
        read_results(directory.url)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id\n")
    with pytest.raises(InvalidInput, match=r"in\.csv is a file: give the directory of a run"):
        read_results(tmp_path / "in.csv")


def test_a_directory_without_runs_says_what_to_give(directory: RunDirectory) -> None:
    directory.folder.write("notes/mine.txt", b"mine")
    with pytest.raises(InvalidInput, match=r"is no run directory and has none below it: give the output of a run"):
        read_results(directory.url)


def test_a_run_killed_before_its_results_appeared_has_none_to_read(
    directory: RunDirectory, make_manifest: Callable[..., Manifest]
) -> None:
    directory.create(make_manifest())
    with pytest.raises(InvalidInput, match="has no results yet: finish it with `prefect-llm resume`"):
        read_results(directory.url)


def test_a_part_that_is_no_parquet_is_refused_by_name(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(str(tmp_path / "run"))
    (tmp_path / "run" / "results" / "part-schema.parquet").write_bytes(b"torn")
    with pytest.raises(InvalidInput, match=r"cannot be read .*part-schema\.parquet"):
        read_results(tmp_path / "run")


def test_an_unknown_kind_of_address_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nowhere://x cannot be opened"):
        read_results("nowhere://x")


def test_it_is_a_name_of_the_package() -> None:
    assert prefect_llm.read_results is read_results
