"""What becomes of each request, by a clock that the tests turn."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from tests.simulation.simulating import CHAT, HELLO, Answer, admit, admitted, asked, body, parsed, provider

from prefect_llm.simulation.answers import Delivery, Then
from prefect_llm.simulation.faults import Fault
from prefect_llm.simulation.http_requests import read_head
from prefect_llm.simulation.provider import Service, SimulatedProvider


def listed(simulated: SimulatedProvider, authorization: str) -> Answer:
    """The list of models."""
    head = read_head(f"GET /v1/models HTTP/1.1\r\nAuthorization: {authorization}\r\n".encode())
    return parsed(simulated.models(CHAT, head))


def test_an_answer_is_as_long_as_drawn_and_counts_four_characters_a_token() -> None:
    answer = asked(provider(output_tokens="25"), body("x" * 41))
    assert answer.status == 200
    assert len(answer.content) == 100
    assert answer.json()["usage"] == {"prompt_tokens": 11, "completion_tokens": 25, "total_tokens": 36}
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert answer.json()["model"] == "m"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_output_limit_cuts_the_answer(name: str) -> None:
    limit: dict[str, Any] = {name: 10}
    answer = asked(provider(output_tokens="25"), body(**limit))
    assert (len(answer.content), answer.json()["choices"][0]["finish_reason"]) == (40, "length")
    assert answer.json()["usage"]["completion_tokens"] == 10


def test_text_parts_count_and_pictures_do_not() -> None:
    parts = [{"type": "text", "text": "x" * 8}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 99}}]
    messages = [{"role": "system", "content": "y" * 4}, {"role": "user", "content": parts}]
    answer = asked(provider(), json.dumps({"model": "m", "messages": messages}).encode())
    assert answer.json()["usage"]["prompt_tokens"] == 3


def test_very_long_answers_are_as_long_as_drawn() -> None:
    assert len(asked(provider(output_tokens="20000")).content) == 4 * 90
    assert len(asked(provider(output_tokens="20000"), body()).content) == 80_000


SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}, "required": ["label"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
BEYOND_64_BITS = {"type": "integer", "minimum": 1e300}


def test_with_a_schema_the_content_fits_it_and_ends_by_itself() -> None:
    answer = asked(provider(output_tokens="100"), body(response_format=FORMAT, max_tokens=50))
    assert json.loads(answer.content) == {"label": "a"}
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert answer.json()["usage"]["completion_tokens"] == 50


def test_a_limit_too_small_for_the_schema_cuts_the_json() -> None:
    answer = asked(provider(), body(response_format=FORMAT, max_tokens=2))
    assert answer.content == '{"label"'
    assert answer.json()["choices"][0]["finish_reason"] == "length"


STRICT = SCHEMA | {"properties": {"label": {"type": "string", "enum": ["a", "b"]}}, "additionalProperties": False}
REFUSED = [
    (SCHEMA, "In context=(), 'additionalProperties' is required to be supplied and to be false."),
    (STRICT | {"required": []}, "an array including every key in properties. Missing 'label'."),
    (
        STRICT | {"required": ["label", "more"]},
        "including every key in properties. Extra required key 'more'.",
    ),
    (
        {"type": "array", "items": STRICT},
        "'type: \"object\"', got 'type: \"array\"'.",
    ),
    (STRICT | {"properties": {"label": {}}}, "In context=('properties', 'label'), schema must have a 'type' key."),
    (
        STRICT | {"properties": {"label": {"type": "string", "default": "a"}}},
        "In context=('properties', 'label'), 'default' is not permitted.",
    ),
    (
        STRICT | {"properties": {"label": {"type": "array", "items": {"type": "string", "minLength": 1}}}},
        "In context=('properties', 'label', 'items'), 'minLength' is not permitted.",
    ),
    (
        STRICT | {"properties": {"label": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}}},
        "In context=('properties', 'label'), 'uniqueItems' is not permitted.",
    ),
    (
        STRICT | {"properties": {"label": {"oneOf": [{"type": "string"}]}}},
        "In context=('properties', 'label'), 'oneOf' is not permitted.",
    ),
    (
        STRICT | {"properties": {"label": {"$ref": "#", "title": "t"}}},
        "In context=('properties', 'label'), $ref cannot have keywords {'title'}.",
    ),
    (
        STRICT | {"$defs": {"D": {"type": "object", "properties": {}}}},
        "In context=('$defs', 'D'), 'additionalProperties' is required",
    ),
    (
        STRICT | {"properties": {"label": {"type": "string", "format": "uri"}}},
        "In context=('properties', 'label'), 'uri' is not a valid format.",
    ),
    (
        STRICT | {"properties": {"label": {"type": "array"}}},
        "In context=('properties', 'label'), array schema missing items.",
    ),
]


def strict_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


@pytest.mark.parametrize(("schema", "why"), REFUSED)
def test_what_openai_refuses_of_a_strict_schema_is_refused_in_its_words(schema: Any, why: str) -> None:
    simulated = provider()
    answer = asked(simulated, body(response_format=strict_format(schema)))
    error = answer.json()["error"]
    assert (answer.status, error["param"], simulated.stats.refused) == (400, "response_format", 1)
    assert error["message"].startswith("Invalid schema for response_format 'answer': ")
    assert why in error["message"]


@pytest.mark.parametrize(("schema", "_"), REFUSED)
def test_a_schema_that_is_not_strict_or_a_lax_provider_takes_it(schema: Any, _: str) -> None:
    loose = body(response_format=FORMAT | {"json_schema": {"name": "x", "schema": schema}})
    for simulated, content in (
        (provider(), loose),
        (provider(strictness="none"), body(response_format=strict_format(schema))),
    ):
        answer = asked(simulated, content)
        # one recurs without end, one asks for a name that it forbids
        assert (answer.status == 200) == (not any(word in json.dumps(schema) for word in ("$ref", "more")))


def test_a_strict_schema_is_taken() -> None:
    answer = asked(provider(), body(response_format=strict_format(STRICT)))
    assert json.loads(answer.content) == {"label": "a"}


def test_any_json_object_is_an_empty_one_and_text_is_text() -> None:
    assert asked(provider(), body(response_format={"type": "json_object"})).content == "{}"
    assert len(asked(provider(), body(response_format={"type": "text"})).content) == 400


@pytest.mark.parametrize(
    ("content", "parameter"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"messages": [{}]}', "model"),
        (b'{"model": "m"}', "messages"),
        (b'{"model": "m", "messages": []}', "messages"),
        (b'{"model": "m", "messages": ["x"]}', "messages"),
        (body(max_tokens=0), "max_tokens"),
        (body(max_completion_tokens="many"), "max_completion_tokens"),
        (body(response_format={"type": "xml"}), "response_format"),
        (body(response_format=FORMAT | {"json_schema": {"schema": False}}), "response_format"),
        (
            body(response_format=FORMAT | {"json_schema": {"schema": BEYOND_64_BITS}}),
            "response_format",
        ),
    ],
)
def test_a_body_that_cannot_be_answered_gets_400_as_openai_words_it(content: bytes, parameter: str | None) -> None:
    simulated = provider()
    answer = asked(simulated, content)
    error = answer.json()["error"]
    assert (answer.status, error["type"], error["param"]) == (400, "invalid_request_error", parameter)
    assert simulated.stats.refused == 1


def test_another_key_gets_401_and_an_unknown_model_404() -> None:
    simulated = provider(api_key_env="K", environ={"K": "sk-1"}, models="a,b")
    assert parsed(admit(simulated, HELLO, key="sk-2")).json()["error"]["code"] == "invalid_api_key"
    unknown = parsed(admit(simulated, HELLO, key="sk-1"))
    assert (unknown.status, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert isinstance(admit(simulated, body(model="b"), key="sk-1"), Service)
    assert [model["id"] for model in listed(simulated, "Bearer sk-1").json()["data"]] == ["a", "b"]
    for wrong in ("", "sk-1", "Basic sk-1", "Bearer sk-11"):
        assert listed(simulated, wrong).status == 401


def test_between_its_seconds_an_outage_answers_503_to_everyone() -> None:
    simulated = provider(outage=["10,20"])
    statuses = {at_s: asked(simulated, now=100.0 + at_s).status for at_s in (0.0, 9.9, 10.0, 19.9, 20.0)}
    assert statuses == {0.0: 200, 9.9: 200, 10.0: 503, 19.9: 503, 20.0: 200}
    assert simulated.stats.faults == {"outage": 2}


def test_faults_come_in_their_shares_and_every_request_is_accounted_for() -> None:
    shares = {"rate_limit": 0.1, "server_error": 0.1, "cut": 0.2, "bad_request": 0.1}
    simulated = provider(fault=[f"{kind}={share}" for kind, share in shares.items()], seed=3)
    for _ in range(2_000):
        asked(simulated)
    stats = simulated.stats
    assert {kind: stats.faults[kind] for kind in shares} == pytest.approx(
        {kind: 2_000 * share for kind, share in shares.items()}, rel=0.2
    )
    assert stats.answered + stats.faults.total() == stats.requests == 2_000
    assert stats.in_flight.now == 0


@pytest.mark.parametrize(
    ("fault", "status", "then"),
    [
        (Fault.RATE_LIMIT, 429, Then.KEEP),
        (Fault.SERVER_ERROR, 500, Then.KEEP),
        (Fault.UNAVAILABLE, 503, Then.KEEP),
        (Fault.OVERLOADED, 529, Then.KEEP),
        (Fault.BAD_REQUEST, 400, Then.KEEP),
        (Fault.SLOW, 200, Then.KEEP),
        (Fault.CUT, 200, Then.CLOSE),
        (Fault.NOT_JSON, 200, Then.KEEP),
        (Fault.NO_CHOICES, 200, Then.KEEP),
        (Fault.NULL_CONTENT, 200, Then.KEEP),
    ],
)
def test_each_fault_answers_as_it_says(fault: Fault, status: int, then: Then) -> None:
    simulated = provider(fault=[f"{fault}=1"])
    decided = admit(simulated, HELLO, 0.0)
    delivery = decided if isinstance(decided, Delivery) else simulated.answer(decided, 0.0)
    answer = parsed(delivery)
    assert (answer.status, delivery.then) == (status, then)
    whole = int(answer.headers["content-length"])
    assert len(answer.body) == (whole // 2 if fault is Fault.CUT else whole)
    assert simulated.stats.faults == {fault: 1}


def test_unusable_answers_are_unusable_each_in_its_way() -> None:
    assert asked(provider(fault=["no_choices=1"])).json()["choices"] == []
    assert asked(provider(fault=["null_content=1"])).content is None
    with pytest.raises(json.JSONDecodeError):
        asked(provider(fault=["not_json=1"])).json()
    assert asked(provider(fault=["unavailable=1"])).headers["content-type"] == "text/html"
    assert asked(provider(fault=["rate_limit=1"])).headers["retry-after"] == "1"


@pytest.mark.parametrize(("fault", "then"), [("reset", Then.RESET), ("close", Then.CLOSE)])
def test_a_broken_connection_has_no_byte_of_an_answer(fault: str, then: Then) -> None:
    assert admit(provider(fault=[f"{fault}=1"]), HELLO, 0.0) == Delivery(b"", then)


def test_slow_takes_ten_times_the_latency() -> None:
    assert admitted(admit(provider(latency="0.5", fault=["slow=1"]), HELLO, 0.0)).latency_s == 5


def test_a_server_error_used_no_output() -> None:
    simulated = provider(tokens_per_minute=1_000, token_accounting="used", fault=["server_error=1"])
    assert asked(simulated).status == 500
    assert (simulated.stats.tokens.admitted, simulated.stats.tokens.output) == (10, 0)


def test_a_fault_at_the_door_takes_no_tokens() -> None:
    simulated = provider(tokens_per_minute=100, fault=["unavailable=1"])
    assert {asked(simulated).status for _ in range(10)} == {503}


def test_who_leaves_is_abandoned_and_gives_back_what_was_not_answered() -> None:
    simulated = provider(tokens_per_minute=1_000, token_accounting="used")
    service = admitted(admit(simulated, HELLO, 0.0))
    assert (simulated.stats.in_flight.now, simulated.stats.in_flight.most) == (1, 1)
    simulated.abandon(service, 0.0)
    assert (simulated.stats.in_flight.now, simulated.stats.abandoned) == (0, 1)
    assert simulated.stats.tokens.admitted == 10


def drawn(seed: int | None, **options: Any) -> list[tuple[float, int, str | None]]:
    simulated = provider(latency="exponential:1", output_tokens="normal:500,100", seed=seed, **options)
    services = [admitted(admit(simulated, body(), 0.0)) for _ in range(50)]
    return [(service.latency_s, service.ending.output_tokens, service.fault) for service in services]


def test_a_seed_gives_the_same_faults_and_lengths_every_time_and_after_a_reset() -> None:
    assert drawn(7, fault=["hang=0.3"]) == drawn(7, fault=["hang=0.3"])
    assert drawn(7) != drawn(8)
    assert drawn(None) != drawn(None)
    simulated = provider(output_tokens="normal:500,100", seed=7)
    lengths = [len(asked(simulated, body()).content) for _ in range(20)]
    simulated.reset()
    assert [len(asked(simulated, body()).content) for _ in range(20)] == lengths


def test_other_faults_do_not_change_lengths_and_latencies() -> None:
    calm, stormy = drawn(7), drawn(7, fault=["hang=0.5"])
    assert [(latency_s, tokens) for latency_s, tokens, _ in calm] == [
        (latency_s, tokens) for latency_s, tokens, _ in stormy
    ]
    assert Counter(fault for *_, fault in stormy)["hang"] > 10


def test_which_requests_fail_does_not_hang_together_with_how_long_they_take() -> None:
    simulated = provider(latency="uniform:0,1", fault=["hang=0.5"], seed=7)
    services = [admitted(admit(simulated, body(), 0.0)) for _ in range(50)]
    assert len({(service.latency_s < 0.5, service.fault) for service in services}) == 4


def test_a_reset_forgets_the_figures_and_refills_the_buckets_but_not_what_is_in_flight() -> None:
    simulated = provider(requests_per_minute=1)
    service = admitted(admit(simulated, HELLO, 0.0))
    assert asked(simulated).status == 429
    simulated.reset()
    assert (simulated.stats.requests, simulated.stats.in_flight.now, simulated.stats.throttled) == (0, 1, 0)
    assert asked(simulated).status == 200
    simulated.answer(service, 0.0)
    assert simulated.stats.in_flight.now == 0
