"""Requests that were cut while the endpoint may have been generating: never "nothing was billed", never 0."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from tests.run.running import carry_out, documents, provider_at, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.report import Summary
from prefect_llm.report.pages import sentences
from prefect_llm.run.reports import report_again
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider, RetryOptions, Timeouts

PRICE = Price(Decimal(1), Decimal(2))
PRICED = {"m": PRICE}
OWN_MACHINE = {"m": Price(Decimal(0), Decimal(0), per_hour=Decimal(3))}
LIMIT = 50


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect_llm.engine.dispatcher.GRACE_S", 0.05)


def cut_provider(server: ScriptedServer, **changes: object) -> Provider:
    """One whose every request times out, and which is soon given up."""
    retries = RetryOptions(backoff_s=0.01, max_backoff_s=0.05, outage_s=0.3)
    provider = replace(provider_at(server.base_url, concurrency=12), timeouts=Timeouts(0.1), retries=retries)
    return replace(provider, **changes)  # type: ignore[arg-type]


def shown(summary: Summary) -> tuple[str, object]:
    """What text and JSON say of money."""
    return sentences.cost(summary), summary.to_json()["cost_uncertain"]


def test_an_outage_in_mid_answer_may_have_been_billed(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(steps.hang())
    summary = carry_out(documents(12), output, cut_provider(scripted_server))
    said, uncertain = shown(summary)
    lost = scripted_server.stats().requests
    assert (summary.state, summary.totals.pending) == ("stopped", 12)
    assert said == f"nothing is known to have been billed; {lost} lost requests may have been billed in addition"
    assert uncertain is None


def test_where_price_and_limit_are_known_the_most_is(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(steps.hang())
    provider = cut_provider(scripted_server, prices=PRICED)
    said, uncertain = shown(carry_out(documents(12), output, provider, spec_of(max_output_tokens=LIMIT)))
    requests = scripted_server.stats().requests
    assert isinstance(uncertain, str)
    assert Decimal(uncertain) >= requests * LIMIT * PRICE.output / 1_000_000
    assert said.startswith("nothing is known to have been billed; at most ")


def test_requests_cut_by_a_stop_count_too(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-3": steps.status(401).after(0.1), "*": steps.hang()})
    summary = carry_out(documents(4), output, provider_at(scripted_server.base_url, concurrency=4))
    assert summary.stopped is not None
    assert summary.stopped.kind == "AuthenticationFailed"
    assert shown(summary) == (
        "nothing is known to have been billed; 3 lost requests may have been billed in addition",
        None,
    )


def test_it_is_remembered_when_the_run_goes_on(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(steps.hang())
    carry_out(documents(12), output, cut_provider(scripted_server))
    lost = scripted_server.stats().requests
    scripted_server.reset()
    summary = carry_out(documents(12), output, provider_at(scripted_server.base_url, prices=PRICED))
    assert (summary.state, summary.totals.ok) == ("completed", 12)
    said, uncertain = shown(summary)
    assert said.endswith(f"; {lost} lost requests may have been billed in addition")
    assert uncertain is None
    assert shown(report_again(output)) == (said, uncertain)
    assert json.loads(Path(output, "_run/ledger.json").read_text())["uncertain"]["lost_attempts"] == lost


def test_documents_that_end_tell_of_their_own(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-1": [steps.close_mid_body(), steps.ok()]})
    summary = carry_out(documents(4), output, provider_at(scripted_server.base_url, prices=PRICED))
    assert summary.totals.chunk_stats.requests.lost == 1


@pytest.mark.parametrize(
    ("step", "prices"),
    [(steps.status(401), PRICED), (steps.hang(), OWN_MACHINE)],
    ids=["refused", "time alone is paid"],
)
def test_what_cannot_have_been_billed_is_not_said(
    scripted_server: ScriptedServer, output: str, step: steps.Step, prices: dict[str, Price]
) -> None:
    scripted_server.script_all(step)
    summary = carry_out(documents(12), output, cut_provider(scripted_server, prices=prices))
    assert shown(summary) == ("nothing was billed", "0")
