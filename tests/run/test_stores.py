"""A whole run on stores that are no local disk: fsspec's memory, and S3 as a real server speaks it."""

from __future__ import annotations

import uuid

import fsspec
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from tests.run.running import documents, provider_at, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.finishing import finish_run
from prefect_llm.run.opening import open_run
from prefect_llm.run.threads import infer_pending
from prefect_llm.store.cleaning import clean_run
from prefect_llm.store.reading import read_results
from prefect_llm.values.errors import AuthenticationFailed, InvalidInput


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> str:
    """The URL of an empty place."""
    if request.param == "memory":
        return f"memory://run-tests/{uuid.uuid4().hex}"
    url: str = request.getfixturevalue("bucket")
    return url


def test_a_run_stops_resumes_and_ends_there(scripted_server: ScriptedServer, store: str) -> None:
    output = f"{store}/out/run"
    scripted_server.script({f"doc-{n}": steps.status(401) for n in range(10, 30)})
    provider = provider_at(scripted_server.base_url, concurrency=4)
    run = open_run(documents(30), output, spec_of())
    assert _rows(output) == []
    first = infer_chunk(run, 0, provider)
    assert _ids(output) == [f"d{n}" for n in range(10)]
    with pytest.raises(AuthenticationFailed) as stopped:
        infer_chunk(run, 1, provider)
    assert finish_run(run, [first], stopped.value).totals.ok == 10
    scripted_server.reset()

    again = open_run(documents(30), output, spec_of())
    assert again.pending == (1, 2)
    summary = infer_pending(again, provider)

    assert _ids(output) == [f"d{n}" for n in range(30)]
    assert (summary.state, summary.output, summary.totals.ok) == ("completed", output, 30)
    assert scripted_server.stats().requests == 20
    files = [name.rpartition("/out/run/")[2] for name in _filesystem(output)[0].find(_filesystem(output)[1])]
    assert sorted(files) == [
        "_run/input/chunk-00000.arrow",
        "_run/input/chunk-00001.arrow",
        "_run/input/chunk-00002.arrow",
        "_run/lease/epoch-00002.json",
        "_run/ledger.json",
        "_run/manifest.json",
        "_run/report.html",
        "_run/report.md",
        "results/part-00000.parquet",
        "results/part-00001.parquet",
        "results/part-00002.parquet",
        "results/part-schema.parquet",
    ]


def test_a_run_beside_another_with_a_longer_name_is_its_own(scripted_server: ScriptedServer, store: str) -> None:
    provider = provider_at(scripted_server.base_url)
    for name in ("run-2", "run"):
        infer_pending(open_run(documents(5), f"{store}/{name}", spec_of()), provider)
    assert scripted_server.stats().requests == 10
    assert _ids(f"{store}/run") == _ids(f"{store}/run-2") == [f"d{n}" for n in range(5)]


def test_the_newest_run_below_a_url_is_read_in_order(scripted_server: ScriptedServer, store: str) -> None:
    provider = provider_at(scripted_server.base_url)
    infer_pending(open_run(documents(2), f"{store}/runs/a", spec_of()), provider)
    infer_pending(open_run(documents(25), f"{store}/runs/2026/b", spec_of()), provider)
    assert read_results(f"{store}/runs").to_table()["id"].to_pylist() == [f"d{n}" for n in range(25)]
    assert read_results(f"{store}/runs/a/").to_table()["id"].to_pylist() == ["d0", "d1"]
    with pytest.raises(InvalidInput, match=f"there is no directory {store}/absent"):
        read_results(f"{store}/absent")


def test_a_finished_run_is_cleaned_there_and_stays_finished(scripted_server: ScriptedServer, store: str) -> None:
    output = f"{store}/run"
    infer_pending(open_run(documents(15), output, spec_of()), provider_at(scripted_server.base_url))
    infer_pending(open_run(documents(5), f"{store}/run-2", spec_of()), provider_at(scripted_server.base_url))
    assert [clean_run(output), clean_run(output)] == [2, 0]
    filesystem, root = _filesystem(output)
    left = sorted(name.removeprefix(f"{root}/") for name in filesystem.find(root))
    assert [name for name in left if not name.startswith("_run/lease/")] == [
        "_run/ledger.json",
        "_run/manifest.json",
        "_run/report.html",
        "_run/report.md",
        "results/part-00000.parquet",
        "results/part-00001.parquet",
        "results/part-schema.parquet",
    ]
    assert open_run(documents(15), output, spec_of()).pending == ()
    assert clean_run(f"{store}/run-2") == 1


def test_foreign_files_and_a_changed_spec_are_refused_there_too(scripted_server: ScriptedServer, store: str) -> None:
    filesystem, root = _filesystem(f"{store}/run")
    filesystem.pipe_file(f"{root}/notes.txt", b"mine")
    with pytest.raises(InvalidInput, match=r"is not a run directory.* holds notes\.txt"):
        open_run(documents(3), f"{store}/run", spec_of())
    filesystem.rm_file(f"{root}/notes.txt")
    open_run(documents(3), f"{store}/run", spec_of())
    with pytest.raises(InvalidInput, match="model: 'm' -> 'n'"):
        open_run(documents(3), f"{store}/run", spec_of(model="n"))


def test_documents_are_read_from_where_the_results_go(scripted_server: ScriptedServer, store: str) -> None:
    filesystem, root = _filesystem(store)
    for part in range(2):
        with filesystem.open(f"{root}/in/part-{part}.parquet", "wb") as file:
            pq.write_table(documents(10).slice(5 * part, 5), file)
    run = open_run(f"{store}/in/*.parquet", f"{store}/out", spec_of(chunk_rows=3))
    summary = infer_pending(run, provider_at(scripted_server.base_url))
    assert (summary.totals.ok, _ids(f"{store}/out")) == (10, [f"d{n}" for n in range(10)])


def _filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    filesystem, root = fsspec.core.url_to_fs(url)
    return filesystem, root.rstrip("/")


def _rows(output: str) -> list[dict[str, object]]:
    filesystem, root = _filesystem(output)
    filesystem.invalidate_cache()
    found: pa.Table = pyarrow.dataset.dataset(f"{root}/results", filesystem=filesystem).to_table()
    rows: list[dict[str, object]] = found.to_pylist()
    return rows


def _ids(output: str) -> list[object]:
    return [row["id"] for row in _rows(output)]
