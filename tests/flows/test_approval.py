"""A run that waits for a person: approved or rejected through the API, as the form in the Prefect UI does it."""

from __future__ import annotations

import contextvars
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateName
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow_sync
from prefect.states import AwaitingRetry
from pydantic import ValidationError
from tests.flows.running import Parameters, deployed, flow_run_id, rows_of, state_of, taken_up
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server.client import ScriptedServer

from prefect_llm import ApprovalOptions, Summary, batch_inference
from prefect_llm.store import RunDirectory, acquired, release

PRICES = {"price_input": "1000", "price_output": "1000", "currency": "EUR"}
"""A thousandth of a euro a token: 100 documents cost at least 2 and at most some 8 euros with a limit of 20."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A flow run that is paused, and the state it will end in."""

    flow_run: FlowRun
    form: Mapping[str, Any]
    end: Future[State[Summary]]


@pytest.fixture
def wait_for_pause(prefect_server: PrefectServer) -> Iterator[Callable[[Parameters], Waiting]]:
    """Starts the flow in a thread and returns when it waits for its approval."""
    wanted = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Paused"])))
    with ThreadPoolExecutor(1) as threads:

        def start(parameters: Parameters) -> Waiting:
            end = threads.submit(contextvars.copy_context().run, state_of, parameters)
            with prefect_server.client() as client:
                (flow_run,) = eventually(lambda: client.read_flow_runs(flow_run_filter=wanted), bool, 60)
                state = flow_run.state
                assert state is not None
                keyset = state.state_details.run_input_keyset
                assert keyset is not None
                description = eventually(lambda: _form(client, flow_run, keyset["description"]), bool)
            return Waiting(flow_run, description, end)

        yield start


def _form(client: Any, flow_run: FlowRun, key: str) -> Mapping[str, Any]:
    inputs = {each.key: each.decoded_value for each in client.filter_flow_run_input(flow_run.id, key, 1, set())}
    return {"description": inputs[key]} if key in inputs else {}


def answered(server: PrefectServer, waiting: Waiting, **answer: Any) -> State[Summary]:
    with server.client() as client:
        client.resume_flow_run(waiting.flow_run.id, run_input=answer)
    return waiting.end.result(timeout=60)


def with_approval(parameters: Parameters, **approval: Any) -> Parameters:
    return parameters | {"approval": approval, "api": parameters["api"] | PRICES | {"max_output_tokens": 20}}


def test_an_approved_run_goes_on(
    prefect_server: PrefectServer,
    scripted_server: ScriptedServer,
    parameters: Parameters,
    wait_for_pause: Callable[[Parameters], Waiting],
) -> None:
    waiting = wait_for_pause(with_approval(parameters))
    assert scripted_server.stats().requests == 0
    assert "100 requests for 100 documents" in waiting.form["description"]
    state = answered(prefect_server, waiting, decision="approve")
    assert state.is_completed()
    assert [row["status"] for row in rows_of(parameters["output"])] == ["ok"] * 100
    assert scripted_server.stats().requests == 100
    artifacts = eventually(lambda: prefect_server.artifacts(flow_run_id(state)), lambda seen: "llm-estimate" in seen)
    assert "# Estimate" in str(artifacts["llm-estimate"].data)


def test_a_rejected_run_asks_nothing_and_says_why(
    prefect_server: PrefectServer,
    scripted_server: ScriptedServer,
    parameters: Parameters,
    wait_for_pause: Callable[[Parameters], Waiting],
) -> None:
    waiting = wait_for_pause(with_approval(parameters))
    state = answered(prefect_server, waiting, decision="reject", reason="too dear")
    assert (state.is_cancelled(), state.name) == (True, "Rejected")
    assert state.message is not None
    assert "too dear" in state.message
    assert scripted_server.stats().requests == 0
    manifest = RunDirectory.open(parameters["output"]).manifest()
    assert manifest is not None
    assert (manifest.state, manifest.stopped and manifest.stopped.kind) == ("stopped", "NotApproved")
    # the directory is free, and the same run without approval goes on in it
    assert state_of(with_approval(parameters) | {"approval": None}).is_completed()


def test_a_preview_is_asked_shown_and_paid_only_once(
    prefect_server: PrefectServer,
    scripted_server: ScriptedServer,
    parameters: Parameters,
    wait_for_pause: Callable[[Parameters], Waiting],
) -> None:
    waiting = wait_for_pause(with_approval(parameters, preview_rows=20))
    assert scripted_server.stats().requests == 20
    assert waiting.form["description"].count("echo: Say: doc-") == 20
    assert waiting.form["description"].count("| Say: doc-") == 20  # what was asked, beside its answer
    state = answered(prefect_server, waiting, decision="approve")
    summary = state.result()
    assert isinstance(summary, Summary)
    assert (summary.totals.ok, summary.totals.reused) == (100, 20)
    assert scripted_server.stats().requests == 100


def test_a_cheap_run_needs_nobody(scripted_server: ScriptedServer, parameters: Parameters) -> None:
    state = state_of(with_approval(parameters, above=1000))
    assert state.is_completed()
    assert scripted_server.stats().requests == 100


def test_a_run_above_the_threshold_waits(
    prefect_server: PrefectServer,
    parameters: Parameters,
    wait_for_pause: Callable[[Parameters], Waiting],
) -> None:
    waiting = wait_for_pause(with_approval(parameters, above="0.5"))
    assert answered(prefect_server, waiting, decision="reject").name == "Rejected"


def test_a_price_that_is_not_known_is_never_cheap(
    prefect_server: PrefectServer,
    parameters: Parameters,
    wait_for_pause: Callable[[Parameters], Waiting],
) -> None:
    waiting = wait_for_pause(parameters | {"approval": {"above": 1_000_000}})
    assert "cost not known" in waiting.form["description"]
    assert answered(prefect_server, waiting, decision="reject").name == "Rejected"


def test_a_run_that_nobody_approves_in_time_fails(scripted_server: ScriptedServer, parameters: Parameters) -> None:
    state = state_of(with_approval(parameters, timeout_hours=1 / 3600))
    assert state.is_failed()
    assert re.search("never resumed|not approved within", str(state.message)), (
        "by the server, or by the flow before it"
    )
    assert scripted_server.stats().requests == 0
    manifest = RunDirectory.open(parameters["output"]).manifest()
    assert manifest is not None
    assert manifest.stopped is not None
    assert "not approved within" in manifest.stopped.message


def test_a_flow_run_that_is_tried_again_needs_no_second_approval(
    prefect_server: PrefectServer,
    scripted_server: ScriptedServer,
    parameters: Parameters,
    wait_for_pause: Callable[[Parameters], Waiting],
) -> None:
    parameters = with_approval(parameters, preview_rows=10)
    waiting = wait_for_pause(parameters)
    scripted_server.expect_key("another")
    assert answered(prefect_server, waiting, decision="approve").name == "AuthenticationFailed"
    scripted_server.reset()
    state = tried_again(prefect_server, waiting, parameters)
    assert state.is_completed()
    assert scripted_server.stats().requests == 90  # the preview was paid for in the first attempt


def test_a_rejected_flow_run_that_is_tried_again_asks_again(
    prefect_server: PrefectServer,
    scripted_server: ScriptedServer,
    parameters: Parameters,
    wait_for_pause: Callable[[Parameters], Waiting],
) -> None:
    parameters = with_approval(parameters, timeout_hours=1 / 3600)
    waiting = wait_for_pause(with_approval(parameters))
    assert answered(prefect_server, waiting, decision="reject").name == "Rejected"
    assert tried_again(prefect_server, waiting, parameters).is_failed()  # by its own wait of a second
    assert scripted_server.stats().requests == 0


def tried_again(server: PrefectServer, waiting: Waiting, parameters: Parameters) -> State[Summary]:
    """As by Retry in the Prefect UI: the same flow run, begun anew."""
    with server.client() as client:
        client.set_flow_run_state(waiting.flow_run.id, AwaitingRetry(), force=True)
        flow_run = client.read_flow_run(waiting.flow_run.id)
    return cast(
        State[Summary],
        run_flow_sync(batch_inference, flow_run=flow_run, parameters=parameters, return_type="state"),
    )


def test_a_finished_run_asks_nobody(parameters: Parameters) -> None:
    assert state_of(parameters).is_completed()
    assert state_of(parameters | {"approval": {}}).is_completed()


def test_a_sample_that_says_too_little_is_refused() -> None:
    with pytest.raises(ValidationError, match="10 or more"):
        ApprovalOptions(preview_rows=5)


def test_a_run_that_loses_its_directory_while_it_waits_fails_by_that_name(
    prefect_server: PrefectServer,
    scripted_server: ScriptedServer,
    parameters: Parameters,
    wait_for_pause: Callable[[Parameters], Waiting],
) -> None:
    waiting = wait_for_pause(with_approval(parameters, preview_rows=10))
    lease = next((Path(parameters["output"]) / "_run").glob("lease*/*"))
    lease.with_name(lease.name.replace("1", "2")).write_bytes(lease.read_bytes())  # the next owner's
    state = answered(prefect_server, waiting, decision="approve")
    assert (state.is_failed(), state.name) == (True, "Superseded")
    assert scripted_server.stats().requests == 10


def test_a_deployment_s_run_is_suspended_while_it_waits_and_holds_nothing(
    prefect_server: PrefectServer, scripted_server: ScriptedServer, parameters: Parameters
) -> None:
    parameters = with_approval(parameters, preview_rows=20)
    flow_run = deployed(prefect_server, parameters)
    with pytest.raises(Pause):
        taken_up(flow_run, parameters)

    waiting = prefect_server.flow_run(flow_run.id)
    assert (waiting.state_name, scripted_server.stats().requests) == ("Suspended", 20)
    directory = RunDirectory.open(parameters["output"])
    manifest = directory.manifest()
    assert manifest is not None
    assert manifest.stopped is not None
    assert "waits for approval, up to 24 h" in manifest.stopped.message
    with acquired(directory.folder) as epoch:  # as another process might
        release(directory.folder, epoch)
    log = eventually(lambda: logged(prefect_server, flow_run), lambda lines: "holds no process" in lines)
    assert "another chunk failed" not in log

    with prefect_server.client() as client:
        client.resume_flow_run(flow_run.id, run_input={"decision": "approve"})
    assert prefect_server.flow_run(flow_run.id).state_type == StateType.SCHEDULED
    assert taken_up(flow_run, parameters).is_completed()
    assert scripted_server.stats().requests == 100
    assert [row["status"] for row in rows_of(parameters["output"])] == ["ok"] * 100


def test_a_suspended_run_that_is_rejected_ends_so_and_its_retry_asks_again(
    prefect_server: PrefectServer, scripted_server: ScriptedServer, parameters: Parameters
) -> None:
    parameters = with_approval(parameters)
    flow_run = deployed(prefect_server, parameters)
    with pytest.raises(Pause):
        taken_up(flow_run, parameters)
    with prefect_server.client() as client:
        client.resume_flow_run(flow_run.id, run_input={"decision": "reject", "reason": "too dear"})
    state = taken_up(flow_run, parameters)
    assert (state.is_cancelled(), state.name) == (True, "Rejected")
    assert "too dear" in str(state.message)

    with prefect_server.client() as client:
        client.set_flow_run_state(flow_run.id, AwaitingRetry(), force=True)
    with pytest.raises(Pause):
        taken_up(flow_run, parameters)
    assert scripted_server.stats().requests == 0


def logged(server: PrefectServer, flow_run: FlowRun) -> str:
    return "\n".join(each.message for each in server.logs(flow_run.id))
