"""One sentence that says what is wrong with an endpoint, a key or a model."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port

from prefect_llm.engine import verify
from prefect_llm.engine.verification import LARGER_LIMIT
from prefect_llm.values.errors import (
    AccountExhausted,
    AuthenticationFailed,
    EndpointNotFound,
    InvalidInput,
    ModelNotFound,
    ProviderDown,
    RequestRefused,
    RunError,
)
from prefect_llm.values.provider import Provider


def complaint_of(error: type[RunError], provider: Provider, model: str = "m") -> str:
    """The one line that `verify` says."""
    with pytest.raises(error) as raised:
        verify(provider, model)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@contextmanager
def odd_endpoint(listed: object) -> Iterator[str]:
    """An endpoint that knows no model, and lists those it has in a way of its own."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, listed)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._answer(404, {"error": {"message": "no such model", "code": "model_not_found"}})

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

        def _answer(self, status: int, body: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_a_sound_endpoint_answers_one_token(scripted_server: ScriptedServer) -> None:
    verified = verify(Provider(scripted_server.base_url, model="small"))
    assert (verified.provider, verified.model) == ("127.0.0.1", "small")
    (received,) = scripted_server.log()
    assert received.body["max_tokens"] == 1


def test_an_answer_cut_after_its_one_token_is_a_sound_one(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.null_content(finish_reason="length"))
    assert verify(Provider(scripted_server.base_url), "m").model == "m"


def test_a_refused_key_is_said_by_whom(scripted_server: ScriptedServer) -> None:
    scripted_server.expect_key("right")
    said = complaint_of(AuthenticationFailed, Provider(scripted_server.base_url, api_key="wrong"))
    assert "127.0.0.1 refused the key" in said
    assert "wrong" not in said


def test_an_unknown_model_comes_with_the_nearest_names(scripted_server: ScriptedServer) -> None:
    scripted_server.know_models("gpt-4.1-mini", "gpt-4.1", "whisper-1")
    said = complaint_of(ModelNotFound, Provider(scripted_server.base_url), "gpt-4.1-mni")
    assert "'gpt-4.1-mni'; it lists gpt-4.1-mini" in said


def test_a_base_url_without_v1_is_said(scripted_server: ScriptedServer) -> None:
    said = complaint_of(EndpointNotFound, Provider(scripted_server.url))
    assert said.endswith(f"lacks /v1: write {scripted_server.base_url}")


@pytest.mark.parametrize("listed", [{"data": ["m-1", 7, {"id": None}, {}]}, {"data": {}}, [], {"data": None}])
def test_an_odd_list_of_models_only_leaves_the_names_out(listed: object) -> None:
    with odd_endpoint(listed) as base_url:
        said = complaint_of(ModelNotFound, Provider(base_url), "m-2")
    assert "does not know the model 'm-2'" in said


def test_nothing_listening_is_said() -> None:
    assert "connection refused" in complaint_of(ProviderDown, Provider(f"http://127.0.0.1:{free_port()}/v1"))


def test_an_unknown_host_is_said() -> None:
    assert "nowhere.invalid is not known" in complaint_of(ProviderDown, Provider("http://nowhere.invalid/v1"))


def test_tls_to_a_plain_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_in_plain_text() -> None:
            connection, _ = listener.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        plain = threading.Thread(target=answer_in_plain_text)
        plain.start()
        said = complaint_of(ProviderDown, Provider(f"https://127.0.0.1:{listener.getsockname()[1]}/v1"))
        plain.join()
    assert "does not speak TLS" in said


def test_what_is_no_address_is_refused() -> None:
    assert "no http(s) address" in complaint_of(InvalidInput, Provider("api.openai.com/v1"))


def test_a_model_must_be_named() -> None:
    with pytest.raises(InvalidInput, match="no model"):
        verify(Provider("http://127.0.0.1:1/v1"))


@pytest.mark.parametrize(
    ("step", "error", "said"),
    [
        (steps.status(402), AccountExhausted, "exhausted"),
        (steps.status(429), AccountExhausted, "throttles"),
        (steps.status(500), ProviderDown, "not usably"),
        (steps.not_json(), ProviderDown, "not JSON"),
        (steps.status(200, {"status": "ok"}), ProviderDown, "without choices"),
        (steps.status(400), RequestRefused, "refused the request"),
        (steps.close_before_answer(), ProviderDown, "broke the connection off"),
    ],
    ids=["402", "429", "500", "not JSON", "not chat", "400", "closed"],
)
def test_other_answers_are_said_too(
    scripted_server: ScriptedServer, step: steps.Step, error: type[RunError], said: str
) -> None:
    scripted_server.script_all(step)
    assert said in complaint_of(error, replace(Provider(scripted_server.base_url), api_key="k"))


@pytest.mark.parametrize(
    "refusal",
    [
        steps.error(400, "Could not finish the message because max_tokens or model output limit was reached."),
        steps.error(400, "Invalid value: below the minimum", param="max_tokens", code="integer_below_min_value"),
        steps.status(422, {"detail": [{"loc": ["body", "max_tokens"], "msg": "must be at least 16"}]}),
    ],
    ids=["the limit was reached", "OpenAI's minimum", "FastAPI's"],
)
def test_a_refused_limit_of_one_token_is_asked_again_with_a_larger_one(
    scripted_server: ScriptedServer, refusal: steps.Step
) -> None:
    scripted_server.script_all(refusal, steps.ok())
    assert verify(Provider(scripted_server.base_url), "m").model == "m"
    names = ("max_tokens", "max_completion_tokens")
    limits = [received.body[name] for received in scripted_server.log() for name in names if name in received.body]
    assert limits == [1, LARGER_LIMIT]


def test_it_may_be_called_where_an_event_loop_runs(scripted_server: ScriptedServer) -> None:
    async def called() -> str:
        return verify(Provider(scripted_server.base_url), "m").model

    assert asyncio.run(called()) == "m"
