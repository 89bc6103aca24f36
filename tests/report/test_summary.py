from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from tests.report.changed_totals import changed_totals

from prefect_llm.report.figures.summary import Summary
from prefect_llm.report.figures.totals import Totals
from prefect_llm.store.manifest import Stopped


def test_the_json_has_exactly_the_keys_of_the_contract(summary: Summary) -> None:
    assert json.loads(json.dumps(summary.to_json())) == {
        "state": "completed",
        "stopped": None,
        "rows": 1000,
        "ok": 959,
        "failed": 41,
        "failed_by_kind": {"server_error": 38, "bad_document": 3},
        "reused": 9,
        "input_tokens": 9600,
        "cached_input_tokens": 1200,
        "cache_write_tokens": 0,
        "output_tokens": 4800,
        "reasoning_tokens": 48,
        "cost": "1.23",
        "cost_uncertain": "0",
        "currency": "USD",
        "requests": 1000,
        "retries": 40,
        "throttled": 12,
        "seconds": 64.0,
        "output": "runs/today",
        "files_left_out": 0,
        "cut": 0,
    }


def test_the_json_says_why_a_run_stopped_and_writes_small_money_in_full(summary: Summary) -> None:
    stopped = replace(
        summary,
        state="stopped",
        stopped=Stopped("AuthenticationFailed", "the key was refused"),
        totals=changed_totals(summary.totals, known_cost=Decimal("1E-12")),
    ).to_json()
    assert stopped["state"] == "stopped"
    assert stopped["stopped"] == {"kind": "AuthenticationFailed", "message": "the key was refused"}
    assert stopped["cost"] == "0.000000000001"


def test_rates_are_of_this_invocation(summary: Summary) -> None:
    assert summary.asked == 960
    assert summary.success_share == 0.959
    assert summary.rows_per_second == 960 / 64
    assert summary.tokens_per_second == (9600 + 4800) / 64


def test_a_resumed_invocation_has_its_part_of_the_tokens(summary: Summary) -> None:
    resumed = replace(summary, requests=480, retries=0, seconds=10.0)
    assert resumed.rows_per_second == 48
    assert resumed.tokens_per_second == 48 * 15


def test_an_invocation_that_asked_nothing_has_no_rates() -> None:
    nothing = Summary(Totals(rows=5), "completed", "runs/today", seconds=0.2)
    assert (nothing.success_share, nothing.rows_per_second, nothing.tokens_per_second) == (None, None, None)
