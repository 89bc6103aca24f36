"""The simulated provider without its sockets: what becomes of each request, by the clock it is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from random import Random

import orjson

from prefect_llm.simulation import answers
from prefect_llm.simulation.answers import Delivery, Ending, Then
from prefect_llm.simulation.asked import Asked, BadRequest, read_asked
from prefect_llm.simulation.buckets import Buckets
from prefect_llm.simulation.faults import AT_THE_DOOR, SLOWNESS, Fault, choose
from prefect_llm.simulation.figures import Figures
from prefect_llm.simulation.rate_headers import rate_headers, rate_limited, retry_after
from prefect_llm.simulation.schema_instance import NoInstance
from prefect_llm.simulation.settings import Simulation
from prefect_llm.simulation.streaming import pieces

OUTAGE = "outage"
FAULT_RETRY_AFTER_S = 1.0
UNNAMED_MODEL = "simulated"
MOST_OUTPUT_TOKENS = 1_000_000
"""Whatever the distribution draws: the text is as long."""


@dataclass(slots=True)
class Service:
    """An admitted request: what will be answered, once `latency_s` have passed since its turn came."""

    number: int
    asked: Asked
    ending: Ending
    latency_s: float
    fault: Fault | None
    reserved_tokens: int


class SimulatedProvider:
    """Decides and counts. The n-th request meets the same fault, latency and length for the same seed."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._figures = Figures()
        self._start_over()

    def _start_over(self) -> None:
        seed = self._simulation.seed
        self._buckets = Buckets(self._simulation.rates)
        self._draw_fault = _random(seed, "faults").random
        self._draw_latency_s = self._simulation.latency.sampler(_random(seed, "latency"))
        self._draw_tokens = self._simulation.output_tokens.sampler(_random(seed, "output tokens"))

    @property
    def figures(self) -> Figures:
        """The counts up to now."""
        return self._figures

    def reset(self) -> None:
        """Forget the figures, refill the buckets, begin the draws again; what is in flight goes on."""
        self._figures = self._figures.after_reset()
        self._start_over()

    def admit(self, authorization: str, body: bytes, now: float) -> Service | Delivery:
        """A chat request has come: a service to be carried out, or the answer that refuses it."""
        figures = self._figures
        figures.requests += 1
        if figures.first_request_at is None:
            figures.first_request_at = now
        fault = choose(self._simulation.faults, self._draw_fault())
        latency_s, tokens = self._draw_latency_s(), max(1, round(min(self._draw_tokens(), MOST_OUTPUT_TOKENS)))
        if self._in_outage(now):
            figures.faults[OUTAGE] += 1
            return answers.unavailable()
        try:
            self._check_key(authorization)
            asked = read_asked(body)
            self._check_model(asked.model)
            ending = answers.ending(tokens, asked.output_limit, asked.schema)
        except _Refused as refused:
            figures.refused += 1
            return refused.delivery
        except BadRequest as error:
            figures.refused += 1
            return answers.error(400, error.message, parameter=error.parameter)
        except NoInstance as error:
            figures.refused += 1
            message = f"Invalid schema for response_format: {error}"
            return answers.error(400, message, parameter="response_format")
        if fault in AT_THE_DOOR:
            figures.faults[fault] += 1
            return self._turned_away(fault, now)
        return self._admitted(asked, ending, latency_s, fault, now)

    def _admitted(
        self, asked: Asked, ending: Ending, latency_s: float, fault: Fault | None, now: float
    ) -> Service | Delivery:
        figures = self._figures
        reserved = asked.output_limit or ending.output_tokens
        if shortage := self._buckets.admit(now, asked.input_tokens, reserved):
            figures.throttled += 1
            return rate_limited(asked.model, shortage, now, self.rate_headers(now))
        if fault is Fault.SLOW:
            latency_s *= SLOWNESS
        figures.admitted_tokens += asked.input_tokens + reserved
        figures.begin()
        return Service(figures.requests, asked, ending, latency_s, fault, reserved)

    def answer(self, service: Service, now: float) -> Delivery:
        """The whole answer to a request that was served."""
        self._settle(service, now, service.ending.output_tokens)
        return _ANSWERS[service.fault](service, self.rate_headers(now))

    def stream(self, service: Service, now: float) -> list[bytes]:
        """The pieces of a streamed answer, of which the first carries the head; `end_stream` must follow."""
        return pieces(service.number, service.asked, service.ending, service.fault, self.rate_headers(now))

    def end_stream(self, service: Service, now: float) -> Then:
        """The last piece was written."""
        self._settle(service, now, service.ending.output_tokens)
        return Then.CLOSE if service.fault is Fault.CUT else Then.KEEP

    def abandon(self, service: Service, now: float) -> None:
        """The client went away before its answer."""
        self._figures.in_flight -= 1
        self._figures.admitted_tokens -= self._buckets.settle(now, service.reserved_tokens, 0)
        if service.fault is Fault.HANG:
            self._figures.faults[Fault.HANG] += 1
        else:
            self._figures.abandoned += 1

    def _settle(self, service: Service, now: float, used: int) -> None:
        figures, fault = self._figures, service.fault
        figures.in_flight -= 1
        if fault is Fault.SERVER_ERROR:
            used = 0
        else:
            figures.input_tokens += service.asked.input_tokens
            figures.output_tokens += used
        if fault is not None:
            figures.faults[fault] += 1
        if fault is None or fault is Fault.SLOW:
            figures.answered += 1
        figures.admitted_tokens -= self._buckets.settle(now, service.reserved_tokens, used)

    def models(self, authorization: str) -> Delivery:
        """The list of models."""
        try:
            self._check_key(authorization)
        except _Refused as refused:
            return refused.delivery
        names = self._simulation.models or (UNNAMED_MODEL,)
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "prefect-llm"} for name in names]
        return Delivery(answers.ok(orjson.dumps({"object": "list", "data": models})))

    def rate_headers(self, now: float) -> bytes:
        """Header lines, none without limits."""
        return rate_headers(self._buckets, now, time.time()) if self._buckets.by_name else b""

    def _check_key(self, authorization: str) -> None:
        expected = self._simulation.api_key
        if expected is not None and not compare_digest(authorization.encode(), f"Bearer {expected}".encode()):
            message = "Incorrect API key provided."
            raise _Refused(answers.error(401, message, code="invalid_api_key"))

    def _check_model(self, model: str) -> None:
        if self._simulation.models and model not in self._simulation.models:
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise _Refused(answers.error(404, message, code="model_not_found"))

    def _turned_away(self, fault: Fault | None, now: float) -> Delivery:
        match fault:
            case Fault.RATE_LIMIT:
                message, headers = "Rate limit reached. Please try again in 1s.", retry_after(FAULT_RETRY_AFTER_S)
                headers += self.rate_headers(now)
                return answers.error(429, message, "requests", code="rate_limit_exceeded", headers=headers)
            case Fault.UNAVAILABLE:
                return answers.unavailable()
            case Fault.OVERLOADED:
                return answers.overloaded()
            case Fault.RESET:
                return Delivery(b"", Then.RESET)
            case Fault.CLOSE:
                return Delivery(b"", Then.CLOSE)
        return answers.error(400, "The request was refused on purpose (--fault bad_request).", code="bad_request")

    def _in_outage(self, now: float) -> bool:
        if not self._simulation.outages:
            return False
        since_first_s = self._since_first_s(now)
        return any(outage.from_s <= since_first_s < outage.to_s for outage in self._simulation.outages)

    def _since_first_s(self, now: float) -> float:
        first = self._figures.first_request_at
        return 0.0 if first is None else now - first


class _Refused(Exception):
    def __init__(self, delivery: Delivery) -> None:
        super().__init__()
        self.delivery = delivery


def _random(seed: int | None, purpose: str) -> Random:
    """Streams of their own: more faults must not change the lengths."""
    return Random() if seed is None else Random(f"{seed} {purpose}")


def _whole(service: Service, headers: bytes) -> Delivery:
    return Delivery(answers.ok(_body(service, service.ending.content), headers))


def _cut(service: Service, headers: bytes) -> Delivery:
    whole = answers.ok(_body(service, service.ending.content), headers)
    head_length = whole.index(b"\r\n\r\n") + 4
    return Delivery(whole[: (head_length + len(whole)) // 2], Then.CLOSE)


def _not_json(_: Service, headers: bytes) -> Delivery:
    return Delivery(answers.ok(b"<html><body>This is not JSON.</body></html>", headers))


def _no_choices(service: Service, headers: bytes) -> Delivery:
    usage = answers.usage(service.asked.input_tokens, service.ending.output_tokens)
    return Delivery(
        answers.ok(answers.completion_without_choices(service.number, service.asked.model, usage), headers)
    )


def _null_content(service: Service, headers: bytes) -> Delivery:
    return Delivery(answers.ok(_body(service, b"null"), headers))


def _server_error(_: Service, headers: bytes) -> Delivery:
    message = "The server had an error while processing your request. Sorry about that!"
    return answers.error(500, message, "server_error", headers=headers)


def _body(service: Service, content: bytes) -> bytes:
    ending = service.ending
    usage = answers.usage(service.asked.input_tokens, ending.output_tokens)
    return answers.completion(service.number, service.asked.model, content, ending.finish_reason, usage)


_ANSWERS: dict[Fault | None, Callable[[Service, bytes], Delivery]] = {
    None: _whole,
    Fault.SLOW: _whole,
    Fault.SERVER_ERROR: _server_error,
    Fault.CUT: _cut,
    Fault.NOT_JSON: _not_json,
    Fault.NO_CHOICES: _no_choices,
    Fault.NULL_CONTENT: _null_content,
}
