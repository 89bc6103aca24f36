"""How soon a run is as fast as before when its provider is back from an outage: on a clock of its own.

Scheduler, judge, breaker and adaptive concurrency as the engine joins them; only the endpoint is simulated.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from tests.engine.submitting import requests

from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.policy import ResponsePolicy
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.failures.verdicts import Retry
from prefect_llm.engine.scheduler import Scheduler
from prefect_llm.engine.submission import Backlog, Job, Receiver, Submission
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Limits, Provider, RetryOptions, Timeouts

BEGINS_S, ENDS_S, WATCHED_S = 30, 90, 115
KNEE = 200
ADAPTIVE = Limits()
DOWN = Unavailable("HTTP 503", status=503)
REFUSED = Unavailable("no connection: refused", kind=ErrorKind.CONNECTION, unreachable=True)
HANGS = Unavailable("no answer", kind=ErrorKind.TIMEOUT)


@dataclass
class Simulation:
    """An endpoint that serves `KNEE` requests at once and queues the rest; in its outage each fails in its way.

    What hangs does so for `timeout_s`. By second of the clock: how many were `answered` and `sent`, and how many
    might be in flight; `failed` counts documents that ended without an answer.
    """

    fault: Unavailable
    latency_s: float = 0.3
    timeout_s: float = 30.0
    limits: Limits = ADAPTIVE
    answered: Counter[int] = field(default_factory=Counter)
    sent: Counter[int] = field(default_factory=Counter)
    concurrency: dict[int, int] = field(default_factory=dict)
    failed: int = 0

    def run(self) -> Simulation:
        """From second 0 to `WATCHED_S`, with documents without end."""
        retries = RetryOptions()
        retry_policy = RetryPolicy(retries)
        breaker = Breaker(retry_policy.pause_s, retries.outage_s)
        scheduler = Scheduler(self.limits, lambda request: b"", breaker)
        provider = Provider(
            "https://llm.example/v1", limits=self.limits, timeouts=Timeouts(attempt_s=self.timeout_s), retries=retries
        )
        policy = ResponsePolicy(provider, retry_policy, breaker, ProviderFaults(provider, breaker))
        scheduler.add(Submission(Backlog(requests(10_000_000)), Receiver(lambda *_: None), StopFlag()))
        chance, order, now = random.Random(1), itertools.count(), 0.0
        free_at = [0.0] * KNEE
        in_flight: list[tuple[float, int, Job, Unavailable | None]] = []
        while now < WATCHED_S:
            while isinstance(decision := scheduler.next(now), Job):
                policy.attempt_left(now, decision, scheduler.in_flight)
                self.sent[int(now)] += 1
                ends_at, error = self._end(now, free_at, chance)
                heapq.heappush(in_flight, (ends_at, next(order), decision, error))
            if decision is not None and (not in_flight or decision < in_flight[0][0]):
                now = decision
                continue
            now, _, job, error = heapq.heappop(in_flight)
            if error is None:
                scheduler.apply(policy.succeeded(now, job, now - job.left_at, scheduler.in_flight))
                self.answered[int(now)] += 1
            else:
                decided = policy.failed(now, job, error, scheduler.in_flight)
                scheduler.apply(decided.effects)
                if isinstance(decided.verdict, Retry):
                    scheduler.schedule_retry(job, now, decided.verdict.delay_s)
                else:
                    self.failed += 1
            scheduler.release_slot(job)
            self.concurrency[int(now)] = scheduler.concurrency
        return self

    def recovered_after_s(self) -> float:
        """Seconds from the outage's end until nine tenths of the throughput before it."""
        before = sum(self.answered[second] for second in range(BEGINS_S - 10, BEGINS_S)) / 10
        fast = (second for second in range(ENDS_S, WATCHED_S) if self.answered[second] >= 0.9 * before)
        return next(fast, math.inf) + 1 - ENDS_S

    def _end(self, now: float, free_at: list[float], chance: random.Random) -> tuple[float, Unavailable | None]:
        if BEGINS_S <= now < ENDS_S:
            return now + (self.timeout_s if self.fault is HANGS else 0.01), self.fault
        begins = max(now, heapq.heappop(free_at))
        ends = begins + self.latency_s * chance.lognormvariate(0, 0.1)
        heapq.heappush(free_at, ends)
        if self.fault is HANGS and now < BEGINS_S <= ends:
            return now + self.timeout_s, HANGS
        return ends, None


@pytest.mark.parametrize("limits", [ADAPTIVE, Limits(KNEE)], ids=["adaptive", "fixed"])
@pytest.mark.parametrize(
    ("fault", "latency_s", "timeout_s"),
    [(DOWN, 0.3, 30.0), (REFUSED, 0.3, 30.0), (HANGS, 0.3, 30.0), (HANGS, 0.3, 7.0), (DOWN, 1.0, 30.0)],
    ids=["503", "refused", "hangs", "hangs shortly", "503, slow answers"],
)
def test_a_minute_of_outage_is_over_within_20_seconds_and_costs_few_requests_and_no_document(
    fault: Unavailable, latency_s: float, timeout_s: float, limits: Limits
) -> None:
    seen = Simulation(fault, latency_s, timeout_s, limits).run()
    assert seen.recovered_after_s() < 20
    assert seen.failed == 0
    at_first = int(BEGINS_S + timeout_s + 1) if fault is HANGS else BEGINS_S + 2
    assert sum(seen.sent[second] for second in range(at_first, ENDS_S)) <= 25


@pytest.mark.parametrize("timeout_s", [2.0, 7.0, 25.0])
@pytest.mark.parametrize("fault", [DOWN, REFUSED, HANGS], ids=["503", "refused", "hangs"])
def test_the_adaptive_concurrency_goes_on_from_where_it_was(fault: Unavailable, timeout_s: float) -> None:
    seen = Simulation(fault, timeout_s=timeout_s).run()
    assert min(seen.concurrency[second] for second in range(ENDS_S + 1, WATCHED_S) if second in seen.concurrency) >= (
        0.85 * seen.concurrency[BEGINS_S - 1]
    )
