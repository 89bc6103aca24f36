"""What is reserved for a request covers what its cache may cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price

from prefect_llm.budget.reservation import most_cost
from prefect_llm.pricing import most_input_tokens
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Parameters, Request

MODEL = "claude-opus-4-5"
ANTHROPIC = Provider("https://api.anthropic.com/v1")
FOR_AN_HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TEXT = "Grüße, says the prompt"


def request(content: Any, **extra: Any) -> Request:
    messages = ({"role": "user", "content": content},)
    return Request(0, "doc-0", messages, Parameters(MODEL, max_output_tokens=10, extra=extra), "fingerprint")


@pytest.mark.parametrize(
    "asked", [request([{"type": "text", "text": TEXT, **FOR_AN_HOUR}]), request(TEXT, **FOR_AN_HOUR)]
)
def test_input_that_is_kept_for_an_hour_is_reserved_at_its_price(asked: Request) -> None:
    tokens = most_input_tokens(asked)
    hour = Usage(input_tokens=tokens, cache_write_tokens=tokens, cache_write_1h_tokens=tokens, output_tokens=10)
    assert most_cost(ANTHROPIC, asked) >= calc_price(hour, MODEL, provider_id="anthropic").total_price


@pytest.mark.parametrize(
    "asked",
    [request(TEXT), request('{"ttl":"1h"}'), request([{"type": "text", "text": '{"ttl":"1h"}'}])],
)
def test_other_input_is_reserved_at_the_price_of_five_minutes(asked: Request) -> None:
    most = Decimal(most_input_tokens(asked)) * Decimal("6.25") + 10 * Decimal(25)
    assert most_cost(ANTHROPIC, asked) == most / 1_000_000


def test_a_stated_price_is_that_of_any_cache() -> None:
    stated = replace(ANTHROPIC, prices={MODEL: Price(Decimal(1), Decimal(1), source="stated")})
    asked = request(TEXT, **FOR_AN_HOUR)
    assert most_cost(stated, asked) == Decimal(most_input_tokens(asked) + 10) / 1_000_000
