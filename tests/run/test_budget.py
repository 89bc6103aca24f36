"""Promise 4: the provider's own bill never passes the budget, through faults, crashes, chunks and processes."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cli.commanding import Ended, call, ended, started
from tests.conftest import WriteDocuments
from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.simulation.simulating import Started
from tests.simulation.simulating import started as provider_started

from prefect_llm.budget.grants import GRANTS, GrantLog
from prefect_llm.budget.limits import run_budget
from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.finishing import finish_run
from prefect_llm.run.opening import open_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.redrive import open_redrive, redrive_pending
from prefect_llm.run.threads import infer_pending
from prefect_llm.system.folders import open_folder
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import BudgetExceeded, InvalidInput
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

INPUT, OUTPUT = Decimal(2), Decimal(8)
PRICES = {"m": Price(input=INPUT, output=OUTPUT)}
ANSWER = steps.ok(usage=steps.tokens(10, 20))
COST = (10 * INPUT + 20 * OUTPUT) / 1_000_000
SPEC = spec_of(max_output_tokens=50)
WORST = Decimal("0.00045")
"""A little less than any request of `documents` may cost."""
FAULTS = ("cut=0.05", "not_json=0.03", "no_choices=0.04", "null_content=0.03", "server_error=0.05", "close=0.03")


def budget(max_cost: Decimal | int) -> RunBudget:
    return RunBudget(Decimal(max_cost), "USD")


def within_month(max_cost: int, max_cost_per_month: Decimal, folder: Path, month: str = "2026-11") -> RunBudget:
    return RunBudget(Decimal(max_cost), "USD", max_cost_per_month, str(folder), f".budget/{month}/")


def priced(server: ScriptedServer) -> Provider:
    return provider_at(server.base_url, prices=PRICES)


def bill(provider: Started) -> Decimal:
    """What the simulated provider would charge: answers that broke on their way included."""
    stats = provider.stats()
    return (int(stats["input_tokens"]) * INPUT + int(stats["output_tokens"]) * OUTPUT) / 1_000_000


def test_a_run_within_its_budget_costs_what_it_costs_and_gives_the_rest_back(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script_all(ANSWER)
    summary = carry_out(documents(30), output, priced(scripted_server), SPEC, budget=budget(1))
    assert summary.state == "completed"
    assert (summary.totals.cost, summary.cost_uncertain) == (30 * COST, Decimal(0))
    assert GrantLog(open_folder(output), "USD", "").total() == 30 * COST


def test_a_run_stops_when_the_next_request_no_longer_fits_and_a_larger_budget_goes_on(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script_all(ANSWER)
    stopped = carry_out(documents(30), output, priced(scripted_server), SPEC, budget=budget(10 * COST + 3 * COST))
    assert stopped.stopped is not None
    assert stopped.stopped.kind == "BudgetExceeded"
    assert "max_cost $0.00234" in stopped.stopped.message
    asked = scripted_server.stats().requests
    assert stopped.totals.cost == asked * COST
    assert asked * COST <= 13 * COST < asked * COST + WORST
    summary = carry_out(documents(30), output, priced(scripted_server), SPEC, budget=budget(1))
    assert (summary.state, summary.totals.cost, scripted_server.stats().requests) == ("completed", 30 * COST, 30)


def test_an_endpoint_that_counts_more_than_it_can_stops_the_run_once_that_is_spent(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script_all(steps.ok(usage=steps.tokens(10, 2_000)))
    provider = provider_at(scripted_server.base_url, prices=PRICES, concurrency=1)
    summary = carry_out(documents(5), output, provider, SPEC, budget=budget(Decimal("0.01")))
    assert summary.stopped is not None
    assert summary.stopped.kind == "BudgetExceeded"
    assert scripted_server.stats().requests == 1


def test_what_was_spent_without_a_budget_counts(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({f"doc-{n}": ANSWER for n in range(20)} | {"*": steps.status(401)})
    assert carry_out(documents(30), output, priced(scripted_server), SPEC).totals.ok > 0
    before = scripted_server.stats().requests
    scripted_server.script_all(ANSWER)
    summary = carry_out(documents(30), output, priced(scripted_server), SPEC, budget=budget(COST))
    assert summary.stopped is not None
    assert summary.stopped.kind == "BudgetExceeded"
    assert scripted_server.stats().requests == before


def test_attempts_that_may_have_been_billed_stay_reserved(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-1": [steps.status(502), ANSWER], "doc-2": [steps.not_json(), ANSWER], "*": ANSWER})
    summary = carry_out(documents(10), output, priced(scripted_server), SPEC, budget=budget(1))
    assert summary.totals.cost == 10 * COST
    assert summary.totals.chunk_stats.requests.lost == 2
    assert summary.cost_uncertain == summary.totals.chunk_stats.possibly_billed
    assert (
        summary.totals.chunk_stats.possibly_billed
        == 2 * ((len("doc-1 hello") + 16) * INPUT + 50 * OUTPUT) / 1_000_000
    )


def test_without_a_budget_the_same_is_said(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-1": [steps.reset(), ANSWER], "*": ANSWER})
    with_prices = carry_out(documents(4), output, priced(scripted_server), SPEC)
    without = carry_out(documents(4), f"{output}-2", provider_at(scripted_server.base_url), SPEC)
    assert with_prices.cost_uncertain == with_prices.totals.chunk_stats.possibly_billed != 0
    assert without.to_json()["cost_uncertain"] is None if without.totals.chunk_stats.requests.lost else True


def test_an_answer_without_usage_costs_an_unknown_sum_that_stays_reserved(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script({"doc-3": steps.ok(usage={}), "*": ANSWER})
    summary = carry_out(documents(5), output, priced(scripted_server), SPEC, budget=budget(1))
    assert (summary.totals.cost, summary.totals.known_cost) == (None, 4 * COST)
    assert summary.cost_uncertain == ((len("doc-3 hello") + 16) * INPUT + 50 * OUTPUT) / 1_000_000


def test_a_document_that_nothing_bounds_fails_alone(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(ANSWER)
    models = documents(3, params=[None, '{"model": "unpriced"}', None])
    spec = spec_of(max_output_tokens=50, row_params="params")
    summary = carry_out(models, output, priced(scripted_server), spec, budget=budget(1))
    assert [row["error_kind"] for row in rows_of(summary)] == [None, "bad_document", None]
    assert scripted_server.stats().requests == 2


@pytest.mark.parametrize(
    ("model", "params", "why"),
    [
        ("gpt-4.1", {"service_tier": "scale"}, "no price for service_tier=scale"),
        ("gpt-4.1", {"web_search_options": {}}, "how many searches .* is not known.*: leave max_cost out"),
        ("gpt-5-search-api", {}, "no fee for the searches of 'gpt-5-search-api'.*: leave max_cost out"),
        ("ft:gpt-4.1:a::b", {}, "lists no 'ft:gpt-4.1:a::b' under OpenAI.*: give it by price_input"),
    ],
)
def test_parameters_without_a_known_price_are_refused_beforehand(
    model: str, params: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        run_budget(Provider("https://api.openai.com/v1"), model, max_cost=Decimal(1), params=params)


def test_no_price_or_two_currencies_are_refused_beforehand() -> None:
    provider = Provider("http://h/v1")
    with pytest.raises(InvalidInput, match="a budget needs a known price, and the price of 'm' at h is not known"):
        run_budget(provider, "m", max_cost=Decimal(1))
    euros = Provider("http://b/v1", model="n", prices={"*": Price(INPUT, OUTPUT, "EUR")})
    with pytest.raises(InvalidInput, match="EUR, USD"):
        run_budget(Provider("http://h/v1", prices=PRICES, fallbacks=(euros,)), "m", max_cost=Decimal(1))
    assert run_budget(provider, "m", max_cost=None) is None
    by_the_hour = Provider("http://h/v1", prices={"m": Price(Decimal(0), Decimal(0), per_hour=Decimal(2))})
    with pytest.raises(InvalidInput, match="a price per token"):
        run_budget(by_the_hour, "m", max_cost=Decimal(1))


def test_a_month_is_shared_by_its_runs(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.script_all(ANSWER)
    november = within_month(1, 25 * COST, tmp_path)
    first = carry_out(documents(12), str(tmp_path / "a"), priced(scripted_server), SPEC, budget=november)
    second = carry_out(documents(30), str(tmp_path / "b"), priced(scripted_server), SPEC, budget=november)
    assert first.state == "completed"
    assert second.stopped is not None
    assert "this month's $0.0045" in second.stopped.message
    assert scripted_server.stats().requests * COST <= 25 * COST
    december = within_month(1, 25 * COST, tmp_path, "2026-12")
    third = carry_out(documents(30), str(tmp_path / "b"), priced(scripted_server), SPEC, budget=december)
    assert third.totals.ok > second.totals.ok


def test_a_grant_that_cannot_be_written_stops_the_run_before_it_is_spent(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script_all(ANSWER)
    run = open_run(documents(30), output, SPEC, options=RunOptions(budget=budget(1)))
    folder = Path(output, GRANTS)
    for entry in folder.iterdir():
        entry.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    summary = infer_pending(run, priced(scripted_server))
    assert summary.stopped is not None
    assert summary.stopped.kind == "BudgetUnwritable"
    assert scripted_server.stats().requests == 0


def test_an_unforeseen_fault_of_a_store_stops_the_run_and_does_not_keep_it_waiting(
    scripted_server: ScriptedServer, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(log: GrantLog, wanted: Decimal, limit: Decimal | None, least: Decimal) -> Decimal:
        raise ValueError("an answer of the store that is no answer")

    monkeypatch.setattr(GrantLog, "grant", broken)
    summary = carry_out(documents(3), output, priced(scripted_server), SPEC, budget=budget(1))
    assert summary.stopped is not None
    assert summary.stopped.kind == "BudgetUnwritable"
    assert "ValueError: an answer of the store that is no answer" in summary.stopped.message
    assert scripted_server.stats().requests == 0


def test_a_redrive_spends_what_the_run_has_left(scripted_server: ScriptedServer, output: str) -> None:
    refused = steps.ok(refusal="no", usage=steps.tokens(10, 20))  # billed, and failed all the same
    scripted_server.script({f"doc-{n}": [refused, ANSWER] for n in range(5)} | {"*": ANSWER})
    provider = priced(scripted_server)
    first = carry_out(documents(20), output, provider, SPEC, budget=budget(1), stop_error_share=1.0)
    assert (first.totals.failed, first.totals.cost) == (5, 20 * COST)
    poor = open_redrive(output, options=RunOptions(budget=budget(20 * COST + COST)))
    stopped = redrive_pending(poor, provider)
    assert stopped.stopped is not None
    assert stopped.stopped.kind == "BudgetExceeded"
    rich = redrive_pending(open_redrive(output, options=RunOptions(budget=budget(1))), provider)
    assert (rich.totals.ok, rich.totals.cost) == (20, 25 * COST)
    assert rich.cost_uncertain == 0
    assert scripted_server.stats().requests == 25


def test_money_that_cannot_be_given_back_fails_no_row_and_counts_as_spent(
    scripted_server: ScriptedServer, output: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scripted_server.script_all(ANSWER)

    def full(log: GrantLog, amount: Decimal) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GrantLog, "give_back_rest", full)
    summary = carry_out(documents(3), output, priced(scripted_server), SPEC, budget=budget(1))
    assert (summary.state, summary.totals.cost) == ("completed", 3 * COST)
    assert summary.cost_uncertain is not None
    assert summary.cost_uncertain > 0
    assert "could not be given back" in caplog.text


def test_runs_side_by_side_in_one_month_do_not_pass_it_together(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    scripted_server.script_all(ANSWER)
    november = within_month(1, 40 * COST, tmp_path)

    def run(name: str) -> int:
        provider = priced(scripted_server)
        return carry_out(documents(30), str(tmp_path / name), provider, SPEC, budget=november).totals.ok

    with ThreadPoolExecutor(4) as threads:
        answered = sum(threads.map(run, "abcd"))
    assert answered == scripted_server.stats().requests
    assert answered * COST <= 40 * COST


def test_chunks_in_processes_of_their_own_do_not_pass_it_together(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script_all(ANSWER)
    provider = priced(scripted_server)
    run = open_run(documents(80), output, SPEC, options=RunOptions(budget=budget(50 * COST)))
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as processes:
        ended = [processes.submit(infer_chunk, run, chunk, provider) for chunk in run.pending]
        stopped = [error for each in ended if (error := each.exception()) is not None]
    summary = finish_run(run)
    assert {type(each) for each in stopped} == {BudgetExceeded}
    assert summary.totals.cost == scripted_server.stats().requests * COST
    assert summary.cost_uncertain == 0
    assert summary.totals.cost <= 50 * COST < summary.totals.cost + WORST


def command(source: str, provider: Started, max_cost: Decimal, output: str = "out") -> list[str]:
    asking = ["run", source, "--output", output, "--base-url", provider.base_url, "--model", "m", "--prompt"]
    asking += ["{{ text }}", "--concurrency", "32", "--chunk-rows", "200", "--max-output-tokens", "200", "--json"]
    asking += ["--price-input", str(INPUT), "--price-output", str(OUTPUT), "--max-cost", str(max_cost)]
    return [*asking, "--max-error-share", "1", "--stop-error-share", "1", "--quiet"]


@contextmanager
def faulty_provider() -> Iterator[Started]:
    faults = [word for fault in FAULTS for word in ("--fault", fault)]
    with provider_started("--latency", "lognormal:0.02,0.5", "--output-tokens", "lognormal:40,0.6", *faults) as it:
        yield it


def check(summary: dict[str, object], billed: Decimal, max_cost: Decimal) -> None:
    """docs/contract.md, Budget: cost <= the provider's bill <= cost + cost_uncertain <= budget."""
    cost, uncertain = Decimal(str(summary["cost"])), Decimal(str(summary["cost_uncertain"]))
    assert cost <= billed <= cost + uncertain <= max_cost


def test_killed_and_begun_again_under_faults_the_bill_stays_within_the_budget(
    write_documents: WriteDocuments, tmp_path: Path
) -> None:
    source = write_documents(2_000)
    with faulty_provider() as provider:
        for max_cost in (Decimal("0.05"), Decimal("0.1"), Decimal("0.15")):
            with started(*command(source, provider, max_cost), cwd=tmp_path) as process:
                so_far = provider.stats()["requests"]
                _until_requests(provider, so_far + 40, process)
                process.kill()
                assert ended(process).status in (-signal.SIGKILL, 3)
            assert bill(provider) <= max_cost
            last = call(*command(source, provider, max_cost), cwd=tmp_path)
            assert last.status == 3
            assert last.summary["stopped"]["kind"] == "BudgetExceeded"
            check(last.summary, bill(provider), max_cost)


def test_little_of_a_budget_stays_unspent_without_faults(write_documents: WriteDocuments, tmp_path: Path) -> None:
    source = write_documents(2_000)
    with provider_started("--latency", "0.02", "--output-tokens", "40") as provider:
        last: Ended = call(*command(source, provider, Decimal("0.1")), cwd=tmp_path)
        assert last.status == 3
        check(last.summary, bill(provider), Decimal("0.1"))
        assert bill(provider) >= Decimal("0.09")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    attempts=st.lists(
        st.lists(st.sampled_from(["ok", "cut", "502", "500", "429", "nothing"]), max_size=3), max_size=12
    ),
    rounds=st.lists(st.integers(0, 20), min_size=1, max_size=4),
)
def test_whatever_comes_of_requests_and_however_often_a_run_is_begun_the_bill_stays_within_its_budget(
    scripted_server: ScriptedServer,
    tmp_path_factory: pytest.TempPathFactory,
    attempts: list[list[str]],
    rounds: list[int],
) -> None:
    scripted_server.reset()
    kinds = {
        "ok": ANSWER,
        "cut": steps.close_mid_body(ANSWER),
        "502": steps.status(502),
        "500": steps.status(500),
        "429": steps.status(429),
        "nothing": replace(steps.empty_choices(), usage=steps.tokens(10, 20)),
    }
    scripts = {f"doc-{n}": [*(kinds[each] for each in plan), ANSWER] for n, plan in enumerate(attempts)}
    scripted_server.script(scripts | {"*": ANSWER})
    output = str(tmp_path_factory.mktemp("budget"))
    for max_cost in (each * COST for each in sorted(rounds)):
        summary = carry_out(documents(12), output, priced(scripted_server), SPEC, budget=budget(max_cost))
        billed = sum(_billed(plan, received) for plan, received in _received(scripted_server, attempts))
        assert summary.cost_uncertain is not None
        assert summary.totals.known_cost <= billed <= summary.totals.known_cost + summary.cost_uncertain
        assert summary.totals.known_cost + summary.cost_uncertain <= max_cost


def _received(server: ScriptedServer, attempts: list[list[str]]) -> Iterator[tuple[list[str], int]]:
    by_document = server.stats().by_document
    for number in range(12):
        plan = attempts[number] if number < len(attempts) else []
        yield plan, by_document.get(f"doc-{number}", 0)


def _billed(plan: list[str], received: int) -> Decimal:
    """The scripted server answers its plan in order; what carries usage or broke after it was made is billed."""
    met = [*plan, *["ok"] * received][:received]
    return COST * sum(each in ("ok", "cut", "nothing") for each in met)


def _until_requests(provider: Started, count: int, process: subprocess.Popen[str]) -> None:
    while provider.stats()["requests"] < count and process.poll() is None:
        pass  # each look is a request of its own
