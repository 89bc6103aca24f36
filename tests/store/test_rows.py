from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from prefect_llm.store.rows import ResultRow, result_table
from prefect_llm.store.schema import result_schema
from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.price import Price

PRICE = Price(input=Decimal("2"), output=Decimal("8"), currency="EUR", source="list 2026-01")
ANSWERED = ResultRow(
    id="a",
    fingerprint="f" * 32,
    requested_model="m",
    outcome=Outcome(
        completion=Completion(
            content="Ja",
            finish_reason="stop",
            model="m-2026",
            usage=Usage(10, 4, 20, 5, 3),
            raw=b'{"x": "\xff"}',
        ),
        attempts=2,
        latency_ms=120.5,
        queued_ms=7.25,
        started_at_us=1_767_323_045_000_001,
        finished_at_us=1_767_323_046_000_002,
    ),
    cost=Decimal("0.000172"),
    price=PRICE,
    provider="host",
)


def _table(
    *rows: ResultRow, kept: pa.Table | None = None, keep_raw: bool = False, keep_reasoning: bool = False
) -> pa.Table:
    kept = pa.table({"n": list(range(len(rows)))}) if kept is None else kept
    schema = result_schema(kept=kept.schema, output_type=None, keep_raw=keep_raw, keep_reasoning=keep_reasoning)
    table = result_table(rows, schema=schema, run_id="r1", kept=kept, output=None)
    table.validate(full=True)
    assert table.schema == schema
    return table


def _row(row: ResultRow, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = _table(row, **options).to_pylist()[0]
    return found


def test_an_answered_row_holds_the_figures_of_its_last_attempt() -> None:
    assert _row(ANSWERED) == {
        "id": "a",
        "fingerprint": "f" * 32,
        "status": "ok",
        "run_id": "r1",
        "content": "Ja",
        "finish_reason": "stop",
        "requested_model": "m",
        "model": "m-2026",
        "provider": "host",
        "lane": "online",
        "input_tokens": 10,
        "cached_input_tokens": 4,
        "cache_write_tokens": 3,
        "output_tokens": 20,
        "reasoning_tokens": 5,
        "cost": Decimal("0.000172000000"),
        "currency": "EUR",
        "price_source": "list 2026-01",
        "reused": False,
        "attempts": 2,
        "latency_ms": 120.5,
        "queued_ms": 7.25,
        "started_at": datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=UTC),
        "finished_at": datetime(2026, 1, 2, 3, 4, 6, 2, tzinfo=UTC),
        "error_kind": None,
        "error_status": None,
        "error_message": None,
        "n": 0,
    }


def test_a_failed_row_keeps_what_was_answered_and_billed_with_it() -> None:
    failure = Failure(ErrorKind.REFUSED, "the model\nrefused:\t no", status=200)
    row = _row(replace(ANSWERED, outcome=replace(ANSWERED.outcome, failure=failure)))
    assert (row["status"], row["content"], row["input_tokens"]) == ("failed", "Ja", 10)
    assert (row["error_kind"], row["error_status"]) == ("refused", 200)
    assert row["error_message"] == "the model refused: no"
    assert row["cost"] == Decimal("0.000172")


def test_a_document_that_was_never_sent_has_no_figures() -> None:
    outcome = Outcome(failure=Failure(ErrorKind.BAD_DOCUMENT, "field 'text' is null"))
    row = _row(ResultRow("b", None, None, outcome, cost=None, price=None))
    assert row["status"] == "failed"
    assert row["attempts"] == 0
    for name in ("fingerprint", "content", "model", "input_tokens", "cost", "currency", "price_source"):
        assert row[name] is None, name


def test_an_unknown_price_leaves_cost_currency_and_source_null() -> None:
    row = _row(replace(ANSWERED, cost=None, price=None))
    assert (row["cost"], row["currency"], row["price_source"]) == (None, None, None)


def test_a_reused_row_costs_nothing_again() -> None:
    row = _row(replace(ANSWERED, reused=True))
    assert row["reused"] is True
    assert row["content"] == "Ja"
    figures = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "cost", "attempts")
    assert [row[name] for name in figures] == [0, 0, 0, 0, Decimal(0), 0]
    assert (row["latency_ms"], row["queued_ms"]) == (None, None)


def test_a_long_message_is_cut_at_500_characters() -> None:
    outcome = Outcome(failure=Failure(ErrorKind.SERVER_ERROR, "x" * 600, status=503), attempts=5)
    assert _row(replace(ANSWERED, outcome=outcome))["error_message"] == "x" * 500


def test_a_raw_answer_that_is_no_utf8_is_kept_readable() -> None:
    assert _row(ANSWERED, keep_raw=True)["raw"] == '{"x": "\ufffd"}'
    unanswered = replace(ANSWERED, outcome=Outcome())
    assert _row(unanswered, keep_raw=True)["raw"] is None


def test_what_the_model_thought_is_kept_on_demand() -> None:
    thought = replace(ANSWERED.outcome.completion or Completion(None), reasoning="Hm.")
    row = replace(ANSWERED, outcome=replace(ANSWERED.outcome, completion=thought))
    assert _row(row, keep_reasoning=True)["reasoning"] == "Hm."
    assert _row(replace(ANSWERED, outcome=Outcome()), keep_reasoning=True)["reasoning"] is None
    assert "reasoning" not in _row(row)
    assert _row(row, kept=pa.table({"reasoning": ["the input's own"]}))["reasoning"] == "the input's own"


def test_a_token_count_no_column_can_hold_is_unknown() -> None:
    absurd = Completion("Ja", usage=Usage(input_tokens=2**63, output_tokens=-1, reasoning_tokens=3))
    row = _row(replace(ANSWERED, outcome=replace(ANSWERED.outcome, completion=absurd)))
    assert (row["input_tokens"], row["output_tokens"], row["reasoning_tokens"]) == (None, None, 3)


def test_kept_columns_follow_in_the_order_of_the_rows() -> None:
    kept = pa.table({"n": pa.chunked_array([[7], [8, 9]]), "tags": [["x"], None, []]})
    rows = [replace(ANSWERED, id=name) for name in "abc"]
    table = _table(*rows, kept=kept)
    assert table.column_names[-2:] == ["n", "tags"]
    assert table.select(["id", "n", "tags"]).to_pylist() == [
        {"id": "a", "n": 7, "tags": ["x"]},
        {"id": "b", "n": 8, "tags": None},
        {"id": "c", "n": 9, "tags": []},
    ]


def test_the_parsed_answer_takes_its_place_among_the_columns() -> None:
    output_type = pa.struct([("label", pa.string())])
    schema = result_schema(kept=pa.schema([]), output_type=output_type, keep_raw=False)
    table = result_table(
        [ANSWERED, ANSWERED],
        schema=schema,
        run_id="r1",
        kept=pa.table({}),
        output=pa.array([{"label": "spam"}, None], output_type),
    )
    assert table.column_names[4:7] == ["content", "output", "finish_reason"]
    assert table["output"].to_pylist() == [{"label": "spam"}, None]


def test_no_rows_make_an_empty_table_of_the_whole_schema() -> None:
    assert _table(kept=pa.table({"n": pa.array([], pa.int64())})).num_rows == 0
