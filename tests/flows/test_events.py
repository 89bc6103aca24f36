"""Events of runs on a real server: budget, errors and breaker, and what they say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from prefect.events.schemas.events import ReceivedEvent
from tests.conftest import WriteDocuments
from tests.flows.running import Parameters, flow_run_id, state_of
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer


def events_of(server: PrefectServer, state: Any) -> list[ReceivedEvent]:
    """All of them, the last included."""
    server.settled()
    found = lambda seen: any(each.event == "prefect-llm.run.finished" for each in seen)  # noqa: E731
    return eventually(lambda: server.run_events(flow_run_id(state)), found)


def names_of(events: list[ReceivedEvent]) -> list[str]:
    return [each.event.removeprefix("prefect-llm.") for each in events]


def test_a_budget_that_is_used_up_is_told_of_before_the_end(
    parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer
) -> None:
    scripted_server.script_all(steps.ok(usage=steps.tokens(10, 10)))
    prices = {"price_input": "1000", "price_output": "1000", "max_output_tokens": 10}
    parameters["api"] |= prices  # an answer costs 0.02, and takes more before it leaves
    parameters["batch"] |= {"max_cost": "0.5"}
    state = state_of(parameters)
    assert state.name == "BudgetExceeded"
    events = events_of(prefect_server, state)
    assert names_of(events) == ["run.started", "budget.reached", "run.finished"]
    reached, finished = events[1].payload, events[2].payload
    assert (reached["percent"], reached["budget"], reached["currency"]) == (100, "0.5", "USD")
    assert Decimal("0.25") < Decimal(reached["spent"]) <= Decimal("0.5")
    assert finished["state"] == "stopped"
    assert finished["stopped"]["kind"] == "BudgetExceeded"


def test_a_month_s_budget_is_told_of_as_such(
    parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer
) -> None:
    scripted_server.script_all(steps.ok(usage=steps.tokens(10, 10)))
    parameters["api"] |= {"price_input": "1000", "price_output": "1000", "max_output_tokens": 10}
    parameters["batch"] |= {"max_cost_per_month": "0.5"}
    state = state_of(parameters)
    assert state.name == "BudgetExceeded"
    reached = events_of(prefect_server, state)[1].payload
    assert (reached["of"], reached["percent"], reached["budget"]) == ("month", 100, "0.5")
    assert Decimal("0.25") < Decimal(reached["spent"]) <= Decimal("0.5")


def test_an_outage_is_told_of_with_its_end(
    parameters: Parameters,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    write_documents: WriteDocuments,
) -> None:
    """The breaker opens after ten documents with nothing between them that succeeds."""
    scripted_server.script({f"doc-{row}": [steps.status(503), steps.ok()] for row in range(20)})
    state = state_of(parameters)
    assert state.name == "Completed"
    events = events_of(prefect_server, state)
    assert names_of(events) == ["run.started", "breaker.opened", "breaker.closed", "run.finished"]
    assert {each.payload["provider"] for each in events[1:3]} == {"127.0.0.1"}


def test_many_errors_are_told_of_and_logged(
    parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer
) -> None:
    scripted_server.script({f"doc-{row}": steps.status(400) for row in range(70, 100)})
    state = state_of(parameters | {"monitoring": {"alert_error_share": 0.25}})
    assert state.name == "TooManyFailedRows"
    events = events_of(prefect_server, state)
    assert names_of(events) == ["run.started", "errors.high", "run.finished"]
    assert events[1].payload["error_share"] == 0.3
    message = "30% of documents fail, more than alert_error_share (25%)"
    assert events[1].payload["message"] == message
    assert events[2].payload["failed_by_kind"] == {"rejected": 30}
    eventually(lambda: [log.message for log in prefect_server.logs(flow_run_id(state))], lambda seen: message in seen)
    chunks = prefect_server.artifacts(flow_run_id(state))["llm-chunks"]
    assert str(chunks.description).endswith("Failed: 30 rejected.")


def test_a_refused_run_sends_nothing(parameters: Parameters, prefect_server: PrefectServer) -> None:
    state = state_of(parameters | {"prompt": "Say: {{ texts }}"})
    assert state.name == "Refused"
    prefect_server.settled()
    assert prefect_server.run_events(flow_run_id(state)) == []
