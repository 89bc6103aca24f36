"""Advice by stated rules: what each needs to be given, and what keeps it silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.report.changed_totals import changed_totals

from prefect_llm.report.figures.endings import Endings
from prefect_llm.report.figures.folding import RunFigures
from prefect_llm.report.figures.ledger import EstimatedUse, LedgerKey, LedgerLine, RowCounts, RunLedger
from prefect_llm.report.figures.models import by_model, offers
from prefect_llm.report.figures.pace import LATENCY_STEPS, Moment, Pace
from prefect_llm.report.figures.totals import RowPrices, Totals
from prefect_llm.report.pages.advice import REDRIVE, advise, growth, may_be_redriven
from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.values.tally import Discarded, RequestTally, Tally, TokenTally

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = 10 * LATENCY_STEPS
"""The bin of 1,024 ms."""


def line(model: str = "m", rows: int = 1000, cost: str = "1", provider: str = "host", **changes: Any) -> LedgerLine:
    """Rows of 100 tokens in and 10 out each."""
    key = LedgerKey(START.date(), provider, model, "online", "USD", "stated")
    tokens = TokenTally(100 * rows, output_tokens=10 * rows)
    made = LedgerLine("rows", key, RowCounts(rows, ok=rows, metered=rows), tokens, Decimal(cost), Decimal(cost))
    return replace(made, **changes)


def pace(first: int = SECOND, second: int = SECOND, queued: int = 0) -> Pace:
    """Two moments of 500 answers each, with those latencies and that wait, as bins; 50 in flight."""
    moments = tuple(
        Moment(START + timedelta(seconds=10 * place), 10.0, 500, 500, 0, 9, 500_000.0, {step: 500})
        for place, step in enumerate((first, second))
    )
    return Pace(
        moments, latency={first: 500, second: 500} if first != second else {first: 1000}, queued={queued: 1000}
    )


def figures(**changes: Any) -> RunFigures:
    """A thousand documents, all answered at once; `changes` are the totals', or `pace` and `ledger`."""
    went, ledger = changes.pop("pace", pace()), changes.pop("ledger", RunLedger((line(),), 0, None, None, Decimal(0)))
    tally = Tally(1000, tokens=TokenTally(100_000, output_tokens=10_000), known_cost=Decimal(1))
    totals = Totals(1000, tally, asked=1000, prices=RowPrices(("USD",)), chunk_stats=ChunkStats(RequestTally(1000)))
    return RunFigures(changed_totals(totals, **changes), ledger, went)


def test_cut_answers_say_once_which_limit_would_have_held_them() -> None:
    cut = replace(figures(failed_by_kind={"truncated": 3}), endings=Endings(12, 3, longest=100, enough=180))
    assert [advice for advice in advise(cut) if "limit" in advice] == [
        "12 answers at the output limit of 100 tokens, 3 of them failed; max_output_tokens of about 180 would have "
        "held all."
    ]


def only(given: RunFigures) -> str:
    """The one advice there is."""
    (advice,) = advise(given)
    return advice


def test_an_endpoint_with_room_may_be_asked_more_at_once() -> None:
    assert "about 50 requests in flight" in only(figures())
    assert "Raise `concurrency`" in only(figures())


def test_one_request_in_flight_is_one_request() -> None:
    slow = pace()
    moments = tuple(replace(moment, busy_ms=10_000.0) for moment in slow.moments)
    assert "about 1 request in flight" in only(figures(pace=replace(slow, moments=moments)))


def test_a_latency_that_grows_is_a_capacity_passed() -> None:
    assert growth(pace(SECOND, SECOND + LATENCY_STEPS)) == pytest.approx(2.0)
    assert "Latency grew 2.0 times" in only(figures(pace=pace(SECOND, SECOND + LATENCY_STEPS)))


def test_a_latency_that_grew_a_little_says_nothing() -> None:
    assert advise(figures(pace=pace(SECOND, SECOND + LATENCY_STEPS // 2))) == ()


def test_documents_that_wait_longer_than_they_are_answered_are_held_by_limits() -> None:
    assert "hold this run" in only(figures(pace=pace(queued=SECOND + LATENCY_STEPS)))


def test_throttling_asks_for_limits_or_less_at_once_and_says_nothing_of_room() -> None:
    advice = only(figures(chunk_stats=ChunkStats(RequestTally(1000, throttled=20))))
    assert advice.startswith("2.0% of 1,000 requests were answered 429")
    assert "lower `concurrency`" in advice
    assert advise(figures(chunk_stats=ChunkStats(RequestTally(1000, throttled=19)))) == ()


def test_few_rows_say_nothing_of_speed() -> None:
    assert advise(figures(asked=199)) == ()


def test_attempts_without_an_answer_may_have_been_billed() -> None:
    lost = figures(chunk_stats=ChunkStats(RequestTally(1000, lost=10)))
    assert "10 attempts of 1,000 brought no answer" in advise(lost)[-1]


@pytest.mark.parametrize(
    ("kind", "count", "said"),
    [
        ("timeout", 3, "3 documents failed for reasons that may pass"),
        ("truncated", 2, "2 documents were cut by the output limit: raise `max_output_tokens`"),
        ("context_too_long", 1, "1 document is longer than the model's context"),
        ("bad_document", 1, "1 document could not be turned into a prompt"),
    ],
)
def test_each_kind_of_failure_has_its_advice(kind: str, count: int, said: str) -> None:
    assert advise(figures(failed_by_kind={kind: count}))[-1].startswith(said)


def test_answers_that_were_paid_and_discarded_are_named_from_a_fiftieth_of_the_cost() -> None:
    wasted = ChunkStats(RequestTally(1000), Discarded(attempts=7, cost=Decimal("0.02")))
    said = advise(figures(chunk_stats=wasted))[-1]
    assert said.startswith("7 answers could not be used")
    assert "cost $0.02 of $1.00" in said
    less = replace(wasted, discarded=replace(wasted.discarded, cost=Decimal("0.019")))
    assert not any("could not be used" in each for each in advise(figures(chunk_stats=less)))


def test_what_has_no_price_or_no_usage_is_named() -> None:
    assert "No price is known for 5 rows with tokens" in advise(figures(unpriced=5))[-1]
    for host, model, why in (
        ("api.openai.com", "ft:gpt-4.1:acme::abc", "genai-prices lists no 'ft:gpt-4.1:acme::abc' under OpenAI"),
        ("127.0.0.1:8000", "m", "genai-prices does not know the host 127.0.0.1"),
        ("api.openai.com", "gpt-4.1", "the list has 'gpt-4.1', but not the service tier, the searches"),
    ):
        unpriced = RunLedger(
            (replace(line(model, provider=host), rows=RowCounts(5, unpriced=5)),), 0, None, None, Decimal(0)
        )
        assert f"tokens ({why}" in "".join(advise(figures(ledger=unpriced, unpriced=5)))

    ledger = RunLedger((line(),), 0, EstimatedUse(4, 1, 1, None, "size"), None, Decimal(0))
    assert "4 answers came without token counts" in advise(figures(ledger=ledger))[-1]


def test_long_prompts_that_no_cache_reads_should_begin_with_what_they_share() -> None:
    assert "at the beginning of the prompt" in advise(figures(input_tokens=1_200_000))[-1]
    assert len(advise(figures(input_tokens=1_200_000, cached_input_tokens=60_000))) == 1


def test_the_runs_cheaper_model_is_named_at_the_dear_ones_tokens() -> None:
    ledger = RunLedger((line("dear", 1000, "10"), line("cheap", 500, "1")), 0, None, None, Decimal(0))
    advice = advise(figures(ledger=ledger))[-1]
    assert "`dear` cost $10.00" in advice
    assert "`cheap` $2.00" in advice


def test_the_lists_cheaper_models_of_the_same_host_are_offered_at_the_same_tokens() -> None:
    ledger = RunLedger((line("gpt-4o", provider="api.openai.com", cost="350"),), 0, None, None, Decimal(0))
    offered = offers(by_model(ledger))
    assert offered
    assert all(offer.listed and offer.cost <= Decimal(280) for offer in offered)
    assert "gpt-4o" not in {offer.model for offer in offered}


def test_an_own_endpoint_has_no_list() -> None:
    assert offers(by_model(RunLedger((line(),), 0, None, None, Decimal(0)))) == ()


def test_settings_are_named_as_block_form_and_file_have_them() -> None:
    kinds = dict.fromkeys(("truncated", "context_too_long", "timeout"), 1)
    work = ChunkStats(RequestTally(1000, throttled=20, lost=20), Discarded(attempts=7, cost=Decimal("0.02")))
    said = advise(figures(failed_by_kind=kinds, unpriced=5, chunk_stats=work))
    assert len(said) == 7
    assert not any("`--" in each for each in said)


@pytest.mark.parametrize(
    ("failed_by_kind", "said"),
    [
        ({"timeout": 3}, f"a redrive ({REDRIVE}) asks them again, and may mend 3"),
        ({"timeout": 3, "refused": 2, "bad_document": 9}, f"a redrive ({REDRIVE}) asks them again, and may mend 5"),
        (
            {"schema_mismatch": 2, "rejected": 9},
            f"a redrive ({REDRIVE}) asks them again; only 2 may then be answered",
        ),
        (
            {"bad_document": 1, "rejected": 2, "context_too_long": 3, "content_filtered": 4},
            "the same model would fail alike; redrive with another, or mend the documents in a new output",
        ),
        ({"bad_document": 1}, "a redrive would fail alike; mend the documents, in a new output"),
    ],
)
def test_a_redrive_is_advised_where_it_may_mend_something(failed_by_kind: dict[str, int], said: str) -> None:
    assert may_be_redriven(Totals(rows=100, tally=Tally(80, failed_by_kind))) == said
