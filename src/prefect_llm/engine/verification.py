"""Check endpoint, key and model with one answer of one token, and say in one sentence what is wrong.

It asks through the transport that runs use, so that both meet the same proxy and the same certificates.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.missing_model import explained, may_be_the_model
from prefect_llm.engine.redaction import redacted
from prefect_llm.engine.transport import Transport, check_provider, open_transport
from prefect_llm.values.errors import (
    AccountExhausted,
    BadResponse,
    Cause,
    EndpointNotFound,
    InvalidInput,
    ModelNotFound,
    NoConnection,
    ProviderDown,
    Rejected,
    RequestError,
    RequestRefused,
    Retryable,
    RunError,
    Throttled,
    Unavailable,
)
from prefect_llm.values.outcome import Completion, ErrorKind, Usage
from prefect_llm.values.provider import Provider, Timeouts
from prefect_llm.values.request import Request
from prefect_llm.wire.formats import format_of

TIMEOUTS = Timeouts(attempt_s=30.0, connect_s=10.0)
"""Without an idle timeout: one token is not worth a stream."""
LARGER_LIMIT = 1024
"""Some endpoints refuse a limit that ends the answer too soon: asked again with this one."""

LIMIT_NAMES = 2
"""So many names an output limit has at most."""


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
    with ThreadPoolExecutor(1, "llm-verify") as pool:  # the caller's thread may have an event loop that runs
        return pool.submit(asyncio.run, _verify(replace(provider, timeouts=TIMEOUTS), model)).result()


async def _verify(provider: Provider, model: str) -> Verified:
    transport = open_transport(provider)
    request = format_of(provider).probe(model)
    try:
        completion, latency_ms = await _answered(transport, provider, request)
    except RequestError as error:
        raise await _diagnosis(transport, provider, request, error) from error
    finally:
        await transport.close()
    return Verified(provider.name, completion.model or model, latency_ms, completion.usage)


async def _answered(transport: Transport, provider: Provider, request: Request) -> tuple[Completion, float]:
    """The answer and its milliseconds: to a limit of one token, or of another size and name if that is refused."""
    encoder = format_of(provider).encoder(provider)
    refusal, refused = None, set[bytes]()
    for asked in (request, *[_with_larger_limit(request)] * LIMIT_NAMES):
        if (body := encoder(asked)) in refused:
            break
        try:
            return await _ask(transport, provider, request, body)
        except Rejected as error:
            if not _may_be_about_the_limit(error):
                raise
            encoder.learns_from(asked, error)
            refusal = error
            refused.add(body)
    assert refusal is not None
    raise refusal


async def _ask(transport: Transport, provider: Provider, request: Request, body: bytes) -> tuple[Completion, float]:
    """The answer and its milliseconds; an empty or filtered one still proves endpoint, key and model."""
    wire_format = format_of(provider)
    started = time.perf_counter()
    answer = redacted(await transport.post(wire_format.url(provider, request), body), provider)
    latency_ms = (time.perf_counter() - started) * 1e3
    try:
        completion = wire_format.decode(answer, request, keep_raw=False)
    except RequestError as error:
        if isinstance(error, Retryable) or error.completion is None or error.completion.finish_reason is None:
            raise
        completion = error.completion
    return completion, latency_ms


def _may_be_about_the_limit(error: Rejected) -> bool:
    """Whether a refusal names nothing else: key, model and schema are said in other ways."""
    plain = error.status in (400, 422) and error.kind is ErrorKind.REJECTED
    return plain and error.cause in (None, Cause.PARAMETER_REFUSED)


def _with_larger_limit(request: Request) -> Request:
    return replace(request, parameters=replace(request.parameters, max_output_tokens=LARGER_LIMIT))


async def _diagnosis(transport: Transport, provider: Provider, request: Request, error: RequestError) -> RunError:
    """The error, in one sentence, that an unusable answer stands for."""
    if isinstance(error, NoConnection):
        return ProviderDown(error.why)
    provider_faults = ProviderFaults(provider, Breaker(RetryPolicy(provider.retries).pause_s))
    verdict = provider_faults.classify_failure(0.0, request, error) or provider_faults.misdirected(request, error)
    if isinstance(verdict, (ModelNotFound, EndpointNotFound)):
        return await explained(transport, provider, request, error, verdict)
    if verdict is not None:
        return verdict

    if isinstance(error, Throttled):
        return AccountExhausted(f"{provider.name} throttles even one request ({error.message}): try later")
    if error.kind is ErrorKind.TIMEOUT:
        return ProviderDown(f"{provider.name} did not answer ({error.message}): check base_url")
    if error.kind is ErrorKind.CONNECTION:
        scheme = " (is it https:// rather than http://?)" if provider.base_url.startswith("http://") else ""
        return ProviderDown(f"{provider.name} broke the connection off ({error.message}): is base_url right{scheme}?")
    if isinstance(error, (Unavailable, BadResponse)):
        return ProviderDown(f"{provider.base_url} answers, but not usably: {error.message}")
    refused = RequestRefused(f"{provider.name} refused the request: {error.message}")
    looks = may_be_the_model(request, error, refused)
    return await explained(transport, provider, request, error, refused) if looks else refused
