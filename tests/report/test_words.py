"""What people read: the report, the table artifact and the terminal, of the same summary."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console
from tests.report.changed_totals import changed_totals

from prefect_llm.report.figures.endings import Endings
from prefect_llm.report.figures.failures import FailureExample
from prefect_llm.report.figures.summary import Summary
from prefect_llm.report.figures.totals import Totals
from prefect_llm.report.pages import sentences
from prefect_llm.report.pages.markdown import escaped, to_cost_markdown, to_markdown, to_table
from prefect_llm.report.pages.terminal import to_rich
from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.manifest import Stopped
from prefect_llm.values.errors import AuthenticationFailed
from prefect_llm.values.tally import Discarded, Tally


def _with_totals(summary: Summary, **changes: Any) -> Summary:
    return replace(summary, totals=changed_totals(summary.totals, **changes))


def _printed(summary: Summary, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(to_rich(summary))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_what_was_left_out_of_the_input_is_said(summary: Summary) -> None:
    said = replace(summary, files_left_out=5, left_out='.pdf files (5, such as "a.pdf")')
    assert '.pdf files (5, such as "a.pdf")' in _printed(said)
    assert 'Left out of the input: .pdf files (5, such as "a.pdf").' in to_markdown(said)
    assert said.to_json()["files_left_out"] == 5
    assert "eft out" not in _printed(summary) + to_markdown(summary)


CUT = Endings(cut=12, cut_failed=3, longest=100, enough=180)
TOO_FEW = Endings(cut=1, longest=100)


@pytest.mark.parametrize(
    ("endings", "said"),
    [
        (
            CUT,
            "12 answers at the output limit of 100 tokens, 3 of them failed; max_output_tokens of about 180 would "
            "have held all",
        ),
        (
            TOO_FEW,
            "1 answer at the output limit of 100 tokens; they need max_output_tokens above 100; too few ended by "
            "themselves to tell how much",
        ),
        (Endings(context_full=2), "2 answers ended where the context did"),
        (
            Endings(unknown=dict.fromkeys(("odd", "b", "c", "d", "e", "f", "g"), 1) | {"odd": 3}),
            "not known, taken as answered: odd 3, b 1, c 1, d 1, e 1 and 2 more",
        ),
    ],
    ids=["cut", "no telling", "context", "unknown words"],
)
def test_how_answers_ended_is_said(summary: Summary, endings: Endings, said: str) -> None:
    ended = replace(summary, endings=endings)
    assert said in " ".join(_printed(ended, 300).split())
    assert escaped(said) in to_markdown(ended)
    assert ended.to_json()["cut"] == endings.cut
    assert said not in _printed(summary, 300) + to_markdown(summary)


def test_reused_answers_do_not_make_the_asked_ones_look_cheaper(summary: Summary) -> None:
    asked = _with_totals(summary, ok=959, reused=859, asked=100, known_cost=Decimal("0.5"))
    assert "| per 1,000 asked | $5.00 |" in to_cost_markdown(asked)


def test_the_report_of_a_run_reads_as_written_here(summary: Summary) -> None:
    assert (
        to_markdown(summary)
        == """\
# LLM batch with gpt-5

**Completed: 959 of 1,000 documents answered, 41 failed, for $1.23 in 1 min 4 s.**

37 of 41 failures: server_error 503: upstream overloaded

## Documents

|  | documents | share |
| --- | ---: | ---: |
| answered | 959 | 95.9% |
| failed | 41 | 4.1% |
| pending | 0 | 0% |
| reused, of those answered | 9 |  |

## Failures

| kind | documents | most common message |
| --- | ---: | --- |
| `server_error` | 38 | 503: upstream overloaded (37 times) |
| `bad_document` | 3 | field 'a\\|b' is null |

## Tokens

|  | input | of which cached | of which written to a cache | output | of which reasoning |
| --- | ---: | ---: | ---: | ---: | ---: |
| in the results | 9,600 | 1,200 | 0 | 4,800 | 48 |
| unusable answers | 20 | 0 | 0 | 10 | 0 |

## Cost

$1.23, including $0.03 for 2 unusable answers

## Time per answered document

|  | mean | p50 | p95 | p99 |
| --- | ---: | ---: | ---: | ---: |
| last attempt | 412 ms | 400 ms | 1.5 s | 3.2 s |
| waiting for limits and retries | 2 ms | 1 ms | 8 ms | 9 ms |

## This invocation

1,000 requests in 1 min 4 s, 40 of them retries, 12 throttled. 15.0 documents/s, 225 tokens/s.

## Results

One Parquet row per document in runs/today/results; in DuckDB:

```sql
SELECT id, status, content, error_message FROM 'runs/today/results/*.parquet' LIMIT 20;
```
"""
    )


def test_a_message_cannot_leave_its_cell_or_become_markup(summary: Summary) -> None:
    nasty = "a|b\nc <img src=x> ![t](http://x) `d` *e* \\|\x1b[0m"
    report = to_markdown(_with_totals(summary, failure_examples=(FailureExample("server_error", 500, nasty, 38),)))
    (row,) = [line for line in report.splitlines() if line.startswith("| `server_error`")]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 4
    assert r"\<img src=x> !\[t\](http://x) \`d\` \*e\* \\\|" in row
    assert "\x1b" not in report


def test_plain_words_are_left_alone() -> None:
    assert escaped("no model gpt_4 at https://host/v1 (404)") == "no model gpt_4 at https://host/v1 (404)"


def test_a_quote_in_the_path_does_not_end_the_query(summary: Summary) -> None:
    assert "FROM 'it''s/results/*.parquet' LIMIT" in to_markdown(replace(summary, output="it's/"))


def test_a_stopped_run_says_why_and_how_it_goes_on(summary: Summary) -> None:
    stopped = replace(
        _with_totals(summary, ok=400),
        state="stopped",
        stopped=Stopped("AuthenticationFailed", "the endpoint refused the key (401)."),
    )
    headline = "Stopped early: 400 of 1,000 documents answered, 41 failed, 559 pending, for $1.23 in 1 min 4 s."
    reason = f"AuthenticationFailed: the endpoint refused the key (401). {AuthenticationFailed.goes_on}"
    report = to_markdown(stopped)
    assert f"**{headline}**\n\n{reason}\n" in report
    printed = " ".join(_printed(stopped).split())
    assert printed.startswith(f"{headline} {reason}")


def test_a_command_that_had_nothing_to_ask_does_not_read_as_paid_again(summary: Summary) -> None:
    again = replace(summary, requests=0, retries=0)
    said = "Nothing to ask: 959 of 1,000 documents already answered, 41 failed, for $1.23 in all."
    assert sentences.headline(again) == said
    all_answered = _with_totals(again, ok=1000, failed_by_kind={})
    assert (
        sentences.headline(all_answered)
        == "Nothing to ask: 1,000 of 1,000 documents already answered, for $1.23 in all."
    )
    unpriced = _with_totals(all_answered, unpriced=1)
    assert sentences.headline(unpriced) == "Nothing to ask: 1,000 of 1,000 documents already answered."


def test_a_run_that_went_on_sets_no_time_of_its_own_beside_the_figures_of_all_attempts(summary: Summary) -> None:
    went_on = replace(summary, requests=120, retries=20, seconds=5.0)
    assert sentences.headline(went_on) == (
        "Completed: 959 of 1,000 documents answered, 41 failed, for $1.23 in all; 100 of them asked now, in 5.0 s."
    )
    table = dict(sentences.table_rows(went_on))
    assert table["requests"] == "120 requests in 5.0 s, 20 of them retries, 12 throttled (this time)"
    assert table["throughput"] == "20.0 documents/s, 300 tokens/s (this time)"
    assert "this time" not in dict(sentences.table_rows(summary))["requests"]


def test_an_interrupted_run_says_how_it_goes_on(summary: Summary) -> None:
    interrupted = replace(_with_totals(summary, ok=400), state="interrupted")
    assert sentences.headline(interrupted).startswith("Interrupted: 400 of 1,000 documents answered")
    assert sentences.what_next(interrupted) == "The same command, or Retry in Prefect, continues the run."
    assert sentences.what_next(summary) is None


def test_a_run_without_failures_or_requests_leaves_those_parts_out() -> None:
    nothing = Summary(Totals(rows=1, tally=Tally(1), reused=1), "completed", "out")
    report = to_markdown(nothing)
    assert "**Completed: 1 of 1 document answered.**" in report
    assert "## Cost\n\nnothing was billed\n" in report
    assert "## Failures" not in report
    assert "## Time" not in report
    assert "documents/s" not in report
    names = [row["figure"] for row in to_table(nothing)]
    assert names == ["answered", "reused", "tokens", "cost", "requests", "results"]


def test_rows_answered_before_a_price_was_given_stay_without_one(summary: Summary) -> None:
    mixed = _with_totals(summary, unpriced=12, sources=("stated",))
    assert sentences.cost(mixed) == "at least $1.23; unknown price: 12 billed rows without one"
    assert sentences.prices(mixed) == "stated for the run; none for 12 billed rows"
    assert sentences.prices(_with_totals(summary, sources=("stated",))) == "stated for the run"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"unpriced": 950, "known_cost": Decimal(0)},
            "unknown price: 950 billed rows without one; state it in the block, or give price_input and price_output",
        ),
        ({"unmetered": 1}, "at least $1.23; unknown usage: 1 answer came without token counts that add up"),
        (
            {"chunk_stats": ChunkStats(discarded=Discarded(attempts=2, cost=None))},
            "at least $1.23; unknown cost of 2 unusable answers",
        ),
        ({"currencies": ("EUR", "USD")}, "in several currencies (EUR, USD): not added up"),
        ({"chunk_stats": ChunkStats()}, "$1.23"),
    ],
)
def test_the_cost_says_what_is_not_known_and_how_to_know_it(
    summary: Summary, changes: dict[str, Any], said: str
) -> None:
    changed = _with_totals(summary, **changes)
    assert sentences.cost(changed) == said
    assert f"## Cost\n\n{said}\n" in to_markdown(changed)
    if changed.totals.cost is None:
        assert "$" not in sentences.headline(changed)


def test_the_table_artifact_has_one_row_a_figure(summary: Summary) -> None:
    table = to_table(summary)
    assert table[0] == {"figure": "answered", "value": "959 (95.9%)"}
    assert {"figure": "server_error", "value": "38"} in table
    assert {"figure": "latency", "value": "mean 412 ms, p50 400 ms, p95 1.5 s, p99 3.2 s"} in table
    assert table[-1] == {
        "figure": "main cause",
        "value": "37 of 41 failures: server_error 503: upstream overloaded",
    }


def test_the_terminal_shows_the_same_figures_within_80_columns(summary: Summary) -> None:
    long = FailureExample("server_error", 503, "[bold]not markup[/] \x1b[2J " + "w" * 300, 37)
    printed = _printed(_with_totals(summary, failure_examples=(long,)))
    assert max(map(len, printed.splitlines())) <= 80
    assert "[bold]not markup[/]" in printed
    assert "\x1b" not in printed
    assert "9,600 in (1,200 cached), 4,800 out (48 reasoning)" in printed
    assert "runs/today/results" in printed
    assert printed.startswith("Completed: 959 of 1,000 documents answered, 41 failed, for $1.23")


def test_the_terminal_cuts_nothing_off(summary: Summary) -> None:
    output = "s3://bucket/" + "deep/" * 30 + "end"
    changed = replace(_with_totals(summary, unpriced=950, known_cost=Decimal(0)), output=output)
    printed = _printed(changed)
    assert max(map(len, printed.splitlines())) <= 80
    assert f"{output}/results" in re.sub(r"\s+", "", printed)
    assert sentences.cost(changed) in " ".join(printed.split())


def test_a_message_that_begins_with_its_status_says_it_once() -> None:
    assert FailureExample("timeout", None, "no answer within 120 s", 1).cause == "timeout: no answer within 120 s"
    assert FailureExample("rejected", 400, "HTTP 400: bad", 1).cause == "rejected 400: bad"
    assert FailureExample("rejected", 400, "HTTP 400", 1).cause == "rejected 400: HTTP 400"
