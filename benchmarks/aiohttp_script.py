"""The script a good engineer writes without us: aiohttp, a semaphore and gather, on uvloop, with orjson.

It limits what is in flight, tries again with backoff and keeps one row per document. No quota, no shared cooldown,
no circuit breaker, nothing durable: `python benchmarks/aiohttp_script.py URL DOCUMENTS CONCURRENCY`.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any

import aiohttp
import orjson
import uvloop
from workload import MAX_OUTPUT_TOKENS, MODEL, Row, documents

ATTEMPTS = 5
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


def ask_all(url: str, count: int, concurrency: int) -> list[Row]:
    """One row per document, in their order."""
    return uvloop.run(_ask_all(f"{url}/chat/completions", count, concurrency))


async def _ask_all(endpoint: str, count: int, concurrency: int) -> list[Row]:
    semaphore = asyncio.Semaphore(concurrency)
    connector = aiohttp.TCPConnector(limit=concurrency)
    timeout = aiohttp.ClientTimeout(total=120)
    headers = {"content-type": "application/json", "authorization": "Bearer key"}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:

        async def ask(document_id: str, prompt: str) -> Row:
            async with semaphore:
                return await _ask(session, endpoint, document_id, prompt)

        return await asyncio.gather(*(ask(document_id, prompt) for document_id, prompt in documents(count)))


async def _ask(session: aiohttp.ClientSession, endpoint: str, document_id: str, prompt: str) -> Row:
    messages = [{"role": "user", "content": prompt}]
    body = orjson.dumps({"model": MODEL, "max_tokens": MAX_OUTPUT_TOKENS, "messages": messages})
    started_at_us = time.time_ns() // 1000
    status, error = 0, ""
    for attempt in range(1, ATTEMPTS + 1):
        began = time.perf_counter()
        try:
            async with session.post(endpoint, data=body) as response:
                status, content = response.status, await response.read()
            if status == 200:
                return _row(document_id, orjson.loads(content), attempt, began, started_at_us)
            error = content.decode("utf-8", "replace")[:500]
            if status not in PASSING:
                break
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as fault:
            status, error = 0, str(fault)
        await asyncio.sleep(random.uniform(0, min(60.0, 0.5 * 2**attempt)))
    now_us = time.time_ns() // 1000
    failed = (attempt, None, started_at_us, now_us, "failed", status or None, error)
    return Row(document_id, "failed", None, None, None, None, None, *failed)


def _row(document_id: str, answer: dict[str, Any], attempts: int, began: float, started_at_us: int) -> Row:
    choice, usage = answer["choices"][0], answer["usage"]
    return Row(
        document_id,
        "ok",
        choice["message"]["content"],
        choice["finish_reason"],
        answer["model"],
        usage["prompt_tokens"],
        usage["completion_tokens"],
        attempts,
        (time.perf_counter() - began) * 1e3,
        started_at_us,
        time.time_ns() // 1000,
    )


if __name__ == "__main__":
    rows = ask_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(f"{sum(row.status == 'ok' for row in rows):,} of {len(rows):,} answered")
