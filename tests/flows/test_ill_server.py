"""The Prefect server, or what stands before it, answers wrongly while a run is under way: the run notices nothing.

A gateway process before the session's server spoils calls at a moment of the run, until those of interest have come.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from tests.flows.running import Parameters, flow_run_id, rows_of, state_of
from tests.gateways.prefect_gateways import PrefectGateway, gateway_before
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider, Summary

RUN_S = 180.0
"""A lost answer may leave slots held until their lease of 60 s runs out."""
LOAD = "GET /api/block_types/slug/llm-provider"
SHOWN = "PATCH /api/artifacts/"
REPORT = "POST /api/artifacts/"
STATE = "/set_state"


@pytest.fixture
def gateway(prefect_server: PrefectServer) -> Iterator[PrefectGateway]:
    """The session's server behind a gateway, which this test's flows use."""
    with gateway_before(prefect_server.api_url) as gateway, temporary_settings({PREFECT_API_URL: gateway.api_url}):
        yield gateway
        gateway.is_well()
        prefect_server.settled()


@pytest.fixture
def begin(
    parameters: Parameters, scripted_server: ScriptedServer, gateway: PrefectGateway
) -> Iterator[Callable[[], Future[State[Summary]]]]:
    """Begins a run of 100 documents in 10 chunks by a saved block, and returns once the first chunk's are asked."""
    block = f"behind-a-gateway-{uuid4().hex[:8]}"  # what an earlier test could not give back of a limit is not missed
    LLMProvider(base_url=scripted_server.base_url).save(block)
    scripted_server.script_all(steps.hang())
    given = parameters | {"provider": block, "api": {}, "batch": {"chunk_rows": 10, "concurrency": 10}}

    with ThreadPoolExecutor(1) as pool:

        def run() -> Future[State[Summary]]:
            running = pool.submit(contextvars.copy_context().run, state_of, given)
            scripted_server.wait_for(in_flight=10, timeout_s=RUN_S)
            return running

        yield run
        gateway.is_well()
        scripted_server.release()


def _answer_all(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.ok())
    scripted_server.release()


def _check(
    ended: State[Summary], prefect_server: PrefectServer, scripted_server: ScriptedServer, output: Path
) -> None:
    assert ended.name == "Completed"
    known = prefect_server.flow_run(flow_run_id(ended))
    assert known.state_name == "Completed"
    assert set(scripted_server.stats().by_document.values()) == {1}
    assert len(rows_of(output)) == 100
    shown = prefect_server.artifacts(flow_run_id(ended))
    assert {"llm-report", "llm-figures", "llm-cost", "llm-results"} <= set(map(str, shown))


def test_chunks_begin_while_no_block_can_be_loaded(
    begin: Callable[[], Future[State[Summary]]],
    gateway: PrefectGateway,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    tmp_path: Path,
) -> None:
    """All of them but the first: none needs another attempt."""
    running = begin()
    gateway.falls_ill(status=503, only=LOAD)
    _answer_all(scripted_server)
    results = tmp_path / "run" / "results"
    eventually(lambda: len(list(results.glob("part-0*"))) == 10 or running.done(), bool, RUN_S)
    assert not running.done() or running.result().name == "Completed"
    assert len(gateway.spoilt(LOAD)) <= 9  # one try a chunk
    gateway.is_well()
    _check(running.result(timeout=RUN_S), prefect_server, scripted_server, tmp_path / "run")


@pytest.mark.parametrize(
    ("moment", "status"),
    [(SHOWN, 503), (REPORT, 504), (STATE, 500)],
    ids=["progress", "the report", "the last state"],
)
def test_a_server_that_answers_5xx_at_a_moment_of_the_run_changes_nothing(
    moment: str,
    status: int,
    begin: Callable[[], Future[State[Summary]]],
    gateway: PrefectGateway,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    tmp_path: Path,
) -> None:
    running = begin()
    gateway.falls_ill(status=status, only=moment)
    _answer_all(scripted_server)
    eventually(lambda: gateway.spoilt(moment), len, RUN_S)
    gateway.is_well()
    _check(running.result(timeout=RUN_S), prefect_server, scripted_server, tmp_path / "run")


@pytest.mark.parametrize("illness", [{"status": 429}, {"cuts": True}], ids=str)
def test_every_third_call_answered_wrongly_changes_nothing(
    illness: dict[str, Any],
    begin: Callable[[], Future[State[Summary]]],
    gateway: PrefectGateway,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    tmp_path: Path,
) -> None:
    running = begin()
    gateway.falls_ill(**illness, every=3)
    _answer_all(scripted_server)
    ended = running.result(timeout=RUN_S)
    gateway.is_well()
    assert gateway.spoilt()
    _check(ended, prefect_server, scripted_server, tmp_path / "run")


def test_a_slow_server_changes_nothing(
    begin: Callable[[], Future[State[Summary]]],
    gateway: PrefectGateway,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    tmp_path: Path,
) -> None:
    running = begin()
    gateway.falls_ill(delay_s=0.3)
    _answer_all(scripted_server)
    ended = running.result(timeout=RUN_S)
    gateway.is_well()
    _check(ended, prefect_server, scripted_server, tmp_path / "run")
