"""Carries out whole runs against a scripted server, with waits short enough for tests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset

from prefect_llm.prompts import PromptSpec
from prefect_llm.report import Summary
from prefect_llm.run.opening import open_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.spec import RunSpec
from prefect_llm.run.threads import infer_pending
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Limits, Provider, RetryOptions, Timeouts

Rows = list[dict[str, Any]]

TIMEOUTS = Timeouts(attempt_s=10)
SHORT_RETRIES = RetryOptions(backoff_s=0.01, max_backoff_s=0.05, outage_s=10, first_connection_s=0.3)


def documents(count: int, **columns: list[Any]) -> pa.Table:
    """Ids `d0`, ... and texts `doc-0 hello`, ...: the scripted server knows a document by its text."""
    ids, texts = [f"d{row}" for row in range(count)], [f"doc-{row} hello" for row in range(count)]
    return pa.table({"id": ids, "text": texts, **columns})


def spec_of(*, chunk_rows: int | None = 10, keep_raw: bool = False, **prompt: Any) -> RunSpec:
    """The text itself as the prompt, of a model `m`."""
    return RunSpec(
        prompt=PromptSpec(**{"model": "m", "template": "{{ text }}"} | prompt),
        chunk_rows=chunk_rows,
        keep_raw=keep_raw,
    )


def provider_at(
    base_url: str, *, concurrency: int = 8, prices: dict[str, Price] | None = None, key: str | None = None
) -> Provider:
    """A provider with short waits."""
    provider = Provider(base_url, api_key=key, limits=Limits(concurrency), prices=prices or {})
    return replace(provider, timeouts=TIMEOUTS, retries=SHORT_RETRIES)


def carry_out(
    input: pa.Table | str, output: str, provider: Provider, spec: RunSpec | None = None, **options: Any
) -> Summary:
    """Open the run and infer what is pending, as the command line does."""
    return infer_pending(open_run(input, output, spec or spec_of(), options=RunOptions(**options)), provider)


def rows_of(summary: Summary) -> Rows:
    """Every result row, in the order of the input."""
    rows: Rows = pyarrow.dataset.dataset(f"{summary.output}/results").to_table().to_pylist()
    return rows


def make_old_and_from_elsewhere(file: Path) -> None:
    """As a process on another host would find it that has not heard of the owner for long."""
    content = json.loads(file.read_text())
    content["heartbeat"] -= 3600
    content["process"] |= {"host": "elsewhere", "place": "boot-2 pid:[1]"}
    file.write_text(json.dumps(content))
