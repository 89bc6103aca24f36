"""A 404 for the model or for the address: a run tells them apart as `verify` does, by the list of models."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.submitting import ask, provider_at, requests
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import verify
from prefect_llm.values.errors import EndpointNotFound, ModelNotFound, RequestRefused, RunError
from prefect_llm.values.provider import Provider

SHAPES: dict[str, dict[str, Any]] = {
    "ollama": {"error": {"message": 'model "m" not found, try pulling it first', "type": "api_error", "code": None}},
    "ollama, August 2026": {"error": {"message": "model 'm' not found", "type": "not_found_error", "code": None}},
    "openrouter": {"error": {"message": "No endpoints found for m.", "code": 404}},
    "azure": {"error": {"code": "404", "message": "Resource not found"}},
    "fireworks": {"error": {"object": "error", "type": "invalid_request_error", "message": "Model not found"}},
    "a text": {"error": "model 'm' not found"},
    "FastAPI": {"detail": "Not Found"},
}


def complaint_of(error: type[RunError], provider: Provider, model: str = "m", *, same: bool = True) -> str:
    """What a run says; `verify` says the same, or at least the same kind of thing."""
    with pytest.raises(error) as stopped:
        ask(provider, requests(40, model=model))
    with pytest.raises(error) as verified:
        verify(provider, model)
    assert not same or str(verified.value) == str(stopped.value)
    assert "\n" not in str(stopped.value)
    return str(stopped.value)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_that_is_not_listed_is_told_as_such(scripted_server: ScriptedServer, shape: str) -> None:
    scripted_server.script_all(steps.status(404, SHAPES[shape]))
    said = complaint_of(ModelNotFound, provider_at(scripted_server.base_url))
    assert "does not know the model 'm'" in said
    assert "it lists scripted-model" in said


WITHOUT_A_CODE = {
    "LiteLLM": "/chat/completions: Invalid model name passed in model=gpt-x. Call `/v1/models` to view them",
    "OpenRouter": "gpt-x is not a valid model ID",
}


@pytest.mark.parametrize("gateway", WITHOUT_A_CODE)
def test_a_400_without_a_code_that_names_a_model_that_is_not_listed_is_the_models(
    scripted_server: ScriptedServer, gateway: str
) -> None:
    scripted_server.script_all(steps.error(400, WITHOUT_A_CODE[gateway]))
    said = complaint_of(ModelNotFound, provider_at(scripted_server.base_url), "gpt-x")
    assert f"does not know the model 'gpt-x' (HTTP 400: {WITHOUT_A_CODE[gateway]})" in said
    assert "it lists scripted-model" in said


@pytest.mark.parametrize("message", ["no tools for gpt-x-mini", "no tools"], ids=["another name", "not named"])
def test_a_400_that_does_not_name_the_model_is_the_requests(scripted_server: ScriptedServer, message: str) -> None:
    scripted_server.script_all(steps.error(400, message))
    with pytest.raises(RequestRefused):
        ask(provider_at(scripted_server.base_url), requests(40, model="gpt-x"))


def test_a_400_that_names_a_listed_model_is_the_requests(scripted_server: ScriptedServer) -> None:
    scripted_server.know_models("gpt-x")
    scripted_server.script_all(steps.error(400, "gpt-x takes no tools"))
    said = complaint_of(RequestRefused, provider_at(scripted_server.base_url), "gpt-x", same=False)
    assert "gpt-x takes no tools" in said


def test_a_400_is_the_requests_where_nobody_lists_models(scripted_server: ScriptedServer) -> None:
    scripted_server.list_nothing()
    scripted_server.script_all(steps.error(400, "gpt-x is not a valid model ID"))
    with pytest.raises(RequestRefused):
        ask(provider_at(scripted_server.base_url), requests(40, model="gpt-x"))


def test_without_a_list_an_address_that_takes_no_get_is_there(scripted_server: ScriptedServer) -> None:
    scripted_server.list_nothing()
    scripted_server.script_all(steps.status(404, SHAPES["ollama"]))
    said = complaint_of(ModelNotFound, provider_at(scripted_server.base_url))
    assert "does not know the model 'm' (HTTP 404: model" in said


def test_the_list_is_looked_at_once_for_all_requests(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.status(404, SHAPES["ollama"]))
    with pytest.raises(ModelNotFound):
        ask(provider_at(scripted_server.base_url, concurrency=8), requests(1000))
    looked = [received for received in scripted_server.log() if received.method == "GET"]
    assert [received.path for received in looked] == ["/v1/models"]
    assert len(scripted_server.log()) <= 8 + 1


def test_a_listed_model_that_is_not_served_is_told_as_such(scripted_server: ScriptedServer) -> None:
    scripted_server.know_models("m")
    scripted_server.script_all(steps.status(404, SHAPES["FastAPI"]))
    said = complaint_of(EndpointNotFound, provider_at(scripted_server.base_url))
    assert "lists the model 'm' and has no chat completions for it (HTTP 404: Not Found)" in said


def test_an_address_without_its_v1_is_told_so(scripted_server: ScriptedServer) -> None:
    said = complaint_of(EndpointNotFound, provider_at(scripted_server.url))
    assert said == f"base_url {scripted_server.url} lacks /v1: write {scripted_server.base_url}"


PAGE = "<html><title>Welcome</title></html>"


@pytest.mark.parametrize("answer", [steps.status(200, PAGE), steps.status(405, {"detail": "Method Not Allowed"})])
def test_an_address_that_answers_with_a_page_or_takes_no_posts_is_no_apis(
    scripted_server: ScriptedServer, answer: steps.Step
) -> None:
    scripted_server.script_all(answer)
    said = complaint_of(EndpointNotFound, provider_at(scripted_server.base_url))
    assert "check base_url" in said
    assert "Welcome" in said or "has no chat completions (HTTP 405: Method Not Allowed)" in said


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "/v1/chat/completions/"])
def test_an_address_with_the_path_that_is_added_is_told_so(scripted_server: ScriptedServer, path: str) -> None:
    said = complaint_of(EndpointNotFound, provider_at(scripted_server.url + path))
    assert said == (
        f"base_url {(scripted_server.url + path).rstrip('/')} ends with /chat/completions, which is added to it: "
        f"write {scripted_server.base_url}"
    )


def test_an_address_without_any_list_leaves_both_open(scripted_server: ScriptedServer) -> None:
    said = complaint_of(EndpointNotFound, provider_at(f"{scripted_server.url}/elsewhere"))
    assert "check base_url, which includes /v1 on most endpoints, and the model 'm'" in said


def test_parameters_of_the_address_are_sent_with_every_request(scripted_server: ScriptedServer) -> None:
    provider = provider_at(f"{scripted_server.base_url}?api-version=2024-10-21")
    verify(provider, "m")
    ask(provider, requests(2))
    assert {received.path for received in scripted_server.log()} == {"/v1/chat/completions?api-version=2024-10-21"}


def test_a_corrected_address_keeps_its_parameters(scripted_server: ScriptedServer) -> None:
    said = complaint_of(EndpointNotFound, provider_at(f"{scripted_server.url}?api-version=2024-10-21"))
    assert said.endswith(f"lacks /v1: write {scripted_server.base_url}?api-version=2024-10-21")
