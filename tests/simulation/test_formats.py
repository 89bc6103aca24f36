"""The simulated provider speaks whatever is registered: a toy format, over a real connection, beside OpenAI's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import orjson
import pytest
from tests.simulation.simulating import body, request, simulation

from prefect_llm.simulation import formats
from prefect_llm.simulation.answers import Delivery, Ending, with_status
from prefect_llm.simulation.asked import Asked
from prefect_llm.simulation.endpoint import Endpoint
from prefect_llm.simulation.faults import Fault
from prefect_llm.simulation.format import Problem
from prefect_llm.simulation.http_requests import Head


class Oracle:
    """The model stands in the path, the key in a header of its own."""

    models_path = "/oracles"

    def takes(self, path: str) -> bool:
        return path.startswith("/oracles/")

    def key(self, head: Head) -> str:
        return head.field("x-oracle-key")

    def read(self, head: Head, body: bytes) -> Asked:
        return Asked(head.path.removeprefix("/oracles/"), input_tokens=len(body), stream=b"sing" in body)

    def body(self, number: int, asked: Asked, ending: Ending, fault: Fault | None) -> bytes:
        return orjson.dumps({"oracle": asked.model, "heard": asked.input_tokens, "spoken": ending.output_tokens})

    def events(self, number: int, asked: Asked, ending: Ending, fault: Fault | None) -> Iterator[bytes]:
        yield b"data: la\n\n"

    def error(self, problem: Problem, message: str, parameter: str | None = None, headers: bytes = b"") -> Delivery:
        return Delivery(with_status(418, b"text/plain", problem.name.encode(), headers))

    def models(self, names: Sequence[str]) -> bytes:
        return orjson.dumps(names)


def answer(sent: bytes) -> bytes:
    """What an endpoint writes to a request that closes its connection."""

    async def ask() -> bytes:
        endpoint = Endpoint(simulation(output_tokens="7", models="pythia", api_key_env="K", environ={"K": "key"}))
        url = await endpoint.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.removesuffix("/v1").rpartition(":")[2]))
        writer.write(sent)
        written = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        endpoint.close()
        return written

    return asyncio.run(ask())


def question(path: str, content: bytes, key: str = "key", method: str = "POST") -> bytes:
    """The bytes of a request in the toy format."""
    head = f"{method} {path} HTTP/1.1\r\nX-Oracle-Key: {key}\r\ncontent-length: {len(content)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + content


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, Oracle()))


def test_a_request_is_read_and_answered_in_the_format_of_its_path() -> None:
    assert answer(question("/oracles/pythia", b"Rain?")).endswith(b'{"oracle":"pythia","heard":5,"spoken":7}')
    assert b"data: la\n\n" in answer(question("/oracles/pythia", b"sing"))
    assert answer(question("/oracles", b"", method="GET")).endswith(b'["pythia"]')
    chat = request(body(model="pythia"), "authorization: Bearer key", "connection: close")
    assert b'"object":"chat.completion"' in answer(chat)


def test_a_refusal_is_worded_in_the_format_of_its_path() -> None:
    assert answer(question("/oracles/pythia", b"Rain?", key="other")).endswith(b"WRONG_KEY")
    assert answer(question("/oracles/sibyl", b"Rain?")).endswith(b"UNKNOWN_MODEL")
    assert b"405" in answer(question("/oracles/pythia", b"", method="GET"))[:12]
