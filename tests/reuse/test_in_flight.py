"""What was paid for is not asked again: identical requests of a chunk, and those of an earlier run."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.run.redrive import open_redrive, redrive_pending
from prefect_llm.run.spec import RunSpec
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.price import Price

PRICES = {"m": Price(Decimal(1), Decimal(2))}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


def twins(*texts: str) -> pa.Table:
    return pa.table({"id": [f"d{row}" for row in range(len(texts))], "text": list(texts)})


def test_identical_requests_of_a_chunk_are_asked_once(scripted_server: ScriptedServer, output: str) -> None:
    asked = twins("doc-1 x", "doc-2 x", "doc-1 x", "doc-1 x")
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    rows = rows_of(summary := carry_out(asked, output, provider))
    assert scripted_server.stats().requests == summary.requests == 2
    assert [row["reused"] for row in rows] == [False, False, True, True]
    assert [row["attempts"] for row in rows] == [1, 1, 0, 0]
    assert {(row["content"], row["fingerprint"]) for row in rows[2:]} == {
        (rows[0]["content"], rows[0]["fingerprint"])
    }
    assert [(row["cost"], row["input_tokens"]) for row in rows[2:]] == [(0, 0)] * 2
    assert (summary.totals.reused, summary.totals.cost) == (2, rows[0]["cost"] + rows[1]["cost"])


def test_a_prompt_without_a_field_is_refused_where_all_documents_would_share_one_answer(
    scripted_server: ScriptedServer, output: str
) -> None:
    constant, provider = spec_of(template="doc-1, say hello"), provider_at(scripted_server.base_url)
    with pytest.raises(InvalidInput, match="the prompt uses no field of the documents, so that all 2 would get"):
        carry_out(twins("a", "b"), output, provider, constant)
    assert scripted_server.stats().requests == 0
    assert carry_out(twins("a"), output, provider, constant).totals.ok == 1


def test_a_prompt_without_a_field_draws_so_many_answers_where_each_is_asked_for(
    scripted_server: ScriptedServer, output: str
) -> None:
    constant = spec_of(template="doc-1, say hello", temperature=1)
    assert carry_out(twins("a", "b"), output, provider_at(scripted_server.base_url), constant).totals.ok == 2
    assert scripted_server.stats().requests == 2


def test_those_that_wait_fail_with_the_first(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-1": steps.status(400)})
    rows = rows_of(carry_out(twins("doc-1 x", "doc-1 x"), output, provider_at(scripted_server.base_url)))
    assert scripted_server.stats().requests == 1
    assert [(row["status"], row["error_kind"]) for row in rows] == [("failed", "rejected")] * 2


@pytest.mark.parametrize(
    "spec",
    [replace(spec_of(), no_dedup=True), spec_of(temperature=0.5)],
    ids=["no_dedup", "temperature"],
)
def test_answers_that_may_differ_are_asked_apart(scripted_server: ScriptedServer, output: str, spec: RunSpec) -> None:
    carry_out(twins("doc-1 x", "doc-1 x"), output, provider_at(scripted_server.base_url), spec)
    assert scripted_server.stats().requests == 2


def test_an_earlier_run_s_answers_are_taken(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.script({"doc-3": steps.status(400)})
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    first = rows_of(carry_out(documents(25), str(tmp_path / "monday"), provider))
    scripted_server.reset()
    summary = carry_out(documents(30), str(tmp_path / "tuesday"), provider, reuse=str(tmp_path / "monday"))
    rows = rows_of(summary)
    assert sorted(scripted_server.stats().by_document) == sorted(["doc-3", *(f"doc-{n}" for n in range(25, 30))])
    assert [row["id"] for row in rows] == [f"d{n}" for n in range(30)]
    taken = [row for row in rows if row["reused"]]
    assert len(taken) == summary.totals.reused == 24
    assert {row["id"]: row["content"] for row in taken} == {
        row["id"]: row["content"] for row in first if row["status"] == "ok"
    }
    assert {(row["cost"], row["attempts"], row["output_tokens"]) for row in taken} == {(0, 0, 0)}
    assert summary.requests == 6


def test_a_changed_prompt_model_or_provider_is_asked(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    provider = provider_at(scripted_server.base_url)
    carry_out(documents(3), str(tmp_path / "first"), provider)
    scripted_server.reset()
    changed = (spec_of(template="{{ text }}!"), spec_of(model="n"), spec_of(max_output_tokens=9), spec_of(system="s"))
    for number, spec in enumerate(changed):
        carry_out(documents(3), str(tmp_path / str(number)), provider, spec, reuse=str(tmp_path / "first"))
        assert scripted_server.stats().requests == 3 * (number + 1)
    elsewhere = provider_at(scripted_server.base_url.replace("127.0.0.1", "localhost"), concurrency=2)
    carry_out(documents(3), str(tmp_path / "elsewhere"), elsewhere, reuse=str(tmp_path / "first"))
    assert scripted_server.stats().requests == 3 * (len(changed) + 1)


def test_a_structured_answer_is_taken_with_its_output(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.script_all(steps.ok('{"a": 7}'))
    provider = provider_at(scripted_server.base_url)
    spec = spec_of(schema=SCHEMA)
    carry_out(documents(3), str(tmp_path / "first"), provider, spec)
    rows = rows_of(carry_out(documents(3), str(tmp_path / "second"), provider, spec, reuse=str(tmp_path / "first")))
    assert [(row["reused"], row["output"]) for row in rows] == [(True, {"a": 7})] * 3


def test_what_is_no_run_is_refused_before_anything_is_asked(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not the directory of a run"):
        carry_out(
            documents(3), str(tmp_path / "new"), provider_at(scripted_server.base_url), reuse=str(tmp_path / "none")
        )
    assert not (tmp_path / "new").exists()


def test_what_a_redrive_has_answered_since_is_taken_too(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.script({"doc-1": steps.status(400)})
    provider = provider_at(scripted_server.base_url)
    first = str(tmp_path / "first")
    carry_out(documents(3), first, provider)
    carry_out(documents(3), str(tmp_path / "second"), provider, reuse=first)
    scripted_server.reset()
    redrive_pending(open_redrive(first), provider)
    assert carry_out(documents(3), str(tmp_path / "third"), provider, reuse=first).totals.reused == 3
    assert scripted_server.stats().requests == 1
