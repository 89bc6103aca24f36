"""A run directory keeps its budget: going on without one is refused, a new one takes its place."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from tests.run.running import carry_out, documents, provider_at, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.run.opening import open_run, reopen_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.redrive import open_redrive, redrive_pending
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import RunDirectory
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

ANSWER = steps.ok(usage=steps.tokens(10, 20))
COST = Decimal("0.00018")
SPEC = spec_of(max_output_tokens=50)


def priced(server: ScriptedServer) -> Provider:
    return provider_at(server.base_url, prices={"m": Price(input=Decimal(2), output=Decimal(8))})


def budget(max_cost: Decimal | int | None) -> RunBudget:
    return RunBudget(None if max_cost is None else Decimal(max_cost), "USD")


def kept(output: str) -> RunBudget | None:
    return RunDirectory.open(output).check_run().budget


@pytest.fixture
def stopped(scripted_server: ScriptedServer, output: str) -> str:
    """The directory of a run that its budget stopped."""
    scripted_server.script_all(ANSWER)
    summary = carry_out(documents(30), output, priced(scripted_server), SPEC, budget=budget(Decimal("0.002")))
    assert summary.stopped is not None
    assert summary.stopped.kind == "BudgetExceeded"
    return output


def test_a_stopped_run_is_not_gone_on_with_without_its_budget(scripted_server: ScriptedServer, stopped: str) -> None:
    asked = scripted_server.stats().requests
    sentence = f"the run in {stopped} has a budget of $0.002: give max_cost again, the same or a larger one"
    with pytest.raises(InvalidInput) as reopened:
        reopen_run(stopped)
    assert reopened.value.message == sentence
    with pytest.raises(InvalidInput) as opened:
        open_run(documents(30), stopped, SPEC)
    assert opened.value.message == sentence
    assert scripted_server.stats().requests == asked
    assert kept(stopped) == RunBudget(Decimal("0.002"), "USD")


def test_a_budget_given_anew_takes_its_place(scripted_server: ScriptedServer, stopped: str) -> None:
    summary = infer_pending(reopen_run(stopped, options=RunOptions(budget=budget(1))), priced(scripted_server))
    assert (summary.state, summary.totals.cost) == ("completed", 30 * COST)
    assert kept(stopped) == RunBudget(Decimal(1), "USD")


def test_a_finished_run_has_nothing_to_spend_and_needs_none(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(ANSWER)
    carry_out(documents(3), output, priced(scripted_server), SPEC, budget=budget(1))
    assert carry_out(documents(3), output, priced(scripted_server), SPEC).state == "completed"
    assert kept(output) == RunBudget(Decimal(1), "USD")


def test_a_redrive_needs_the_budget_too(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-1": [steps.status(400), ANSWER], "*": ANSWER})
    carry_out(documents(3), output, priced(scripted_server), SPEC, budget=budget(1))
    with pytest.raises(InvalidInput, match=r"has a budget of \$1\.00: give max_cost again"):
        open_redrive(output)
    redriven = redrive_pending(open_redrive(output, options=RunOptions(budget=budget(1))), priced(scripted_server))
    assert redriven.totals.ok == 3


def test_a_month_s_budget_is_not_dropped_by_giving_another_one(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    output = str(tmp_path / "run")
    scripted_server.script_all(ANSWER)
    month = RunBudget(None, "USD", 10 * COST, str(tmp_path), ".budget/2026-11/")
    carry_out(documents(30), output, priced(scripted_server), SPEC, budget=month)
    for without in (None, budget(1)):
        with pytest.raises(InvalidInput, match=r"has a budget of \$0\.0018 a month: give max_cost_per_month again"):
            reopen_run(output, options=RunOptions(budget=without))
    assert reopen_run(output, options=RunOptions(budget=month)).pending


def test_a_run_without_a_budget_is_gone_on_with_as_ever(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-2": steps.status(401), "*": ANSWER})
    assert carry_out(documents(3), output, priced(scripted_server), SPEC).stopped is not None
    assert kept(output) is None
    scripted_server.reset()
    scripted_server.script_all(ANSWER)
    assert infer_pending(reopen_run(output), priced(scripted_server)).state == "completed"


def test_answers_taken_from_another_run_leave_the_budget_in_its_place(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    scripted_server.script_all(ANSWER)
    carry_out(documents(3), first, priced(scripted_server), SPEC)
    open_run(documents(5), second, SPEC, options=RunOptions(budget=budget(1), reuse=first))
    assert kept(second) == RunBudget(Decimal(1), "USD")
    assert RunDirectory.open(second).check_run().reuse == (first,)


def test_rows_of_unknown_cost_take_no_budget_and_the_refusal_says_how_it_goes_on(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script({f"doc-{n}": ANSWER for n in range(20)} | {"*": steps.status(401)})
    assert carry_out(documents(30), output, provider_at(scripted_server.base_url), SPEC).totals.ok > 0
    with pytest.raises(InvalidInput, match="finish it without max_cost, or ask in a new output"):
        open_run(documents(30), output, SPEC, options=RunOptions(budget=budget(1)))


def test_a_run_with_a_budget_in_one_currency_takes_none_in_another(stopped: str) -> None:
    with pytest.raises(InvalidInput, match="no budget can hold for it: ask in a new output"):
        open_run(documents(30), stopped, SPEC, options=RunOptions(budget=RunBudget(Decimal(1), "EUR")))
