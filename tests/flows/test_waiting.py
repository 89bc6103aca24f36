"""A run whose provider's slots are all held by others says so, and goes on when it has some."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import State
from prefect.task_runners import ProcessPoolTaskRunner
from tests.flows.running import Parameters
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider, Summary, batch_inference
from prefect_llm.blocks.provider import ModelPrice
from prefect_llm.tasks.limit_leases import Lease, give_back, prepare_limit, take

SLOTS = 4


@pytest.fixture
def provider(prefect_server: PrefectServer, scripted_server: ScriptedServer) -> str:
    """A saved block of a few slots, of which nobody has heard."""
    name = f"waited-for-{uuid4().hex[:8]}"
    price = ModelPrice(input=Decimal(1), output=Decimal(2), currency="EUR")
    block = LLMProvider(base_url=scripted_server.base_url, model="m", concurrency=SLOTS, prices={"m": price})
    block.save(name)
    return name


@pytest.fixture
def held(prefect_server: PrefectServer, provider: str, monkeypatch: pytest.MonkeyPatch) -> Lease:
    """All of the block's slots, as another process holds them, for longer than a slow machine needs."""
    monkeypatch.setattr("prefect_llm.tasks.limit_leases.LEASE_S", 300.0)
    with prefect_server.client() as client:
        prepare_limit(client, f"llm-{provider}", SLOTS)
        lease = take(client, f"llm-{provider}", SLOTS)
    assert lease is not None
    return lease


@pytest.fixture
def asking(parameters: Parameters, provider: str) -> Parameters:
    """A run of the block, with a line of figures a second."""
    kept = {key: value for key, value in parameters.items() if key not in ("api", "batch")}
    return kept | {"provider": provider, "monitoring": {"stats_interval_seconds": 1}}


@dataclass(frozen=True, slots=True)
class Begun:
    """A flow run that goes on in a thread."""

    id: UUID
    server: PrefectServer
    state: Future[State[Summary]]

    def progress(self) -> str:
        artifacts = self.server.artifacts(self.id)
        return str(artifacts["llm-progress"].description) if "llm-progress" in artifacts else ""

    def waits(self) -> list[str]:
        """The lines of its log that say what it waits for."""
        return [log.message for log in self.server.logs(self.id) if log.message.startswith("waiting for")]


@contextmanager
def begun(server: PrefectServer, asking: Parameters, **options: Any) -> Iterator[Begun]:
    name = uuid4().hex
    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[name]))

    def ran() -> State[Summary]:
        return batch_inference.with_options(flow_run_name=name, **options)(**asking, return_state=True)

    def found() -> list[UUID]:
        with server.client() as client:
            return [each.id for each in client.read_flow_runs(flow_run_filter=wanted)]

    with ThreadPoolExecutor(1) as pool:
        state = pool.submit(copy_context().run, ran)
        yield Begun(eventually(found, bool)[0], server, state)


def test_a_run_without_a_slot_says_which_limit_it_waits_for_until_it_has_one(
    asking: Parameters, prefect_server: PrefectServer, scripted_server: ScriptedServer, provider: str, held: Lease
) -> None:
    waiting = f"waiting for slots of Prefect's global concurrency limit llm-{provider}, which others hold"
    with begun(prefect_server, asking) as run:
        said = eventually(run.progress, lambda text: waiting in text)
        assert said.startswith("0 of 100 documents, 0.00/s, 0 tokens, €0.00; ")
        assert scripted_server.stats().requests == 0
        with prefect_server.client() as client:
            give_back(client, held)
        assert run.state.result().name == "Completed"
    assert run.progress().startswith("100 of 100 documents, ")
    assert "waiting" not in run.progress()
    prefect_server.settled()
    (line,) = eventually(run.waits, bool)
    assert line.startswith(waiting)


def test_a_chunk_in_another_process_says_it_in_the_run_s_log(
    asking: Parameters, prefect_server: PrefectServer, provider: str, held: Lease
) -> None:
    with begun(prefect_server, asking, task_runner=ProcessPoolTaskRunner(max_workers=1)) as run:
        (line,) = eventually(run.waits, bool, timeout_s=60)
        assert f"llm-{provider}" in line
        with prefect_server.client() as client:
            give_back(client, held)
        assert run.state.result().name == "Completed"


def test_a_limit_that_a_run_changes_for_all_is_told_in_its_log(
    asking: Parameters, prefect_server: PrefectServer, provider: str
) -> None:
    with prefect_server.client() as client:
        prepare_limit(client, f"llm-{provider}", 2 * SLOTS)
    with begun(prefect_server, asking) as run:
        assert run.state.result().name == "Completed"
    prefect_server.settled()
    wanted = f"the limit llm-{provider} is now {SLOTS} for all who share it; it was {2 * SLOTS}"
    eventually(lambda: [log.message for log in prefect_server.logs(run.id)], lambda lines: wanted in lines)
