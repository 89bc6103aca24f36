"""Metrics and spans through OpenTelemetry's API package, named after its conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
An application that wants them sets up a provider. Without one `recorder` returns `None`: nothing is imported and
nothing is recorded.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from prefect_llm.system.telemetry_conventions import (
    DURATION_BOUNDARIES_S,
    TOKEN_BOUNDARIES,
    Attributes,
    RequestAttempt,
    counted_tokens,
    endpoint,
    metric_attributes,
    provider_name,
    span_details,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import TracerProvider

    from prefect_llm.values.provider import Provider

NAME = "prefect_llm"
BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}


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
        attributes = {**self._endpoint(provider.base_url), **metric_attributes(attempt)}
        self._requests.add(1, attributes)
        if attempt.number > 1:
            self._retries.add(1, attributes)
        if failed and attributes["error.type"] == "throttled":
            self._throttled.add(1, attributes)

        self._duration.record(attempt.seconds, attributes)
        for kind, tokens in counted_tokens(attempt).items():
            self._tokens.record(tokens, {**attributes, "gen_ai.token.type": kind})
        if self._tracer is not None:
            self._span(attempt, attributes | span_details(attempt))

    def cost(self, host: str, model: str, amount: Decimal, currency: str) -> None:
        """Record what an answer of the provider at that host cost."""
        named = {"gen_ai.provider.name": provider_name(host), "server.address": host}
        self._cost.add(float(amount), {**named, "gen_ai.request.model": model, "currency": currency})

    def _endpoint(self, base_url: str) -> Mapping[str, str | int]:
        """Kept with the recorder, one per endpoint: it is wanted for every request."""
        if base_url not in self._endpoints:
            self._endpoints[base_url] = endpoint(base_url)
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
        return [Observation(together(values), endpoint(base_url)) for base_url, values in by_endpoint.items()]

    def _value(self, status: ObservedStatus) -> int:
        if self._name == "breaker.state":
            return BREAKER_STATES[status.state]
        return status.in_flight if self._name == "requests.in_flight" else status.waiting


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
