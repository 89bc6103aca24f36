"""Check endpoint, key and model with one answer of one token, and say in one sentence what is wrong.

It asks through httpx, whose exceptions tell a refused connection, an unknown host and a bad certificate
apart.
"""

from __future__ import annotations

import difflib
import socket
import ssl
import time
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx

from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.redaction import redacted
from prefect_llm.engine.transport import check_provider, request_headers
from prefect_llm.values.errors import (
    AccountExhausted,
    BadResponse,
    EndpointNotFound,
    InvalidInput,
    ModelNotFound,
    ProviderDown,
    RequestError,
    RequestRefused,
    Retryable,
    RunError,
    Throttled,
    Unavailable,
)
from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.format import WireFormat
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Answer

TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
NEAREST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Verified:
    """The endpoint answered. `model` is the one it says it is; `latency_ms` of that one request."""

    provider: str
    model: str
    latency_ms: float
    usage: Usage | None


def verify(provider: Provider, model: str | None = None) -> Verified:
    """Ask for one token of `model` (the provider's own by default). Billed as one tiny request.

    Raises the `RunError` that says what is wrong and what to do.
    """
    model = model or provider.model
    if not model:
        raise InvalidInput("no model to verify: give one, or set the provider's default model")
    check_provider(provider)
    wire_format = format_of(provider)
    request = wire_format.probe(model)

    timeout = httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    with httpx.Client(headers=request_headers(provider), timeout=timeout) as client:
        started = time.perf_counter()
        answer = _ask(client, provider, request)
        latency_ms = (time.perf_counter() - started) * 1e3
        try:
            completion = wire_format.decode(answer, request, keep_raw=False)
        except RequestError as error:
            if isinstance(error, Retryable) or error.completion is None or error.completion.finish_reason is None:
                raise _diagnosis(client, provider, request, error) from error
            completion = error.completion  # an empty or filtered answer still proves endpoint, key and model

    return Verified(provider.name, completion.model or model, latency_ms, completion.usage)


def _ask(client: httpx.Client, provider: Provider, request: Request) -> Answer:
    wire_format = format_of(provider)
    whole = replace(provider, timeouts=replace(provider.timeouts, idle_s=None))  # one token is not worth a stream
    url, body = wire_format.url(provider, request), wire_format.encoder(whole)(request)
    try:
        response = client.post(url, content=body)
    except httpx.ConnectError as error:
        raise _no_connection(provider, error) from error
    except httpx.TimeoutException as error:
        raise ProviderDown(f"{provider.name} did not answer within {TIMEOUT_S:g} s: check base_url") from error
    except httpx.RequestError as error:
        raise ProviderDown(f"{provider.name} broke the connection off ({error}): is base_url right?") from error
    return redacted(Answer(response.status_code, response.headers, response.content), provider)


def _no_connection(provider: Provider, error: httpx.ConnectError) -> ProviderDown:
    parts = urlsplit(provider.base_url)
    place = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    cause = _root_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = f"{place} shows a certificate that is not trusted ({cause.verify_message}): set SSL_CERT_FILE"
    elif isinstance(cause, ssl.SSLError):
        why = f"{place} does not speak TLS ({cause.reason}): is it http:// rather than https://?"
    elif isinstance(cause, ConnectionRefusedError):
        why = f"connection refused: nothing listens at {place}; is the server running, the port right?"
    elif isinstance(cause, socket.gaierror):
        why = f"the host {parts.hostname} is not known: check the spelling of base_url, and the network"
    else:
        why = f"no connection to {place} ({error}): check base_url and the network"
    return ProviderDown(why)


def _root_cause(error: BaseException) -> BaseException:
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error


def _diagnosis(client: httpx.Client, provider: Provider, request: Request, error: RequestError) -> RunError:
    """The error, in one sentence, that an unusable answer stands for."""
    provider_faults = ProviderFaults(provider, Breaker(RetryPolicy(provider.retries).pause_s))
    verdict = provider_faults.classify_failure(0.0, request, error)
    if isinstance(verdict, (ModelNotFound, EndpointNotFound)):
        return _not_found(client, provider, request.parameters.model, verdict)
    if verdict is not None:
        return verdict
    if isinstance(error, Throttled):
        return AccountExhausted(f"{provider.name} throttles even one request ({error.message}): try later")
    if isinstance(error, (Unavailable, BadResponse)):
        return ProviderDown(f"{provider.base_url} answers, but not usably: {error.message}")
    return RequestRefused(f"{provider.name} refused the request: {error.message}")


def _not_found(
    client: httpx.Client, provider: Provider, model: str, verdict: ModelNotFound | EndpointNotFound
) -> RunError:
    wire_format, base_url = format_of(provider), provider.base_url.rstrip("/")
    missing = wire_format.base_path
    if (names := _listed_models(client, wire_format, base_url)) is None:
        if not base_url.endswith(missing) and _listed_models(client, wire_format, base_url + missing) is not None:
            return EndpointNotFound(f"base_url {base_url} lacks {missing}: write {base_url}{missing}")
        return verdict

    near = difflib.get_close_matches(model, names, n=NEAREST_NAMES, cutoff=0.4) or names[:NEAREST_NAMES]
    listed = f"; it lists {', '.join(near)}" if near else ""
    return ModelNotFound(f"{provider.name} does not know the model {model!r}{listed}")


def _listed_models(client: httpx.Client, wire_format: WireFormat, base_url: str) -> list[str] | None:
    """The models an endpoint lists, `None` if it has no such list."""
    try:
        response = client.get(wire_format.models_url(base_url))
    except httpx.RequestError:
        return None
    return wire_format.model_names(response.content) if response.status_code == 200 else None
