"""The simulated provider without its sockets: decides what happens to each request. Time is an input."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from random import Random

import orjson

from prefect_llm.simulation import answers
from prefect_llm.simulation.answers import Delivery, Ending, Then
from prefect_llm.simulation.asked import Asked, BadRequest, NoInstance
from prefect_llm.simulation.buckets import Buckets
from prefect_llm.simulation.faults import AT_THE_DOOR, SLOWNESS, Fault, choose
from prefect_llm.simulation.format import Problem, SimulatedFormat
from prefect_llm.simulation.http_requests import Head
from prefect_llm.simulation.rate_headers import rate_headers, rate_limited, retry_after
from prefect_llm.simulation.settings import Simulation
from prefect_llm.simulation.stats import EndpointStats
from prefect_llm.simulation.streaming import pieces
from prefect_llm.simulation.strictness import complaint_about

OUTAGE = "outage"
FAULT_RETRY_AFTER_S = 1.0
UNNAMED_MODEL = "simulated"
MOST_OUTPUT_TOKENS = 1_000_000
"""A cap on what the distribution draws: the text is really that long."""


@dataclass(slots=True)
class Service:
    """An admitted request: what will be answered once `latency_s` have passed since it got its slot."""

    number: int
    wire_format: SimulatedFormat
    asked: Asked
    ending: Ending
    latency_s: float
    fault: Fault | None
    reserved_tokens: int


class SimulatedProvider:
    """Decides and counts. With the same seed the n-th request meets the same fault, latency and length."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._stats = EndpointStats()
        self._start_over()

    def _start_over(self) -> None:
        seed = self._simulation.seed
        self._buckets = Buckets(self._simulation.rates)
        self._draw_fault = _random(seed, "faults").random
        self._draw_latency_s = self._simulation.latency.sampler(_random(seed, "latency"))
        self._draw_tokens = self._simulation.output_tokens.sampler(_random(seed, "output tokens"))

    @property
    def stats(self) -> EndpointStats:
        """The counts up to now."""
        return self._stats

    def reset(self) -> None:
        """Reset the stats, refill the buckets, restart the draws; requests in flight continue."""
        self._stats = self._stats.after_reset()
        self._start_over()

    def admit(self, wire_format: SimulatedFormat, head: Head, body: bytes, now: float) -> Service | Delivery:
        """Decide on a request in that format: admit it as a service, or refuse it with an answer."""
        stats = self._stats
        stats.requests += 1
        if stats.first_request_at is None:
            stats.first_request_at = now

        # Drawn before anything can be refused, so that the n-th request always meets the same draws.
        fault = choose(self._simulation.faults, self._draw_fault())
        latency_s, tokens = self._draw_latency_s(), max(1, round(min(self._draw_tokens(), MOST_OUTPUT_TOKENS)))

        if self._in_outage(now):
            stats.faults[OUTAGE] += 1
            return answers.unavailable()

        try:
            self._check_key(wire_format, head)
            asked = wire_format.read(head, body)
            self._check_model(wire_format, asked.model)
            ending = self._ending(wire_format, asked, tokens)
        except _Refused as refused:
            stats.refused += 1
            return refused.delivery
        except BadRequest as error:
            stats.refused += 1
            return wire_format.error(Problem.BAD_REQUEST, error.message, error.parameter)

        if fault in AT_THE_DOOR:
            stats.faults[fault] += 1
            return self._turned_away(wire_format, fault, now)

        return self._admitted(wire_format, asked, ending, latency_s, fault, now)

    def _admitted(
        self,
        wire_format: SimulatedFormat,
        asked: Asked,
        ending: Ending,
        latency_s: float,
        fault: Fault | None,
        now: float,
    ) -> Service | Delivery:
        stats = self._stats
        reserved = asked.output_limit or ending.output_tokens
        if shortage := self._buckets.admit(now, asked.input_tokens, reserved):
            stats.throttled += 1
            return rate_limited(wire_format, asked.model, shortage, now, self.rate_headers(now))

        if fault is Fault.SLOW:
            latency_s *= SLOWNESS

        stats.tokens.admitted += asked.input_tokens + reserved
        stats.in_flight.begin()
        return Service(stats.requests, wire_format, asked, ending, latency_s, fault, reserved)

    def answer(self, service: Service, now: float) -> Delivery:
        """The whole answer to a request that was served."""
        self._settle(service, now, service.ending.output_tokens)
        return _ANSWERS[service.fault](service, self.rate_headers(now))

    def stream(self, service: Service, now: float) -> list[bytes]:
        """The pieces of a streamed answer, the first with the head; `end_stream` must follow."""
        events = service.wire_format.events(service.number, service.asked, service.ending, service.fault)
        return pieces(events, service.fault, self.rate_headers(now))

    def end_stream(self, service: Service, now: float) -> Then:
        """The last piece is written."""
        self._settle(service, now, service.ending.output_tokens)
        return Then.CLOSE if service.fault is Fault.CUT else Then.KEEP

    def abandon(self, service: Service, now: float) -> None:
        """The client disconnected before its answer."""
        self._stats.in_flight.end()
        self._stats.tokens.admitted -= self._buckets.settle(now, service.reserved_tokens, 0)
        if service.fault is Fault.HANG:
            self._stats.faults[Fault.HANG] += 1
        else:
            self._stats.abandoned += 1

    def _settle(self, service: Service, now: float, used: int) -> None:
        stats, fault = self._stats, service.fault
        stats.in_flight.end()
        if fault is Fault.SERVER_ERROR:
            used = 0
        else:
            stats.tokens.input += service.asked.input_tokens
            stats.tokens.output += used

        if fault is not None:
            stats.faults[fault] += 1
        if fault is None or fault is Fault.SLOW:
            stats.answered += 1
        stats.tokens.admitted -= self._buckets.settle(now, service.reserved_tokens, used)

    def models(self, wire_format: SimulatedFormat, head: Head) -> Delivery:
        """The list of models."""
        try:
            self._check_key(wire_format, head)
        except _Refused as refused:
            return refused.delivery
        names = self._simulation.models or (UNNAMED_MODEL,)
        return Delivery(answers.ok(wire_format.models(names)))

    def rate_headers(self, now: float) -> bytes:
        """Header lines; none without limits."""
        return rate_headers(self._buckets, now, time.time()) if self._buckets.by_name else b""

    def _check_key(self, wire_format: SimulatedFormat, head: Head) -> None:
        expected = self._simulation.api_key
        if expected is not None and not compare_digest(wire_format.key(head).encode(), expected.encode()):
            raise _Refused(wire_format.error(Problem.WRONG_KEY, "Incorrect API key provided."))

    def _check_model(self, wire_format: SimulatedFormat, model: str) -> None:
        if self._simulation.models and model not in self._simulation.models:
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise _Refused(wire_format.error(Problem.UNKNOWN_MODEL, message))

    def _ending(self, wire_format: SimulatedFormat, asked: Asked, tokens: int) -> Ending:
        why = None
        if asked.strict and self._simulation.strictness == "openai":
            why = complaint_about(orjson.dumps(asked.schema))
        try:
            if why is None:
                return answers.ending(tokens, asked.output_limit, asked.schema)
        except NoInstance as error:
            why = str(error)
        raise _Refused(wire_format.error(Problem.BAD_SCHEMA, f"'{asked.schema_name}': {why}"))

    def _turned_away(self, wire_format: SimulatedFormat, fault: Fault | None, now: float) -> Delivery:
        match fault:
            case Fault.RATE_LIMIT:
                message = "Rate limit reached. Please try again in 1s."
                headers = retry_after(FAULT_RETRY_AFTER_S) + self.rate_headers(now)
                return wire_format.error(Problem.REQUESTS_PER_MINUTE, message, headers=headers)
            case Fault.UNAVAILABLE:
                return answers.unavailable()
            case Fault.OVERLOADED:
                return answers.overloaded()
            case Fault.RESET:
                return Delivery(b"", Then.RESET)
            case Fault.CLOSE:
                return Delivery(b"", Then.CLOSE)

        message = "The request was refused on purpose (--fault bad_request)."
        return wire_format.error(Problem.BAD_REQUEST_ON_PURPOSE, message)

    def _in_outage(self, now: float) -> bool:
        if not self._simulation.outages:
            return False
        since_first_s = self._since_first_s(now)
        return any(outage.from_s <= since_first_s < outage.to_s for outage in self._simulation.outages)

    def _since_first_s(self, now: float) -> float:
        first = self._stats.first_request_at
        return 0.0 if first is None else now - first


class _Refused(Exception):
    def __init__(self, delivery: Delivery) -> None:
        super().__init__()
        self.delivery = delivery


def _random(seed: int | None, purpose: str) -> Random:
    """A separate stream of random numbers per purpose: more faults must not change the lengths."""
    return Random() if seed is None else Random(f"{seed} {purpose}")


def _whole(service: Service, headers: bytes) -> Delivery:
    body = service.wire_format.body(service.number, service.asked, service.ending, service.fault)
    return Delivery(answers.ok(body, headers))


def _cut(service: Service, headers: bytes) -> Delivery:
    whole = _whole(service, headers).data
    head_length = whole.index(b"\r\n\r\n") + 4
    return Delivery(whole[: (head_length + len(whole)) // 2], Then.CLOSE)


def _not_json(_: Service, headers: bytes) -> Delivery:
    return Delivery(answers.ok(b"<html><body>This is not JSON.</body></html>", headers))


def _server_error(service: Service, headers: bytes) -> Delivery:
    message = "The server had an error while processing your request. Sorry about that!"
    return service.wire_format.error(Problem.SERVER_ERROR, message, headers=headers)


_ANSWERS: dict[Fault | None, Callable[[Service, bytes], Delivery]] = {
    None: _whole,
    Fault.SLOW: _whole,
    Fault.NO_CHOICES: _whole,
    Fault.NULL_CONTENT: _whole,
    Fault.SERVER_ERROR: _server_error,
    Fault.CUT: _cut,
    Fault.NOT_JSON: _not_json,
}
