"""What OpenAI's operations share: the words of its errors, and its list of models."""

from __future__ import annotations

import orjson
import pytest

from prefect_llm.values.errors import Cause, Rejected, RequestError
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider
from prefect_llm.wire.error_bodies import raise_refusal
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_api import bearer, model_names
from prefect_llm.wire.openai_error_words import ERROR_WORDS


def refused(status: int, code: str) -> RequestError:
    """What an answer of that status and code is raised as."""
    with pytest.raises(RequestError) as raised:
        raise_refusal(Answer(status, {}, orjson.dumps({"error": {"message": "no", "code": code}})), ERROR_WORDS)
    return raised.value


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (429, "insufficient_quota", Cause.ACCOUNT_EXHAUSTED),
        (429, "rate_limit_exceeded", None),
        (404, "model_not_found", Cause.MODEL_NOT_FOUND),
        (404, "NotFoundError", Cause.MODEL_NOT_FOUND),
        (404, "not_found_error", None),
        (404, "unknown_url", None),
        (401, "invalid_api_key", Cause.KEY_REFUSED),
    ],
)
def test_a_code_says_what_is_wrong_with_the_provider(status: int, code: str, cause: Cause | None) -> None:
    error = refused(status, code)
    assert (error.cause, error.code) == (cause, code)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "context_length_exceeded", ErrorKind.CONTEXT_TOO_LONG),
        (413, "exceed_context_size_error", ErrorKind.CONTEXT_TOO_LONG),
        (400, "content_filter", ErrorKind.CONTENT_FILTERED),
        (422, "content_policy_violation", ErrorKind.CONTENT_FILTERED),
        (404, "context_length_exceeded", ErrorKind.REJECTED),
        (400, "other", ErrorKind.REJECTED),
    ],
)
def test_a_code_says_what_is_wrong_with_the_request(status: int, code: str, kind: ErrorKind) -> None:
    error = refused(status, code)
    assert isinstance(error, Rejected)
    assert error.kind is kind


def test_the_key_travels_as_a_bearer_token_and_none_without_one() -> None:
    assert bearer(Provider("https://llm.example/v1", api_key="sk-1")) == {"authorization": "Bearer sk-1"}
    assert bearer(Provider("https://llm.example/v1")) == {}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"data": [{"id": "a"}, {"id": 7}, "b", {}]}', ["a"]),
        (b'{"data": []}', []),
        (b'{"data": {}}', None),
        (b'{"models": []}', None),
        (b"[]", None),
        (b"<html>", None),
    ],
)
def test_models_are_listed_by_their_ids(body: bytes, names: list[str] | None) -> None:
    assert model_names(body) == names
