"""A wire format is one file and one line: a toy one, from a template to priced rows, over a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.measured import points_of
from tests.run.running import SHORT_RETRIES, TIMEOUTS, carry_out, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.wire import toy_format
from tests.wire.toy_server import KEY, ToyServer, toy_server

from prefect_llm.engine import verify
from prefect_llm.values.errors import AuthenticationFailed, EndpointNotFound, ModelNotFound
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Limits, Provider
from prefect_llm.wire.formats import FORMATS

PRICE = Price(Decimal(3), Decimal(15))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "oracle", toy_format.Oracle())


@pytest.fixture
def toy() -> Iterator[ToyServer]:
    with toy_server() as server:
        yield server


@pytest.fixture
def provider(toy: ToyServer) -> Provider:
    prices = {"pythia": PRICE}
    provider = Provider(toy.base_url, api_key=KEY, limits=Limits(4), prices=prices, api="oracle")
    return replace(provider, timeouts=TIMEOUTS, retries=SHORT_RETRIES)


def texts(*texts: str) -> pa.Table:
    """A document per text."""
    return pa.table({"id": [f"d{row}" for row in range(len(texts))], "text": list(texts)})


def test_it_takes_less_than_sixty_lines() -> None:
    assert len(Path(toy_format.__file__).read_text().splitlines()) < 60


def test_its_answers_are_rows_with_tokens_and_cost(toy: ToyServer, provider: Provider, tmp_path: Path) -> None:
    spec = spec_of(model="pythia", max_output_tokens=50)
    summary = carry_out(texts("Rain?", "War?"), str(tmp_path), provider, spec)
    rows = rows_of(summary)
    assert [row["content"] for row in rows] == ["Yes: Rain?", "Yes: War?"]
    assert {(row["input_tokens"], row["output_tokens"], row["finish_reason"]) for row in rows} == {(100, 7, "dusk")}
    assert {row["model"] for row in rows} == {"pythia-1"}
    assert {row["cost"] for row in rows} == {Decimal("0.000405")}

    (path, headers, question), _ = sorted(toy.asked, key=lambda each: str(each[2]))
    assert path == "/delphi/oracles/pythia"
    assert (headers["x-oracle-key"], headers["x-oracle-age"]) == (KEY, "bronze")
    assert "authorization" not in headers
    assert question == {"question": "Rain?", "words": 50}


def test_its_refusals_are_classified_by_its_own_words(provider: Provider, tmp_path: Path) -> None:
    spec = spec_of(model="pythia", fail_truncated=True)
    rows = rows_of(carry_out(texts("Rain?", "a long tale", "cut"), str(tmp_path), provider, spec))
    assert [row["error_kind"] for row in rows] == [None, "context_too_long", "truncated"]
    assert (rows[1]["error_status"], rows[1]["error_message"]) == (400, "HTTP 400: I slept.")


def test_its_word_for_a_wrong_key_stops_the_run(provider: Provider, tmp_path: Path) -> None:
    wrong = replace(provider, api_key="of another temple")
    summary = carry_out(texts("Rain?"), str(tmp_path), wrong, spec_of(model="pythia"))
    assert summary.stopped is not None
    assert summary.stopped.kind == "AuthenticationFailed"


def test_what_it_cannot_answer_a_fallback_answers_in_another_format(
    provider: Provider, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    scripted_server.script_all(steps.ok("in prose"))
    backup = replace(provider_at(scripted_server.base_url), model="m")
    spec = spec_of(model="pythia")
    rows = rows_of(
        carry_out(texts("Rain?", "a long tale"), str(tmp_path), replace(provider, fallbacks=(backup,)), spec)
    )
    assert [row["content"] for row in rows] == ["Yes: Rain?", "in prose"]
    (received,) = scripted_server.log()
    assert received.body["messages"] == [{"role": "user", "content": "a long tale"}]

    alone = rows_of(carry_out(texts("a long tale"), str(tmp_path / "alone"), backup, spec_of(model="m")))
    assert alone[0]["fingerprint"] == rows[1]["fingerprint"]


def test_its_answers_are_not_taken_for_those_of_another_format(
    provider: Provider, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    spec, first = spec_of(model="pythia"), str(tmp_path / "first")
    (divined,) = rows_of(carry_out(texts("Rain?"), first, provider, spec))
    (reused,) = rows_of(carry_out(texts("Rain?"), str(tmp_path / "second"), provider, spec, reuse=first))
    assert (reused["reused"], reused["fingerprint"]) == (True, divined["fingerprint"])

    chat = provider_at(scripted_server.base_url)  # the same host, which is the column provider
    (asked,) = rows_of(carry_out(texts("Rain?"), str(tmp_path / "third"), chat, spec, reuse=first))
    assert asked["provider"] == divined["provider"]
    assert asked["reused"] is False
    assert asked["fingerprint"] != divined["fingerprint"]


def test_it_is_measured_under_its_own_operation(
    reader: InMemoryMetricReader, provider: Provider, tmp_path: Path
) -> None:
    carry_out(texts("Rain?"), str(tmp_path), provider, spec_of(model="pythia"))
    (duration,) = points_of(reader)["gen_ai.client.operation.duration"]
    assert duration.attributes["gen_ai.operation.name"] == "divination"


def test_verify_asks_in_it_and_speaks_of_it(provider: Provider) -> None:
    assert verify(provider, "pythia").model == "pythia-1"
    with pytest.raises(AuthenticationFailed):
        verify(replace(provider, api_key=None), "pythia")
    with pytest.raises(ModelNotFound, match="it lists pythia"):
        verify(provider, "pythias")
    lost = replace(provider, base_url=provider.base_url.removesuffix("/delphi"))
    with pytest.raises(EndpointNotFound, match=re.escape(f"lacks /delphi: write {provider.base_url}")):
        verify(lost, "pythia")
    with pytest.raises(EndpointNotFound, match=r"has no oracles .* which includes /delphi on most endpoints"):
        verify(replace(provider, base_url=provider.base_url + "/ruins"), "pythia")
