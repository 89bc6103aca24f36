"""A lane whose answers come in bulk and late: its provider is a folder in which batches wait to be answered."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect_llm.lanes.lane import Delivery
from prefect_llm.lanes.lanes import LANES
from prefect_llm.store.tickets import Ticket
from prefect_llm.values.outcome import Completion, Outcome, Usage
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request

NAME = "bulk"
LOOK_S = 0.02


class BulkLane:
    """Hands a chunk's requests in as one file, and reads the answers that somebody puts beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def submit(self, provider: Provider, requests: Iterator[Request], delivery: Delivery) -> Sequence[Ticket]:
        batch = list(requests)
        ticket = Ticket(NAME, uuid.uuid4().hex, tuple(request.row_index for request in batch))
        delivery.keep(ticket)  # before the batch exists: whoever finds it knows whose it is

        prompts = {request.row_index: request.messages[-1]["content"] for request in batch}
        (self.folder / f"{ticket.name}.asked").write_text(json.dumps(prompts))
        for _ in batch:
            delivery.sent(1)
        accepted = replace(ticket, handle=f"batch-{ticket.name}")
        delivery.keep(accepted)
        return [accepted]

    def collect(
        self, provider: Provider, tickets: Sequence[Ticket], requests: Mapping[int, Request], delivery: Delivery
    ) -> None:
        for ticket in tickets:
            answers = self._wait_for(ticket, delivery)
            for row_index in set(ticket.row_indexes) & requests.keys():
                delivery.deliver(requests[row_index], _outcome(answers[str(row_index)]))

    def answer_all(self) -> int:
        """What the provider does, hours later; how many requests it had."""
        batches = {path: json.loads(path.read_text()) for path in self.folder.glob("*.asked")}
        for path, prompts in batches.items():
            written = path.with_suffix(".tmp")
            written.write_text(json.dumps({row: f"answer to {prompt}" for row, prompt in prompts.items()}))
            written.rename(path.with_suffix(".answered"))
        return sum(map(len, batches.values()))

    def _wait_for(self, ticket: Ticket, delivery: Delivery) -> dict[str, Any]:
        stopped = threading.Event()
        delivery.stop.listen(stopped.set)
        answered = self.folder / f"{ticket.name}.answered"
        while not answered.exists():
            if stopped.wait(LOOK_S) and delivery.stop.error is not None:
                raise delivery.stop.error
        answers: dict[str, Any] = json.loads(answered.read_text())
        return answers


def register(folder: Path) -> BulkLane:
    """Add the lane to this process's."""
    lane = LANES[NAME] = BulkLane(folder)
    return lane


def _outcome(answer: str) -> Outcome:
    now_us = time.time_ns() // 1000
    completion = Completion(answer, "stop", "m", Usage(input_tokens=10, output_tokens=5))
    return Outcome(completion, attempts=1, started_at_us=now_us, finished_at_us=now_us, lane=NAME)
