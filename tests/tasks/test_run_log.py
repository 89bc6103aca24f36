"""The core's log lines appear in the log of the run whose thread wrote them."""

from __future__ import annotations

import threading

from prefect import flow
from tests.prefect_server import PrefectServer, eventually

from prefect_llm.store import ChunkStats, EndedRows
from prefect_llm.tasks.run_log import CORE, core_log, work_of
from prefect_llm.values.tally import RequestTally, Tally

SAID = ("before the block", "kettle leaks", "of another run", "after the block")
FINISHED = "Finished in state Completed()"


def test_a_run_shows_the_core_s_lines_of_its_own_thread_only(prefect_server: PrefectServer) -> None:
    @flow
    def logging_flow() -> None:
        CORE.warning("before the block")
        with core_log():
            CORE.warning("kettle %s", "leaks")
            other = threading.Thread(target=CORE.warning, args=("of another run",))
            other.start()
            other.join()
        CORE.warning("after the block")

    flow_run_id = logging_flow(return_state=True).state_details.flow_run_id
    assert flow_run_id is not None
    prefect_server.settled()
    lines = eventually(
        lambda: [log.message for log in prefect_server.logs(flow_run_id)], lambda seen: FINISHED in seen
    )
    assert [line for line in lines if line in SAID] == ["kettle leaks"]
    assert CORE.handlers == []


def test_a_chunk_s_line_says_what_it_took_and_what_failed() -> None:
    took = ChunkStats(RequestTally(12, 1, 2), reused=3, ended=EndedRows("here", Tally(9, {"timeout": 1})))
    assert work_of(took) == "12 requests, 1 retry, 2 throttled, 1 row failed, 3 rows reused"
    one = ChunkStats(RequestTally(1), ended=EndedRows("here", Tally(1)))
    assert work_of(one) == "1 request, 0 retries, 0 throttled"
