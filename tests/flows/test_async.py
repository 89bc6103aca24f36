"""Flows in async code: awaited in a thread, cancelled as by a signal, refused where they would hold up the loop."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.context import FlowRunContext
from tests.conftest import WriteDocuments
from tests.flows.running import Parameters, rows_of, run
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer

from prefect_llm import (
    InvalidInput,
    Summary,
    batch_inference,
    estimate_cost,
    in_thread,
    read_summary,
    redrive_failures,
)


def test_an_async_flow_awaits_a_run_and_its_loop_goes_on(
    parameters: Parameters, prefect_server: PrefectServer, scripted_server: ScriptedServer
) -> None:
    scripted_server.delay(0.02)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    @flow
    async def nightly() -> tuple[Summary, str]:
        ticking = asyncio.create_task(tick())
        summary = await in_thread(run, parameters)
        ticking.cancel()
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        return summary, str(context.flow_run.id)

    summary, parent = asyncio.run(nightly())
    assert (summary.state, summary.totals.ok, scripted_server.stats().requests) == ("completed", 100, 100)
    assert ticks > 20
    prefect_server.settled()
    with prefect_server.client() as client:
        (within,) = [each for each in client.read_flow_runs() if each.parameters.get("output") == summary.output]
        assert within.parent_task_run_id is not None
        assert str(client.read_task_run(within.parent_task_run_id).flow_run_id) == parent


def test_several_runs_are_awaited_at_once(
    parameters: Parameters, write_documents: WriteDocuments, tmp_path: Path, scripted_server: ScriptedServer
) -> None:
    outputs = [f"{tmp_path}/{name}" for name in "abc"]
    parameters["input"] = write_documents(20)

    async def all_at_once() -> list[Summary]:
        runs = (in_thread(run, parameters | {"output": output}) for output in outputs)
        return await asyncio.gather(*runs)

    assert [(each.output, each.totals.ok) for each in asyncio.run(all_at_once())] == [(out, 20) for out in outputs]


def test_what_a_run_raises_is_raised_where_it_is_awaited(parameters: Parameters) -> None:
    parameters["prompt"] = "{{ nothing_like_it }}"

    async def refused() -> None:
        await in_thread(run, parameters)

    with pytest.raises(InvalidInput, match="nothing_like_it"):
        asyncio.run(refused())


def test_a_cancelled_await_stops_the_run_which_can_be_resumed(
    parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    scripted_server.delay(0.05)

    async def cancelled() -> None:
        awaited = asyncio.create_task(in_thread(run, parameters))
        await asyncio.to_thread(scripted_server.wait_for, requests=10)
        awaited.cancel()
        await awaited

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    stopped = read_summary(parameters["output"])
    assert (stopped.state, stopped.stopped and stopped.stopped.kind) == ("interrupted", "Interrupted")
    assert stopped.totals.pending > 0

    assert run(parameters).totals.ok == 100
    assert len(rows_of(parameters["output"])) == 100
    assert scripted_server.stats().requests == 100


CALLS: dict[str, Callable[[Parameters], Any]] = {
    "batch_inference": lambda parameters: batch_inference(**parameters),
    "estimate_cost": lambda parameters: estimate_cost(**parameters, sample=10),
    "redrive_failures": lambda parameters: redrive_failures(parameters["output"], api=parameters["api"]),
}


@pytest.mark.parametrize("awaited", [False, True], ids=["called", "awaited"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_would_hold_up_the_loop_is_refused_before_anything_is_asked(
    name: str, awaited: bool, parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    async def hold_up() -> None:
        called = CALLS[name](parameters)
        if awaited:
            await called

    with pytest.raises(InvalidInput) as refused:
        asyncio.run(hold_up())
    assert str(refused.value) == (
        f"{name} is called in a running event loop, which would stand still until the run has ended: write "
        f"await in_thread({name}, ...), with in_thread from prefect_llm"
    )
    assert scripted_server.stats().requests == 0
    assert not Path(parameters["output"]).exists()


def test_a_cell_of_a_notebook_may_block(
    parameters: Parameters, write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    parameters["input"] = write_documents(3)

    async def cell() -> Summary:
        return run(parameters)

    assert asyncio.run(cell()).totals.ok == 3
