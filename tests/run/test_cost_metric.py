"""The counter `prefect_llm.cost` of a process says what its runs cost, by who was paid."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.measured import points_of, total
from tests.run.running import carry_out, documents, provider_at
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.values.price import Price

TOO_LONG = steps.error(400, "Too long.", code="context_length_exceeded")
CHEAP = Price(Decimal(1), Decimal(2), currency="EUR")
DEAR = Price(Decimal(10), Decimal(20), currency="EUR")


def test_what_a_run_cost_is_counted_discarded_answers_included_and_nothing_twice(
    reader: InMemoryMetricReader, scripted_server: ScriptedServer, tmp_path: str
) -> None:
    scripted_server.script({"doc-1": [steps.null_content(), steps.ok()]})
    provider = provider_at(scripted_server.base_url, prices={"m": CHEAP})
    summary = carry_out(documents(25), str(tmp_path), provider)
    assert summary.totals.chunk_stats.discarded.cost
    assert summary.totals.cost is not None
    counted = total(points_of(reader)["prefect_llm.cost"])
    assert counted == pytest.approx(float(summary.totals.cost))
    carry_out(documents(25), str(tmp_path), provider)
    assert total(points_of(reader)["prefect_llm.cost"]) == counted


def test_cost_is_counted_by_provider_model_and_currency(
    reader: InMemoryMetricReader,
    scripted_server: ScriptedServer,
    second_scripted_server: ScriptedServer,
    tmp_path: str,
) -> None:
    scripted_server.script_all(steps.ok(usage=steps.tokens(100, 10)))
    scripted_server.script({"doc-1": TOO_LONG})
    second_scripted_server.script_all(steps.ok(usage=steps.tokens(100, 10)))
    backup = provider_at(second_scripted_server.base_url.replace("127.0.0.1", "localhost"), prices={"b": DEAR})
    provider = provider_at(scripted_server.base_url, prices={"m": CHEAP})
    carry_out(documents(3), str(tmp_path), replace(provider, fallbacks=(replace(backup, model="b"),)))
    counted = {
        tuple(sorted(point.attributes.items())): point.value for point in points_of(reader)["prefect_llm.cost"]
    }
    assert counted == {
        _paid_to("127.0.0.1", "m"): pytest.approx(2 * 0.00012),
        _paid_to("localhost", "b"): pytest.approx(0.0012),
    }


def _paid_to(host: str, model: str) -> tuple[tuple[str, str], ...]:
    named = {"gen_ai.provider.name": host, "server.address": host, "gen_ai.request.model": model, "currency": "EUR"}
    return tuple(sorted(named.items()))
