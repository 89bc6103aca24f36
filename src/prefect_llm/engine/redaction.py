"""Keeps the provider's secrets out of errors: some endpoints repeat the key they were given."""

from __future__ import annotations

from dataclasses import replace

from prefect_llm.engine.transport import Answer
from prefect_llm.records import Provider

SHORTEST_SECRET = 8
"""A shorter key (`none`, `EMPTY`, `ollama`) is a placeholder, and a word that any sentence may hold."""
HIDDEN = b"[hidden]"


def redacted(answer: Answer, provider: Provider) -> Answer:
    """The answer without the key and the values of extra headers; what may be a completion stays as it came."""
    if 200 <= answer.status < 300 and answer.body.lstrip().startswith(b"{"):
        return answer
    body = answer.body
    for secret in (provider.api_key or "", *provider.headers.values()):
        if len(secret) >= SHORTEST_SECRET:
            body = body.replace(secret.encode(), HIDDEN)
    return replace(answer, body=body)
