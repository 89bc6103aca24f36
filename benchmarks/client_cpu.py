"""Client CPU for 1,000 requests: 1 KB bodies, 0.5 s an answer, 100 in flight; every client in a process of its own.

CPU is user and system seconds of the client's process after a warm-up; efficiency is ideal wall time over real. The
engine's row includes limits, retries, JSON, outcomes and result rows. Slow clients ask fewer requests. A peer that is
not installed (`make bench` gives them environments of their own) is listed with the reason.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import peers
from engines import engine
from measuring import RowFailed, in_own_process, installed_version, measure
from simulated import ANSWER_OF_1_KB, simulated_provider
from tables import Table, heading, unmeasured, verdict

LATENCY_S = 0.5
CONCURRENCY = 100
ENVIRONMENTS = Path(__file__).resolve().parents[1] / ".venv-bench"

CLIENTS: dict[str, tuple[Callable[[str, int, int], int], str, int]] = {
    "engine": (engine, "prefect-llm", 10_000),
    "aiohttp script": (peers.aiohttp_script, "aiohttp", 10_000),
    "pyreqwest alone": (peers.pyreqwest, "pyreqwest", 10_000),
    "httpx as it comes": (peers.httpx_client, "httpx", 1_000),
    "openai SDK": (peers.openai_sdk, "openai", 2_000),
    "saturate": (peers.saturate, "saturate", 4_000),
    "async-batch-llm": (peers.async_batch_llm, "async-batch-llm", 2_000),
    "litellm": (peers.litellm_sdk, "litellm", 1_000),
    "curator": (peers.curator, "bespokelabs-curator", 1_000),
}
"""How to ask, the package that is measured, and how many requests; the package names its environment, too."""


def main() -> None:
    """Print a row per client, and the engine's CPU as a share of the script's."""
    heading("CPU of the client", __doc__)
    table = Table("client", "version", "requests", "CPU s per 1,000", "efficiency")
    used: dict[str, float] = {}
    with simulated_provider("--latency", str(LATENCY_S), *ANSWER_OF_1_KB) as provider:
        for name, (_, package, requests) in CLIENTS.items():
            try:
                row = in_own_process(__file__, name, provider.url, python=_python(package))
            except RowFailed as failed:
                table.row(name, "-", "-", "-", "-")
                unmeasured(name, str(failed))
                continue
            used[name] = row["cpu_s"] / requests * 1_000
            efficiency = requests / CONCURRENCY * LATENCY_S / row["wall_s"]
            table.row(name, row["version"], f"{requests:,}", f"{used[name]:.3f}", f"{efficiency:.2f}")
    if "aiohttp script" in used:
        verdict("engine / aiohttp script", used["engine"] / used["aiohttp script"], at_most=0.75)


def _python(package: str) -> Path:
    """The interpreter of the package's own environment, else this one."""
    own = ENVIRONMENTS / package / "bin" / "python"
    return own if own.exists() else Path(sys.executable)


def measured(name: str, url: str) -> None:
    """In the row's own process: print its figures as JSON."""
    ask, package, requests = CLIENTS[name]
    figures = measure(lambda count: ask(url, count, CONCURRENCY), requests, warm_up=2 * CONCURRENCY)
    print(json.dumps(figures | {"version": installed_version(package)}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured(*sys.argv[1:])
    else:
        main()
