"""Client CPU per 1,000 requests by HTTP transport, side by side: `python benchmarks/transports.py`.

Each row runs in a process of its own against the same instant server (0.2 s an answer, 1 KB bodies), so that
one row's memory and threads do not weigh on the next. Compare rows within one run only.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import httpx
import uvloop
from server import cpu_s, instant_server

from prefect_llm.engine import Engine, Stop
from prefect_llm.records import Limits, Outcome, Parameters, Provider, Request

DELAY_S = 0.2
REQUESTS = 5_000
CONCURRENCY = 100
MESSAGES = ({"role": "user", "content": "x" * 900},)
PARAMETERS = Parameters("instant", max_output_tokens=200)


def whole_engine(url: str) -> None:
    """Limits, retry, encoding, decoding and outcomes included."""
    _run_engine(Provider(f"{url}/v1", limits=Limits(concurrency=CONCURRENCY)))


def whole_engine_through_httpx(url: str) -> None:
    """The engine with a user's httpx client."""
    limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    provider = Provider(
        f"{url}/v1",
        limits=Limits(concurrency=CONCURRENCY),
        http_client=lambda: httpx.AsyncClient(limits=limits),
    )
    _run_engine(provider)


def _run_engine(provider: Provider) -> None:
    outcomes: list[Outcome] = []
    requests = (Request(row, str(row), MESSAGES, PARAMETERS, "") for row in range(REQUESTS))
    engine = Engine(provider)
    engine.run(requests, lambda _, outcome: outcomes.append(outcome), Stop())
    engine.close()
    assert all(outcome.ok for outcome in outcomes)


def httpx_as_it_comes(url: str) -> None:
    """`client.post(json=...)`, no limits, no retry, no rows."""

    async def ask() -> None:
        limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
        async with httpx.AsyncClient(limits=limits) as client:
            await _workers(lambda: _post(client, url))

    uvloop.run(ask())


def httpx_over_pyreqwest(url: str) -> None:
    """The client layer of httpx over pyreqwest's transport."""
    from pyreqwest.compatibility.httpx.transport import HttpxTransport

    async def ask() -> None:
        async with httpx.AsyncClient(transport=HttpxTransport()) as client:
            await _workers(lambda: _post(client, url))

    uvloop.run(ask())


async def _post(client: httpx.AsyncClient, url: str) -> None:
    body = {"model": "instant", "max_tokens": 200, "messages": list(MESSAGES)}
    response = await client.post(f"{url}/v1/chat/completions", json=body)
    response.json()


async def _workers(ask: Callable[[], Awaitable[None]]) -> None:
    numbers = iter(range(REQUESTS))

    async def work() -> None:
        for _ in numbers:
            await ask()

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


CANDIDATES = {
    candidate.__name__: candidate
    for candidate in (whole_engine, whole_engine_through_httpx, httpx_over_pyreqwest, httpx_as_it_comes)
}


def measure(name: str, url: str) -> None:
    """Print CPU seconds and wall efficiency of one candidate; import and start-up are left out."""
    before, started = os.times()[:2], time.perf_counter()
    CANDIDATES[name](url)
    wall_s, used_s = time.perf_counter() - started, cpu_s(before, os.times()[:2])
    ideal_s = REQUESTS / CONCURRENCY * DELAY_S
    print(f"{name:28}{used_s / REQUESTS * 1000:>20.3f}{ideal_s / wall_s:>18.2f}", flush=True)


def main() -> None:
    """Start the server and run each candidate in a process of its own."""
    with instant_server(DELAY_S) as url:
        print(f"{REQUESTS:,} requests, {CONCURRENCY} at once, {DELAY_S} s an answer")
        print(f"{'transport':28}{'CPU s per 1,000':>20}{'wall efficiency':>18}", flush=True)
        for name in CANDIDATES:
            subprocess.run([sys.executable, __file__, name, url], check=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], sys.argv[2])
    else:
        main()
