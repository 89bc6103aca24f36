"""An endpoint that says nothing of its capacity: requests past 200 in flight queue, an answer takes 0.3 s.

Time is from the first request until a second with 90% of the best throughput (200 / 0.3 s); p95 latency there is held
against that of a fixed concurrency of 200. Then the knee falls to 50 after 60 s and returns after 120 s.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from quota import requests, run_on
from simulated import SimulatedProvider, simulated_provider
from tables import Table, heading, verdict

from prefect_llm.engine import Engine
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Interrupted
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.provider import Limits, Provider
from prefect_llm.values.request import Request

KNEE, FALLEN, LATENCY_S = 200, 50, 0.3
BEST = KNEE / LATENCY_S
STEADY_S = 45.0


@dataclass
class Seen:
    """When each answer came, in seconds from the first request, and its latency in milliseconds."""

    began: float = field(default_factory=time.monotonic)
    answers: list[tuple[float, float]] = field(default_factory=list)

    def deliver(self, _: Request, outcome: Outcome) -> None:
        """Keep one."""
        self.answers.append((time.monotonic() - self.began, outcome.latency_ms or 0.0))

    def rate(self, since_s: float, until_s: float) -> float:
        """Answers per second."""
        return sum(since_s <= at < until_s for at, _ in self.answers) / (until_s - since_s)

    def p95_ms(self, since_s: float, until_s: float) -> float:
        """Of the answers' latencies."""
        return statistics.quantiles([ms for at, ms in self.answers if since_s <= at < until_s], n=20)[-1]

    def reaches_s(self, rate: float, since_s: float = 0.0) -> float:
        """Seconds after `since_s` until a second with that rate."""
        last = int(self.answers[-1][0])
        found = (second for second in range(int(since_s), last) if self.rate(second, second + 1) >= rate)
        return next(found, last) + 1 - since_s


def main() -> None:
    """Rows for a steady knee, and for one that moves."""
    heading("An opaque endpoint", __doc__)
    with simulated_provider("--latency", str(LATENCY_S), "--knee", str(KNEE)) as provider:
        fixed = asked(provider, Limits(KNEE), 15.0)
        adaptive = asked(provider, Limits(), STEADY_S)
    table = Table("concurrency", "requests/s", "of the best", "p95 ms", "s until 90%")
    p95 = {}
    for name, seen, since_s, until_s in (("fixed at 200", fixed, 5.0, 15.0), ("auto", adaptive, 15.0, STEADY_S)):
        rate, p95[name] = seen.rate(since_s, until_s), seen.p95_ms(since_s, until_s)
        reached_s = seen.reaches_s(0.9 * BEST)
        table.row(name, f"{rate:.0f}", f"{rate / BEST:.2f}", f"{p95[name]:.0f}", f"{reached_s:.0f}")
    verdict("s until 90% of the best throughput", adaptive.reaches_s(0.9 * BEST), at_most=15)
    verdict("p95 latency there / at the knee", p95["auto"] / p95["fixed at 200"], at_most=1.5)
    print()
    with simulated_provider("--latency", str(LATENCY_S), "--knee", f"{KNEE},{FALLEN}@60,{KNEE}@120") as provider:
        moving = asked(provider, Limits(), 180.0)
    follow(moving)


def follow(seen: Seen) -> None:
    """A row for each phase of the moving knee."""
    table = Table("knee", "requests/s", "of the best", "p95 ms", "s until 90%")
    shares: Sequence[float] = []
    for knee, since_s in ((KNEE, 0.0), (FALLEN, 60.0), (KNEE, 120.0)):
        best = knee / LATENCY_S
        rate = seen.rate(since_s + 30.0, since_s + 60.0)
        shares = [*shares, rate / best]
        table.row(
            f"{knee}, from second {since_s:.0f}",
            f"{rate:.0f}",
            f"{rate / best:.2f}",
            f"{seen.p95_ms(since_s + 30.0, since_s + 60.0):.0f}",
            f"{seen.reaches_s(0.9 * best, since_s):.0f}",
        )
    verdict("least throughput of a phase's second half, of its best", min(shares), at_least=0.9)


def asked(provider: SimulatedProvider, limits: Limits, seconds: float) -> Seen:
    """Ask for so long."""
    provider.reset()
    engine, stop = Engine(Provider(provider.url, limits=limits)), StopFlag()
    timer = threading.Timer(seconds, stop.set, [Interrupted("measured")])
    timer.start()
    seen = Seen()
    try:
        run_on(engine, requests(100), seen.deliver, stop)
    except Interrupted:
        return seen
    finally:
        engine.close()
    return seen


if __name__ == "__main__":
    main()
