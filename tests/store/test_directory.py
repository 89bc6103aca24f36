from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.manifest import Manifest
from prefect_llm.store.parts import stats_in
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.tally import RequestTally

MakeManifest = Callable[..., Manifest]
SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64())])


def _table(*ids: str) -> pa.Table:
    return pa.table({"id": list(ids), "n": list(range(len(ids)))}, schema=SCHEMA)


def test_a_new_directory_is_ours_and_has_nothing(directory: RunDirectory) -> None:
    assert directory.check_ours() is None
    assert directory.manifest() is None
    assert directory.complete_chunks() == frozenset()
    assert list(directory.scan(["id"])) == []
    assert directory.chunk_stats() == []


def test_the_manifest_is_created_once_and_then_replaced(directory: RunDirectory, make_manifest: MakeManifest) -> None:
    manifest = make_manifest()
    directory.create(manifest)
    assert directory.manifest() == directory.check_ours() == manifest
    with pytest.raises(InvalidInput, match="already holds a run"):
        directory.create(manifest)
    done = manifest.changed(state="completed")
    directory.write_manifest(done)
    assert directory.manifest() == done


def test_results_appear_only_after_the_manifest(directory: RunDirectory, make_manifest: MakeManifest) -> None:
    with pytest.raises(RuntimeError):
        directory.write_schema_part(SCHEMA)
    assert directory.folder.names() == []
    directory.create(make_manifest())
    directory.write_schema_part(SCHEMA)
    assert directory.folder.names("results/") == ["results/part-schema.parquet"]
    assert directory.complete_chunks() == frozenset()
    assert directory.chunk_stats() == []


def test_committed_parts_are_complete_and_scanned_in_order(
    directory: RunDirectory, make_manifest: MakeManifest
) -> None:
    directory.create(make_manifest())
    directory.write_schema_part(SCHEMA)
    directory.commit_part(2, _table("e"), ChunkStats(RequestTally(7)))
    directory.commit_part(0, _table("a", "b"), ChunkStats(RequestTally(2), seconds=0.5))
    assert directory.complete_chunks() == {0, 2}
    tables = list(directory.scan(["n", "id"]))
    assert [table.to_pydict() for table in tables] == [
        {"n": [0, 1], "id": ["a", "b"]},
        {"n": [0], "id": ["e"]},
    ]
    stats = [ChunkStats(RequestTally(2), seconds=0.5), ChunkStats(RequestTally(7))]
    assert directory.chunk_stats() == stats
    assert [stats_in(table.schema, "part") for table in tables] == stats
    assert directory.read_chunk(2, ["id"])["id"].to_pylist() == ["e"]
    assert directory.check_ours() is not None


def test_a_part_committed_again_replaces_the_first(directory: RunDirectory) -> None:
    directory.commit_part(0, _table("a", "b"), ChunkStats(RequestTally(2)))
    directory.commit_part(0, _table("a", "c"), ChunkStats(RequestTally(3)))
    (table,) = directory.scan(["id"])
    assert table["id"].to_pylist() == ["a", "c"]
    assert directory.chunk_stats() == [ChunkStats(RequestTally(3))]


def test_parts_past_five_digits_stay_in_order(directory: RunDirectory) -> None:
    for chunk in (100_000, 99_999):
        directory.commit_part(chunk, _table(str(chunk)), ChunkStats())
    assert [table["id"][0].as_py() for table in directory.scan(["id"])] == ["99999", "100000"]


@pytest.mark.parametrize(
    "name", ["notes.txt", "results/part-00000.parquet", "results/old.csv", "_run/other", "data/a.parquet"]
)
def test_without_a_manifest_anything_else_is_refused_by_name(directory: RunDirectory, name: str) -> None:
    directory.folder.write(name, b"mine")
    with pytest.raises(InvalidInput) as refused:
        directory.check_ours()
    assert refused.value.message == (
        f"{directory.url} is not a run directory: it has no _run/manifest.json but holds {name}; "
        "give a new or empty output"
    )


def test_what_a_killed_run_leaves_before_its_manifest_is_no_obstacle(directory: RunDirectory) -> None:
    directory.folder.write("_run/tmp/0123-manifest.json", b"{")
    directory.folder.write("_run/input/chunk-00000.arrow", b"")
    assert directory.check_ours() is None


def test_empty_result_and_run_folders_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "_run").mkdir()
    assert RunDirectory.open(str(tmp_path)).check_ours() is None


def test_a_run_that_another_process_begins_meanwhile_is_no_foreign_one(
    directory: RunDirectory, make_manifest: MakeManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, names = make_manifest(), directory.folder.names

    def names_after_it_began(prefix: str = "") -> list[str]:
        monkeypatch.undo()
        directory.create(manifest)
        return names(prefix)

    monkeypatch.setattr(directory.folder, "names", names_after_it_began)
    assert directory.check_ours() == manifest


def test_many_foreign_files_are_named_by_the_first_three(directory: RunDirectory) -> None:
    for number in range(5):
        directory.folder.write(f"{number}.txt", b"mine")
    with pytest.raises(InvalidInput, match=r"holds 0\.txt, 1\.txt, 2\.txt and 2 more; give"):
        directory.check_ours()


@pytest.mark.parametrize(
    "name", ["results/part-00003.parquet", "results/_SUCCESS", "results/deep/part-00000.parquet"]
)
def test_a_foreign_file_among_the_results_is_refused(
    directory: RunDirectory, make_manifest: MakeManifest, name: str
) -> None:
    directory.create(make_manifest())  # of three chunks: 0, 1 and 2
    directory.write_schema_part(SCHEMA)
    directory.commit_part(2, _table("e"), ChunkStats())
    directory.folder.write("notes-beside-it.txt", b"fine")
    directory.check_ours()
    directory.folder.write(name, b"mine")
    with pytest.raises(InvalidInput, match=rf"holds {name}, which this run of 3 chunks did not write: move"):
        directory.check_ours()


def test_a_log_of_delta_may_lie_beside_the_parts_and_keeps_what_it_lists(
    directory: RunDirectory, make_manifest: MakeManifest
) -> None:
    directory.create(make_manifest())
    directory.folder.write("results/part-schema.parquet", b"as an earlier version wrote it")
    assert not directory.has_delta_log()
    directory.folder.write("results/_delta_log/00000000000000000000.json", b"{}")
    directory.folder.write("results/_delta_log/00000000000000000000.checkpoint.parquet", b"PAR1")
    directory.check_ours()
    assert directory.has_delta_log()
    assert directory.complete_chunks() == frozenset()
    directory.write_schema_part(SCHEMA)
    assert directory.folder.read("results/part-schema.parquet") == b"as an earlier version wrote it"


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("mine")
    with pytest.raises(InvalidInput, match="is a file: give a directory"):
        RunDirectory.open(str(path)).check_ours()


def test_a_damaged_manifest_is_refused_by_name(directory: RunDirectory) -> None:
    directory.folder.write("_run/manifest.json", b"{")
    with pytest.raises(InvalidInput, match=r"_run/manifest\.json is not the manifest of a run"):
        directory.check_ours()


def test_the_report_lies_beside_the_manifest(directory: RunDirectory) -> None:
    directory.write_report("# Fünf")
    assert directory.folder.read("_run/report.md").decode() == "# Fünf"
