"""Other clients, each used as its own README shows, at the same concurrency and with the same rows kept.

What takes a loop of ours runs on uvloop, which favours it. Each returns how many documents were answered.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from workload import MAX_OUTPUT_TOKENS, MODEL, Row, documents

KEY = "key"


def aiohttp_script(url: str, count: int, concurrency: int) -> int:
    """`aiohttp_script.py`."""
    from aiohttp_script import ask_all

    return _answered(ask_all(url, count, concurrency))


def pyreqwest(url: str, count: int, concurrency: int) -> int:
    """Pyreqwest alone: workers over one iterator, orjson both ways; no limits, no retry."""
    import orjson
    from pyreqwest.client import ClientBuilder

    async def ask_all() -> list[Row]:
        headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
        async with ClientBuilder().default_headers(headers).build() as client:

            async def ask(document_id: str, prompt: str) -> Row:
                began, started_at_us = time.perf_counter(), _now_us()
                body = orjson.dumps(_body(prompt))
                async with client.post(f"{url}/chat/completions").body_bytes(body).build_streamed() as response:
                    answer = orjson.loads(bytes(await response.body_reader.read() or b""))
                return _row(document_id, answer, began, started_at_us)

            return await _by_workers(ask, count, concurrency)

    return _run(ask_all())


def httpx_client(url: str, count: int, concurrency: int) -> int:
    """Httpx as it comes, with a pool as large as the concurrency."""
    import httpx

    async def ask_all() -> list[Row]:
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        async with httpx.AsyncClient(limits=limits, timeout=120) as client:

            async def ask(document_id: str, prompt: str) -> Row:
                began, started_at_us = time.perf_counter(), _now_us()
                headers = {"authorization": f"Bearer {KEY}"}
                response = await client.post(f"{url}/chat/completions", json=_body(prompt), headers=headers)
                return _row(document_id, response.raise_for_status().json(), began, started_at_us)

            return await _by_workers(ask, count, concurrency)

    return _run(ask_all())


def openai_sdk(url: str, count: int, concurrency: int) -> int:
    """The openai SDK as it comes: a semaphore and gather around `chat.completions.create`."""
    from openai import AsyncOpenAI

    async def ask_all() -> list[Row]:
        async with AsyncOpenAI(base_url=url, api_key=KEY) as client:

            async def ask(document_id: str, prompt: str) -> Row:
                began, started_at_us = time.perf_counter(), _now_us()
                answer = await client.chat.completions.create(**_body(prompt))
                return _row_of_object(document_id, answer, began, started_at_us)

            return await _by_semaphore(ask, count, concurrency)

    return _run(ask_all())


def litellm_sdk(url: str, count: int, concurrency: int) -> int:
    """litellm: a semaphore and gather around `acompletion`."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its price list otherwise comes from the network
    from litellm import acompletion

    async def ask_all() -> list[Row]:
        async def ask(document_id: str, prompt: str) -> Row:
            began, started_at_us = time.perf_counter(), _now_us()
            body = _body(prompt) | {"model": f"openai/{MODEL}"}
            answer = await acompletion(**body, api_base=url, api_key=KEY)
            return _row_of_object(document_id, answer, began, started_at_us)

        return await _by_semaphore(ask, count, concurrency)

    return _run(ask_all())


def saturate(url: str, count: int, concurrency: int) -> int:
    """Saturate's stream of results, without its Parquet sink, with a fixed window."""
    from saturate import AdaptiveClient, Fixed, through

    def parse(row: dict[str, str], answer: dict[str, Any]) -> dict[str, Any]:
        return _row(row["id"], answer, time.perf_counter(), _now_us())._asdict()

    async def ask_all() -> list[Any]:
        rows = ((document_id, {"id": document_id, "prompt": prompt}) for document_id, prompt in documents(count))
        async with AdaptiveClient(url, window=Fixed(concurrency)) as client:
            results = through(client, rows, lambda row: _body(row["prompt"]), parse)
            return [done async for done in results if done.error is None]

    return _run(ask_all(), count=len)


def async_batch_llm(url: str, count: int, concurrency: int) -> int:
    """async-batch-llm's `process_prompts` over its OpenAI-compatible model."""
    from async_batch_llm import llm, process_prompts

    async def ask_all() -> list[Any]:
        strategy = llm(
            f"openai-compatible:{MODEL}",
            base_url=url,
            api_key=KEY,
            max_connections=concurrency,
            generation_config={"max_tokens": MAX_OUTPUT_TOKENS},
        )
        batch = await process_prompts(strategy, documents(count), concurrency=concurrency)
        return [result for result in batch.results if result.success]

    return _run(ask_all(), count=len)


def curator(url: str, count: int, concurrency: int) -> int:
    """bespokelabs-curator's `LLM` with its openai backend, quotas out of the way, cache and telemetry off."""
    os.environ |= {"CURATOR_DISABLE_CACHE": "true", "TELEMETRY_ENABLED": "False", "CURATOR_VIEWER": "0"}
    os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": KEY}
    litellm = importlib.util.find_spec("litellm")  # whose vocabulary spares tiktoken the network
    assert litellm is not None
    assert litellm.origin is not None
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers")
    from bespokelabs.curator import LLM

    class Summary(LLM):  # type: ignore[misc]
        def prompt(self, document: dict[str, str]) -> str:
            return document["prompt"]

        def parse(self, document: dict[str, str], answer: str) -> list[dict[str, str]]:
            return [{"id": document["id"], "content": answer}]

    with tempfile.TemporaryDirectory() as folder:
        asked = Summary(
            model_name=MODEL,
            backend="openai",
            backend_params={
                "base_url": url,
                "api_key": KEY,
                "max_requests_per_minute": 10_000_000,
                "max_tokens_per_minute": 10_000_000_000,
                "max_concurrent_requests": concurrency,
            },
            generation_params={"max_tokens": MAX_OUTPUT_TOKENS},
        )
        rows = [{"id": document_id, "prompt": prompt} for document_id, prompt in documents(count)]
        return len(asked(rows, working_dir=folder).dataset)


def _body(prompt: str) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": MAX_OUTPUT_TOKENS, "messages": [{"role": "user", "content": prompt}]}


async def _by_workers(ask: Callable[[str, str], Awaitable[Row]], count: int, concurrency: int) -> list[Row]:
    waiting, rows = documents(count), list[Row]()

    async def work() -> None:
        for document_id, prompt in waiting:
            rows.append(await ask(document_id, prompt))

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return rows


async def _by_semaphore(ask: Callable[[str, str], Awaitable[Row]], count: int, concurrency: int) -> list[Row]:
    semaphore = asyncio.Semaphore(concurrency)

    async def limited(document_id: str, prompt: str) -> Row:
        async with semaphore:
            return await ask(document_id, prompt)

    return await asyncio.gather(*(limited(document_id, prompt) for document_id, prompt in documents(count)))


def _row(document_id: str, answer: dict[str, Any], began: float, started_at_us: int) -> Row:
    choice, usage = answer["choices"][0], answer["usage"]
    latency_ms = (time.perf_counter() - began) * 1e3
    return Row(
        document_id, "ok", choice["message"]["content"], choice["finish_reason"], answer["model"],
        usage["prompt_tokens"], usage["completion_tokens"], 1, latency_ms, started_at_us, _now_us(),
    )  # fmt: skip


def _row_of_object(document_id: str, answer: Any, began: float, started_at_us: int) -> Row:
    choice, usage = answer.choices[0], answer.usage
    latency_ms = (time.perf_counter() - began) * 1e3
    return Row(
        document_id, "ok", choice.message.content, choice.finish_reason, answer.model,
        usage.prompt_tokens, usage.completion_tokens, 1, latency_ms, started_at_us, _now_us(),
    )  # fmt: skip


def _run(asking: Any, count: Callable[[list[Any]], int] | None = None) -> int:
    import uvloop

    return (count or _answered)(uvloop.run(asking))


def _answered(rows: list[Row]) -> int:
    return sum(row.status == "ok" for row in rows)


def _now_us() -> int:
    return time.time_ns() // 1000
