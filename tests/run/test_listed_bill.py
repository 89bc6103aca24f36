"""Ledger, rows and the provider's bill agree at list prices: for every spelling of usage, tier, fee and refusal."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.run.listed import answer, listed_provider
from tests.run.running import carry_out, documents, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.wire.test_usage import SPELLINGS, Truth, deepseek

from prefect_llm.report import Summary
from prefect_llm.values.budget import RunBudget

MODEL = "gpt-6-luna"
TIERS = (None, "default", "flex", "priority", "fast")
LIMIT = 20
MOST = Decimal(1)
BUDGET = RunBudget(MOST, "USD")
FEW = st.integers(0, 6)
"""So few that no document's worst case is exceeded."""
COUNTING_WRITES = [each for each in SPELLINGS if each is not deepseek]
ANSWERS = st.tuples(
    st.builds(Truth, FEW, FEW, FEW, FEW, FEW), st.sampled_from(COUNTING_WRITES), st.sampled_from(TIERS)
)
RUNS = settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example is a run: shrinking takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def bill_of(truth: Truth, tier: str | None) -> Decimal:
    """The provider's, by the list's own arithmetic."""
    usage = TheirUsage(
        input_tokens=truth.input,
        cache_read_tokens=truth.read,
        cache_write_tokens=truth.written,
        output_tokens=truth.output,
    )
    context = None if tier is None else {"service_tier": tier}
    return calc_price(usage, MODEL, provider_id="openai", price_context=context).total_price


def known_costs(summary: Summary) -> list[Decimal]:
    """Of the run by its ledger, its summary and its rows."""
    ledger = json.loads((Path(summary.output) / "_run" / "ledger.json").read_text())
    in_rows = sum((row["cost"] for row in rows_of(summary) if row["cost"] is not None), Decimal(0))
    return [Decimal(ledger["totals"]["known_cost"]), summary.totals.known_cost, in_rows]


@pytest.mark.parametrize("asked", [None, "auto", "priority", "flex"])
@RUNS
@given(answers=st.lists(ANSWERS, min_size=10, max_size=10))
def test_ledger_rows_and_bill_agree_for_every_spelling_and_tier(
    scripted_server: ScriptedServer, output: str, asked: str | None, answers: list[Any]
) -> None:
    """A row whose usage can be read costs what the provider bills; what cannot be read is bounded."""
    script = {f"doc-{row}": answer(spelled(truth), MODEL, tier) for row, (truth, spelled, tier) in enumerate(answers)}
    scripted_server.script(script)
    params = {} if asked is None else {"service_tier": asked}
    spec = spec_of(model=MODEL, max_output_tokens=LIMIT, params=params)
    provider = listed_provider(scripted_server.base_url)
    summary = carry_out(documents(10), f"{output}/{uuid4()}", provider, spec, budget=BUDGET)

    bills = [bill_of(truth, tier or asked) for truth, _, tier in answers]
    for row, bill in zip(rows_of(summary), bills, strict=True):
        assert row["cost"] in (None, bill)
        assert (row["cost"] is None) == (row["input_tokens"] is None)
    known = known_costs(summary)
    assert known[0] == known[1] == known[2]
    assert summary.cost_uncertain is not None
    assert known[0] <= sum(bills) <= known[0] + summary.cost_uncertain <= MOST


SEARCH_MODEL = "gpt-4o-mini-search-preview"
USAGE = steps.tokens(100, 10)


@pytest.mark.parametrize("budget", [BUDGET, None])
def test_a_search_model_costs_its_tokens_and_one_search(
    scripted_server: ScriptedServer, output: str, budget: RunBudget | None
) -> None:
    scripted_server.script_all(answer(USAGE, SEARCH_MODEL))
    spec = spec_of(model=SEARCH_MODEL, max_output_tokens=LIMIT, params={"web_search_options": {}})
    summary = carry_out(documents(3), output, listed_provider(scripted_server.base_url), spec, budget=budget)
    assert [row["cost"] for row in rows_of(summary)] == [Decimal("0.010021")] * 3
    assert known_costs(summary) == [Decimal("0.030063")] * 3


@pytest.mark.parametrize("budget", [BUDGET, None])
def test_a_search_whose_answer_tells_no_tokens_is_uncertain_with_its_fee(
    scripted_server: ScriptedServer, output: str, budget: RunBudget | None
) -> None:
    scripted_server.script({"doc-0": answer({}, SEARCH_MODEL), "*": answer(USAGE, SEARCH_MODEL)})
    spec = spec_of(model=SEARCH_MODEL, max_output_tokens=LIMIT)
    summary = carry_out(documents(2), output, listed_provider(scripted_server.base_url), spec, budget=budget)
    assert known_costs(summary) == [Decimal("0.010021")] * 3
    assert summary.cost_uncertain is not None
    assert Decimal("0.01") < summary.cost_uncertain < Decimal("0.0101")


@pytest.mark.parametrize("budget", [BUDGET, None])
def test_discarded_answers_have_the_price_of_the_tier_that_served_them(
    scripted_server: ScriptedServer, output: str, budget: RunBudget | None
) -> None:
    truth = Truth(10, 0, 0, 4, 0)
    cut = json.dumps({"model": MODEL, "choices": [], "usage": SPELLINGS[0](truth), "service_tier": "priority"})
    good = answer(SPELLINGS[0](truth), MODEL, "flex")
    scripted_server.script({"doc-0": [steps.status(200, cut), good], "*": good})
    spec = spec_of(model=MODEL, max_output_tokens=LIMIT)
    summary = carry_out(documents(2), output, listed_provider(scripted_server.base_url), spec, budget=budget)
    assert summary.totals.chunk_stats.discarded.cost == bill_of(truth, "priority")
    assert summary.totals.cost == bill_of(truth, "priority") + 2 * bill_of(truth, "flex")


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "gpt-4o-search-preview"},
        {"model": "gpt-5-search-api"},
        {"model": "gpt-4.1", "params": {"web_search_options": {}}},
        {"model": "gpt-4.1", "params": {"tools": [{"type": "web_search"}]}},
        {"model": "gpt-4.1", "params": {"service_tier": "scale"}},
    ],
)
def test_where_a_fee_or_a_tier_has_no_price_there_is_no_cost(
    scripted_server: ScriptedServer, output: str, asked: dict[str, Any]
) -> None:
    scripted_server.script_all(answer(USAGE, asked["model"]))
    spec = spec_of(max_output_tokens=LIMIT, **asked)
    summary = carry_out(documents(2), output, listed_provider(scripted_server.base_url), spec)
    assert [(row["input_tokens"], row["cost"]) for row in rows_of(summary)] == [(100, None)] * 2
    assert summary.totals.cost is None


def test_with_a_budget_nothing_is_sent_whose_fee_is_not_known_and_the_row_says_why(
    scripted_server: ScriptedServer, output: str
) -> None:
    spec = spec_of(model="gpt-4o-search-preview", max_output_tokens=LIMIT)
    summary = carry_out(documents(2), output, listed_provider(scripted_server.base_url), spec, budget=BUDGET)
    assert scripted_server.stats().requests == 0
    [message, _] = [row["error_message"] for row in rows_of(summary)]
    assert "genai-prices has no fee for the searches of 'gpt-4o-search-preview'" in message


REFUSALS = {
    "Azure's filter": steps.error(400, "The response was filtered", code="content_filter"),
    "OpenAI's": steps.error(400, "Not allowed", code="content_policy_violation"),
    "a timeout": steps.status(408),
    "a gateway's timeout": steps.status(504),
}


@pytest.mark.parametrize("budget", [BUDGET, None])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_that_may_be_billed_is_in_what_is_uncertain(
    scripted_server: ScriptedServer, output: str, refusal: steps.Step, budget: RunBudget | None
) -> None:
    """The bill for a refused document is anything up to its worst case."""
    truth = Truth(20, 0, 0, LIMIT, 0)
    scripted_server.script({"doc-0": refusal, "*": answer(SPELLINGS[0](truth), MODEL)})
    spec = spec_of(model=MODEL, max_output_tokens=LIMIT, params={"service_tier": "default"})
    summary = carry_out(documents(3), output, listed_provider(scripted_server.base_url), spec, budget=budget)
    assert rows_of(summary)[0]["status"] == "failed"

    billed = bill_of(truth, None)
    assert summary.totals.known_cost == 2 * billed
    assert summary.cost_uncertain is not None
    assert summary.cost_uncertain >= billed * (summary.totals.chunk_stats.requests.sent - 2)


@pytest.mark.parametrize("refusal", [steps.status(400), steps.status(422), steps.status(413)])
def test_any_other_refusal_is_not_billed(scripted_server: ScriptedServer, output: str, refusal: steps.Step) -> None:
    scripted_server.script({"doc-0": refusal, "*": answer(USAGE, MODEL)})
    spec = spec_of(model=MODEL, max_output_tokens=LIMIT)
    summary = carry_out(documents(3), output, listed_provider(scripted_server.base_url), spec, budget=BUDGET)
    assert summary.cost_uncertain == 0
