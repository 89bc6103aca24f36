"""Four worker processes share one quota of 6,000 requests a minute through a Prefect server: minutes 2 and 3.

The provider's bucket holds a minute's worth; answers take 1 s. Each process is a worker's: it holds its part of the
limits by leases of Prefect's global concurrency limits. Then one is killed: its leases run out after a minute.
"""

from __future__ import annotations

import subprocess
import sys
import time

from quota import requests, run_on
from runs import prefect_server
from simulated import SimulatedProvider, simulated_provider
from tables import Table, heading, verdict

from prefect_llm.engine import engine_for
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.provider import Limits, Provider

WORKERS = 4
PER_MINUTE = 6_000
FROM_S, TO_S = 60.0, 180.0
STRETCH_S, GIVEN_UP_AFTER_S = 5.0, 150.0


def main() -> None:
    """One row, from the provider's own figures."""
    heading("Four processes, one quota", __doc__)
    table = Table("what", "used in minutes 2 and 3", "requests", "429s")
    quota = ("--latency", "1", "--requests-per-minute", str(PER_MINUTE))
    with simulated_provider(*quota) as provider, prefect_server() as server:
        command = [sys.executable, __file__, provider.url]
        workers = [subprocess.Popen(command, env=server.environ) for _ in range(WORKERS)]
        counts = []
        for second in (FROM_S, TO_S):
            provider.wait_until(second)
            counts.append((time.monotonic(), int(provider.stats()["answered"])))
        workers[0].kill()
        taken_up_s = full_again_after_s(provider)
        for worker in workers:
            worker.kill()
            worker.wait()
        stats = provider.stats()
    (began, before), (ended, after) = counts
    share = (after - before) / (PER_MINUTE * (ended - began) / 60.0)
    table.row(f"{WORKERS} processes", f"{share:.3f}", f"{stats['requests']:,}", stats["throttled"])
    verdict("share used", share, at_least=0.93)
    verdict("share of 429s", stats["throttled"] / stats["requests"], at_most=0.001)
    verdict("s until the others use a killed process's part", taken_up_s, at_most=90)


def full_again_after_s(provider: SimulatedProvider) -> float:
    """Seconds until so many requests are answered in a stretch of time as the quota allows."""
    began = time.monotonic()
    before, at = int(provider.stats()["answered"]), began
    while at - began < GIVEN_UP_AFTER_S:
        time.sleep(STRETCH_S)
        answered, now = int(provider.stats()["answered"]), time.monotonic()
        if (answered - before) / (now - at) >= 0.93 * PER_MINUTE / 60.0:
            break
        before, at = answered, now
    return at - began


def work(url: str) -> None:
    """One worker process: ask until it is killed."""
    from prefect_llm.tasks.shared_limit import limits_shared

    limits = Limits(800, requests_per_minute=PER_MINUTE)
    provider = Provider(url, limits=limits, shared_as="benchmark")
    with limits_shared(provider):
        run_on(engine_for(provider), requests(100), lambda *_: None, StopFlag())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(sys.argv[1])
    else:
        main()
