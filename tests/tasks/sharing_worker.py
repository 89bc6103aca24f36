"""A process that asks a scripted server under shared limits: `sharing_worker.py BASE_URL NAME CONCURRENCY COUNT`.

It asks documents until its standard input is closed, at most COUNT, prints how many were answered, and ends with
its standard input.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

from prefect_llm.engine import close_engines, engine_for
from prefect_llm.engine.submission import Backlog, Receiver, Submission
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.tasks.shared_limit import give_all_back, limits_shared
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.provider import Limits, Provider
from prefect_llm.values.request import Parameters, Request


def main() -> None:
    base_url, name, concurrency, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    provider = Provider(base_url, limits=Limits(concurrency), shared_as=name)
    enough, answered = threading.Event(), 0

    def wait_for_the_end() -> None:
        sys.stdin.read()
        enough.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()

    def requests() -> Iterator[Request]:
        for row in range(count):
            if enough.is_set():
                return
            messages = ({"role": "user", "content": f"doc-{row} hello"},)
            yield Request(row, f"doc-{row}", messages, Parameters("m"), "")

    def deliver(_: Request, outcome: Outcome) -> None:
        nonlocal answered
        answered += outcome.ok

    with limits_shared(provider):
        engine, submission = engine_for(provider), Submission(Backlog(requests()), Receiver(deliver), StopFlag())
        engine.start(submission)
        engine.finish(submission)
    print(answered, flush=True)
    enough.wait()
    give_all_back()
    close_engines()


if __name__ == "__main__":
    main()
