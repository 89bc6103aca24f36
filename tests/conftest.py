"""Fixtures for every room's tests: servers, a process per session, and documents to ask about."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.scripted_server.client import ScriptedServer, start_server

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from tests.prefect_server import PrefectServer

WriteDocuments = Callable[[int], str]


@pytest.fixture
def scripted_server(scripted_server_process: ScriptedServer) -> ScriptedServer:
    """A server that answers everything with an echo until told otherwise."""
    scripted_server_process.reset()
    return scripted_server_process


@pytest.fixture
def second_scripted_server(second_scripted_server_process: ScriptedServer) -> ScriptedServer:
    """Another one, for a second provider."""
    second_scripted_server_process.reset()
    return second_scripted_server_process


@pytest.fixture
def write_documents(tmp_path: Path) -> WriteDocuments:
    """Writes so many documents, `doc-0` first, as one Parquet file; returns its path."""

    def write(rows: int) -> str:
        path = tmp_path / f"documents-{rows}.parquet"
        pq.write_table(documents_table(rows), path)
        return str(path)

    return write


def documents_table(rows: int) -> pa.Table:
    """Columns id (`d0`, ...) and text (`doc-0 hello`, ...): the scripted server knows a document by its text."""
    return pa.table({"id": [f"d{row}" for row in range(rows)], "text": [f"doc-{row} hello" for row in range(rows)]})


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """Metrics of a provider of this test's own; OpenTelemetry lets the global one be set only once."""
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: meters)
    yield reader
    meters.shutdown()


@pytest.fixture(scope="session")
def scripted_server_process() -> Iterator[ScriptedServer]:
    with start_server() as server:
        yield server


@pytest.fixture(scope="session")
def second_scripted_server_process() -> Iterator[ScriptedServer]:
    with start_server() as server:
        yield server


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A real Prefect server that this process's flows use; imported here, since Prefect takes seconds to import."""
    from tests.prefect_server import start_prefect

    with start_prefect(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Mapping[str, str]]:
    """A real S3 server process; the environment by which s3fs finds it."""
    from tests.s3_server import start_s3

    with start_s3() as environment:
        yield environment


@pytest.fixture
def bucket(s3_server: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket that s3fs finds by its environment, as on a user's machine."""
    import fsspec
    import s3fs

    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"tests-{uuid.uuid4().hex[:12]}"
    fsspec.filesystem("s3").mkdir(name)
    yield f"s3://{name}"
    s3fs.S3FileSystem.clear_instance_cache()
