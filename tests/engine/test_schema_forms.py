"""Endpoints that take schemas in the strict form alone: known by their host, or learned from one refusal."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.submitting import ask, provider_at, requests
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.prompts.answer_schema import answer_format
from prefect_llm.values.errors import RequestRefused
from prefect_llm.values.provider import Provider
from prefect_llm.wire.openai_chat import ChatEncoder

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 4},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}
FORMLESS = {"type": "object", "properties": {"any": {"type": "object"}}}
SAID = "Invalid schema for response_format 'answer': In context=('properties', 'name'), 'maxLength' is not permitted."
REFUSALS = {
    "OpenAI": steps.error(400, SAID, param="response_format"),
    "LiteLLM": steps.error(400, f"litellm.BadRequestError: OpenAIException - {SAID}", code="400"),
    "FastAPI": steps.status(422, {"detail": [{"loc": ["body", "response_format"], "type": "value", "msg": "no"}]}),
}
OTHER_REFUSAL = steps.error(400, "said by the endpoint", param="temperature", code="unsupported_value")


def schemas_sent(server: ScriptedServer) -> list[Any]:
    """The schema of each request."""
    return [received.body["response_format"]["json_schema"]["schema"] for received in server.log()]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_schema_is_sent_in_its_strict_form_and_every_document_is_answered(
    scripted_server: ScriptedServer, refusal: str
) -> None:
    answered = steps.ok(content='{"name": "a", "tags": []}')
    script = {f"doc-{row}": [REFUSALS[refusal], answered] if row < 4 else [answered] for row in range(20)}
    scripted_server.script(script)
    shape = answer_format(SCHEMA)
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=4), requests(20, answer_format=shape))
    assert len(outcomes) == 20
    assert all(outcome.ok and outcome.discarded == () and outcome.lost == 0 for outcome in outcomes.values())
    assert schemas_sent(scripted_server)[0] == SCHEMA
    assert schemas_sent(scripted_server).count(shape.strict_schema) == 20


def test_another_refusal_teaches_nothing(scripted_server: ScriptedServer) -> None:
    answered = steps.ok(content="{}")
    scripted_server.script({"doc-0": answered, "doc-1": OTHER_REFUSAL, "doc-2": answered})
    provider = provider_at(scripted_server.base_url, concurrency=1)
    outcomes = ask(provider, requests(3, answer_format=answer_format(SCHEMA)))
    assert [outcomes[f"doc-{row}"].ok for row in range(3)] == [True, False, True]
    assert schemas_sent(scripted_server) == [SCHEMA] * 3


@pytest.mark.parametrize("schema", [FORMLESS, SCHEMA])
def test_a_refusal_that_no_other_form_mends_is_not_asked_again(scripted_server: ScriptedServer, schema: Any) -> None:
    shape = answer_format(schema)
    scripted_server.script({"doc-0": REFUSALS["OpenAI"]})
    with pytest.raises(RequestRefused, match="does not take the answer's JSON schema"):
        ask(provider_at(scripted_server.base_url, concurrency=1), requests(1, answer_format=shape))
    assert schemas_sent(scripted_server) == list(shape.forms)


@pytest.mark.parametrize(
    ("base_url", "strict"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://name.openai.azure.com/openai/v1", True),
        ("https://openrouter.ai/api/v1", True),
        ("https://api.groq.com/openai/v1", True),
        ("http://127.0.0.1:8000/v1", False),
        ("https://api.openai.com.example/v1", False),
    ],
)
def test_hosts_that_are_known_for_it_get_the_strict_form_at_once(base_url: str, strict: bool) -> None:
    shape = answer_format(SCHEMA)
    (request,) = requests(1, answer_format=shape)
    body = ChatEncoder(Provider(base_url))(request)
    assert (b'"additionalProperties":false' in body) == strict
