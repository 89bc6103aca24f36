"""Keeps the provider's secrets out of errors and rows: some endpoints repeat the key they were given."""

from __future__ import annotations

from dataclasses import replace

from prefect_llm.values.provider import Provider
from prefect_llm.wire.completions import is_completion
from prefect_llm.wire.http import Answer

SHORTEST_SECRET = 8
"""A shorter key (`none`, `EMPTY`, `ollama`) is a placeholder, and a word that any sentence may hold."""
SHORTEST_IN_COMPLETION = 20
"""Of a key that is taken out of a completion, too: no model's answer holds so long a key by chance."""
HIDDEN = b"[hidden]"


def redacted(answer: Answer, provider: Provider) -> Answer:
    """The answer without the key and the values of extra headers; a completion without a key that is long."""
    key, body = (provider.api_key or "").encode(), answer.body
    if is_completion(answer):
        if len(key) < SHORTEST_IN_COMPLETION or key not in body:
            return answer
        return replace(answer, body=body.replace(key, HIDDEN))
    for secret in (key, *(value.encode() for value in provider.headers.values())):
        if len(secret) >= SHORTEST_SECRET:
            body = body.replace(secret, HIDDEN)
    return replace(answer, body=body)
