"""Several runs at one provider: what stops one of them, and what it leaves to the others."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.engine.submitting import Asked, provider_at, requests, run_for_at_most, run_on
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import Engine
from prefect_llm.values.errors import AuthenticationFailed, Interrupted, ModelNotFound
from prefect_llm.values.request import Request

CONCURRENCY = 8


class DiskFullError(Exception):
    """What a receiver may raise."""


def test_a_receivers_fault_comes_out_and_harms_no_other_run(scripted_server: ScriptedServer) -> None:
    scripted_server.delay(0.02)
    engine = Engine(provider_at(scripted_server.base_url))
    well, ill = Asked(), Asked()

    def fail(request: Request, outcome: object) -> None:
        raise DiskFullError(request.document_id)

    other = threading.Thread(target=run_on, args=(engine, requests(60, first=100), well.deliver, well.stop))
    other.start()
    with pytest.raises(DiskFullError):
        run_on(engine, requests(60), fail, ill.stop)
    other.join()
    engine.close()
    assert len(well.outcomes) == 60


def test_one_runs_unknown_model_does_not_stop_another_run(scripted_server: ScriptedServer) -> None:
    scripted_server.know_models("known")
    scripted_server.script_all(steps.hang())
    engine = Engine(provider_at(scripted_server.base_url, attempt_s=30))
    well, ill = Asked(), Asked()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run_on, engine, requests(4, first=100, model="known"), well.deliver, well.stop)
        scripted_server.wait_for(in_flight=4)
        with pytest.raises(ModelNotFound):
            run_for_at_most(10, engine, requests(1_000, model="unknown"), ill)
        assert scripted_server.release() == 4
        other.result(timeout=10)
    engine.close()
    assert len(well.outcomes) == 4
    assert ill.outcomes == {}
    assert scripted_server.stats().requests <= 4 + CONCURRENCY


def test_an_unknown_model_stops_every_chunk_of_its_run(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.error(404, "no such model", code="model_not_found").after(0.1))
    engine, run = Engine(provider_at(scripted_server.base_url)), Asked()
    with ThreadPoolExecutor(3) as pool:
        chunks = [
            pool.submit(run_on, engine, requests(500, first=first), run.deliver, run.stop)
            for first in (0, 1_000, 2_000)
        ]
        assert [type(chunk.exception(timeout=10)) for chunk in chunks] == [ModelNotFound] * 3
    engine.close()
    assert scripted_server.stats().requests <= CONCURRENCY


def test_a_bad_key_stops_every_run_at_the_provider(scripted_server: ScriptedServer) -> None:
    scripted_server.script({"*": steps.hang(), "doc-9": steps.status(401)})
    engine = Engine(provider_at(scripted_server.base_url, attempt_s=30))
    one, other = Asked(), Asked()
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(run_on, engine, requests(4, first=100), one.deliver, one.stop)
        scripted_server.wait_for(in_flight=4)
        with pytest.raises(AuthenticationFailed):
            run_on(engine, requests(1, first=9), other.deliver, other.stop)
        scripted_server.release()
        assert isinstance(hanging.exception(timeout=10), AuthenticationFailed)
    engine.close()
    assert len(one.outcomes) == 4


def test_a_stopped_runs_retries_no_longer_hold_up_the_next_run(scripted_server: ScriptedServer) -> None:
    later = steps.status(503, headers={"retry-after": "60"})
    scripted_server.script({f"doc-{row}": later for row in range(8)})
    engine = Engine(provider_at(scripted_server.base_url, concurrency=1))
    waiting, following = Asked(), Asked()
    with ThreadPoolExecutor(2) as pool:
        stopped = pool.submit(run_on, engine, requests(8), waiting.deliver, waiting.stop)
        scripted_server.wait_for(answered=8)
        held_up = pool.submit(run_on, engine, requests(3, first=100), following.deliver, following.stop)
        assert not held_up.done()
        waiting.stop.set(Interrupted("enough"))
        assert isinstance(stopped.exception(timeout=5), Interrupted)
        try:
            held_up.result(timeout=5)
        finally:
            following.stop.set(Interrupted("the test is over"))
    engine.close()
    assert len(following.outcomes) == 3


def test_the_places_of_a_stopped_run_go_to_the_run_that_waits_for_them(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_llm.engine.dispatcher.GRACE_S", 0.1)
    scripted_server.script({"*": steps.hang(), "doc-1000": steps.ok()})
    engine = Engine(provider_at(scripted_server.base_url, attempt_s=60))
    hanging, waiting = Asked(), Asked()
    with ThreadPoolExecutor(2) as pool:
        stopped = pool.submit(run_on, engine, requests(100), hanging.deliver, hanging.stop)
        scripted_server.wait_for(in_flight=CONCURRENCY)
        served = pool.submit(run_on, engine, requests(1, first=1_000), waiting.deliver, waiting.stop)
        hanging.stop.set(Interrupted("enough"))
        assert isinstance(stopped.exception(timeout=5), Interrupted)
        try:
            served.result(timeout=5)
        finally:
            waiting.stop.set(Interrupted("the test is over"))
    engine.close()
    assert list(waiting.outcomes) == ["doc-1000"]


def test_closing_the_engine_ends_a_run_that_hangs(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_llm.engine.dispatcher.GRACE_S", 12.0)
    scripted_server.script_all(steps.hang())
    engine, asked = Engine(provider_at(scripted_server.base_url, attempt_s=60)), Asked()
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(run_on, engine, requests(100), asked.deliver, asked.stop)
        scripted_server.wait_for(in_flight=CONCURRENCY)
        began = time.monotonic()
        engine.close()
        assert time.monotonic() - began < 6
        assert isinstance(hanging.exception(timeout=5), Interrupted)
    assert asked.outcomes == {}
    assert scripted_server.stats().requests == CONCURRENCY
