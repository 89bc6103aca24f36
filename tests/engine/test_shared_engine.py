"""One engine for many threads, and the limits hold for all of them together."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.engine.submitting import Asked, ask, provider_at, requests, run_on
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import Engine, close_engines, engine_for
from prefect_llm.values.errors import AuthenticationFailed
from prefect_llm.values.provider import Limits, Provider


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_engines()


def run_in_threads(engine: Engine, count: int, documents: int) -> dict[str, bool]:
    """So many chunks at once, each from a thread of its own."""
    asked = [Asked() for _ in range(count)]
    threads = [
        threading.Thread(
            target=run_on, args=(engine, requests(documents, first=number * 1_000), each.deliver, each.stop)
        )
        for number, each in enumerate(asked)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {document: outcome.ok for each in asked for document, outcome in each.outcomes.items()}


def test_three_chunk_threads_share_one_limit(scripted_server: ScriptedServer) -> None:
    scripted_server.delay(0.03)
    done = run_in_threads(engine_for(provider_at(scripted_server.base_url, concurrency=5)), 3, 60)
    assert len(done) == 180
    assert all(done.values())
    assert scripted_server.stats().max_in_flight == 5


def test_a_chunk_that_drains_leaves_no_place_idle(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.hang())
    engine = engine_for(provider_at(scripted_server.base_url, concurrency=12, attempt_s=30))

    def release_in_turn() -> None:
        for open_at_once in (12, 8):
            scripted_server.wait_for(in_flight=open_at_once)
            scripted_server.release()

    releaser = threading.Thread(target=release_in_turn)
    releaser.start()
    assert len(run_in_threads(engine, 4, 5)) == 20
    releaser.join()
    assert scripted_server.stats().max_in_flight == 12


def test_requests_per_minute_hold_over_all_threads(scripted_server: ScriptedServer) -> None:
    limits = Limits(concurrency=50, requests_per_minute=600)
    run_in_threads(engine_for(provider_at(scripted_server.base_url, limits=limits)), 3, 10)
    times = sorted(received.received_at for received in scripted_server.log())
    assert times[-1] - times[0] >= (30 - 10 - 1) / 10.0


def test_two_providers_share_nothing(scripted_server: ScriptedServer, second_scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.status(401))
    second_scripted_server.delay(0.02)
    refused, sound = (engine_for(provider_at(each.base_url)) for each in (scripted_server, second_scripted_server))
    bad = Asked()
    with ThreadPoolExecutor(1) as pool:
        well = pool.submit(run_in_threads, sound, 2, 40)
        with pytest.raises(AuthenticationFailed):
            run_on(refused, requests(1_000), bad.deliver, bad.stop)
        assert len(well.result(timeout=20)) == 80
    assert second_scripted_server.stats().requests == 80


def test_an_engine_serves_one_run_after_another(scripted_server: ScriptedServer) -> None:
    engine = engine_for(provider_at(scripted_server.base_url, concurrency=4))
    for first in (0, 100, 200):
        asked = Asked()
        run_on(engine, requests(10, first=first), asked.deliver, asked.stop)
        assert len(asked.outcomes) == 10
    assert scripted_server.stats().connections <= 4


def test_closed_engines_leave_no_thread_and_are_made_anew(scripted_server: ScriptedServer) -> None:
    provider = provider_at(scripted_server.base_url)
    before = engine_for(provider)
    close_engines()
    assert f"llm-{provider.name}" not in {thread.name for thread in threading.enumerate()}
    assert engine_for(provider) is not before


def test_the_same_provider_has_the_same_engine(scripted_server: ScriptedServer) -> None:
    provider = Provider(scripted_server.base_url, api_key="a", headers={"x": "y"})
    assert engine_for(provider) is engine_for(replace(provider))
    assert engine_for(provider) is not engine_for(replace(provider, api_key="b"))


def test_the_key_and_the_extra_headers_are_sent(scripted_server: ScriptedServer) -> None:
    scripted_server.expect_key("s3cret")
    provider = replace(provider_at(scripted_server.base_url), api_key="s3cret", headers={"X-Team": "tickets"})
    assert ask(provider, requests(1))["doc-0"].ok
    (received,) = scripted_server.log()
    assert received.headers["x-team"] == "tickets"
    assert received.headers["user-agent"].startswith("prefect-llm/")
    assert received.path == "/v1/chat/completions"


def test_without_a_key_there_is_no_authorization(scripted_server: ScriptedServer) -> None:
    ask(provider_at(scripted_server.base_url), requests(1))
    assert "authorization" not in scripted_server.log()[0].headers


def test_in_a_storm_of_faults_every_document_is_accounted_for(scripted_server: ScriptedServer) -> None:
    chance = random.Random(7)
    faults = [
        steps.status(500),
        steps.status(503, "<html>Down</html>"),
        steps.status(429, headers={"retry-after-ms": "20"}),
        steps.close_before_answer(),
        steps.close_mid_body(),
        steps.reset(),
        steps.not_json(),
        steps.empty_choices(),
        steps.null_content(),
        steps.status(400),
        steps.stale_connection(),
        steps.chunked(),
    ]
    scripted_server.script(
        {f"doc-{row}": [chance.choice(faults), steps.ok()] for row in range(300) if chance.random() < 0.3}
    )
    outcomes = ask(provider_at(scripted_server.base_url, concurrency=20), requests(300))
    assert len(outcomes) == 300
    failed = [outcome.failure.kind.value for outcome in outcomes.values() if outcome.failure is not None]
    assert set(failed) == {"rejected"}
    stats = scripted_server.stats()
    assert sum(outcome.attempts for outcome in outcomes.values()) <= stats.requests + stats.stale_closed


def test_without_a_concurrency_the_engine_finds_its_own(scripted_server: ScriptedServer) -> None:
    scripted_server.delay(0.1)
    ask(provider_at(scripted_server.base_url, limits=Limits(concurrency=None, max_concurrency=60)), requests(900))
    assert 16 < scripted_server.stats().max_in_flight <= 60
