"""Metrics and spans through OpenTelemetry's API package, named after its conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
An application that wants them sets up a provider. Without one `recorder` returns `None`: nothing is imported and
nothing is recorded.
"""

from __future__ import annotations

import fnmatch
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import TracerProvider

    from prefect_llm.values.errors import RequestError
    from prefect_llm.values.outcome import Completion
    from prefect_llm.values.provider import Provider
    from prefect_llm.values.request import Request

NAME = "prefect_llm"
DURATION_BOUNDARIES_S = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
TOKEN_BOUNDARIES = [4**power for power in range(14)]
"""Both as the conventions advise."""
BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}
WELL_KNOWN = {
    "api.anthropic.com": "anthropic",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.openai.com": "openai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
WELL_KNOWN_PATTERNS = {
    "*.api.openai.com": "openai",
    "*.openai.azure.com": "azure.ai.openai",
    "*aiplatform.googleapis.com": "gcp.vertex_ai",
    "bedrock-runtime.*.amazonaws.com": "aws.bedrock",
}
"""The conventions' values of `gen_ai.provider.name` by host; any other provider goes by its host.

https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
"""

Attributes = dict[str, str | int | float | list[str]]


_Value = TypeVar("_Value", int, float)


class ObservedStatus(Protocol):
    """The state of a provider at one moment, as an engine reports it."""

    @property
    def base_url(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def in_flight(self) -> int: ...  # noqa: D102
    @property
    def waiting(self) -> int: ...  # noqa: D102


class ObservedEngine(Protocol):
    """What the gauges read each time metrics are collected."""

    @property
    def status(self) -> ObservedStatus: ...  # noqa: D102
    @property
    def closed(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class RequestAttempt:
    """One request that has ended: its `number` for its document, from 1, how long it took, and its result.

    `operation` is the conventions' word for what was asked; `trace` is what `here` returned when it was submitted.
    """

    operation: str
    request: Request
    number: int
    seconds: float
    end: Completion | RequestError
    trace: Context | None = None


def recorder() -> Recorder | None:
    """The recorder, if this process has set OpenTelemetry up. Cheap: it is called for each chunk and each row."""
    if "opentelemetry" not in sys.modules and "OTEL_PYTHON_METER_PROVIDER" not in os.environ:
        return None
    from opentelemetry import metrics, trace

    meters, tracers = metrics.get_meter_provider(), trace.get_tracer_provider()
    if _is_the_api_s_own(meters) and _is_the_api_s_own(tracers):
        return None
    with _lock:
        if _last.get("meters") is not meters or _last.get("tracers") is not tracers:
            _last.update(meters=meters, tracers=tracers, recorder=Recorder(meters, tracers))
        known: Recorder = _last["recorder"]
        return known


def here() -> Context | None:
    """The trace that this thread is in, for spans that end on other threads."""
    if "opentelemetry" not in sys.modules:
        return None
    from opentelemetry.context import get_current

    return get_current()


def observe(engine: ObservedEngine) -> None:
    """Have the gauges show the state of that engine's provider for as long as the engine exists."""
    with _engines_lock:
        _engines.add(engine)


class Recorder:
    """The instruments. Thread-safe."""

    def __init__(self, meters: MeterProvider, tracers: TracerProvider) -> None:
        meter = meters.get_meter(NAME)
        self._tracer = None if _is_the_api_s_own(tracers) else tracers.get_tracer(NAME)
        self._endpoints: dict[str, Mapping[str, str | int]] = {}
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "How long one request took.",
            explicit_bucket_boundaries_advisory=DURATION_BOUNDARIES_S,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of one answer.",
            explicit_bucket_boundaries_advisory=TOKEN_BOUNDARIES,
        )
        self._retries = meter.create_counter(f"{NAME}.retries", "{request}", "Requests after their document's first.")
        self._throttled = meter.create_counter(f"{NAME}.throttled", "{request}", "Requests that were answered 429.")
        self._requests = meter.create_counter(f"{NAME}.requests", "{request}", "Requests that were sent.")
        self._cost = meter.create_counter(f"{NAME}.cost", "{currency}", "Money that answers cost.")

        for name, unit, what in (
            ("requests.in_flight", "{request}", "Requests without an answer yet."),
            ("requests.waiting", "{request}", "Requests that wait for a limit or a retry."),
            ("breaker.state", "1", "0 closed, 1 half open, 2 open."),
        ):
            meter.create_observable_gauge(f"{NAME}.{name}", [_Looking(name)], unit, what)

    def attempt(self, provider: Provider, attempt: RequestAttempt) -> None:
        """Record one request that has ended."""
        failed = isinstance(attempt.end, Exception)
        attributes = {**self._endpoint(provider.base_url), **_attributes(attempt)}
        self._requests.add(1, attributes)
        if attempt.number > 1:
            self._retries.add(1, attributes)
        if failed and attributes["error.type"] == "throttled":
            self._throttled.add(1, attributes)

        self._duration.record(attempt.seconds, attributes)
        for kind, tokens in _usage(attempt).items():
            self._tokens.record(tokens, {**attributes, "gen_ai.token.type": kind})
        if self._tracer is not None:
            self._span(attempt, attributes | _details(attempt))

    def cost(self, host: str, model: str, amount: Decimal, currency: str) -> None:
        """Record what an answer of the provider at that host cost."""
        named = {"gen_ai.provider.name": provider_name(host), "server.address": host}
        self._cost.add(float(amount), {**named, "gen_ai.request.model": model, "currency": currency})

    def _endpoint(self, base_url: str) -> Mapping[str, str | int]:
        """Kept with the recorder, one per endpoint: it is wanted for every request."""
        if base_url not in self._endpoints:
            self._endpoints[base_url] = _endpoint(base_url)
        return self._endpoints[base_url]

    def _span(self, attempt: RequestAttempt, attributes: Attributes) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode

        assert self._tracer is not None
        ended_ns = time.time_ns()
        name = f"{attempt.operation} {attributes['gen_ai.request.model']}"
        started_ns = ended_ns - int(attempt.seconds * 1e9)
        span = self._tracer.start_span(name, attempt.trace, SpanKind.CLIENT, attributes, start_time=started_ns)
        if isinstance(attempt.end, Exception):
            span.set_status(Status(StatusCode.ERROR, attempt.end.message))
        span.end(ended_ns)


def provider_name(host: str) -> str:
    """The conventions' name of the provider at that host, if they have one; else the host."""
    patterns = (name for pattern, name in WELL_KNOWN_PATTERNS.items() if fnmatch.fnmatchcase(host, pattern))
    return WELL_KNOWN.get(host) or next(patterns, host)


class _Looking:
    """A gauge's callback: one observation per endpoint, over all its engines in this process."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        with _engines_lock:
            statuses = [engine.status for engine in _engines if not engine.closed]

        by_endpoint: dict[str, list[int]] = {}
        for each in statuses:
            by_endpoint.setdefault(each.base_url, []).append(self._value(each))
        together = max if self._name == "breaker.state" else sum
        return [Observation(together(values), _endpoint(base_url)) for base_url, values in by_endpoint.items()]

    def _value(self, status: ObservedStatus) -> int:
        if self._name == "breaker.state":
            return BREAKER_STATES[status.state]
        return status.in_flight if self._name == "requests.in_flight" else status.waiting


def _endpoint(base_url: str) -> Mapping[str, str | int]:
    """Provider, host and port; the port is the scheme's default if none is given."""
    parts = urlsplit(base_url)
    host = parts.hostname or base_url
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return {"gen_ai.provider.name": provider_name(host), "server.address": host, "server.port": port}


def _attributes(attempt: RequestAttempt) -> Attributes:
    attributes: Attributes = {
        "gen_ai.operation.name": attempt.operation,
        "gen_ai.request.model": attempt.request.parameters.model,
    }
    if isinstance(attempt.end, Exception):
        attributes["error.type"] = str(attempt.end.kind)
    elif attempt.end.model:
        attributes["gen_ai.response.model"] = attempt.end.model
    return attributes


def _usage(attempt: RequestAttempt) -> Mapping[str, int]:
    completion = _completion(attempt)
    usage = completion.usage if completion is not None else None
    if usage is None:
        return {}
    return _known({"input": usage.input_tokens, "output": usage.output_tokens})


def _details(attempt: RequestAttempt) -> Attributes:
    """What a span has beyond a metric's attributes by the conventions, as far as it is known."""
    parameters, completion = attempt.request.parameters, _completion(attempt)
    asked = {"request.max_tokens": parameters.max_output_tokens, "request.temperature": parameters.temperature}
    details: Attributes = {f"gen_ai.{name}": value for name, value in _known(asked).items()}
    if completion is not None and completion.finish_reason is not None:
        details["gen_ai.response.finish_reasons"] = [completion.finish_reason]
    if completion is not None and (usage := completion.usage) is not None:
        counted = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read.input_tokens": usage.cached_input_tokens,
            "cache_creation.input_tokens": usage.cache_write_tokens,
            "reasoning.output_tokens": usage.reasoning_tokens,
        }
        details.update({f"gen_ai.usage.{name}": tokens for name, tokens in _known(counted).items()})

    return details


def _completion(attempt: RequestAttempt) -> Completion | None:
    return attempt.end.completion if isinstance(attempt.end, Exception) else attempt.end


def _known(values: Mapping[str, _Value | None]) -> dict[str, _Value]:
    return {name: value for name, value in values.items() if value is not None}


def _is_the_api_s_own(provider: object) -> bool:
    """Whether it is the API package's placeholder, which records nothing."""
    return type(provider).__module__.startswith(("opentelemetry.metrics", "opentelemetry.trace"))


_lock = threading.Lock()
_engines_lock = threading.Lock()
"""Apart from `_lock`: a reader calls the gauges under a lock that making a recorder, under `_lock`, waits for."""
_last: dict[str, Any] = {}
"""The one recorder, and the providers it was made for; replaced once the application sets up others."""
_engines: weakref.WeakSet[ObservedEngine] = weakref.WeakSet()
"""Observed engines; each leaves when it is garbage-collected."""
