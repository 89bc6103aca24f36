"""Our engine as the benchmarks ask it: the documents and rows of `workload`."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from workload import MAX_OUTPUT_TOKENS, MODEL, documents


def engine(url: str, count: int, concurrency: int) -> int:
    """Asks under limits that never bind, and makes a priced result row of every outcome; how many were answered."""
    # imported here, so that peers' environments need not have it
    from prefect_llm.engine import Engine
    from prefect_llm.engine.submission import Backlog, Receiver, Submission
    from prefect_llm.pricing import cost
    from prefect_llm.store import ResultRow
    from prefect_llm.system.stop_flag import StopFlag
    from prefect_llm.values.outcome import Outcome
    from prefect_llm.values.price import Price
    from prefect_llm.values.provider import Limits, Provider
    from prefect_llm.values.request import Parameters, Request

    parameters = Parameters(MODEL, max_output_tokens=MAX_OUTPUT_TOKENS)
    price = Price(Decimal("0.4"), Decimal("1.6"))
    rows: list[ResultRow] = []

    def requests() -> Iterator[Request]:
        for row, (document_id, prompt) in enumerate(documents(count)):
            yield Request(row, document_id, [{"role": "user", "content": prompt}], parameters, document_id)

    def deliver(request: Request, outcome: Outcome) -> None:
        usage = outcome.completion.usage if outcome.completion is not None else None
        paid = cost(usage, price)
        rows.append(
            ResultRow(request.document_id, request.fingerprint, MODEL, outcome, paid, price, provider="simulated")
        )

    limits = Limits(concurrency, requests_per_minute=10_000_000, tokens_per_minute=10_000_000_000)
    asked = Engine(Provider(url, api_key="key", limits=limits))
    submission = Submission(Backlog(requests()), Receiver(deliver), StopFlag())
    asked.start(submission)
    asked.finish(submission)
    asked.close()
    return sum(row.outcome.ok for row in rows)
