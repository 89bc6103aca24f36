"""An estimate of a real run, with and without a sample, against the scripted endpoint."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console
from tests.run.running import carry_out, documents, provider_at, spec_of
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.steps import error, ok, tokens

from prefect_llm.budget.limits import run_budget
from prefect_llm.estimating import (
    Estimate,
    SampleOptions,
    estimate_input,
    estimate_run,
    sample_directory,
    with_sample_answers,
)
from prefect_llm.estimating.rendering import headline, to_markdown, to_rich
from prefect_llm.run.finishing import release_run
from prefect_llm.run.opening import open_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import RunDirectory
from prefect_llm.store.finding import find_runs
from prefect_llm.values.errors import AuthenticationFailed, InvalidInput, TooManyFailures
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Limits, Provider

PRICES = {"*": Price(Decimal(1_000_000), Decimal(2_000_000), "EUR")}
"""One euro for a token of input, two for one of output."""
OPENAI = "https://api.openai.com/v1"


def sample_of(size: int, output: str) -> SampleOptions:
    return SampleOptions(size, sample_directory(output))


def nobody(base_url: str = "http://127.0.0.1:9/v1") -> Provider:
    """Whoever sends a request there finds nobody."""
    return provider_at(base_url, prices=PRICES)


def ends(found: Estimate) -> tuple[float, float | None]:
    assert found.lines[0].cost is not None
    return found.lines[0].cost.low, found.lines[0].cost.high


def test_on_a_narrow_terminal_a_model_and_its_costs_take_one_line() -> None:
    others = ("openai/gpt-4.1", "anthropic/claude-sonnet-4-5")
    found = estimate_input(documents(40), spec_of(max_output_tokens=50), nobody(), models=others)
    console = Console(width=80, file=io.StringIO(), color_system=None)
    with console.capture() as shown:
        console.print(to_rich(found))
    lines = [line.rstrip() for line in shown.get().splitlines()]
    table = lines[lines.index(next(line for line in lines if line.startswith("model"))) :][:6]
    assert [line.split()[0] for line in table] == ["model", "m", others[0], others[0], others[1], others[1]]
    assert all("$" in line for line in table[2:])
    assert any(
        re.fullmatch(r"price +list price \(genai-prices [\d.]+ [\d-]+\): openai/gpt-4.1,", line) for line in lines
    )


def test_without_a_sample_nothing_is_asked_and_costs_have_bounds(scripted_server: ScriptedServer) -> None:
    spec = spec_of(max_output_tokens=50)
    found = estimate_input(documents(40), spec, provider_at(scripted_server.base_url, prices=PRICES))
    assert scripted_server.stats().requests == 0
    # 11 or 12 characters: 2 tokens by 6 characters each at least, and 7 by 1.7 bytes with 16 for the message at most
    assert (found.requests, found.input_tokens.low) == (40, 80)
    assert found.output_tokens.low == 40
    assert (found.output_tokens.expected, found.output_tokens.high) == (None, 40 * 50)
    low, high = ends(found)
    assert low == pytest.approx(80 + 2 * 40)
    assert found.input_tokens.high is not None
    assert high == pytest.approx(found.input_tokens.high + 2 * 40 * 50)


def test_a_run_without_an_output_limit_has_no_upper_end() -> None:
    found = estimate_input(documents(5), spec_of(), nobody())
    assert ends(found)[1] is None
    assert "at least" in headline(found)


def test_a_price_that_is_not_known_leaves_the_cost_open() -> None:
    found = estimate_input(documents(5), spec_of(), provider_at("http://127.0.0.1:9/v1"))
    assert found.lines[0].cost is None
    assert found.most_cost is None
    assert headline(found) == "5 requests for 5 documents: cost not known"


def test_why_a_price_is_not_known_is_said() -> None:
    found = estimate_input(documents(5), spec_of(model="gpt-5-search-api"), provider_at(OPENAI))
    assert "not known: genai-prices has no fee for the searches of 'gpt-5-search-api'" in to_markdown(found)


def test_the_searches_of_a_search_model_are_in_both_ends() -> None:
    model = "gpt-4o-mini-search-preview"
    found = estimate_input(documents(5), spec_of(model=model, max_output_tokens=10), provider_at(OPENAI))
    plain = estimate_input(documents(5), spec_of(model="gpt-4o-mini", max_output_tokens=10), provider_at(OPENAI))
    assert [end or 0 for end in ends(found)] == pytest.approx([(end or 0) + 5 * 0.01 for end in ends(plain)])


def test_another_model_that_searches_is_priced_with_its_searches() -> None:
    spec, models = spec_of(max_output_tokens=10), ["openai/gpt-4o-mini-search-preview"]
    searching = estimate_input(documents(5), spec, nobody(), models=models).lines[1]
    assert searching.cost is not None
    assert searching.cost.low > 5 * 0.01
    with_search = spec_of(max_output_tokens=10, params={"web_search_options": {}})
    [_, plain] = estimate_input(documents(5), with_search, nobody(), models=["openai/gpt-4o-mini"]).lines
    assert plain.cost is None


def test_identical_requests_and_broken_documents_cost_nothing() -> None:
    table = documents(4, note=["same", "same", "same", None])
    found = estimate_input(table, spec_of(template="{{ note }}"), nobody())
    assert (found.documents, found.requests, found.repeated, found.unaskable) == (4, 1, 2, 1)


def test_without_dedup_each_is_asked() -> None:
    table = documents(3, note=["same", "same", "same"])
    found = estimate_input(table, replace(spec_of(template="{{ note }}"), no_dedup=True), nobody())
    assert (found.requests, found.repeated) == (3, 0)


def test_what_an_earlier_run_answered_is_not_asked(scripted_server: ScriptedServer, output: str) -> None:
    provider = provider_at(scripted_server.base_url)
    carry_out(documents(6), output, provider)
    found = estimate_input(documents(10), spec_of(), provider, reuse=output)
    assert (found.requests, found.reused) == (4, 6)
    itself = estimate_input(documents(6), spec_of(), provider, output=output)
    assert (itself.requests, itself.reused) == (0, 6)


def test_a_sample_of_all_is_the_truth(scripted_server: ScriptedServer, output: str) -> None:
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    found = estimate_input(documents(12), spec_of(), provider, sample=sample_of(50, output))
    assert found.sample is not None
    assert (found.sample.requests, scripted_server.stats().requests) == (12, 12)
    summary = carry_out(documents(12), output, provider, reuse=found.sample.output)
    assert (summary.requests, summary.totals.reused) == (0, 12)
    assert found.sample.cost is not None
    low, high = ends(found)
    assert low == high == pytest.approx(float(found.sample.cost))
    assert found.lines[0].currency == "EUR"


def test_the_same_seed_draws_the_same_documents_and_asks_them_once(
    scripted_server: ScriptedServer, output: str
) -> None:
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    first = estimate_input(documents(100), spec_of(), provider, sample=sample_of(20, output))
    again = estimate_input(documents(100), spec_of(), provider, sample=sample_of(20, output))
    assert again == first
    assert scripted_server.stats().requests == 20
    asked = list(scripted_server.stats().by_document)
    assert asked != [f"doc-{row}" for row in range(20)]  # the first ones are no random sample


def test_another_sample_in_the_same_place_is_refused(scripted_server: ScriptedServer, output: str) -> None:
    provider = provider_at(scripted_server.base_url)
    estimate_input(documents(30), spec_of(), provider, sample=sample_of(10, output))
    with pytest.raises(InvalidInput, match="another sample"):
        estimate_input(documents(30), spec_of(), provider, sample=sample_of(11, output))


def test_a_sample_is_no_run_for_whoever_looks_for_runs(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    provider = provider_at(scripted_server.base_url)
    found = estimate_input(documents(10), spec_of(), provider, sample=sample_of(10, f"{tmp_path}/runs/today"))
    assert found.sample is not None
    assert RunDirectory.open(found.sample.output).manifest() is not None
    assert find_runs(str(tmp_path)) == []


def test_time_is_that_of_the_strictest_limit() -> None:
    limits = Limits(8, requests_per_minute=10, tokens_per_minute=10_000_000)
    found = estimate_input(documents(30), spec_of(), replace(nobody(), limits=limits))
    assert found.seconds is not None
    assert (found.seconds.low, found.seconds.high) == (180.0, None)


def test_time_is_latency_shared_by_the_places(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.delay(0.1)
    provider = provider_at(scripted_server.base_url, concurrency=10)
    found = estimate_input(documents(200), spec_of(), provider, sample=sample_of(20, output))
    assert found.seconds is not None
    assert found.seconds.low > 1.9  # 200 answers of 0.1 s, ten at once
    assert found.seconds.high is not None
    assert found.seconds.high > found.seconds.low


def test_other_models_are_priced_by_the_list_in_both_lanes() -> None:
    provider = Provider(OPENAI)
    found = estimate_input(
        documents(10),
        spec_of(model="gpt-4.1-mini", max_output_tokens=10),
        provider,
        models=("gpt-4.1", "anthropic/claude-sonnet-4-5"),
    )
    assert [(line.model, line.lane) for line in found.lines] == [
        ("gpt-4.1-mini", "online"),
        ("gpt-4.1-mini", "batch"),
        ("gpt-4.1", "online"),
        ("gpt-4.1", "batch"),
        ("anthropic/claude-sonnet-4-5", "online"),
        ("anthropic/claude-sonnet-4-5", "batch"),
    ]
    mini, mini_batch, large, *_ = [line.cost for line in found.lines]
    assert mini is not None
    assert mini_batch is not None
    assert large is not None
    assert mini_batch.low == pytest.approx(mini.low / 2)
    assert large.low > mini.low


def test_a_stated_price_has_no_batch_lane() -> None:
    provider = Provider(OPENAI, prices=PRICES)
    found = estimate_input(documents(3), spec_of(model="gpt-4.1-mini", max_output_tokens=10), provider)
    assert [line.lane for line in found.lines] == ["online"]


def test_a_model_without_a_price_is_refused_before_the_sample(scripted_server: ScriptedServer, output: str) -> None:
    provider = provider_at(scripted_server.base_url)
    with pytest.raises(InvalidInput, match=r"nobody/nothing.*PROVIDER/MODEL"):
        estimate_input(documents(20), spec_of(), provider, sample=sample_of(10, output), models=("nobody/nothing",))
    assert scripted_server.stats().requests == 0


def test_what_stops_the_sample_is_raised(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.expect_key("right")
    with pytest.raises(AuthenticationFailed):
        estimate_input(documents(20), spec_of(), provider_at(scripted_server.base_url), sample=sample_of(10, output))


def test_a_sample_without_a_single_answer_estimates_nothing(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(error(400, "flagged", code="content_filter"))
    with pytest.raises(TooManyFailures, match="all 10 requests"):
        estimate_input(documents(20), spec_of(), provider_at(scripted_server.base_url), sample=sample_of(10, output))


def test_an_endpoint_that_counts_no_tokens_leaves_bounds(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(ok("yes", usage={}))
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    found = estimate_input(documents(20), spec_of(max_output_tokens=9), provider, sample=sample_of(10, output))
    assert found.output_tokens.high == 20 * 9
    assert found.to_json()["basis"] == "bounds"


def test_a_budget_holds_for_the_sample(scripted_server: ScriptedServer, output: str) -> None:
    spec = spec_of(max_output_tokens=7)
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    budget = run_budget(provider, "m", max_cost=Decimal(100))
    options = replace(sample_of(20, output), budget=budget)
    with pytest.raises(Exception, match="no longer fits"):
        estimate_input(documents(40), spec, provider, sample=options)
    # 11 characters, 16 for the message, 2 for the answer's limit of 7: 41 euros and more are set aside for each
    assert 0 < scripted_server.stats().requests <= 5


def test_what_the_sample_cost_is_no_longer_in_the_run_s_budget(scripted_server: ScriptedServer, output: str) -> None:
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    budget = run_budget(provider, "m", max_cost=Decimal(10_000))
    run = open_run(documents(30), output, spec_of(max_output_tokens=7), options=RunOptions(budget=budget))
    try:
        found = estimate_run(run, provider, sample=replace(sample_of(10, output), budget=budget))
        assert found.sample is not None
        assert found.sample.cost is not None
        taking = with_sample_answers(run, found.sample.output, found.sample.cost)
        assert taking.budget is not None
        assert taking.budget.max_cost == 10_000 - found.sample.cost
        summary = infer_pending(taking, provider)
    finally:
        release_run(run)
    assert (summary.totals.reused, summary.totals.ok) == (10, 30)
    manifest = RunDirectory.open(output).manifest()
    assert manifest is not None
    assert manifest.reuse == (found.sample.output,)


def test_an_opened_run_is_estimated_over_what_is_left_of_it(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-3": ok("a", usage=tokens(5, 5))})
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    carry_out(documents(10), f"{output}-before", provider)
    run = open_run(documents(25), output, spec_of(), options=RunOptions(reuse=f"{output}-before"))
    try:
        found = estimate_run(run, provider)
    finally:
        release_run(run)
    assert (found.documents, found.requests, found.reused) == (25, 15, 10)


def test_the_page_shows_so_many_answers_and_no_markup_of_theirs(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(ok("<img src=x> | [link](http://x)"))
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    found = estimate_input(documents(12), spec_of(), provider, sample=sample_of(12, output))
    page = to_markdown(found, preview_rows=3)
    assert page.count(r"\<img src=x>") == 3
    assert "| m | online |" in page
    assert "## Preview" not in to_markdown(found)
