"""Messages in, Parquet out, with a real model that runs on this machine: nothing is scripted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from prefect_llm.local import LocalModel
from prefect_llm.report import Summary
from prefect_llm.run.opening import open_run
from prefect_llm.run.spec import RunSpec
from prefect_llm.run.threads import infer_pending
from prefect_llm.values.provider import Provider


@pytest.fixture(scope="module")
def rows(summary: Summary) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.dataset.dataset(f"{summary.output}/results").to_table().to_pylist()
    return found


@pytest.fixture(scope="module")
def answered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that are ok: the model may pad its JSON beyond the output limit now and then."""
    ok = [row for row in rows if row["status"] == "ok"]
    assert len(ok) >= 10, [(row["id"], row["error_kind"], row["error_message"]) for row in rows]
    return ok


def test_every_message_is_one_row_in_order(rows: list[dict[str, Any]], summary: Summary) -> None:
    assert [row["id"] for row in rows] == [f"msg-{number:03}" for number in range(1, 13)]
    assert (summary.state, summary.totals.rows, summary.totals.pending) == ("completed", 12, 0)
    assert {row["error_kind"] for row in rows} <= {None, "truncated", "schema_mismatch"}


def test_every_answer_is_one_of_the_schemas_labels(answered: list[dict[str, Any]], examples: Path) -> None:
    allowed = json.loads((examples / "schema.json").read_text())["properties"]["label"]["enum"]
    for row in answered:
        assert row["output"]["label"] in allowed, row
        assert json.loads(row["content"]) == row["output"], row


def test_the_model_answers_what_was_asked_and_not_always_the_same(answered: list[dict[str, Any]]) -> None:
    right = [row["output"]["label"] == row["expected_label"] for row in answered if row["expected_label"]]
    assert sum(right) > len(right) / 2
    assert {row["output"]["label"] for row in answered} == {"positive", "negative"}


def test_tokens_times_and_cost_are_the_models_own(answered: list[dict[str, Any]], summary: Summary) -> None:
    for row in answered:
        assert row["input_tokens"] > 20, row
        assert 0 < row["output_tokens"] <= 96, row
        assert row["cost"] == Decimal(row["input_tokens"] + row["output_tokens"]) / 1_000_000, row
        assert row["latency_ms"] > 0, row
        assert (row["model"], row["provider"]) == ("smollm2-135m-instruct", "127.0.0.1"), row
    assert summary.totals.tokens.input_tokens > 240
    assert summary.totals.cost is not None
    assert summary.totals.cost > 0


def test_the_same_run_again_asks_the_model_nothing(
    summary: Summary, examples: Path, example_spec: RunSpec, provider: Provider
) -> None:
    again = infer_pending(open_run(str(examples / "messages.jsonl"), summary.output, example_spec), provider)
    assert (again.requests, again.totals) == (0, summary.totals)


def test_verify_knows_it_by_its_name_and_asks_for_its_key(model: LocalModel, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("prefect-llm")), "verify", "--base-url", model.base_url]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_LLM_")}
    for key, status in ((model.api_key, 0), ("wrong", 3)):
        verified = subprocess.run(
            [*command, "--model", model.model],
            cwd=tmp_path,
            env=environ | {"PREFECT_LLM_API_KEY": key},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert verified.returncode == status, verified.stderr
        assert (f"answers with {model.model}" if key != "wrong" else "refused the key") in (
            verified.stdout + verified.stderr
        )
