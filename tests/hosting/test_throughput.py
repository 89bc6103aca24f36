from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.run.running import carry_out, documents, provider_at, rows_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.hosting.scenario import Throughput
from prefect_llm.hosting.throughput import tokens_per_second
from prefect_llm.values.errors import InvalidInput


def of(**source: Any) -> Decimal:
    return tokens_per_second(Throughput.model_validate(source))


def test_a_run_gives_its_output_tokens_over_its_time(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.script_all(steps.ok(usage=steps.tokens(10, 50)))
    scripted_server.delay(0.05)
    output = str(tmp_path / "run")
    rows = rows_of(carry_out(documents(10), output, provider_at(scripted_server.base_url, concurrency=2)))
    took = max(row["finished_at"] for row in rows) - min(row["started_at"] for row in rows)
    assert of(run=output) == Decimal(500) / Decimal(str(took.total_seconds()))


def test_a_file_gives_what_json_output_says(tmp_path: Path) -> None:
    path = tmp_path / "ended.json"
    path.write_text(json.dumps({"output_tokens": 1000, "seconds": 2.5, "rows": 3}))
    assert of(file=str(path)) == 400


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"output_tokens": 0, "seconds": 1}', '{"output_tokens": 1, "seconds": null}']
)
def test_a_file_that_says_nothing_of_it_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ended.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="expected a JSON object with output_tokens and seconds"):
        of(file=str(path))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        of(file=str(tmp_path / "nothing"))
    with pytest.raises(InvalidInput):
        of(run=str(tmp_path / "nothing"))
