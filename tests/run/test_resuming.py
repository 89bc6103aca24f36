"""The same directory again: what is done stays done, what is fixed stays fixed."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.finishing import finish_run
from prefect_llm.run.opening import open_run, reopen_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.reference import RunReference
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import RunDirectory
from prefect_llm.store.cleaning import clean_run
from prefect_llm.values.errors import AuthenticationFailed, InvalidInput


def stop_after_a_chunk(scripted_server: ScriptedServer, input: Any, output: str) -> None:
    """A run of three chunks that ends after its first with a refused key."""
    scripted_server.script({f"doc-{n}": steps.status(401) for n in range(10, 30)})
    provider = provider_at(scripted_server.base_url, concurrency=2)
    run = open_run(input, output, spec_of())
    first = infer_chunk(run, 0, provider)
    with pytest.raises(AuthenticationFailed) as stopped:
        infer_chunk(run, 1, provider)
    summary = finish_run(run, [first], stopped.value)
    assert (summary.state, summary.totals.ok, summary.totals.pending) == ("stopped", 10, 20)
    scripted_server.reset()


def test_a_rerun_asks_only_for_the_chunks_without_a_part(scripted_server: ScriptedServer, output: str) -> None:
    stop_after_a_chunk(scripted_server, documents(30), output)
    before = Path(output, "results", "part-00000.parquet").stat()

    run = open_run(documents(30), output, spec_of())
    summary = infer_pending(run, provider_at(scripted_server.base_url))

    assert (run.pending, run.pending_rows, run.rows) == ((1, 2), 20, 30)
    assert [row["id"] for row in rows_of(summary)] == [f"d{n}" for n in range(30)]
    assert {row["run_id"] for row in rows_of(summary)} == {run.run_id}
    assert sorted(scripted_server.stats().by_document) == sorted(f"doc-{n}" for n in range(10, 30))
    after = Path(output, "results", "part-00000.parquet").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert (summary.state, summary.totals.ok, summary.requests, summary.asked) == ("completed", 30, 20, 20)


def test_a_finished_run_asks_nothing_more_failed_rows_included(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-3": steps.status(400)})
    first = carry_out(documents(12), output, provider_at(scripted_server.base_url))
    before = rows_of(first)
    scripted_server.reset()

    again = carry_out(documents(12), output, provider_at(scripted_server.base_url))

    assert scripted_server.stats().requests == 0
    assert rows_of(again) == before
    assert (again.state, again.totals.failed, again.requests) == ("completed", 1, 0)
    assert again.totals == first.totals


def test_a_part_that_was_removed_is_written_again(scripted_server: ScriptedServer, output: str) -> None:
    carry_out(documents(30), output, provider_at(scripted_server.base_url))
    Path(output, "results", "part-00001.parquet").unlink()
    scripted_server.reset()
    summary = carry_out(documents(30), output, provider_at(scripted_server.base_url))
    assert sorted(scripted_server.stats().by_document) == sorted(f"doc-{n}" for n in range(10, 20))
    assert [row["id"] for row in rows_of(summary)] == [f"d{n}" for n in range(30)]


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"template": "Sum up {{ text }}"}, "prompt: '{{ text }}' -> 'Sum up {{ text }}'"),
        ({"model": "n"}, "model: 'm' -> 'n'"),
        ({"system": "Be brief"}, "system: not set -> 'Be brief'"),
        ({"temperature": 0.5}, "temperature: not set -> 0.5"),
        ({"max_output_tokens": 9}, "max_output_tokens: not set -> 9"),
        ({"schema": {"type": "object", "properties": {"a": {}}}}, 'schema: not set -> {"properties"'),
        ({"params": {"top_p": 0.9}}, "params.top_p: not set -> 0.9"),
        ({"chunk_rows": 11}, "chunk_rows: 10 -> 11"),
        ({"keep_raw": True}, "keep_raw: false -> true"),
    ],
)
def test_a_changed_spec_is_refused_with_the_difference_shown(
    scripted_server: ScriptedServer, output: str, changed: dict[str, Any], difference: str
) -> None:
    stop_after_a_chunk(scripted_server, documents(30), output)
    manifest = Path(output, "_run", "manifest.json").read_bytes()
    with pytest.raises(InvalidInput) as refusal:
        open_run(documents(30), output, spec_of(**changed))
    assert f"({difference}" in refusal.value.message
    assert output in refusal.value.message
    assert Path(output, "_run", "manifest.json").read_bytes() == manifest


def test_what_is_free_may_change_from_one_attempt_to_the_next(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer, output: str
) -> None:
    stop_after_a_chunk(scripted_server, documents(30), output)
    second_scripted_server.expect_key("other")
    provider = provider_at(second_scripted_server.base_url, concurrency=3, key="other")
    summary = carry_out(documents(30), output, provider, stop_error_share=0.9)
    assert (summary.state, summary.totals.ok, second_scripted_server.stats().requests) == ("completed", 30, 20)


def test_an_unfinished_run_goes_on_with_its_snapshot_where_the_source_has_changed(
    scripted_server: ScriptedServer, output: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(documents(30), source)
    stop_after_a_chunk(scripted_server, str(source), output)
    pq.write_table(documents(5), source)

    with caplog.at_level(logging.WARNING):
        summary = carry_out(str(source), output, provider_at(scripted_server.base_url))

    assert [row["id"] for row in rows_of(summary)] == [f"d{n}" for n in range(30)]
    assert f"{source} has changed since it was staged; the run goes on with its snapshot" in caplog.messages


def test_an_unfinished_run_goes_on_where_the_source_is_gone(
    scripted_server: ScriptedServer, output: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(documents(30), source)
    stop_after_a_chunk(scripted_server, str(source), output)
    source.unlink()
    assert carry_out(str(source), output, provider_at(scripted_server.base_url)).totals.ok == 30
    assert any("goes on with its snapshot" in message for message in caplog.messages)


def test_a_finished_run_over_a_changed_source_is_refused(
    scripted_server: ScriptedServer, output: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(documents(12), source)
    carry_out(str(source), output, provider_at(scripted_server.base_url))
    assert open_run(str(source), output, spec_of()).pending == ()
    pq.write_table(documents(13), source)
    os.utime(source, ns=(1, 1))
    with pytest.raises(InvalidInput, match=r"has changed since this run finished: give a new output"):
        open_run(str(source), output, spec_of())
    assert caplog.messages == []


def _touched(source: Path) -> Path:
    os.utime(source, ns=(1, 1))
    return source


def _extracted_again(source: Path) -> Path:
    table = pq.read_table(source)
    pq.write_table(table, source, row_group_size=5, compression="none")
    return source


def _copied_back(source: Path) -> Path:
    content = source.read_bytes()
    source.unlink()
    source.write_bytes(content)
    return source


def _moved(source: Path) -> Path:
    return source.rename(source.with_name("elsewhere.parquet"))


def _in_a_folder_of_two_files(source: Path) -> Path:
    table = pq.read_table(source)
    source.unlink()
    source.mkdir()
    pq.write_table(table.slice(0, 7), source / "a.parquet")
    pq.write_table(table.slice(7), source / "b.parquet")
    return source


def _gone(source: Path) -> Path:
    source.unlink()
    return source


REWRITTEN = [_touched, _extracted_again, _copied_back, _moved, _in_a_folder_of_two_files]


@pytest.mark.parametrize("cleaned", [False, True])
@pytest.mark.parametrize("written_again", [*REWRITTEN, _gone])
def test_a_finished_run_asks_nothing_where_its_input_was_written_again_or_is_gone(
    scripted_server: ScriptedServer, output: str, tmp_path: Path, written_again: Callable[[Path], Path], cleaned: bool
) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(documents(22, share=[float("nan"), None] * 11), source)
    first = carry_out(str(source), output, provider_at(scripted_server.base_url))
    if cleaned:
        clean_run(output)
    source = written_again(source)
    scripted_server.reset()

    again = carry_out(str(source), output, provider_at(scripted_server.base_url))

    assert (scripted_server.stats().requests, again.state, again.totals) == (0, "completed", first.totals)


@pytest.mark.parametrize("written_again", REWRITTEN)
def test_an_unfinished_run_says_nothing_of_an_input_written_again(
    scripted_server: ScriptedServer,
    output: str,
    tmp_path: Path,
    written_again: Callable[[Path], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(documents(30), source)
    stop_after_a_chunk(scripted_server, str(source), output)
    source = written_again(source)
    assert carry_out(str(source), output, provider_at(scripted_server.base_url)).totals.ok == 30
    assert caplog.messages == []


def test_a_run_that_noted_no_content_compares_its_snapshot(
    scripted_server: ScriptedServer, output: str, tmp_path: Path
) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(documents(22), source)
    carry_out(str(source), output, provider_at(scripted_server.base_url))
    manifest = Path(output, "_run", "manifest.json")
    content = json.loads(manifest.read_text())
    del content["snapshot"]["content_fingerprint"]
    manifest.write_text(json.dumps(content))

    assert open_run(str(_touched(source)), output, spec_of()).pending == ()
    clean_run(output)
    with pytest.raises(InvalidInput, match="has changed since this run finished"):
        open_run(str(source), output, spec_of())


@pytest.mark.parametrize(
    "other",
    [
        documents(22).slice(0, 21),
        documents(22).set_column(0, "id", [[f"e{n}" for n in range(22)]]),
        documents(22).set_column(1, "text", [["doc-0 hello"] * 22]),
        documents(22, more=[1] * 22),
        documents(22).rename_columns(["id", "Text"]).append_column("text", documents(22)["text"]),
    ],
)
def test_a_finished_run_over_other_documents_is_refused_with_the_way_to_reuse_its_answers(
    scripted_server: ScriptedServer, output: str, tmp_path: Path, other: pa.Table
) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(documents(22), source)
    carry_out(str(source), output, provider_at(scripted_server.base_url))
    pq.write_table(other, source)
    with pytest.raises(InvalidInput, match=rf"has changed since this run finished: .* with reuse {output} "):
        open_run(str(source), output, spec_of())


def test_a_change_that_the_run_does_not_see_is_none(
    scripted_server: ScriptedServer, output: str, tmp_path: Path
) -> None:
    source = tmp_path / "in.parquet"
    spec = replace(spec_of(), keep="none", limit=12)
    pq.write_table(documents(12), source)
    carry_out(str(source), output, provider_at(scripted_server.base_url), spec)
    pq.write_table(documents(20, unused=[1] * 20), source)
    assert open_run(str(source), output, spec).pending == ()


@pytest.mark.parametrize("name", ["in", "in/*.parquet", "in/in.parquet"])
def test_a_finished_run_needs_no_input(
    scripted_server: ScriptedServer, output: str, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "in" / "in.parquet"
    source.parent.mkdir()
    pq.write_table(documents(12), source)
    carry_out(str(tmp_path / name), output, provider_at(scripted_server.base_url))
    source.unlink()
    assert open_run(str(tmp_path / name), output, spec_of()).pending == ()
    source.parent.rmdir()
    assert open_run(str(tmp_path / name), output, spec_of()).pending == ()


def test_an_unchanged_table_in_memory_is_known_again(scripted_server: ScriptedServer, output: str) -> None:
    carry_out(documents(12), output, provider_at(scripted_server.base_url))
    assert open_run(documents(12), output, spec_of()).pending == ()
    with pytest.raises(InvalidInput, match="has changed since this run finished"):
        open_run(documents(12, more=[1] * 12), output, spec_of())


@pytest.mark.parametrize("foreign", ["notes.txt", "results/part-00000.parquet", "_run/report.md"])
def test_a_directory_of_someone_else_is_refused_and_left_alone(
    scripted_server: ScriptedServer, output: str, foreign: str
) -> None:
    file = Path(output, foreign)
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(InvalidInput, match=rf"is not a run directory.*holds {foreign}; give a new or empty"):
        open_run(documents(3), output, spec_of())
    assert [path for path in Path(output).rglob("*") if path.is_file()] == [file]


@pytest.mark.parametrize("foreign", ["mine.parquet", "part-00003.parquet", "part-1.parquet", ".hidden", "deep/x.txt"])
def test_a_foreign_file_in_results_is_refused(scripted_server: ScriptedServer, output: str, foreign: str) -> None:
    carry_out(documents(30), output, provider_at(scripted_server.base_url))
    file = Path(output, "results", foreign)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"")
    with pytest.raises(InvalidInput, match=rf"holds results/{foreign}, which this run of 3 chunks did not write"):
        open_run(documents(30), output, spec_of())


def test_an_input_that_will_not_do_leaves_no_run_behind(output: str) -> None:
    twice = pa.table({"id": ["a", "a"], "text": ["x", "y"]})
    with pytest.raises(InvalidInput, match="twice"):
        open_run(twice, output, spec_of())
    with pytest.raises(InvalidInput, match="txet"):
        open_run(documents(2), output, spec_of(template="{{ txet }}"))
    assert not [path for path in Path(output).rglob("*") if path.is_file()]


def test_a_run_whose_directory_was_replaced_is_told_so(scripted_server: ScriptedServer, output: str) -> None:
    run = open_run(documents(3), output, spec_of())
    manifest = RunDirectory.open(output).manifest()
    assert manifest is not None
    RunDirectory.open(output).write_manifest(manifest.changed(run_id="another"))
    with pytest.raises(InvalidInput, match=f"no longer holds the run {run.run_id}"):
        infer_chunk(run, 0, provider_at(scripted_server.base_url))
    Path(output, "_run", "manifest.json").unlink()
    with pytest.raises(InvalidInput, match="its manifest is gone"):
        finish_run(run)


def test_a_run_is_small_whatever_its_rows(output: str) -> None:
    run = open_run(documents(30), output, spec_of())
    assert run == RunReference(output, run.run_id, 30, 30, 10, (0, 1, 2), run.invocation, epoch=1)


def test_a_run_is_reopened_from_its_directory_alone(
    scripted_server: ScriptedServer, output: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(documents(30), source)
    stop_after_a_chunk(scripted_server, str(source), output)
    source.unlink()

    run = reopen_run(output, options=RunOptions(stop_error_share=0.9, flush_interval_s=7))
    summary = infer_pending(run, provider_at(scripted_server.base_url))

    assert (run.pending, run.stop_error_share, run.flush_interval_s) == ((1, 2), 0.9, 7)
    assert [row["id"] for row in rows_of(summary)] == [f"d{n}" for n in range(30)]
    assert (summary.state, summary.requests, caplog.messages) == ("completed", 20, [])
    assert reopen_run(output).pending == ()


def test_a_directory_without_a_run_cannot_be_reopened_and_stays_as_it_is(output: str) -> None:
    with pytest.raises(InvalidInput, match=f"{output} is not a run directory: it has no _run/manifest.json"):
        reopen_run(output)
    assert not Path(output).exists()


def test_a_run_whose_manifest_was_edited_or_is_another_version_s_is_not_reopened(output: str) -> None:
    open_run(documents(3), output, spec_of())
    directory = RunDirectory.open(output)
    manifest = directory.manifest()
    assert manifest is not None
    directory.write_manifest(manifest.changed(spec={**manifest.spec, "model": "n"}))
    with pytest.raises(InvalidInput, match="its manifest was edited"):
        reopen_run(output)
    directory.write_manifest(manifest.changed(spec={**manifest.spec, "mood": "kind"}))
    with pytest.raises(InvalidInput, match=r"mood.*finish it with the version that began it"):
        reopen_run(output)
