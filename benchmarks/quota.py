"""A known quota, three minutes: the share of it used in minutes 2 and 3, and the 429s of the whole run.

The provider's buckets hold a minute's worth, as OpenAI's, or one second's; they count tokens by either rule. Answers
take 1 s. The cases run side by side, each with a provider and an engine of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from simulated import SimulatedProvider, simulated_provider
from tables import Table, heading, verdict
from workload import MODEL, documents

from prefect_llm.engine import Engine
from prefect_llm.engine.submission import Backlog, Receiver, Submission
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Interrupted
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.provider import Limits, Provider
from prefect_llm.values.request import Parameters, Request

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """A provider's quota as its options, ours as limits, and what the quota counts per minute."""

    name: str
    options: tuple[str, ...]
    limits: Limits
    counts: str
    per_minute: int
    max_output_tokens: int = 300


CASES = (
    Case(
        "6,000 requests a minute",
        ("--requests-per-minute", "6000"),
        Limits(500, requests_per_minute=6_000),
        "answered",
        6_000,
    ),
    Case(
        "the same, enforced by the second",
        ("--requests-per-minute", "6000", "--burst", "1"),
        Limits(500, requests_per_minute=6_000),
        "answered",
        6_000,
    ),
    Case(
        "2,000,000 tokens, reserved",
        ("--tokens-per-minute", "2000000"),
        Limits(500, tokens_per_minute=2_000_000),
        "reserved",
        2_000_000,
    ),
    Case(
        "2,000,000 tokens, used",
        ("--tokens-per-minute", "2000000", "--token-accounting", "used", "--output-tokens", "lognormal:100,0.5"),
        Limits(500, tokens_per_minute=2_000_000, token_accounting="used"),
        "tokens",
        2_000_000,
        1_000,
    ),
)


def main() -> None:
    """A row a case."""
    heading("A known quota", __doc__)
    table = Table("quota", "used in minutes 2 and 3", "429s")
    with ThreadPoolExecutor(len(CASES)) as pool:
        found = list(pool.map(used, CASES))
    for case, (share, throttled) in zip(CASES, found, strict=True):
        table.row(case.name, f"{share:.3f}", throttled)
    verdict("least share used", min(share for share, _ in found), at_least=0.97)
    verdict("429s", sum(throttled for _, throttled in found), at_most=0)


def used(case: Case) -> tuple[float, int]:
    """Share of the quota used from second 60 to second 180, and all 429s."""
    with simulated_provider("--latency", "1", *case.options) as provider:
        return _used(case, provider)


def _used(case: Case, provider: SimulatedProvider) -> tuple[float, int]:
    engine, stop = Engine(Provider(provider.url, limits=case.limits)), StopFlag()
    asking = threading.Thread(target=_ask, args=(engine, requests(case.max_output_tokens), stop))
    asking.start()
    counts = []
    for minute in (1, 3):
        provider.wait_until(minute * MINUTE_S)
        counts.append((time.monotonic(), _count(case, provider)))
    stop.set(Interrupted("measured"))
    asking.join()
    engine.close()
    (began, before), (ended, after) = counts
    return (after - before) / (case.per_minute * (ended - began) / MINUTE_S), int(provider.stats()["throttled"])


def requests(max_output_tokens: int) -> Iterator[Request]:
    """As many as are wanted."""
    parameters = Parameters(MODEL, max_output_tokens=max_output_tokens)
    for row, (document_id, prompt) in enumerate(documents(10_000_000)):
        yield Request(row, document_id, [{"role": "user", "content": prompt}], parameters, document_id)


def run_on(
    engine: Engine, asked: Iterator[Request], deliver: Callable[[Request, Outcome], None], stop: StopFlag
) -> None:
    """Ask every request of that engine; return when each has been delivered."""
    submission = Submission(Backlog(asked), Receiver(deliver), stop)
    engine.start(submission)
    engine.finish(submission)


def _ask(engine: Engine, asked: Iterator[Request], stop: StopFlag) -> None:
    try:
        run_on(engine, asked, lambda *_: None, stop)
    except Interrupted:
        return


def _count(case: Case, provider: SimulatedProvider) -> float:
    """What the quota has counted so far: requests, tokens used, or tokens reserved by input and output limit."""
    stats = provider.stats()
    if case.counts == "answered":
        return float(stats["answered"])
    if case.counts == "tokens":
        return float(stats["input_tokens"] + stats["output_tokens"])
    return float(stats["input_tokens"] + stats["answered"] * case.max_output_tokens)


if __name__ == "__main__":
    main()
