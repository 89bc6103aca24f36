"""The reference case, to the digit: every figure here was published with it, or corrects one that was."""

from __future__ import annotations

import importlib.util
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from prefect_llm.hosting import Comparison, Span, compare, load_scenario, to_markdown

ROOT = Path(__file__).resolve().parents[2]
GPT, CLAUDE, GEMINI, DEEPSEEK = "GPT-4.1", "Claude Sonnet 4.5", "Gemini 2.5 Flash", "DeepSeek V3.2"


@pytest.fixture(scope="module")
def reference() -> Comparison:
    return compare(load_scenario())


def decimals(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


def span(low: str, high: str) -> Span:
    return Span(Decimal(low), Decimal(high))


def test_ten_million_tokens_cost_so_much_a_month_and_a_year_at_that_latency(reference: Comparison) -> None:
    assert [model.name for model in reference.models] == [GPT, CLAUDE, GEMINI, DEEPSEEK]
    assert [model.cost.monthly for model in reference.models] == decimals("80", "150", "25", "4.20")
    assert [model.cost.yearly for model in reference.models] == decimals("960", "1800", "300", "50.40")
    assert [model.latency_ms for model in reference.models] == decimals("800", "1200", "600", "900")


def test_667_documents_a_day_are_a_little_more() -> None:
    daily = compare(load_scenario(None, {"documents_per_day": "667"}))
    assert daily.scenario.workload.output_tokens == 10_005_000
    cents = [round(model.cost.monthly, 2) for model in daily.models]
    # exactly 80.04, 150.075, 25.0125 and 4.2021
    assert cents == decimals("80.04", "150.08", "25.01", "4.20")


def test_every_model_has_its_cost_at_every_volume(reference: Comparison) -> None:
    assert list(reference.scenario.volumes) == decimals("100000", "1000000", "10000000", "100000000")
    assert {model.name: list(model.cost.by_volume) for model in reference.models} == {
        DEEPSEEK: decimals("0.042", "0.42", "4.20", "42"),
        GEMINI: decimals("0.25", "2.50", "25", "250"),
        GPT: decimals("0.80", "8", "80", "800"),
        CLAUDE: decimals("1.50", "15", "150", "1500"),
    }


def test_a_document_of_500_tokens_costs_half_of_what_was_published(reference: Comparison) -> None:
    published = decimals("0.008", "0.015", "0.0025", "0.00042")
    assert [model.cost.per_document * 2 for model in reference.models] == published


def test_the_reseller_saves_more_than_85_percent_at_7(reference: Comparison) -> None:
    assert reference.reseller is not None
    assert round(reference.reseller.saving, 4) == Decimal("0.8571")
    assert [round(model.cost.by_reseller or 0, 2) for model in reference.models][:2] == decimals("11.43", "21.43")
    assert "2026-11-01" in to_markdown(reference)


def test_own_hosting_costs_its_parts_and_the_purchase_comes_on_top(reference: Comparison) -> None:
    own = reference.own
    assert own is not None
    assert own.colocation == span("500", "1500")
    assert own.power == span("200", "400")
    assert own.operations == span("1500", "3000")
    assert own.upkeep == span("300", "500")
    assert own.running == span("2500", "5400")
    assert (round(own.amortisation.low), round(own.amortisation.high)) == (833, 1389)
    assert [round(end) for end in (own.total.low, own.total.high)] == [3333, 6789]


def test_break_even_is_far_from_a_billion_for_each(reference: Comparison) -> None:
    spans = {model.name: model.own.running for model in reference.models}
    assert spans[GPT] == span("312500000", "675000000")
    shown = to_markdown(reference)
    for text in ("313M-675M", "167M-360M", "1.0 billion-2.2 billion", "6.0 billion-13 billion"):
        assert text in shown


def test_at_ten_million_tokens_own_hosting_never_pays_back(reference: Comparison) -> None:
    for model in reference.models:
        assert model.own.payback is not None
        assert (model.own.payback.soonest, model.own.payback.latest) == (None, None)
        assert model.own.return_on_investment is not None
        assert max(model.own.return_on_investment) < -1  # not even the running costs come back


def test_671_billion_parameters_do_not_fit_two_gpus_of_80_gb_and_it_says_so(reference: Comparison) -> None:
    assert reference.fit is not None
    assert (reference.fit.fits, reference.fit.gpus, reference.fit.gpus_needed) == (False, 2, 10)
    assert "**do not fit** 2 x 80 GB" in to_markdown(reference)


def test_an_api_is_recommended_for_the_low_volume(reference: Comparison) -> None:
    advice = reference.recommendation
    assert (advice.choice, advice.model, advice.rule) == ("API", DEEPSEEK, "low volume")


def test_the_docs_show_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    assert script("costs").with_tables(page) == page, "run python docs/costs.py"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
