"""The key stands in no error, whatever the endpoint says; answers stay as they came."""

from __future__ import annotations

import pytest

from prefect_llm.engine.redaction import redacted
from prefect_llm.values.provider import Provider
from prefect_llm.wire.http import Answer

KEY = "sk-0123456789"


def body_of(status: int, body: bytes, key: str | None = KEY, **headers: str) -> bytes:
    provider = Provider("https://h/v1", api_key=key, headers=headers)
    return redacted(Answer(status, {}, body), provider).body


@pytest.mark.parametrize("status", [301, 400, 401, 429, 500])
def test_an_error_that_repeats_the_key_does_so_no_more(status: int) -> None:
    assert body_of(status, b'{"error": "key sk-0123456789 is wrong"}') == b'{"error": "key [hidden] is wrong"}'


def test_a_page_that_is_no_completion_is_an_error_too() -> None:
    assert (
        body_of(200, b"<pre>Authorization: Bearer sk-0123456789</pre>")
        == b"<pre>Authorization: Bearer [hidden]</pre>"
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": null, "error": {"code": 401, "message": "key sk-0123456789 is wrong"}}',
        b'{"object": "error", "message": "key sk-0123456789 is wrong", "code": 401}',
        b'data: {"error": "key sk-0123456789 is wrong"}\n\n',
        b"event: error\ndata: key sk-0123456789 is wrong\n\n",
    ],
    ids=["beside choices", "vLLM's", "in a stream", "by an event's name"],
)
def test_an_error_inside_a_200_is_an_error_too(body: bytes) -> None:
    assert body_of(200, body) == body.replace(b"sk-0123456789", b"[hidden]")


def test_an_answer_that_speaks_of_errors_is_none() -> None:
    body = b'{"choices": [{"message": {"content": "{\\"error\\": \\"sk-0123456789\\"}"}, "error": null}]}'
    assert body_of(200, body) is body


def test_values_of_extra_headers_are_secrets() -> None:
    assert body_of(403, b"token abcdefgh", key=None, **{"x-token": "abcdefgh"}) == b"token [hidden]"


def test_a_completion_stays_as_it_came() -> None:
    body = b' {"choices": [{"message": {"content": "sk-0123456789"}}]}'
    assert body_of(200, body) is body


def test_a_completion_that_repeats_a_long_key_does_so_no_more() -> None:
    key = "sk-proj-0123456789abcdef"
    body = b'{"choices": [{"message": {"content": "your key is %b"}}]}' % key.encode()
    assert body_of(200, body, key=key) == body.replace(key.encode(), b"[hidden]")


@pytest.mark.parametrize("key", ["none", "EMPTY", "ollama", "", None])
def test_a_placeholder_is_a_word_like_others(key: str | None) -> None:
    assert body_of(400, b"none of EMPTY ollama", key=key) == b"none of EMPTY ollama"
