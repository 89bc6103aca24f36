"""What the scripted server answers, and which step a request meets."""

from __future__ import annotations

import email.utils
import http.client
import json
import time

import pytest
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.raw_requests import ask, get, post


def test_the_default_answer_echoes_and_counts_characters(connection: http.client.HTTPConnection) -> None:
    response, answer = ask(connection, "doc-1 hello", system="be kind")
    assert response.status == 200
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "m"
    assert answer["choices"][0]["message"]["content"] == "echo: doc-1 hello"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {
        "prompt_tokens": len("be kind") + len("doc-1 hello"),
        "completion_tokens": 7,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_the_last_user_message_is_echoed(connection: http.client.HTTPConnection) -> None:
    turns = [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")]
    messages = [{"role": role, "content": content} for role, content in turns]
    _, answer = post(connection, {"model": "m", "messages": messages})
    assert answer["choices"][0]["message"]["content"] == "echo: three"
    assert answer["usage"]["prompt_tokens"] == 3 + 3 + 5 + 4


def test_text_parts_are_read_like_text(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    parts = [{"type": "text", "text": "doc-4"}, {"type": "image_url", "image_url": {"url": "x"}}]
    _, answer = post(connection, {"model": "m", "messages": [{"role": "user", "content": parts}]})
    assert answer["choices"][0]["message"]["content"] == "echo: doc-4"
    assert scripted_server.stats().by_document == {"doc-4": 1}


def test_a_schema_is_answered_with_json(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    _, answer = ask(connection, "hello", response_format=schema)
    assert answer["choices"][0]["message"]["content"] == '{"label":"positive"}'
    scripted_server.answer_json({"n": 3})
    _, answer = ask(connection, "hello", response_format=schema)
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"n": 3}


def test_every_field_of_an_answer_can_be_set(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    usage = steps.tokens(10, 5, cached=4, reasoning=2)
    step = steps.ok("hi", usage=usage, finish_reason="length", model="m-2026", refusal="no", headers={"X-Left": "3"})
    scripted_server.script_all(step)
    response, answer = ask(connection, "hello")
    assert response.headers["x-left"] == "3"
    assert answer["model"] == "m-2026"
    assert answer["usage"] == usage
    assert usage["total_tokens"] == 15
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["message"] == {"role": "assistant", "content": "hi", "refusal": "no"}


def test_a_refusal_alone_makes_the_content_null(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.ok(refusal="I cannot."))
    message = ask(connection, "hello")[1]["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": "I cannot."}


def test_an_empty_usage_is_left_out(scripted_server: ScriptedServer, connection: http.client.HTTPConnection) -> None:
    scripted_server.script_all(steps.ok(usage={}))
    assert "usage" not in ask(connection, "hello")[1]


def test_unusable_completions_come_with_a_200(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.empty_choices(), steps.null_content(), steps.not_json())
    assert ask(connection, "hello")[1]["choices"] == []
    assert ask(connection, "hello")[1]["choices"][0]["message"]["content"] is None
    response, text = ask(connection, "hello")
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_a_huge_body_arrives_whole(scripted_server: ScriptedServer, connection: http.client.HTTPConnection) -> None:
    scripted_server.script_all(steps.huge_body(5_000_000))
    content = ask(connection, "hello")[1]["choices"][0]["message"]["content"]
    assert content == "x" * 5_000_000


def test_errors_are_spelled_as_openai_does(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(
        steps.status(503),
        steps.error(429, "You are out.", type="insufficient_quota", code="insufficient_quota"),
    )
    response, body = ask(connection, "hello")
    assert response.status == 503
    assert body["error"]["type"] == "server_error"
    response, body = ask(connection, "hello")
    assert response.status == 429
    assert body == {
        "error": {
            "message": "You are out.",
            "type": "insufficient_quota",
            "param": None,
            "code": "insufficient_quota",
        }
    }


def test_html_bodies_and_unknown_statuses(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.status(529, "<html>overloaded</html>"))
    response, text = ask(connection, "hello")
    assert (response.status, text) == (529, "<html>overloaded</html>")
    assert response.headers["content-type"].startswith("text/html")


def test_a_redirect_has_its_location(scripted_server: ScriptedServer, connection: http.client.HTTPConnection) -> None:
    scripted_server.script_all(steps.status(307, "", headers={"Location": "http://127.0.0.1:9/v1"}))
    response, _ = ask(connection, "hello")
    assert (response.status, response.headers["location"]) == (307, "http://127.0.0.1:9/v1")


def test_retry_after_in_seconds_and_as_a_date_counted_from_the_answer(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    late = steps.status(429, retry_after_date_s=30, delay_s=1.1)
    scripted_server.script_all(steps.status(429, headers={"Retry-After": "2"}), late)
    assert ask(connection, "hello")[0].headers["retry-after"] == "2"
    asked_at = time.time()
    until = email.utils.parsedate_to_datetime(ask(connection, "hello")[0].headers["retry-after"])
    assert asked_at + 31 <= until.timestamp() < time.time() + 31


def test_steps_are_taken_one_per_attempt_and_the_last_repeats(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script({"doc-1": [steps.status(500), steps.status(429), steps.ok()]})
    assert [ask(connection, "doc-1")[0].status for _ in range(4)] == [500, 429, 200, 200]
    assert [received.status for received in scripted_server.requests_for("doc-1")] == [500, 429, 200, 200]
    assert ask(connection, "doc-10")[0].status == 200


def test_the_star_counts_attempts_per_document(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.status(500), steps.ok())
    scripted_server.script({"doc-3": steps.status(400)})
    prompts = ["doc-1", "doc-2", "doc-3", "no number", "doc-1", "doc-2", "doc-3", "no number"]
    answered = [ask(connection, prompt)[0].status for prompt in prompts]
    assert answered == [500, 500, 400, 500, 200, 200, 400, 200]


def test_a_new_script_starts_with_its_first_step(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.status(500), steps.ok())
    before = [ask(connection, "doc-1")[0].status for _ in range(2)]
    scripted_server.script_all(steps.status(503), steps.ok())
    after = [ask(connection, "doc-1")[0].status for _ in range(2)]
    assert (before, after) == ([500, 200], [503, 200])


def test_a_wrong_key_is_401_and_takes_no_step(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    scripted_server.script_all(steps.status(500), steps.ok())
    scripted_server.expect_key("sk-right")
    response, body = ask(connection, "doc-1")
    assert (response.status, body["error"]["code"]) == (401, "invalid_api_key")
    assert ask(connection, "doc-1", key="sk-wrong")[0].status == 401
    assert get(connection, "/v1/models")[0].status == 401
    assert ask(connection, "doc-1", key="sk-right")[0].status == 500


def test_an_unknown_model_is_404_and_the_known_ones_are_listed(
    scripted_server: ScriptedServer, connection: http.client.HTTPConnection
) -> None:
    assert [row["id"] for row in get(connection, "/v1/models")[1]["data"]] == ["scripted-model"]
    scripted_server.know_models("a", "b")
    response, body = ask(connection, "hello", model="c")
    assert (response.status, body["error"]["code"]) == (404, "model_not_found")
    assert ask(connection, "hello", model="b")[0].status == 200
    assert [row["id"] for row in get(connection, "/v1/models")[1]["data"]] == ["a", "b"]


def test_a_wrong_path_method_or_body_is_refused(connection: http.client.HTTPConnection) -> None:
    assert post(connection, {}, path="/v2/chat/completions")[0].status == 404
    assert get(connection, "/v1/chat/completions")[0].status == 405
    assert post(connection, {"model": "m"})[0].status == 400
    assert post(connection, "no object")[0].status == 400


def test_an_unknown_part_of_a_script_is_refused(scripted_server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="unexpected keyword argument 'colour'"):
        scripted_server._set(documents={"*": [{"colour": "red"}]})
    with pytest.raises(ValueError, match="no part 'expectd_key'"):
        scripted_server._set(expectd_key="k")
