"""What a 404 is about: the model, or the address; and what is wrong with an address that is no API's.

The endpoint's own list of models tells them apart; without one, whether the address takes another method.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import Protocol

from prefect_llm.values.errors import (
    EndpointNotFound,
    ModelNotFound,
    Rejected,
    RequestError,
    RequestRefused,
    RunError,
)
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.format import WireFormat
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Answer

NEAREST_NAMES = 3
NOT_FOUND = 404
MISDIRECTED = frozenset({200, NOT_FOUND, 405})
"""What a wrong address says: a page for people, nothing there, or nothing that is posted to."""
LOOKUP_TIMEOUT_S = 5.0
WRONG_METHOD = frozenset({405, 501})
"""What a route says that is there and takes no GET."""


class Lookup(Protocol):
    """Reads what is at a URL, as a transport does."""

    async def get(self, url: str, timeout_s: float | None = None) -> Answer:
        """Raises `RequestError` where nothing comes."""


def may_be_the_model(request: Request, error: RequestError, verdict: RunError) -> bool:
    """Whether a list of models may tell more: of an address, or of a refusal without a code that names the model."""
    if isinstance(verdict, EndpointNotFound):
        return error.status in MISDIRECTED
    is_plain = isinstance(error, Rejected) and error.cause is None and not error.parameters
    named = re.search(rf"(?<![\w-]){re.escape(request.parameters.model)}(?![\w-])", error.message)
    return isinstance(verdict, RequestRefused) and is_plain and named is not None


async def explained(
    transport: Lookup, provider: Provider, request: Request, error: RequestError, verdict: RunError
) -> RunError:
    """The verdict on such an error, in the better words that a few looks at the endpoint allow."""
    wire_format, base_url, model = format_of(provider), provider.base_url.rstrip("/"), request.parameters.model
    names, is_404 = await _listed_models(transport, wire_format, base_url), error.status == NOT_FOUND
    if names is None and isinstance(verdict, RequestRefused):
        return verdict
    if names is None:
        if (corrected := await _corrected(transport, provider, request)) is not None:
            return corrected
        if (
            isinstance(verdict, EndpointNotFound)
            and is_404
            and await _has_route(transport, wire_format.url(provider, request))
        ):
            return ModelNotFound(f"{provider.name} does not know the model {model!r} ({error.message})")
        return verdict

    if isinstance(verdict, EndpointNotFound) and not is_404:
        return verdict  # whatever it lists: that is no word about a model
    if model not in names:
        near = difflib.get_close_matches(model, names, n=NEAREST_NAMES, cutoff=0.4) or names[:NEAREST_NAMES]
        listed = f"; it lists {', '.join(near)}" if near else ""
        said = "" if isinstance(verdict, ModelNotFound) else f" ({error.message})"
        return ModelNotFound(f"{provider.name} does not know the model {model!r}{said}{listed}")
    if isinstance(verdict, EndpointNotFound):
        return EndpointNotFound(
            f"{base_url} lists the model {model!r} and has no {wire_format.service} for it ({error.message})"
        )
    return verdict


async def _corrected(transport: Lookup, provider: Provider, request: Request) -> EndpointNotFound | None:
    """What is wrong with an address that lists no models, if a corrected one does or the fault is plain to see."""
    wire_format, base_url = format_of(provider), provider.base_url.rstrip("/")
    bare, mark, parameters = base_url.partition("?")
    added = wire_format.url(replace(provider, base_url=bare), request).removeprefix(bare.rstrip("/"))
    missing, shortened = wire_format.base_path, bare.removesuffix(added)
    is_doubled = shortened != bare

    for right in (shortened, shortened + missing):
        if right == bare or right.endswith(missing * 2):
            continue
        if await _listed_models(transport, wire_format, f"{right}{mark}{parameters}") is not None:
            fault = f"ends with {added}, which is added to it" if is_doubled else f"lacks {missing}"
            return EndpointNotFound(f"base_url {base_url} {fault}: write {right}{mark}{parameters}")
    if is_doubled:
        right = f"{shortened}{mark}{parameters}"
        return EndpointNotFound(f"base_url {base_url} ends with {added}, which is added to it: write {right}")
    return None


async def _has_route(transport: Lookup, url: str) -> bool:
    """Whether the endpoint has the address, though not for a model that it does not know."""
    try:
        return (await transport.get(url, LOOKUP_TIMEOUT_S)).status in WRONG_METHOD
    except RequestError:
        return False


async def _listed_models(transport: Lookup, wire_format: WireFormat, base_url: str) -> list[str] | None:
    """The models an endpoint lists, `None` if it has no such list."""
    try:
        answer = await transport.get(wire_format.models_url(base_url), LOOKUP_TIMEOUT_S)
    except RequestError:
        return None
    return wire_format.model_names(answer.body) if answer.status == 200 else None
