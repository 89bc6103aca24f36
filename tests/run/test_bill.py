"""The provider's bill can be checked against the ledger: its tokens at its prices are its cost, to the last digit."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.values.budget import RunBudget
from prefect_llm.values.price import Price
from prefect_llm.values.tally import TOKEN_COLUMNS, TokenTally

INPUT, CACHED_INPUT, CACHE_WRITE, OUTPUT = (Decimal(each) for each in ("3", "0.30", "3.75", "15"))
MILLION = Decimal(1_000_000)
PRICE = Price(INPUT, OUTPUT, cached_input=CACHED_INPUT, cache_write=CACHE_WRITE)
USAGE = steps.tokens(1_009, 31, cached=503, written=257, reasoning=7)
WASTED = steps.tokens(907, 11, cached=401, written=101)
UNUSABLE = {
    "null": replace(steps.null_content(), usage=WASTED),
    "given up halfway": steps.ok("The first half", finish_reason="error", usage=WASTED),
    "an error in the choice": steps.Step(
        choices=({"message": {"content": "The first half"}, "error": {"code": 502, "message": "gone"}},), usage=WASTED
    ),
}


@pytest.mark.parametrize("unusable", UNUSABLE)
@pytest.mark.parametrize("budget", [None, RunBudget(Decimal(1), "USD")], ids=["no budget", "budget"])
def test_the_ledgers_tokens_at_its_prices_are_its_cost(
    scripted_server: ScriptedServer, output: str, unusable: str, budget: RunBudget | None
) -> None:
    """Tokens written to a cache, in rows and in discarded answers, are billed at a price of their own."""
    scripted_server.script({"doc-1": [UNUSABLE[unusable], steps.ok(usage=USAGE)], "*": steps.ok(usage=USAGE)})
    provider, spec = provider_at(scripted_server.base_url, prices={"m": PRICE}), spec_of(max_output_tokens=50)
    summary = carry_out(documents(10), output, provider, spec, budget=budget)
    assert [row["cache_write_tokens"] for row in rows_of(summary)] == [257] * 10

    ledger = json.loads((Path(output) / "_run" / "ledger.json").read_text())
    assert [(line["entry"], line["cache_write_tokens"]) for line in ledger["lines"]] == [
        ("rows", 2_570),
        ("discarded", 101),
    ]
    for line in [*ledger["lines"], ledger["totals"]]:
        assert Decimal(line["cost"]) == bill_of(line)
    assert (summary.totals.cost, summary.cost_uncertain) == (bill_of(ledger["totals"]), Decimal(0))


def test_summary_and_reports_have_the_tokens_written_to_a_cache(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(steps.ok(usage=USAGE))
    summary = carry_out(documents(10), output, provider_at(scripted_server.base_url, prices={"m": PRICE}))
    assert summary.totals.tokens == TokenTally(10_090, 5_030, 2_570, 310, 70)
    told = {name: value for name, value in summary.to_json().items() if name in TOKEN_COLUMNS}
    assert list(told.items()) == list(summary.totals.tokens.by_name().items())
    report = (Path(output) / "_run" / "report.md").read_text()
    assert "| in the results | 10,090 | 5,030 | 2,570 | 310 | 70 |" in report
    assert "| in the results |" in report.split("of which written to a cache")[1]


def bill_of(line: dict[str, int]) -> Decimal:
    """What the provider bills for these tokens."""
    read, written = line["cached_input_tokens"], line["cache_write_tokens"]
    other = line["input_tokens"] - read - written
    return (other * INPUT + read * CACHED_INPUT + written * CACHE_WRITE + line["output_tokens"] * OUTPUT) / MILLION
