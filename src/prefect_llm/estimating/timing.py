"""How long the requests would take: by the limits that are known, and by the latencies of a sample."""

from __future__ import annotations

from prefect_llm.estimating.intervals import Interval, total_of
from prefect_llm.estimating.population import Population
from prefect_llm.estimating.sample import Sample
from prefect_llm.values.provider import Limits

_MINUTE_S = 60.0


def seconds_of(
    population: Population, sample: Sample | None, limits: Limits, inputs: Interval, outputs: Interval
) -> Interval | None:
    """Seconds from the first request to the last answer; `None` where nothing bounds them.

    Without a sample only the stated limits are known, so there is no upper bound. With one, latencies add up and are
    shared by as many requests as are in flight: the stated concurrency, or where that is found while running, from
    what the sample reached up to the ceiling.
    """
    reserved = _reserved(population, limits, outputs)
    quota = Interval(
        _by_quota(population, limits, inputs.low, reserved.low),
        _by_quota(population, limits, inputs.expected, reserved.expected),
        _by_quota(population, limits, inputs.high, reserved.high),
    )
    if sample is None or not sample.answers:
        return Interval(quota.low, None, None) if quota.low else None

    work = _by_latency(population, sample, limits)
    return Interval(
        max(work.low, quota.low),
        max(work.expected or 0.0, quota.expected or 0.0),
        max(work.high or 0.0, quota.high or 0.0),
    )


def _by_latency(population: Population, sample: Sample, limits: Limits) -> Interval:
    latencies = [each.latency_s for each in sample.answers]
    total = total_of(population.sizes, [float(each.bytes) for each in sample.answers], latencies)
    most = max(1, min(limits.most_in_flight, population.requests))
    reached = float(most)
    if limits.adaptive:
        busy = sample.busy_s
        reached = min(max(sum(latencies) / busy, 1.0), most) if busy else 1.0

    longest = max(latencies)
    return Interval(
        max(total.low / most, longest),
        max((total.expected or 0.0) / reached, longest),
        (total.high or 0.0) / reached + longest,  # the last answers do not fill all places
    )


def _reserved(population: Population, limits: Limits, outputs: Interval) -> Interval:
    """Output tokens as the provider counts them: under `reserved` a stated limit in full."""
    stated = population.output_tokens.high
    if limits.token_accounting == "reserved" and stated is not None:
        return Interval(stated, stated, stated)
    return outputs


def _by_quota(
    population: Population, limits: Limits, input_tokens: float | None, output_tokens: float | None
) -> float:
    """Seconds that the strictest stated limit asks for; what is not known counts as nothing."""
    inputs, outputs = input_tokens or 0.0, output_tokens or 0.0
    asked = (
        (population.requests, limits.requests_per_minute),
        (inputs + outputs, limits.tokens_per_minute),
        (inputs, limits.input_tokens_per_minute),
        (outputs, limits.output_tokens_per_minute),
    )
    return max((amount / limit * _MINUTE_S for amount, limit in asked if limit), default=0.0)
