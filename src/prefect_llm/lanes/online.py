"""The lane `online`: every request is sent by itself and answered at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prefect_llm.engine import ask
from prefect_llm.lanes.lane import Delivery
from prefect_llm.store.tickets import Ticket
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


class OnlineLane:
    """Asks the engines of the provider and of its fallbacks. Nothing is left to collect."""

    def submit(self, provider: Provider, requests: Iterator[Request], delivery: Delivery) -> Sequence[Ticket]:
        """Blocks until every outcome is delivered."""
        ask(
            provider,
            requests,
            delivery.deliver,
            delivery.stop,
            rewritten=delivery.rewrite,
            keep_raw=delivery.keep_raw,
            sent=delivery.sent,
            budget=delivery.budget,
            answered=delivery.answered,
            throttled=delivery.throttled,
            lost=delivery.lost,
        )
        return ()

    def collect(
        self, provider: Provider, tickets: Sequence[Ticket], requests: Mapping[int, Request], delivery: Delivery
    ) -> None:
        """Does nothing: there are no tickets."""
