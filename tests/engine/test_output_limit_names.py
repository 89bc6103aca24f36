"""Endpoints that call the output limit otherwise: learned from one refusal, at no document's cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.submitting import Asked, ask, provider_at, requests, run_on
from tests.engine.test_budget import Coins
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import Engine, verify
from prefect_llm.values.provider import OutputLimitName
from prefect_llm.values.request import Parameters, Request

UNSUPPORTED = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)
REFUSALS = {
    "OpenAI, Azure": steps.error(400, UNSUPPORTED, param="max_tokens", code="unsupported_parameter"),
    "the parameter alone": steps.error(400, "said by the endpoint", param="max_tokens", code="unsupported_parameter"),
    "LiteLLM": steps.error(400, f"litellm.BadRequestError: OpenAIException - {UNSUPPORTED}", code="400"),
    "FastAPI": steps.status(
        422, {"detail": [{"loc": ["body", "max_tokens"], "type": "extra_forbidden", "msg": "no"}]}
    ),
}
LIMIT = 100


def limited(count: int, model: str = "m", limit: int = LIMIT) -> Iterator[Request]:
    """Requests with an output limit."""
    parameters = Parameters(model, max_output_tokens=limit)
    for request in requests(count):
        yield replace(request, parameters=parameters)


def names_sent(server: ScriptedServer, name: str) -> int:
    """How many requests called the limit so."""
    return sum(name in received.body for received in server.log())


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_name_is_learned_once_and_every_document_is_answered(
    scripted_server: ScriptedServer, refusal: str, streamed: bool
) -> None:
    scripted_server.script({f"doc-{row}": [REFUSALS[refusal], steps.ok()] for row in range(4)})
    provider = provider_at(scripted_server.base_url, concurrency=4, idle_s=5 if streamed else None)
    outcomes = ask(provider, limited(40))
    assert len(outcomes) == 40
    assert all(outcome.ok and outcome.discarded == () and outcome.lost == 0 for outcome in outcomes.values())
    assert names_sent(scripted_server, "max_tokens") <= 4
    assert names_sent(scripted_server, "max_completion_tokens") == 40


def test_a_budget_reserves_for_each_attempt_and_none_is_forfeited(scripted_server: ScriptedServer) -> None:
    scripted_server.script({"doc-0": [REFUSALS["OpenAI, Azure"], steps.ok()]})
    coins, asked = Coins(100), Asked()
    engine = Engine(provider_at(scripted_server.base_url, concurrency=1))
    try:
        run_on(engine, limited(3), asked.deliver, asked.stop, budget=coins)
    finally:
        engine.close()
    assert (coins.ended["reserved"], coins.ended["released"], coins.ended["settled"]) == (4, 1, 3)


def test_each_model_has_its_own_name(scripted_server: ScriptedServer) -> None:
    scripted_server.script({"doc-0": [REFUSALS["OpenAI, Azure"], steps.ok()]})
    engine, asked = Engine(provider_at(scripted_server.base_url, concurrency=1)), Asked()
    models = iter(["reasoning", "plain", "reasoning", "plain"])
    mixed = (replace(each, parameters=Parameters(next(models), max_output_tokens=9)) for each in requests(4))
    try:
        run_on(engine, mixed, asked.deliver, asked.stop)
    finally:
        engine.close()
    sent = [(received.body["model"], "max_tokens" in received.body) for received in scripted_server.log()[1:]]
    assert sorted(sent) == [("plain", True)] * 2 + [("reasoning", False)] * 2


def test_nothing_is_learned_once_the_model_has_answered(scripted_server: ScriptedServer) -> None:
    scripted_server.script({"doc-1": REFUSALS["OpenAI, Azure"]})
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=1), limited(3))
    assert [outcomes[f"doc-{row}"].ok for row in range(3)] == [True, False, True]
    assert names_sent(scripted_server, "max_completion_tokens") == 0


@pytest.mark.parametrize("code", ["integer_above_max_value", "invalid_value"])
def test_a_limit_of_the_wrong_size_teaches_no_other_name(scripted_server: ScriptedServer, code: str) -> None:
    refusal = steps.status(400, {"error": {"message": "too large", "param": "max_tokens", "code": code}})
    scripted_server.script({"doc-0": refusal, "doc-1": steps.ok(delay_s=0.3)})
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=2), limited(2))
    assert not outcomes["doc-0"].ok
    assert names_sent(scripted_server, "max_completion_tokens") == 0


def test_where_both_names_are_refused_the_first_one_stays(scripted_server: ScriptedServer) -> None:
    both: list[steps.Step] = [
        steps.error(400, f"no {name}", param=name, code="unsupported_parameter")
        for name in ("max_tokens", "max_completion_tokens", "max_tokens")
    ]
    scripted_server.script({"doc-0": both, "doc-1": steps.ok(delay_s=0.3)})
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=2), limited(2))
    assert [outcomes[f"doc-{row}"].ok for row in range(2)] == [False, True]
    assert len(scripted_server.requests_for("doc-0")) == 3


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_stated_name_is_kept(scripted_server: ScriptedServer, name: OutputLimitName) -> None:
    refusal = steps.error(400, "no", param=name, code="unsupported_parameter")
    scripted_server.script({"doc-0": refusal, "doc-1": steps.ok(delay_s=0.3)})
    provider = replace(provider_at(scripted_server.base_url, concurrency=2), output_limit_name=name)
    ask(provider, limited(2))
    assert names_sent(scripted_server, name) == len(scripted_server.log()) == 2


def test_verify_learns_the_name_too(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(REFUSALS["OpenAI, Azure"], steps.ok())
    assert verify(provider_at(scripted_server.base_url), "m").model == "m"
    assert names_sent(scripted_server, "max_completion_tokens") == 1


def test_no_temperature_is_sent_that_nobody_set(scripted_server: ScriptedServer) -> None:
    verify(provider_at(scripted_server.base_url), "m")
    ask(provider_at(scripted_server.base_url), limited(2))
    sent: list[Any] = [received.body for received in scripted_server.log()]
    assert not any("temperature" in body or "top_p" in body for body in sent)
