"""The provider's bill can be checked against the ledger: its tokens at its prices are its cost, to the last digit."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.run.running import carry_out, documents, provider_at, rows_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.values.price import Price
from prefect_llm.values.tally import TOKEN_COLUMNS, TokenTally

PRICE = Price(Decimal("3"), Decimal("15"), cached_input=Decimal("0.30"), cache_write=Decimal("3.75"))
USAGE = steps.tokens(1_009, 31, cached=503, written=257, reasoning=7)
UNUSABLE = replace(steps.null_content(), usage=steps.tokens(907, 11, cached=401, written=101))


def test_the_ledgers_tokens_at_its_prices_are_its_cost(scripted_server: ScriptedServer, output: str) -> None:
    """Tokens written to a cache, in rows and in discarded answers, are billed at a price of their own."""
    scripted_server.script({"doc-1": [UNUSABLE, steps.ok(usage=USAGE)], "*": steps.ok(usage=USAGE)})
    summary = carry_out(documents(10), output, provider_at(scripted_server.base_url, prices={"m": PRICE}))
    assert [row["cache_write_tokens"] for row in rows_of(summary)] == [257] * 10

    ledger = json.loads((Path(output) / "_run" / "ledger.json").read_text())
    assert [(line["entry"], line["cache_write_tokens"]) for line in ledger["lines"]] == [
        ("rows", 2_570),
        ("discarded", 101),
    ]
    for line in [*ledger["lines"], ledger["totals"]]:
        assert Decimal(line["cost"]) == bill_of(line)
    assert summary.totals.cost == bill_of(ledger["totals"])


def test_summary_and_reports_have_the_tokens_written_to_a_cache(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(steps.ok(usage=USAGE))
    summary = carry_out(documents(10), output, provider_at(scripted_server.base_url, prices={"m": PRICE}))
    assert summary.totals.tokens == TokenTally(10_090, 5_030, 2_570, 310, 70)
    told = {name: value for name, value in summary.to_json().items() if name in TOKEN_COLUMNS}
    assert list(told.items()) == list(summary.totals.tokens.by_name().items())
    report = (Path(output) / "_run" / "report.md").read_text()
    assert "| in the results | 10,090 | 5,030 | 2,570 | 310 | 70 |" in report
    assert "| in the results |" in report.split("of it written to a cache")[1]


def bill_of(line: dict[str, Any]) -> Decimal:
    """What the provider bills for these tokens."""
    read, written = Decimal(line["cached_input_tokens"]), Decimal(line["cache_write_tokens"])
    assert PRICE.cached_input is not None
    assert PRICE.cache_write is not None
    other = line["input_tokens"] - read - written
    total = other * PRICE.input + read * PRICE.cached_input + written * PRICE.cache_write
    return (total + Decimal(line["output_tokens"]) * PRICE.output) / 1_000_000
