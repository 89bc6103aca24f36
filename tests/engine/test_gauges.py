"""What gauges show of an engine, as a reader collects them while it is at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Thread
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.engine.submitting import Asked, provider_at, requests, run_on
from tests.measured import points_of
from tests.prefect_server import eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine import Engine
from prefect_llm.system import telemetry
from prefect_llm.values.errors import Interrupted
from prefect_llm.values.provider import Provider

SLOW: dict[str, Any] = {
    "attempt_s": 60,
    "backoff_s": 40,
    "max_backoff_s": 80,
    "outage_s": 600,
    "first_connection_s": 60,
}
"""What waits does so for the rest of the test."""
NAMES = ("requests.in_flight", "requests.waiting", "breaker.state")


@dataclass
class Work:
    """Engines at work, each on a thread; `end` gives their runs up."""

    engines: list[Engine]
    threads: list[Thread]
    asked: list[Asked]

    def end(self) -> None:
        """Leave nothing behind."""
        for asked in self.asked:
            asked.stop.set(Interrupted("the test is over"))
        for thread in self.threads:
            thread.join()
        for engine in self.engines:
            engine.close()


@pytest.fixture
def begin(reader: InMemoryMetricReader, scripted_server: ScriptedServer) -> Iterator[Callable[[Provider, int], None]]:
    """Has an engine of its own ask so many documents of a provider."""
    work = Work([], [], [])

    def start(provider: Provider, count: int) -> None:
        engine, asked = Engine(provider), Asked()
        work.engines.append(engine)
        work.asked.append(asked)
        work.threads.append(Thread(target=_run, args=(engine, count, asked)))
        work.threads[-1].start()

    yield start
    scripted_server.release()
    work.end()
    assert shown(reader) == {}  # an engine that is closed shows nothing


def _run(engine: Engine, count: int, asked: Asked) -> None:
    try:
        run_on(engine, requests(count), asked.deliver, asked.stop)
    except Interrupted:
        return


def shown(reader: InMemoryMetricReader) -> dict[str, int]:
    """The three gauges, of the one endpoint that there is."""
    points = points_of(reader)
    return {name: point.value for name in NAMES for point in points.get(f"prefect_llm.{name}", [])}


def status(in_flight: int, waiting: int, breaker: int) -> dict[str, int]:
    return dict(zip(NAMES, (in_flight, waiting, breaker), strict=True))


def slow_at(server: ScriptedServer, concurrency: int, **changes: float) -> Provider:
    return provider_at(server.base_url, concurrency=concurrency, **SLOW | changes)


def test_a_reader_that_collects_while_a_recorder_is_made_waits_for_nobody(
    begin: Callable[[Provider, int], None], reader: InMemoryMetricReader, scripted_server: ScriptedServer
) -> None:
    """It holds a lock of its own then, for which whoever makes the recorder waits in turn."""
    scripted_server.script_all(steps.hang())
    begin(provider_at(scripted_server.base_url, concurrency=2), 2)
    scripted_server.wait_for(in_flight=2)
    with ThreadPoolExecutor(1) as pool, telemetry._lock:
        assert pool.submit(shown, reader).result(timeout=30) != {}


def test_what_is_in_flight_and_what_waits_for_a_retry_are_told_apart(
    reader: InMemoryMetricReader, scripted_server: ScriptedServer, begin: Callable[[Provider, int], None]
) -> None:
    scripted_server.script_all(steps.hang())
    scripted_server.script({"doc-0": steps.status(500), "doc-1": steps.status(500)})
    begin(slow_at(scripted_server, concurrency=5), 5)
    scripted_server.wait_for(answered=2, in_flight=3)
    eventually(lambda: shown(reader), lambda seen: seen == status(in_flight=3, waiting=2, breaker=0))
    scripted_server.release()
    eventually(lambda: shown(reader), lambda seen: seen == status(in_flight=0, waiting=2, breaker=0))


def test_engines_of_one_endpoint_are_shown_together_under_its_name_address_and_port(
    reader: InMemoryMetricReader, scripted_server: ScriptedServer, begin: Callable[[Provider, int], None]
) -> None:
    scripted_server.script_all(steps.hang())
    begin(slow_at(scripted_server, concurrency=2), 2)
    begin(slow_at(scripted_server, concurrency=3), 3)
    scripted_server.wait_for(in_flight=5)
    (point,) = points_of(reader)["prefect_llm.requests.in_flight"]
    assert point.value == 5
    assert point.attributes == {
        "gen_ai.provider.name": "127.0.0.1",
        "server.address": "127.0.0.1",
        "server.port": scripted_server.port,
    }


def test_endpoints_are_shown_apart(
    reader: InMemoryMetricReader,
    scripted_server: ScriptedServer,
    second_scripted_server: ScriptedServer,
    begin: Callable[[Provider, int], None],
) -> None:
    for server, count in ((scripted_server, 1), (second_scripted_server, 2)):
        server.script_all(steps.hang())
        begin(slow_at(server, concurrency=4), count)
        server.wait_for(in_flight=count)
    points = points_of(reader)["prefect_llm.requests.in_flight"]
    by_port = {point.attributes["server.port"]: point.value for point in points}
    second_scripted_server.release()
    assert by_port == {scripted_server.port: 1, second_scripted_server.port: 2}


def test_an_outage_is_shown_as_an_open_breaker_of_whatever_engine(
    reader: InMemoryMetricReader, scripted_server: ScriptedServer, begin: Callable[[Provider, int], None]
) -> None:
    scripted_server.script_all(steps.status(503))
    begin(slow_at(scripted_server, concurrency=10), 10)
    eventually(lambda: shown(reader), lambda seen: seen == status(in_flight=0, waiting=10, breaker=2))
    scripted_server.script_all(steps.hang())
    begin(slow_at(scripted_server, concurrency=1), 1)
    scripted_server.wait_for(in_flight=1)
    assert shown(reader) == status(in_flight=1, waiting=10, breaker=2)


def test_a_probe_under_way_is_shown_as_half_open_and_its_success_as_closed(
    reader: InMemoryMetricReader, scripted_server: ScriptedServer, begin: Callable[[Provider, int], None]
) -> None:
    scripted_server.script_all(steps.status(503))
    begin(slow_at(scripted_server, concurrency=10, backoff_s=0.01, max_backoff_s=0.02), 10)
    eventually(lambda: shown(reader), lambda seen: seen.get("breaker.state"))
    scripted_server.script_all(steps.hang())
    eventually(lambda: shown(reader), lambda seen: seen == status(in_flight=1, waiting=9, breaker=1))
    scripted_server.reset()
    eventually(lambda: shown(reader), lambda seen: seen == status(in_flight=0, waiting=0, breaker=0))
