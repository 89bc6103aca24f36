"""What a task run is called: what it works on, and no secret of an address."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from prefect_llm.tasks.naming import of_input, of_run


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("/srv/tickets.parquet", "load-documents (tickets.parquet)"),
        ("s3://key:secret@bucket", "load-documents (bucket)"),
        ("https://key:secret@host/in.csv?token=secret", "load-documents (in.csv)"),
        (pa.table({"text": ["secret"]}), "load-documents (a table)"),
    ],
)
def test_a_task_is_named_by_its_input(given: Any, name: str) -> None:
    assert of_input("load-documents")({"input": given}) == name


@pytest.mark.parametrize("url", ["/srv/runs/2026-11-24", "s3://key:secret@bucket/2026-11-24/"])
def test_a_task_is_named_by_the_directory_of_its_run(url: str) -> None:
    assert of_run("finish-run")({"run": SimpleNamespace(url=url)}) == "finish-run (2026-11-24)"
