"""A nightly deployment with `reuse: previous` pays only for what is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow_sync
from prefect.states import Scheduled
from tests.conftest import documents_table
from tests.flows.running import Parameters, flow_run_id, state_of
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server.client import ScriptedServer

from prefect_llm import Summary, batch_inference


def test_three_nights_pay_for_new_and_changed_rows_only(
    parameters: Parameters, prefect_server: PrefectServer, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    source = tmp_path / "tickets.parquet"
    parameters |= {"input": str(source), "output": f"{tmp_path}/answers/{{scheduled:%Y-%m-%d}}"}
    parameters["batch"] |= {"reuse": "previous"}

    def night(number: int, table: pa.Table) -> Summary:
        pq.write_table(table, source)
        scheduled: State[Summary] = Scheduled(scheduled_time=datetime.now(UTC) - timedelta(days=10 - number))
        with prefect_server.client() as client:
            flow_run = client.create_flow_run(batch_inference, parameters=parameters, state=scheduled)
        summary = run_flow_sync(batch_inference, flow_run=flow_run, parameters=parameters)
        assert isinstance(summary, Summary)
        return summary

    table = documents_table(100)
    assert night(1, table).requests == 100
    table = pa.concat_tables([table, documents_table(103).slice(100)])
    assert night(2, table).requests == 3
    scripted_server.reset()
    texts = table["text"].to_pylist()
    texts[50] = "doc-50 goodbye"
    third = night(3, table.set_column(1, "text", [texts]))
    assert (third.requests, third.totals.reused, third.totals.ok) == (1, 102, 103)
    assert scripted_server.stats().by_document == {"doc-50": 1}


def test_the_log_says_how_many_rows_were_reused_and_from_where(
    parameters: Parameters, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    first = str(tmp_path / "first")
    batch_inference(**parameters | {"output": first})
    parameters["batch"] |= {"reuse": first, "chunk_rows": 1000}
    found = flow_run_id(state_of(parameters))
    messages = eventually(
        lambda: [log.message for log in prefect_server.logs(found)], lambda seen: " done in " in "\n".join(seen)
    )
    assert f"answers of {first} are taken" in messages
    (done,) = (text for text in messages if " done in " in text)
    assert done.endswith(" s: 0 requests, 0 retries, 0 throttled, 100 rows reused")
