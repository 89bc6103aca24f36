"""A provider that the price list knows by its address, whose requests go to the scripted server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from tests.run.running import provider_at
from tests.scripted_server import steps

from prefect_llm.values.provider import Provider


class _Diverted(httpx.AsyncBaseTransport):
    """Sends every request to another address, with the path it had."""

    def __init__(self, to: str) -> None:
        self._to = urlsplit(to)
        self._transport = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme=self._to.scheme, host=self._to.hostname, port=self._to.port)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()


def listed_provider(server_url: str, base_url: str = "https://api.openai.com/v1") -> Provider:
    """Asked by the list's address, answered by the server."""
    return replace(provider_at(base_url), http_client=lambda: httpx.AsyncClient(transport=_Diverted(server_url)))


def answer(usage: Mapping[str, Any], model: str, service_tier: str | None = None) -> steps.Step:
    """A completion whose tier stands beside its choices."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    body = {"model": model, "choices": [choice], "usage": dict(usage), "service_tier": service_tier}
    return steps.status(200, json.dumps(body))
