"""Starts the simulated provider, `prefect-llm simulate`, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

COMMAND = Path(sys.executable).with_name("prefect-llm")
ANSWER_OF_1_KB = ("--output-tokens", "175")

_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class SimulatedProvider:
    """The running provider; `url` includes `/v1`."""

    url: str

    def stats(self) -> dict[str, Any]:
        """What it has counted since it started or was reset."""
        stats: dict[str, Any] = json.loads(self._ask("/stats", "GET"))
        return stats

    def reset(self) -> None:
        """Forget the figures and refill the buckets."""
        self._ask("/reset", "POST")

    def first_request_at(self) -> float:
        """When the first request came, in seconds since 1970."""
        since_first_s = self.stats()["seconds_since_first"]
        return time.time() - float(since_first_s)

    def wait_until(self, seconds_since_first: float) -> None:
        """Sleep until so long after the first request."""
        while not (since_first_s := self.stats()["seconds_since_first"] or 0.0):
            time.sleep(0.05)
        time.sleep(max(0.0, seconds_since_first - float(since_first_s)))

    def _ask(self, path: str, method: str) -> bytes:
        request = Request(self.url.removesuffix("/v1") + path, method=method)
        with _direct.open(request, timeout=60) as answer:
            body: bytes = answer.read()
        return body


@contextmanager
def simulated_provider(*options: str) -> Iterator[SimulatedProvider]:
    """A provider on a free port while the block runs; the options are those of `prefect-llm simulate`."""
    command = [str(COMMAND), "simulate", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            if not url:
                raise RuntimeError("the simulated provider did not start")
            yield SimulatedProvider(url)
        finally:
            process.terminate()
