"""An answer is priced once: its budget is settled at the very cost that its row says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.budget.account import BudgetAccount
from prefect_llm.report import Summary
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.price import Price

PRICING = import_module("prefect_llm.pricing.cost")
PRICE = Price(input=Decimal(2), output=Decimal(8))
ANSWER = steps.ok(usage=steps.tokens(10, 20))
CUT = steps.ok(finish_reason="length", usage=steps.tokens(10, 50))
SPEC = spec_of(max_output_tokens=50)


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose price was looked up to charge an answer."""
    found: list[str] = []
    price_for: Callable[..., Price | None] = PRICING.price_for

    def counted(provider: Any, model: str, **of_answer: Any) -> Price | None:
        found.append(model)
        return price_for(provider, model, **of_answer)

    monkeypatch.setattr(PRICING, "price_for", counted)
    return found


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> list[Decimal]:
    """What each answer was settled at."""
    costs: list[Decimal] = []
    settle = BudgetAccount.settle

    def noted(account: BudgetAccount, amount: Decimal, cost: Decimal) -> None:
        costs.append(cost)
        settle(account, amount, cost)

    monkeypatch.setattr(BudgetAccount, "settle", noted)
    return costs


def run(server: ScriptedServer, output: str, *, budget: bool, prices: dict[str, Price] | None = None) -> Summary:
    provider = provider_at(server.base_url, prices=prices or {"m": PRICE})
    return carry_out(documents(6), output, provider, SPEC, budget=RunBudget(Decimal(1), "USD") if budget else None)


@pytest.mark.parametrize("budget", [True, False])
def test_the_price_of_an_answer_is_looked_up_once(
    scripted_server: ScriptedServer, output: str, lookups: list[str], budget: bool
) -> None:
    scripted_server.script({"doc-1": [steps.null_content(), ANSWER], "doc-2": steps.ok(refusal="no"), "*": ANSWER})
    summary = run(scripted_server, output, budget=budget)
    assert (summary.totals.ok, summary.totals.failed) == (5, 1)
    assert len(lookups) == scripted_server.stats().requests == 7


def test_each_answer_is_settled_at_what_its_row_or_its_discarded_cost_says(
    scripted_server: ScriptedServer, output: str, settled: list[Decimal]
) -> None:
    scripted_server.script({"doc-1": [CUT, CUT, CUT], "doc-3": [steps.null_content(), ANSWER], "*": ANSWER})
    summary = run(scripted_server, output, budget=True)
    discarded = summary.totals.chunk_stats.discarded
    in_rows = [row["cost"] for row in rows_of(summary) if row["cost"]]
    assert discarded.attempts > 0
    assert sum(settled) == sum(in_rows) + (discarded.cost or 0) == summary.totals.cost
    assert summary.cost_uncertain == 0


def test_a_price_that_changes_before_the_row_is_written_does_not_change_what_it_says(
    scripted_server: ScriptedServer, output: str, settled: list[Decimal], monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = iter(Decimal(n) for n in range(2, 100))
    monkeypatch.setattr(PRICING, "price_for", lambda *_, **__: Price(input=next(prices), output=Decimal(8)))
    scripted_server.script({"doc-3": [steps.null_content(), ANSWER], "*": ANSWER})
    summary = run(scripted_server, output, budget=True)
    assert len(set(settled)) == len(settled) == 7
    assert sum(settled) == summary.totals.cost


def test_an_answer_that_is_too_late_to_ask_again_is_settled_and_counts_as_discarded(
    scripted_server: ScriptedServer, output: str, settled: list[Decimal]
) -> None:
    scripted_server.script({"doc-3": steps.null_content(), "*": ANSWER})
    provider = provider_at(scripted_server.base_url, prices={"m": PRICE})
    patient = replace(
        provider,
        timeouts=replace(provider.timeouts, deadline_s=10.0),
        retries=replace(provider.retries, backoff_s=60.0, max_backoff_s=120.0),
    )
    summary = carry_out(documents(6), output, patient, SPEC, budget=RunBudget(Decimal(1), "USD"))
    assert [row["error_kind"] for row in rows_of(summary)].count("timeout") == 1
    assert summary.totals.chunk_stats.discarded.attempts == 1
    assert sum(settled) == summary.totals.cost
    assert summary.cost_uncertain == 0
