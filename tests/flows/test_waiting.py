"""A run whose provider's slots are all held by others says so, and goes on when it has some."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import State
from tests.flows.running import Parameters, flow_run_id
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider, Summary, batch_inference
from prefect_llm.tasks.leases import Lease, give_back, prepare_limit, take

SLOTS = 4


@pytest.fixture
def provider(prefect_server: PrefectServer, scripted_server: ScriptedServer) -> str:
    """A saved block of a few slots, of which nobody has heard."""
    name = f"waited-for-{uuid4().hex[:8]}"
    block = LLMProvider(base_url=scripted_server.base_url, model="m", concurrency=SLOTS)
    block.save(name)
    return name


@pytest.fixture
def held(prefect_server: PrefectServer, provider: str) -> Lease:
    """All of the block's slots, as another process holds them."""
    with prefect_server.client() as client:
        prepare_limit(client, f"llm-{provider}", SLOTS)
        lease = take(client, f"llm-{provider}", SLOTS)
    assert lease is not None
    return lease


def run_named(prefect_server: PrefectServer, name: str) -> UUID:
    """The flow run of that name, once there is one."""
    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[name]))

    def found() -> list[UUID]:
        with prefect_server.client() as client:
            return [each.id for each in client.read_flow_runs(flow_run_filter=wanted)]

    return eventually(found, bool)[0]


def test_a_run_without_a_slot_says_which_limit_it_waits_for_until_it_has_one(
    parameters: Parameters,
    prefect_server: PrefectServer,
    scripted_server: ScriptedServer,
    provider: str,
    held: Lease,
) -> None:
    name = uuid4().hex
    parameters = {key: value for key, value in parameters.items() if key not in ("api", "batch")}
    parameters |= {"provider": provider, "monitoring": {"stats_interval_seconds": 1}}

    def ran() -> State[Summary]:
        return batch_inference.with_options(flow_run_name=name)(**parameters, return_state=True)

    def described() -> str:
        artifacts = prefect_server.artifacts(run)
        return str(artifacts["llm-progress"].description) if "llm-progress" in artifacts else ""

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(copy_context().run, ran)
        run = run_named(prefect_server, name)
        waiting = f"waiting for slots of Prefect's global concurrency limit llm-{provider}, which others hold"
        said = eventually(described, lambda text: waiting in text)
        assert said.startswith("0 of 100 documents, ")
        assert scripted_server.stats().requests == 0
        with prefect_server.client() as client:
            give_back(client, held)
        state = running.result()
    assert (state.name, flow_run_id(state)) == ("Completed", run)
    assert described().startswith("100 of 100 documents, ")
    assert "waiting" not in described()
    prefect_server.settled()
    lines = eventually(
        lambda: [log.message for log in prefect_server.logs(run) if log.message.lower().startswith("waiting for")],
        bool,
    )
    assert [line.partition(", which")[0] for line in lines] == [waiting.partition(", which")[0]]
