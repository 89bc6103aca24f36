from __future__ import annotations

from typing import Any

import pytest
from tests.hosting.scenarios import scenario

from prefect_llm.hosting import Recommendation, compare

MODELS = [
    {"name": "cheap", "price_output": 2},
    {"name": "in the EU", "price_output": 8, "regions": ["EU"]},
]
SERVES = {"throughput": {"tokens_per_second": 100_000}}
TOO_LARGE = {"weights": {"name": "huge", "parameters_billion": 671}}


def advice(tokens: int, hosting: dict[str, Any] | None = None, **workload: Any) -> Recommendation:
    volume = {"output_tokens_per_month": tokens, **workload}
    return compare(scenario(workload=volume, hosting=hosting, models=MODELS)).recommendation


@pytest.mark.parametrize(
    ("tokens", "hosting", "workload", "choice", "model", "rule"),
    [
        (1, {}, {"strictly_private": True, "trial": True}, "own hosting", None, "strictly private"),
        (1, {}, {"data_residency": "EU", "trial": True}, "trial on free credit", "in the EU", "trial"),
        (1, {}, {"data_residency": "EU"}, "API", "in the EU", "low volume"),
        (1, {}, {"data_residency": "CH", "trial": True}, "own hosting", None, "data residency"),
        (10**10, {}, {"trial": True}, "trial on free credit", "cheap", "trial"),
        (99_999_999, {"colocation": 1, **SERVES}, {}, "API", "cheap", "low volume"),
        (100_000_000, {"colocation": 199, **SERVES}, {}, "own hosting", None, "volume between"),
        (100_000_000, {"colocation": "199-201", **SERVES}, {}, "API", "cheap", "volume between"),
        (1_000_000_000, SERVES, {}, "own hosting", None, "volume between"),
        (1_000_000_001, SERVES, {}, "own hosting", None, "high volume"),
        (1_000_000_001, {}, {}, "API", "cheap", "high volume"),
        (1_000_000_001, {**SERVES, **TOO_LARGE}, {}, "API", "cheap", "high volume"),
    ],
)
def test_the_first_rule_that_fits_is_taken_and_named(
    tokens: int, hosting: dict[str, Any], workload: dict[str, Any], choice: str, model: str | None, rule: str
) -> None:
    found = advice(tokens, hosting, **workload)
    assert (found.choice, found.model, found.rule) == (choice, model, rule)
    assert found.reason.endswith(".")


def test_private_data_on_gpus_that_are_too_small_are_told_how_many_it_takes() -> None:
    assert "takes 10 of them" in advice(1, TOO_LARGE, strictly_private=True).reason
