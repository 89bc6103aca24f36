"""What a whole run leaves: a row per document, with its figures right to the last digit."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import httpx
import pyarrow as pa
import pytest
from pydantic import BaseModel, Field
from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.simulation.simulating import started

from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.context import context_of
from prefect_llm.run.finishing import finish_run
from prefect_llm.run.opening import open_run
from prefect_llm.values.price import Price

PRICE = Price(input=Decimal("0.15"), output=Decimal("0.60"), cached_input=Decimal("0.075"))
LABEL = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["positive", "negative"]}, "score": {"type": "integer"}},
    "required": ["label"],
    "additionalProperties": False,
}


def test_a_hundred_prompts_at_concurrency_twenty_are_a_hundred_rows_with_exact_figures(
    scripted_server: ScriptedServer, output: str
) -> None:
    answers = {
        f"doc-{n}": steps.ok(f"answer {n}", usage=steps.tokens(1000 + n, 3 + n, cached=n, reasoning=n % 3))
        for n in range(100)
    }
    scripted_server.script(answers)
    scripted_server.delay(0.05)

    provider = provider_at(scripted_server.base_url, concurrency=20, prices={"*": PRICE})
    summary = carry_out(documents(100), output, provider, spec_of(chunk_rows=1000))

    rows = rows_of(summary)
    assert [row["id"] for row in rows] == [f"d{n}" for n in range(100)]
    assert [row["content"] for row in rows] == [f"answer {n}" for n in range(100)]
    for n, row in enumerate(rows):
        assert (row["input_tokens"], row["output_tokens"]) == (1000 + n, 3 + n), row
        assert (row["cached_input_tokens"], row["reasoning_tokens"]) == (n, n % 3), row
        # 1,000 uncached tokens at 0.15, n cached ones at 0.075 and 3 + n at 0.60 per million
        assert row["cost"] == Decimal("0.000150000000") + n * Decimal("0.000000675000") + Decimal("0.0000018"), row
        assert row["latency_ms"] >= 50, row
        assert (row["status"], row["attempts"], row["price_source"]) == ("ok", 1, "stated"), row
    totals = summary.totals
    assert (totals.rows, totals.ok, totals.failed, totals.pending) == (100, 100, 0, 0)
    assert (totals.tokens.input_tokens, totals.tokens.cached_input_tokens) == (104_950, 4_950)
    assert totals.tokens.output_tokens == 5_250
    # 100,000 uncached at 0.15, 4,950 cached at 0.075, 5,250 at 0.60
    assert totals.cost == Decimal("0.01500000") + Decimal("0.00037125") + Decimal("0.00315000")
    assert summary.to_json()["cost"] == "0.01852125"
    stats = scripted_server.stats()
    assert (stats.requests, stats.max_in_flight) == (100, 20)
    assert (summary.requests, summary.retries, summary.state) == (100, 0, "completed")


def test_kept_columns_follow_the_result_and_a_clash_gets_another_name(
    scripted_server: ScriptedServer, output: str
) -> None:
    source = documents(3, cost=[1.5, None, 2.5], tags=[["a"], [], None])
    rows = rows_of(carry_out(source, output, provider_at(scripted_server.base_url)))
    assert list(rows[0])[-3:] == ["text", "input_cost", "tags"]
    assert [(row["input_cost"], row["tags"]) for row in rows] == [(1.5, ["a"]), (None, []), (2.5, None)]


def test_documents_that_make_no_request_fail_only_their_own_rows(
    scripted_server: ScriptedServer, output: str
) -> None:
    source = documents(6, params=[None, '{"temperature": 0.5}', "no json", '{"n": 2}', "[1]", ""])
    column = source["text"].to_pylist()
    source = source.set_column(1, "text", pa.array([None, *column[1:]]))

    summary = carry_out(source, output, provider_at(scripted_server.base_url), spec_of(row_params="params"))

    rows = rows_of(summary)
    assert [row["status"] for row in rows] == ["failed", "ok", "failed", "failed", "failed", "ok"]
    for row in (rows[0], rows[2], rows[3], rows[4]):
        assert (row["error_kind"], row["attempts"], row["fingerprint"]) == ("bad_document", 0, None), row
        assert (row["cost"], row["content"], row["latency_ms"]) == (None, None, None), row
        assert row["started_at"] is not None
    assert "text" in rows[0]["error_message"]
    assert all("'params'" in rows[n]["error_message"] for n in (2, 3, 4))
    assert summary.totals.failed_by_kind == {"bad_document": 4}
    assert scripted_server.stats().by_document == {"doc-1": 1, "doc-5": 1}
    assert [received.body["temperature"] for received in scripted_server.requests_for("doc-1")] == [0.5]


def test_a_run_whose_every_document_is_bad_ends_with_its_rows_and_asks_nothing(
    scripted_server: ScriptedServer, output: str
) -> None:
    source = pa.table({"id": [str(n) for n in range(25)], "text": pa.nulls(25, pa.string())})
    summary = carry_out(source, output, provider_at(scripted_server.base_url, prices={"*": PRICE}))
    assert (summary.totals.failed, summary.totals.cost, summary.requests) == (25, Decimal(0), 0)
    assert len(rows_of(summary)) == 25
    assert scripted_server.stats().requests == 0


def test_answers_under_a_schema_fill_a_typed_column_and_keep_their_text(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script({"doc-1": steps.ok(' {"label":"negative", "score": 3}\n')})
    scripted_server.answer_json({"label": "positive"})

    summary = carry_out(documents(3), output, provider_at(scripted_server.base_url), spec_of(schema=LABEL))

    rows = rows_of(summary)
    assert [row["output"] for row in rows] == [
        {"label": "positive", "score": None},
        {"label": "negative", "score": 3},
        {"label": "positive", "score": None},
    ]
    assert rows[1]["content"] == ' {"label":"negative", "score": 3}\n'
    sent = scripted_server.log()[0].body["response_format"]
    assert (sent["type"], sent["json_schema"]["schema"]) == ("json_schema", LABEL)


def test_a_mismatch_is_asked_once_more_and_what_was_discarded_is_in_the_summary_only(
    scripted_server: ScriptedServer, output: str
) -> None:
    wrong, right = json.dumps({"label": "perhaps"}), json.dumps({"label": "negative"})
    scripted_server.script(
        {
            "doc-0": steps.ok(right, usage=steps.tokens(10, 1)),
            "doc-1": [steps.ok(wrong, usage=steps.tokens(100, 20)), steps.ok(right, usage=steps.tokens(100, 30))],
            "doc-2": [steps.ok(wrong, usage=steps.tokens(1000, 40)), steps.ok(wrong, usage=steps.tokens(1000, 50))],
        }
    )
    price = Price(input=Decimal(1), output=Decimal(1_000_000))  # an output token costs 1

    provider = provider_at(scripted_server.base_url, prices={"*": price})
    run = open_run(documents(3), output, spec_of(schema=LABEL))
    ended = infer_chunk(run, 0, provider).ended
    summary = finish_run(run)

    rows = rows_of(summary)
    assert [row["attempts"] for row in rows] == [1, 2, 2]
    assert [row["status"] for row in rows] == ["ok", "ok", "failed"]
    assert (rows[2]["error_kind"], rows[2]["error_status"]) == ("schema_mismatch", 200)
    assert (rows[2]["content"], rows[2]["output"]) == (wrong, None)
    assert [(row["input_tokens"], row["output_tokens"]) for row in rows] == [(10, 1), (100, 30), (1000, 50)]
    assert [row["cost"] for row in rows] == [Decimal("1.00001"), Decimal("30.0001"), Decimal("50.001")]
    discarded = summary.totals.chunk_stats.discarded
    assert (discarded.attempts, discarded.tokens.input_tokens, discarded.tokens.output_tokens) == (2, 1_100, 60)
    assert discarded.cost == Decimal("60.0011")
    assert summary.totals.cost == Decimal("81.00111") + Decimal("60.0011")
    assert ended is not None
    assert summary.totals.cost == context_of(run).tracker.progress.tally.cost == ended.tally.cost
    assert (summary.requests, summary.retries) == (5, 2)


def test_an_unknown_price_is_null_everywhere_and_said_so(scripted_server: ScriptedServer, output: str) -> None:
    summary = carry_out(documents(2), output, provider_at(scripted_server.base_url))
    assert [(row["cost"], row["currency"], row["price_source"]) for row in rows_of(summary)] == [(None,) * 3] * 2
    assert (summary.totals.cost, summary.totals.prices.unpriced) == (None, 2)
    assert summary.to_json()["cost"] is None
    with open(f"{output}/_run/report.md", encoding="utf-8") as report:
        assert "unknown" in report.read()


def test_one_unpriced_model_makes_the_whole_cost_unknown_but_not_the_rows_that_are_priced(
    scripted_server: ScriptedServer, output: str
) -> None:
    source = documents(2, params=['{"model": "dear"}', '{"model": "unheard-of"}'])
    provider = provider_at(scripted_server.base_url, prices={"dear": PRICE})
    summary = carry_out(source, output, provider, spec_of(row_params="params"))
    first, second = rows_of(summary)
    assert (first["cost"] is not None, second["cost"]) == (True, None)
    assert (summary.totals.cost, summary.totals.known_cost) == (None, first["cost"])


def test_a_price_nobody_stated_is_the_list_price_of_the_host_that_was_asked(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script_all(steps.ok(usage=steps.tokens(1_000, 100, cached=400)))

    async def to_the_scripted_server(request: httpx.Request) -> None:
        request.url = httpx.URL(f"{scripted_server.base_url}/chat/completions")

    provider = replace(
        provider_at("https://api.openai.com/v1"),
        http_client=lambda: httpx.AsyncClient(event_hooks={"request": [to_the_scripted_server]}),
    )
    params = ['{"model": "gpt-4.1"}', '{"model": "gpt-4.1", "service_tier": "no-such-tier"}']
    summary = carry_out(documents(2, params=params), output, provider, spec_of(row_params="params"))

    usual, other = rows_of(summary)
    # 600 tokens at 2.00, 400 cached ones at 0.50 and 100 at 8.00 per million
    assert (usual["provider"], usual["cost"], usual["currency"]) == ("api.openai.com", Decimal("0.0022"), "USD")
    assert usual["price_source"].startswith("genai-prices ")
    assert (other["status"], other["cost"], other["price_source"]) == ("ok", None, None)
    assert summary.totals.prices.sources == (usual["price_source"],)
    with open(f"{output}/_run/report.md", encoding="utf-8") as report:
        assert f"Prices: list price ({usual['price_source']})" in report.read().replace("\\", "")


@pytest.mark.parametrize("column", ["json", "struct"])
def test_models_named_per_row_are_priced_apart(scripted_server: ScriptedServer, output: str, column: str) -> None:
    scripted_server.script_all(steps.ok(usage=steps.tokens(1_000, 100)))
    chosen: list[dict[str, Any]] = [{"model": "small"}, {"model": "large", "max_output_tokens": 5}, {"model": None}]
    params = [json.dumps(each) for each in chosen] if column == "json" else chosen
    prices = {
        "small": Price(input=Decimal("0.1"), output=Decimal("0.4"), source="a list"),
        "large": Price(input=Decimal(2), output=Decimal(8)),
        "m": Price(input=Decimal(0), output=Decimal(0)),
    }

    provider = provider_at(scripted_server.base_url, prices=prices)
    summary = carry_out(documents(3, params=params), output, provider, spec_of(row_params="params"))

    rows = rows_of(summary)
    assert [row["requested_model"] for row in rows] == ["small", "large", "m"]
    assert [row["cost"] for row in rows] == [Decimal("0.00014"), Decimal("0.0028"), Decimal(0)]
    assert [row["price_source"] for row in rows] == ["a list", "stated", "stated"]
    assert summary.totals.cost == Decimal("0.00294")
    assert summary.models == ("large", "m", "small")
    limits = {received.document: received.body.get("max_tokens") for received in scripted_server.log()}
    assert limits == {"doc-0": None, "doc-1": 5, "doc-2": None}


def test_raw_answers_are_kept_byte_for_byte_where_asked_for(scripted_server: ScriptedServer, output: str) -> None:
    summary = carry_out(documents(1), output, provider_at(scripted_server.base_url), spec_of(keep_raw=True))
    (row,) = rows_of(summary)
    assert json.loads(row["raw"])["choices"][0]["message"]["content"] == row["content"] == "echo: doc-0 hello"


THINKING = {"role": "assistant", "content": "yes", "reasoning_content": "Hm, so yes."}


def test_rows_that_cannot_be_read_fail_as_such_and_ask_nothing(
    scripted_server: ScriptedServer, output: str, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "a", "text": "x"}\n{"id": "b", "text": "\\ud83d"}\n{"id"\n')
    spec = replace(spec_of(), on_bad_rows="row")
    rows = rows_of(carry_out(str(tmp_path / "in.jsonl"), output, provider_at(scripted_server.base_url), spec))
    assert [(row["id"], row["status"], row["error_kind"]) for row in rows] == [
        ("a", "ok", None),
        ("b", "failed", "bad_document"),
        (f"{tmp_path}/in.jsonl:3", "failed", "bad_document"),
    ]
    assert "half a character" in rows[1]["error_message"]
    assert len(scripted_server.log()) == 1


def test_what_the_model_thought_is_a_column_of_its_own_where_asked_for(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script(
        {
            "doc-0": steps.Step(choices=({"message": THINKING, "finish_reason": "stop"},)),
            "doc-1": steps.Step(choices=({"message": {**THINKING, "content": ""}, "finish_reason": "length"},)),
        }
    )
    provider = provider_at(scripted_server.base_url)
    source = documents(3, reasoning=["mine", None, "mine"])

    kept = rows_of(carry_out(source, f"{output}-kept", provider, spec_of(keep_reasoning=True)))
    assert [(row["content"], row["reasoning"]) for row in kept] == [
        ("yes", "Hm, so yes."), ("", "Hm, so yes."), ("echo: doc-2 hello", None),
    ]  # fmt: skip
    assert [row["error_kind"] for row in kept] == [None, "truncated", None]
    assert [row["input_reasoning"] for row in kept] == ["mine", None, "mine"]
    again = carry_out(source, f"{output}-reused", provider, spec_of(keep_reasoning=True), reuse=f"{output}-kept")
    assert [(row["reused"], row["reasoning"]) for row in rows_of(again)] == [
        (True, "Hm, so yes."), (False, "Hm, so yes."), (True, None),
    ]  # fmt: skip

    left_out = rows_of(carry_out(source, output, provider))
    assert [row["reasoning"] for row in left_out] == ["mine", None, "mine"]
    taken = carry_out(source, f"{output}-later", provider, spec_of(keep_reasoning=True), reuse=output)
    assert [row["reasoning"] for row in rows_of(taken)] == [None, "Hm, so yes.", None]


def test_wrapped_json_is_an_answer_only_where_it_is_read_leniently(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script_all(steps.ok('```json\n{"a": 7}\n```'))
    provider = provider_at(scripted_server.base_url)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    lenient = spec_of(schema=schema, lenient_json=True)
    (row,) = rows_of(carry_out(documents(1), f"{output}-lenient", provider, lenient))
    assert (row["status"], row["output"], row["content"]) == ("ok", {"a": 7}, '```json\n{"a": 7}\n```')

    summary = carry_out(documents(1), output, provider, spec_of(schema=schema), reuse=f"{output}-lenient")
    (row,) = rows_of(summary)
    assert (row["status"], row["error_kind"], row["attempts"]) == ("failed", "schema_mismatch", 2)
    assert "a Markdown fence: lenient_json takes it off" in row["error_message"]
    again = carry_out(documents(1), f"{output}-again", provider, lenient, reuse=f"{output}-lenient")
    assert [(row["reused"], row["output"]) for row in rows_of(again)] == [(True, {"a": 7})]


def test_failed_rows_say_what_the_endpoint_said_and_cost_nothing(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script(
        {
            "doc-1": steps.error(400, "too\nlong", code="context_length_exceeded"),
            "doc-2": steps.status(503),
            "doc-3": [steps.status(500), steps.ok()],
        }
    )
    summary = carry_out(documents(4), output, provider_at(scripted_server.base_url, prices={"*": PRICE}))
    rows = rows_of(summary)
    kinds = [(row["error_kind"], row["error_status"], row["attempts"]) for row in rows]
    assert kinds == [(None, None, 1), ("context_too_long", 400, 1), ("server_error", 503, 5), (None, None, 2)]
    assert rows[1]["error_message"] == "HTTP 400: too long"
    assert [row["cost"] for row in rows[1:3]] == [None, None]
    assert summary.totals.cost == rows[0]["cost"] + rows[3]["cost"]
    assert (summary.requests, summary.retries) == (9, 5)


def test_rows_of_an_endpoint_paid_by_the_hour_add_up_to_the_time_in_which_it_was_used(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.delay(0.05)
    scripted_server.script({"doc-3": steps.status(400), "doc-4": [steps.reset(), steps.ok(usage={})]})
    prices = {"*": Price(input=Decimal(0), output=Decimal(0), per_hour=Decimal(3600))}
    summary = carry_out(documents(20), output, provider_at(scripted_server.base_url, prices=prices))
    assert summary.totals.cost is not None
    assert summary.cost_uncertain == 0
    assert 0.1 < float(summary.totals.cost) <= summary.seconds  # a currency unit a second
    assert all(row["cost"] > 0 for row in rows_of(summary))


class _Pet(BaseModel):
    name: str = Field(min_length=5, pattern="^[A-Z]")
    tags: set[str] = Field(min_length=3)
    weight: Decimal | None = Field(None, gt=0, decimal_places=2)
    friend: _Pet | None = None
    kind: Literal["cat", "dog"] = "cat"


@pytest.mark.parametrize("strictness", ["openai", "none"])
def test_what_pydantic_gives_is_rehearsed_as_it_will_run(output: str, strictness: str) -> None:
    """It is sent in its strict form, and the answers satisfy it as it was given."""
    schema = _Pet.model_json_schema()
    with started("--latency", "0", "--strictness", strictness) as provider:
        summary = carry_out(documents(3), output, provider_at(provider.base_url), spec_of(schema=schema))
    assert summary.totals.ok == 3
    for row in rows_of(summary):
        pet = _Pet.model_validate_json(row["content"])
        assert row["output"]["name"] == pet.name


def test_a_schema_without_a_strict_form_is_asked_all_the_same(output: str) -> None:
    schema = {
        "type": "object",
        "properties": {"counts": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}},
        "required": ["counts"],
    }
    with started("--latency", "0") as provider:
        summary = carry_out(documents(3), output, provider_at(provider.base_url), spec_of(schema=schema))
    assert [len(json.loads(row["output"]["counts"])) for row in rows_of(summary)] == [2, 2, 2]


def test_results_are_the_next_runs_input_as_often_as_one_likes(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(steps.ok("an answer"))
    provider = provider_at(scripted_server.base_url)
    first = carry_out(documents(12), f"{output}-1", provider)
    spec = spec_of(template="{{ content }} {{ id }}")
    second = carry_out(f"{first.output}/results", f"{output}-2", provider, spec)
    third = carry_out(f"{second.output}/results", f"{output}-3", provider, spec)
    assert (second.totals.ok, third.totals.ok) == (12, 12)

    kept = {"id", "input_id", "input_input_id", "input_input_input_id", "text", "input_content", "input_input_cost"}
    row = rows_of(third)[3]
    assert kept <= row.keys()
    assert [row[name] for name in ("id", "input_id", "input_input_input_id", "text")] == ["d3"] * 3 + ["doc-3 hello"]
