"""Stages an input and reads everything back, the snapshot having gone through JSON as the manifest's does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_llm.documents import Snapshot, Staging, open_source, read_chunk, stage
from prefect_llm.system.folders import Folder, open_folder
from prefect_llm.values.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Documents:
    """All that a run sees of its input."""

    snapshot: Snapshot
    ids: list[str]
    fields: list[dict[str, Any]]
    kept: pa.Table


class Read(Protocol):
    def __call__(self, input: Any, **staging: Any) -> Documents: ...


class Refused(Protocol):
    def __call__(self, input: Any, **staging: Any) -> str: ...


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return open_folder(str(tmp_path / "run"))


@pytest.fixture
def read(folder: Folder) -> Read:
    def reading(input: Any, **staging: Any) -> Documents:
        staged = stage(open_source(_name(input)), Staging(**staging), folder)
        snapshot = Snapshot.from_json(json.loads(json.dumps(staged.to_json())))
        assert snapshot == staged
        chunks = [read_chunk(folder, snapshot, chunk) for chunk in range(snapshot.chunks)]
        documents = Documents(
            snapshot,
            [document for chunk in chunks for document in chunk.ids],
            [chunk.fields(row) for chunk in chunks for row in range(len(chunk.ids))],
            pa.concat_tables([chunk.kept for chunk in chunks]),
        )
        assert len(documents.ids) == snapshot.rows
        assert documents.kept.schema == snapshot.kept_schema
        return documents

    return reading


@pytest.fixture
def refused(folder: Folder) -> Refused:
    """The sentence with which an input is refused; nothing may be left in the run's folder."""

    def refusing(input: Any, **staging: Any) -> str:
        with pytest.raises(InvalidInput) as refusal:
            stage(open_source(_name(input)), Staging(**staging), folder)
        assert folder.names("_run/input") == []
        return refusal.value.message

    return refusing


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes | str | Sequence[str]], Path]:
    """Writes a file below the test's folder: bytes, text, or lines."""

    def writing(name: str, content: bytes | str | Sequence[str]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, (bytes, str)):
            content = "".join(f"{line}\n" for line in content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return writing


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    def writing(name: str, columns: dict[str, Any], **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path, **options)
        return path

    return writing


def _name(input: Any) -> Any:
    return str(input) if isinstance(input, Path) else input
