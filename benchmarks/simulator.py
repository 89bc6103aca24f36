"""Whether the simulated provider could be what limits a measurement: `python benchmarks/simulator.py`.

A client that costs less than any real one, raw bytes on connections of its own, in a process of its own. First as
many requests as the provider takes, without latency, several at once on each connection. Then 1,000 in flight at
0.5 s: an answer is late by what passes after the 0.5 s, as the client sees it. Requests and answers of 1 KB.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import time
from collections import deque
from functools import partial
from typing import cast

import uvloop
from measuring import cpu_s, in_own_process
from simulated import ANSWER_OF_1_KB, simulated_provider
from tables import Table, heading, verdict
from workload import MAX_OUTPUT_TOKENS, MODEL, documents

LATENCY_S = 0.5
FEWEST_PER_SECOND = 15_000
MOST_CPU_S = 0.06
MOST_LATENESS_MS = 5.0
CASES = (
    # latency, connections, requests at once on each, requests in all
    ("no latency, pipelined", 0.0, 32, 16, 200_000),
    ("no latency, one at a time", 0.0, 100, 1, 100_000),
    ("1,000 in flight, 0.5 s", LATENCY_S, 1_000, 1, 20_000),
)

_LENGTH = re.compile(rb"content-length: (\d+)")


class RawClient(asyncio.Protocol):
    """Keeps `depth` requests on its way until `left` says that all are sent."""

    def __init__(self, request: bytes, depth: int, left: list[int], lasting_s: list[float], start_s: float) -> None:
        self._request, self._depth, self._left = request, depth, left
        self._lasting_s = lasting_s
        self._start_s = start_s
        self._received = b""
        self._sent_at: deque[float] = deque()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first requests once it is this client's time."""
        self._transport = cast(asyncio.Transport, transport)
        asyncio.get_running_loop().call_later(self._start_s, self._send, self._depth)

    def data_received(self, data: bytes) -> None:
        """For each whole answer send another request."""
        received, now, answers = self._received + data, time.perf_counter(), 0
        while (head_end := received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(received, 0, head_end)
            if not received.startswith(b"HTTP/1.1 200") or length is None:
                raise RuntimeError(f"not an answer: {received[:200]!r}")
            end = head_end + 4 + int(length[1])
            if len(received) < end:
                break
            received = received[end:]
            answers += 1
            self._lasting_s.append(now - self._sent_at.popleft())
        self._received = received
        self._send(answers)

    def connection_lost(self, error: Exception | None) -> None:
        """An answer that never comes must not be waited for."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the provider closed the connection"))

    def _send(self, count: int) -> None:
        count = min(count, self._left[0])
        self._left[0] -= count
        if count:
            self._sent_at.extend([time.perf_counter()] * count)
            self._transport.write(self._request * count)
        if not self._sent_at and not self.done.done():
            self.done.set_result(None)


async def ask(port: int, connections: int, depth: int, requests: int, spread_s: float) -> dict[str, float]:
    """Ask so many times, the first requests spread evenly over `spread_s`."""
    loop = asyncio.get_running_loop()
    left, lasting_s = [requests], list[float]()
    request = chat_request()
    cpu_before, started = cpu_s(), time.perf_counter()
    opened = [
        await loop.create_connection(
            partial(RawClient, request, depth, left, lasting_s, number / connections * spread_s),
            "127.0.0.1",
            port,
        )
        for number in range(connections)
    ]
    await asyncio.gather(*(client.done for _, client in opened))
    wall_s, used_s = time.perf_counter() - started, cpu_s() - cpu_before
    percentiles = statistics.quantiles(lasting_s, n=100)
    return {"wall_s": wall_s, "cpu_s": used_s, "p50_s": percentiles[49], "p99_s": percentiles[98]}


def chat_request() -> bytes:
    """One request of 1 KB."""
    _, text = next(documents(1))
    body = json.dumps(
        {"model": MODEL, "max_tokens": MAX_OUTPUT_TOKENS, "messages": [{"role": "user", "content": text}]}
    ).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: simulated\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def main() -> None:
    """Measure each case with a provider of its own."""
    heading("The simulated provider by itself", __doc__)
    columns = ("requests/s", "its CPU s per 1,000", "the client's", "p50 ms late", "p99 ms late")
    table = Table("case", *columns)
    figures = {}
    for name, latency_s, connections, depth, requests in CASES:
        with simulated_provider("--latency", str(latency_s), *ANSWER_OF_1_KB) as provider:
            port = provider.url.removesuffix("/v1").rpartition(":")[2]
            asked = in_own_process(__file__, "ask", port, connections, depth, requests, latency_s)
            cpu_per_1000_s = provider.stats()["cpu_s"] / requests * 1000
        rate, late_ms = requests / asked["wall_s"], [(asked[p] - latency_s) * 1000 for p in ("p50_s", "p99_s")]
        figures[name] = rate, cpu_per_1000_s, late_ms[1]
        late = [f"{ms:.1f}" for ms in late_ms] if latency_s else ["", ""]
        table.row(name, f"{rate:,.0f}", f"{cpu_per_1000_s:.3f}", f"{asked['cpu_s'] / requests * 1000:.3f}", *late)
    print()
    (busiest, busy_cpu_s, _), _, (_, _, p99_ms) = figures.values()
    verdict("requests/s without latency", busiest, at_least=FEWEST_PER_SECOND)
    verdict("its CPU seconds per 1,000 requests", busy_cpu_s, at_most=MOST_CPU_S)
    verdict("ms late at 1,000 in flight, p99", p99_ms, at_most=MOST_LATENESS_MS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["ask"]:
        port, connections, depth, requests = map(int, sys.argv[2:6])
        print(json.dumps(uvloop.run(ask(port, connections, depth, requests, float(sys.argv[6])))))
    else:
        main()
