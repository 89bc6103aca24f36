from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from prefect_llm.hosting import compare, load_scenario
from prefect_llm.values.errors import InvalidInput

GOOD = """
workload: {documents_per_day: 10, input_tokens_per_document: 1000}
models:
  - {name: gpt-4.1, base_url: https://api.openai.com/v1}
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_model_without_a_stated_price_has_the_list_price_of_its_address(tmp_path: Path) -> None:
    model = compare(load_scenario(written(tmp_path, GOOD))).models[0]
    assert [model.price_input, model.price_output] == [Decimal(2), Decimal(8)]
    assert model.source.startswith("list price (genai-prices ")
    assert model.cost.monthly == 300 * (Decimal("0.002") + Decimal("0.004"))


def test_money_is_never_a_float(tmp_path: Path) -> None:
    text = "workload: {documents_per_day: 1}\nmodels: [{name: m, price_output: 0.1}]\n"
    assert load_scenario(written(tmp_path, text)).models[0].price_output == Decimal("0.1")


def test_one_way_of_saying_the_volume_replaces_the_other(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert load_scenario(path, {"output_tokens_per_month": "600"}).workload.output_tokens == 600
    assert load_scenario(path, {"output_tokens_per_document": "7"}).workload.output_tokens == 2100


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "not YAML"),
        ("just text", "expected a mapping with workload, models and hosting"),
        (GOOD + "wokload: 1", "wokload: Extra inputs are not permitted"),
        (GOOD.replace("documents_per_day: 10", "days_per_month: 30"), "workload: give one of documents_per_day and"),
        (GOOD.replace(": 10,", ": -1,"), "workload.documents_per_day: Input should be greater than or equal to 0"),
        (
            GOOD.replace("base_url: https://api.openai.com/v1", "latency_ms: 1"),
            "models.0: give price_output, or base_url",
        ),
        (GOOD + "hosting: {gpu: G, gpu_memory_gb: 80, purchase: 9-1}", "hosting.purchase"),
        (GOOD + "hosting: {gpu: G, gpu_memory_gb: 80, purchase: 1, rent_per_gpu_hour: 1}", "not both"),
        (GOOD + "hosting: {gpu: G, gpu_memory_gb: 80, power_kw: 1}", "power_kw needs price_per_kwh"),
        (
            GOOD + "hosting: {gpu: G, gpu_memory_gb: 80, throughput: {}}",
            "give one of tokens_per_second, run and file",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InvalidInput) as raised:
        load_scenario(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert sentence in str(raised.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"nowhere\.yaml cannot be read"):
        load_scenario("nowhere.yaml")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("{name: m, price_output: 1}", "m has no price_input, and documents have input"),
        (
            "{name: gpt-4o-mini-search-preview, base_url: https://api.openai.com/v1}",
            "gpt-4o-mini-search-preview is billed for searches beside its tokens",
        ),
        (
            "{name: gpt-4.1, base_url: https://llm.example.org/v1}",
            "gpt-4.1 has no list price at https://llm.example.org/v1",
        ),
    ],
)
def test_an_unknown_price_is_refused_and_never_zero(tmp_path: Path, model: str, sentence: str) -> None:
    text = f"workload: {{documents_per_day: 1, input_tokens_per_document: 1}}\nmodels: [{model}]\n"
    scenario = load_scenario(written(tmp_path, text))
    with pytest.raises(InvalidInput, match=sentence):
        compare(scenario)


def test_a_price_in_another_currency_needs_a_dated_rate(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path, GOOD + "currency: EUR\n"))
    with pytest.raises(InvalidInput, match=r"is in USD, the scenario in EUR: give exchange_rates\.USD"):
        compare(scenario)
    rate = "exchange_rates: {USD: {units: 1.25, date: 2026-11-02}}\n"
    model = compare(load_scenario(written(tmp_path, GOOD + "currency: EUR\n" + rate))).models[0]
    assert [model.price_input, model.price_output] == [Decimal("1.6"), Decimal("6.4")]
    assert model.source.endswith("at 1.25 USD per EUR (2026-11-02)")


def test_a_stated_price_is_in_its_own_currency_where_that_is_said(tmp_path: Path) -> None:
    text = """
workload: {documents_per_day: 1}
models: [{name: m, price_output: 14, currency: CNY}]
exchange_rates: {CNY: {units: 7, date: 2026-11-01}}
"""
    assert compare(load_scenario(written(tmp_path, text))).models[0].price_output == 2
