"""What a body with a status of its own raises."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from prefect_llm.values.errors import RequestError
from prefect_llm.wire.error_bodies import raise_refusal
from prefect_llm.wire.http import Answer
from prefect_llm.wire.openai_error_words import ERROR_WORDS


def refusal(status: int, body: Any, **headers: str) -> RequestError:
    """The error of an answer; `body` is bytes, or a value that is sent as JSON."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    with pytest.raises(RequestError) as raised:
        raise_refusal(Answer(status, headers, data), ERROR_WORDS)
    return raised.value
