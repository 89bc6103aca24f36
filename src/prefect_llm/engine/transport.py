"""The seam to the network: a body goes out to a URL, an answer comes back, or `Unavailable`.

Two transports: pyreqwest's, and any `httpx.AsyncClient` that a user hands over for client certificates or a transport
of their own. Runs and `verify` use the same one. Neither follows redirects.
"""

from __future__ import annotations

import importlib.metadata
from typing import Protocol
from urllib.parse import urlsplit

from pyreqwest.http import Url

from prefect_llm.engine.httpx_transport import HttpxTransport
from prefect_llm.engine.reqwest_transport import ReqwestTransport, build_client
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import Provider
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Answer


class Transport(Protocol):
    """Sends bodies to one provider. Lives on one event loop."""

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> Answer:
        """One attempt, under the provider's timeout and at most `timeout_s`.

        Raises `Unavailable`, or `BadResponse` for an oversized answer.
        """

    async def get(self, url: str, timeout_s: float | None = None) -> Answer:
        """Read what is at the URL; bounded and raised as by `post`."""

    async def close(self) -> None:
        """Close idle connections."""


def check_provider(provider: Provider) -> None:
    """Raise `InvalidInput`, which repeats no secret, where the provider cannot be asked at all.

    That is an address, a format, a header or a proxy that cannot be used, or no certificate authority to trust.
    """
    if not _is_web_address(provider.base_url):
        shown = "" if "@" in provider.base_url else f" {provider.base_url!r}"
        raise InvalidInput(
            f"base_url{shown} is no http(s) address: write one like https://host/v1, without user or password"
        )
    authentication = format_of(provider).headers(provider)
    for name, value in request_headers(provider).items():
        if not (value.isascii() and value.isprintable()):
            what = "the API key" if name in authentication else f"the value of {name!r}"
            raise InvalidInput(
                f"{what} cannot be sent as a header: it holds a line break or a character beyond ASCII; take it out"
            )
    if provider.http_client is None:
        build_client(provider, {})


def _is_web_address(base_url: str) -> bool:
    try:
        parts, parsed = urlsplit(base_url), Url(base_url)
    except ValueError:
        return False
    sound = parsed.scheme in ("http", "https") and bool(parts.hostname) and base_url.isprintable()
    return sound and "@" not in parts.netloc


def open_transport(provider: Provider) -> Transport:
    """The transport to the provider: the user's own httpx client if there is one, else pyreqwest."""
    if provider.http_client is not None:
        return HttpxTransport(provider.http_client(), provider, request_headers(provider))
    return ReqwestTransport(provider, request_headers(provider))


def request_headers(provider: Provider) -> dict[str, str]:
    """The headers every request carries: the format's own, over which the provider's win."""
    version = importlib.metadata.version("prefect-llm")
    headers = {"content-type": "application/json", "user-agent": f"prefect-llm/{version}"}
    own = format_of(provider).headers(provider)
    return headers | own | {name.lower(): value for name, value in provider.headers.items()}
