"""A row says who answered, and has that one's price."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.run.running import carry_out, documents, provider_at, rows_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.values.price import Price

TOO_LONG = steps.error(400, "Too long.", code="context_length_exceeded")
CHEAP = Price(Decimal(1), Decimal(2), source="list of the first")
DEAR = Price(Decimal(10), Decimal(20), currency="USD", source="list of the second")


def test_a_row_says_who_answered_and_at_whose_price(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer, tmp_path: str
) -> None:
    scripted_server.script({"doc-1": [steps.null_content(), TOO_LONG]})
    scripted_server.script({"doc-0": steps.ok(usage=steps.tokens(100, 10))})
    second_scripted_server.script_all(steps.ok(usage=steps.tokens(100, 10)))
    backup = provider_at(
        second_scripted_server.base_url.replace("127.0.0.1", "localhost"), prices={"b": DEAR, "m": CHEAP}
    )
    provider = provider_at(scripted_server.base_url, prices={"m": CHEAP})
    summary = carry_out(documents(2), str(tmp_path), replace(provider, fallbacks=(replace(backup, model="b"),)))
    first, second = rows_of(summary)
    assert (first["provider"], first["requested_model"], first["cost"]) == ("127.0.0.1", "m", Decimal("0.000120"))
    assert (second["provider"], second["requested_model"], second["cost"]) == ("localhost", "b", Decimal("0.001200"))
    assert (second["attempts"], second["price_source"]) == (3, "list of the second")
    assert first["fingerprint"] != second["fingerprint"]
    # the unusable answer was the first provider's: 11 prompt and 7 completion tokens at its price
    assert summary.totals.chunk_stats.discarded.cost == Decimal("0.000025")
