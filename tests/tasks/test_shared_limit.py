"""Limits that hold over processes: real processes, a real Prefect server, a scripted endpoint that counts."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from tests.engine.submitting import run_on
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import close_engines, engine_for
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.tasks.limit_leases import give_back, prepare_limit, take
from prefect_llm.tasks.shared_limit import SharedLimit, awaited_limits, give_all_back, limits_shared
from prefect_llm.values.provider import Limits, Provider
from prefect_llm.values.request import Parameters, Request

WORKER = Path(__file__).with_name("sharing_worker.py")


class Workers:
    """Starts processes that share one limit, and looks at it."""

    def __init__(self, server: ScriptedServer, prefect: PrefectServer) -> None:
        self._server = server
        self._prefect = prefect
        self.name = f"shared-{uuid4().hex[:8]}"

    @contextmanager
    def worker(self, concurrency: int, count: int = 100_000) -> Iterator[subprocess.Popen[str]]:
        """One process, killed with the block if it is still there."""
        command = [sys.executable, str(WORKER), self._server.base_url, self.name, str(concurrency), str(count)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._prefect.environ
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def taken(self) -> int:
        """Slots that are leased now, over all processes."""
        with self._prefect.client() as client:
            return client.read_global_concurrency_limit_by_name(f"llm-{self.name}").active_slots

    def limit(self) -> int:
        """Slots there are."""
        with self._prefect.client() as client:
            return client.read_global_concurrency_limit_by_name(f"llm-{self.name}").limit


@pytest.fixture
def workers(scripted_server: ScriptedServer, prefect_server: PrefectServer) -> Workers:
    return Workers(scripted_server, prefect_server)


def ended(process: subprocess.Popen[str]) -> int:
    """How many documents were answered, once it was told that it is enough."""
    told, _ = process.communicate(timeout=30)
    return int(told)


def test_two_processes_never_have_more_in_flight_than_the_provider_allows(
    workers: Workers, scripted_server: ScriptedServer
) -> None:
    scripted_server.delay(0.05)
    with workers.worker(8) as one:
        scripted_server.wait_for(answered=50)
        assert workers.limit() == 8
        with workers.worker(8) as other:
            scripted_server.wait_for(answered=1_500, timeout_s=60)
            answered = ended(one), ended(other)
    assert scripted_server.stats().max_in_flight == 8
    assert min(answered) > 100
    assert eventually(workers.taken, lambda taken: taken == 0) == 0


def test_more_processes_than_places_take_turns(workers: Workers, scripted_server: ScriptedServer) -> None:
    scripted_server.delay(0.05)
    with workers.worker(1) as one, workers.worker(1) as other:
        scripted_server.wait_for(answered=300, timeout_s=60)
        answered = ended(one), ended(other)
    assert scripted_server.stats().max_in_flight == 1
    assert min(answered) > 0


def test_who_has_nothing_to_ask_gives_its_slots_back_within_ten_seconds(
    workers: Workers, scripted_server: ScriptedServer
) -> None:
    with workers.worker(8, count=1) as idle:
        assert idle.stdout is not None
        assert idle.stdout.readline() == "1\n"
        assert eventually(workers.taken, lambda taken: taken == 0, timeout_s=10.0) == 0
        assert idle.poll() is None


@pytest.fixture
def asked(workers: Workers, scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The provider, to be asked in this process, which could wait for work for ever."""
    monkeypatch.setattr("prefect_llm.engine.limits.shared_limit.IDLE_S", math.inf)
    yield Provider(scripted_server.base_url, limits=Limits(8), shared_as=workers.name)
    give_all_back()
    close_engines()


def ask(provider: Provider) -> None:
    request = Request(0, "doc-0", ({"role": "user", "content": "doc-0 hello"},), Parameters("m"), "")
    run_on(engine_for(provider), iter([request]), lambda *_: None, StopFlag())


def asked_once(provider: Provider, workers: Workers, error: Exception | None = None) -> None:
    """A chunk of one document, which ends in the error."""
    with limits_shared(provider):
        ask(provider)
        assert workers.taken() > 0
        if error is not None:
            raise error


def test_a_chunk_that_ends_in_an_error_has_given_back_what_its_process_held(
    workers: Workers, asked: Provider
) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        asked_once(asked, workers, RuntimeError("stopped"))
    assert workers.taken() == 0


def test_slots_come_back_after_the_last_chunk_though_its_process_lives_on(workers: Workers, asked: Provider) -> None:
    asked_once(asked, workers)
    assert eventually(workers.taken, lambda taken: taken == 0) == 0


def test_a_process_that_comes_back_after_an_hour_waits_for_its_turn(
    workers: Workers,
    asked: Provider,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it waited for before counts no more: it would take the slots for lost, and go on alone."""
    asked_once(asked, workers)
    eventually(workers.taken, lambda taken: taken == 0)
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 3_600)
    for module in ("shared_limit", "slot_wait"):
        monkeypatch.setattr(f"prefect_llm.tasks.{module}.time", clock)
    with prefect_server.client() as client, ThreadPoolExecutor(1) as pool:
        lease = take(client, f"llm-{workers.name}", 8)
        assert lease is not None
        again = pool.submit(copy_context().run, asked_once, asked, workers)
        eventually(lambda: awaited_limits(asked), lambda limits: limits == [f"llm-{workers.name}"])
        assert scripted_server.stats().requests == 1
        give_back(client, lease)
        again.result()
    assert awaited_limits(asked) == []
    assert scripted_server.stats().requests == 2


def test_a_fault_that_nobody_foresaw_leaves_the_limits_to_this_process(
    asked: Provider, scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(share: SharedLimit, client: SyncPrefectClient) -> None:
        raise ValueError("an answer of the server that is no answer")

    monkeypatch.setattr(SharedLimit, "_look", broken)
    with limits_shared(asked):
        ask(asked)
    assert scripted_server.stats().requests == 1


def test_a_process_that_is_to_ask_less_lowers_the_limit_for_nobody_who_holds_a_part(
    prefect_server: PrefectServer,
) -> None:
    name = f"llm-held-{uuid4().hex[:8]}"
    with prefect_server.client() as client:
        prepare_limit(client, name, 8)
        lease = take(client, name, 2)
        assert lease is not None
        prepare_limit(client, name, 2)
        assert client.read_global_concurrency_limit_by_name(name).limit == 8
        prepare_limit(client, name, 16)
        assert client.read_global_concurrency_limit_by_name(name).limit == 16
        give_back(client, lease)
        prepare_limit(client, name, 2)
        assert client.read_global_concurrency_limit_by_name(name).limit == 2


def test_a_small_run_beside_a_large_one_chokes_neither(workers: Workers, scripted_server: ScriptedServer) -> None:
    scripted_server.delay(0.05)
    with workers.worker(16) as large:
        scripted_server.wait_for(answered=50)
        with workers.worker(2, count=20) as small:
            assert small.stdout is not None
            assert small.stdout.readline() == "20\n"
        assert workers.limit() == 16
        answered = scripted_server.stats().requests
        eventually(lambda: scripted_server.stats().requests, lambda requests: requests > answered + 200)
        assert scripted_server.stats().max_in_flight <= 16 + 2
        ended(large)
