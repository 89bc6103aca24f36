"""The provider over real connections: who is answered when, and what a client sees of each end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from tests.simulation.simulating import DEADLINE_S, admit, body, chunked, next_answer, request, simulation, started

from prefect_llm.simulation.distributions import Distribution
from prefect_llm.simulation.endpoint import Endpoint
from prefect_llm.simulation.faults import Fault
from prefect_llm.simulation.provider import Service, SimulatedProvider
from prefect_llm.values.errors import InvalidInput

NEVER_S = 3600.0


def test_pipelined_requests_are_answered_in_their_order() -> None:
    with started() as provider, provider.connect() as sock:
        sock.sendall(b"".join(request(body(model=f"m{number}")) for number in range(50)))
        assert [next_answer(sock).json()["model"] for _ in range(50)] == [f"m{number}" for number in range(50)]


def test_a_request_byte_by_byte_and_one_in_chunks_are_answered() -> None:
    with started() as provider, provider.connect() as sock:
        for byte in request(body()):
            sock.sendall(bytes([byte]))
        assert next_answer(sock).status == 200
        sock.sendall(chunked(body(), [7, 30]))
        assert next_answer(sock).status == 200


def test_a_client_that_waits_to_be_asked_is_asked_for_its_body() -> None:
    with started() as provider, provider.connect() as sock:
        head, _, content = request(body(), "expect: 100-continue").partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\n\r\n")
        assert next_answer(sock).status == 100
        sock.sendall(content)
        assert next_answer(sock).status == 200


def test_a_connection_that_asks_to_be_closed_is_closed_after_its_answer() -> None:
    with started() as provider, provider.connect() as sock:
        sock.sendall(request(body(), "connection: close"))
        assert next_answer(sock).status == 200
        assert sock.recv(1) == b""


def test_bytes_that_are_no_request_are_answered_and_end_the_connection() -> None:
    with started() as provider, provider.connect() as sock:
        sock.sendall(b"hello\r\n\r\n")
        assert next_answer(sock).status == 400
        assert sock.recv(1) == b""


def test_other_paths_are_404_and_other_methods_405() -> None:
    with started() as provider:
        assert provider.ask(b"{}", path="/v1/completions").json()["error"]["code"] == "unknown_url"
        wrong = provider.ask(path="/v1/chat/completions")
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
        assert provider.ask(path="/v1/models").json()["data"][0]["id"] == "simulated"


def test_stats_count_requests_and_not_themselves_until_a_reset() -> None:
    with started("--output-tokens", "7", "--requests-per-minute", "2") as provider:
        assert provider.stats()["seconds_since_first"] is None
        assert [provider.ask(body("x" * 12)).status for _ in range(3)] == [200, 200, 429]
        stats = provider.stats()
        assert (stats["requests"], stats["answered"], stats["throttled"], stats["in_flight"]) == (3, 2, 1, 0)
        assert (stats["max_in_flight"], stats["input_tokens"], stats["output_tokens"]) == (1, 6, 14)
        assert stats["cpu_s"] > 0
        assert stats["seconds_since_first"] > 0
        assert stats["connections"] >= 1
        assert provider.ask(b"", path="/reset").json()["requests"] == 0
        assert provider.ask(body()).status == 200


@pytest.mark.parametrize(("fault", "ending"), [("reset", ConnectionResetError), ("close", b"")])
def test_a_broken_connection_breaks_as_it_says(fault: str, ending: Any) -> None:
    with started("--fault", f"{fault}=1") as provider, provider.connect() as sock:
        sock.sendall(request(body()))
        if isinstance(ending, bytes):
            assert sock.recv(1) == ending
        else:
            with pytest.raises(ending):
                sock.recv(1)


def test_a_cut_answer_is_shorter_than_it_says_and_ends() -> None:
    with started("--fault", "cut=1") as provider, provider.connect() as sock:
        sock.sendall(request(body()))
        received = b"".join(iter(lambda: sock.recv(65536), b""))
        head, _, content = received.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert len(content) == length // 2


class OneByOne(Distribution):
    """Draws its numbers one after the other."""

    def sampler(self, random: Random) -> Callable[[], float]:
        numbers = iter(self.parameters)
        return lambda: next(numbers)


@dataclass(frozen=True, slots=True)
class Client:
    """One connection of a test that shares its loop with the provider."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answered(self) -> str:
        """The status line of the answer; waits for it."""
        line = await self.reader.readline()
        return line.decode().strip()


class Rehearsal:
    """An endpoint in this loop, and its clients."""

    def __init__(self, endpoint: Endpoint, port: int) -> None:
        self.endpoint = endpoint
        self.port = port

    async def client(self, **members: Any) -> Client:
        """One that has asked, and whose request has come."""
        before = self.endpoint.stats.requests
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        client.writer.write(request(body(**members)))
        await self.until(lambda: self.endpoint.stats.requests == before + 1)
        return client

    async def leave(self, client: Client) -> None:
        """The client goes away, and the endpoint has noticed."""
        before = self.endpoint.stats.in_flight.now
        client.writer.close()
        await self.until(lambda: self.endpoint.stats.in_flight.now < before)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let the loop turn until it holds."""
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)


def rehearse(story: Callable[[Rehearsal], Awaitable[None]], latencies_s: tuple[float, ...], **options: Any) -> None:
    """Tell a story of clients to an endpoint whose answers take those times, in order of arrival."""

    async def tell() -> None:
        settings = replace(simulation(**options), latency=OneByOne("one by one", latencies_s))
        endpoint = Endpoint(settings)
        port = int((await endpoint.listen("127.0.0.1", 0)).removesuffix("/v1").rpartition(":")[2])
        try:
            async with asyncio.timeout(DEADLINE_S):
                await story(Rehearsal(endpoint, port))
        finally:
            endpoint.close()

    asyncio.run(tell())


def test_past_the_knee_requests_wait_and_are_served_in_order_of_arrival() -> None:
    async def story(rehearsal: Rehearsal) -> None:
        first, *others = [await rehearsal.client() for _ in range(6)]
        ended: list[int] = []

        async def await_answer(number: int, client: Client) -> None:
            assert await client.answered() == "HTTP/1.1 200 OK"
            ended.append(number)

        waiting = [asyncio.ensure_future(await_answer(number, client)) for number, client in enumerate(others)]
        assert (rehearsal.endpoint.stats.in_flight.now, rehearsal.endpoint.stats.answered) == (6, 0)
        await rehearsal.leave(first)
        await asyncio.gather(*waiting)
        assert ended == [0, 1, 2, 3, 4]

    rehearse(story, (NEVER_S, 0, 0, 0, 0, 0), knee="1")


def test_who_leaves_the_queue_is_passed_over() -> None:
    async def story(rehearsal: Rehearsal) -> None:
        served, leaving, waiting = [await rehearsal.client() for _ in range(3)]
        await rehearsal.leave(leaving)
        await rehearsal.leave(served)
        assert await waiting.answered() == "HTTP/1.1 200 OK"
        assert rehearsal.endpoint.stats.abandoned == 2

    rehearse(story, (NEVER_S, NEVER_S, 0), knee="1")


def test_the_latency_counts_from_the_turn_and_not_from_the_arrival() -> None:
    async def story(rehearsal: Rehearsal) -> None:
        served, waiting = await rehearsal.client(), await rehearsal.client()
        await served.answered()
        turn = asyncio.get_running_loop().time()
        assert await waiting.answered() == "HTTP/1.1 200 OK"
        assert asyncio.get_running_loop().time() - turn > 0.05

    rehearse(story, (0.1, 0.1), knee="1")


def test_a_hanging_request_holds_no_place_and_ends_with_its_client() -> None:
    shares = {"fault": ["hang=0.5"], "knee": "1"}
    seed = next(seed for seed in range(100) if fault_kinds(seed, **shares) == [Fault.HANG, None])

    async def story(rehearsal: Rehearsal) -> None:
        hanging, other = await rehearsal.client(), await rehearsal.client()
        assert await other.answered() == "HTTP/1.1 200 OK"
        await rehearsal.leave(hanging)
        assert rehearsal.endpoint.stats.faults == {Fault.HANG: 1}
        assert rehearsal.endpoint.stats.abandoned == 0

    rehearse(story, (0, 0), seed=seed, **shares)


def fault_kinds(seed: int, **options: Any) -> list[Fault | None]:
    """Of the first two requests."""
    provider = SimulatedProvider(simulation(seed=seed, **options))
    services = [admit(provider, body()) for _ in range(2)]
    return [service.fault for service in services if isinstance(service, Service)]


def test_nothing_is_written_to_a_client_that_left_during_its_latency(caplog: pytest.LogCaptureFixture) -> None:
    async def story(rehearsal: Rehearsal) -> None:
        leaving, other = await rehearsal.client(), await rehearsal.client()
        await rehearsal.leave(leaving)
        assert await other.answered() == "HTTP/1.1 200 OK"
        assert rehearsal.endpoint.stats.answered == 1

    rehearse(story, (0.02, 0.05))
    assert caplog.records == []


def test_a_client_that_leaves_amid_a_stream_frees_its_place() -> None:
    async def story(rehearsal: Rehearsal) -> None:
        streaming = await rehearsal.client(stream=True)
        other = await rehearsal.client()
        assert await streaming.answered() == "HTTP/1.1 200 OK"
        await rehearsal.leave(streaming)
        assert await other.answered() == "HTTP/1.1 200 OK"

    rehearse(story, (0.5, 0), knee="1")


def test_an_endpoint_that_closes_drops_requests_in_flight() -> None:
    async def story(rehearsal: Rehearsal) -> None:
        client = await rehearsal.client()
        rehearsal.endpoint.close()
        with contextlib.suppress(ConnectionResetError):
            assert await client.reader.read() == b""

    rehearse(story, (NEVER_S,))


def test_an_address_that_is_taken_is_refused() -> None:
    async def story(rehearsal: Rehearsal) -> None:
        with pytest.raises(InvalidInput, match=r"cannot listen on 127\.0\.0\.1 port \d+: .*choose another"):
            await Endpoint(simulation()).listen("127.0.0.1", rehearsal.port)

    rehearse(story, ())
