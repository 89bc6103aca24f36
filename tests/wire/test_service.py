"""The tier that served an answer, wherever an endpoint says it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.wire.test_openai_chat import completion_body, read

from prefect_llm.values.request import Parameters, Request
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_chat import decode
from prefect_llm.wire.service import service_of


@pytest.mark.parametrize(
    ("named", "usage", "headers", "tier"),
    [
        ("flex", None, {}, "flex"),
        ("on_demand", {}, {}, "on_demand"),
        (None, {"service_tier": "priority"}, {}, "priority"),
        (None, {"extra_properties": {"google": {"traffic_type": "ON_DEMAND_FLEX"}}}, {}, "flex"),
        (None, {"extra_properties": {"google": {"traffic_type": "ON_DEMAND"}}}, {}, "standard"),
        (None, {"extra_properties": {"google": {"traffic_type": "PROVISIONED_THROUGHPUT"}}}, {},
         "provisioned_throughput"),
        (None, None, {"x-gemini-service-tier": "STANDARD"}, "standard"),
        ("auto", {"service_tier": "standard"}, {}, "standard"),
        ("auto", None, {}, None),
        ("", "many", {}, None),
        (7, {"service_tier": 1, "extra_properties": []}, {}, None),
        (None, None, {}, None),
    ],
)  # fmt: skip
def test_the_tier_is_read_where_the_endpoint_says_it(
    named: Any, usage: Any, headers: dict[str, str], tier: str | None
) -> None:
    assert service_of(named, usage, headers).tier == tier


def test_a_completion_has_its_tier_also_where_it_is_streamed() -> None:
    assert read(completion_body({"content": "yes"}, service_tier="priority")).service.tier == "priority"
    assert read(completion_body({"content": "yes"})).service.tier is None

    first = {"choices": [{"delta": {"content": "yes"}}], "service_tier": "auto"}
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "service_tier": "default"}
    body = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in (first, last))
    answer = Answer(200, {"content-type": "text/event-stream"}, body + b"data: [DONE]\n\n")
    request = Request(0, "d", (), Parameters("m"), "fingerprint")
    assert decode(answer, request, keep_raw=False).service.tier == "default"


@pytest.mark.parametrize(
    ("usage", "searches"),
    [
        ({"server_tool_use": {"web_search_requests": 3}}, 3),
        ({"server_tool_use": {"web_search_requests": 0}}, 0),
        ({"server_tool_use": {"web_search_requests": "3"}}, None),
        ({"server_tool_use": 3}, None),
        (None, None),
    ],
)
def test_searches_are_counted_where_the_endpoint_tells(usage: Any, searches: int | None) -> None:
    assert service_of(None, usage, {}).searches == searches


@pytest.mark.parametrize(
    ("usage", "other"),
    [
        ({"completion_tokens_details": {"audio_tokens": 9}}, True),
        ({"prompt_tokens_details": {"audio_tokens": 9}}, True),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 9}}, True),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 9, "ephemeral_1h_input_tokens": 0}}, False),
        ({"completion_tokens_details": {"audio_tokens": 0}, "prompt_tokens_details": None}, False),
    ],
)
def test_tokens_with_rates_of_their_own_are_noticed(usage: Any, other: bool) -> None:
    assert service_of(None, usage, {}).has_other_rates is other
