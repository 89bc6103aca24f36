"""How answers ended, folded from the rows."""

from __future__ import annotations

import math
import random

import pyarrow as pa
import pytest

from prefect_llm.report.figures.endings import FORGET_ABOVE, REMEMBERED, Endings, EndingsFold

Row = tuple[str | None, str | None, int | None]
"""Finish reason, error kind, output tokens."""


def rows(*given: Row, attempts: int = 1) -> pa.Table:
    """A chunk's rows."""
    reasons, kinds, tokens = zip(*given, strict=True)
    return pa.table(
        {
            "status": ["ok" if kind is None else "failed" for kind in kinds],
            "finish_reason": pa.array(reasons, pa.string()),
            "error_kind": pa.array(kinds, pa.string()),
            "output_tokens": pa.array(tokens, pa.int64()),
            "attempts": pa.array([attempts] * len(given), pa.int32()),
        }
    )


def folded(*tables: pa.Table) -> Endings:
    fold = EndingsFold()
    for table in tables:
        fold.add(table)
    return fold.endings()


def test_cut_answers_are_counted_in_every_spelling_failed_or_not() -> None:
    endings = folded(
        rows(("length", None, 100), ("MAX_TOKENS", None, 90), ("stop", None, 7), (None, None, 8)),
        rows(("length", "truncated", 100), ("stop", "truncated", 100), ("length", "refused", 3)),
    )
    assert endings == Endings(cut=4, cut_failed=2, longest=100)


def test_a_full_context_is_no_output_limit() -> None:
    endings = folded(rows(("model_length", None, 100), ("model_context_window_exceeded", "truncated", 7)))
    assert endings == Endings(context_full=2)


def test_unknown_words_of_answers_are_counted_the_commonest_first() -> None:
    endings = folded(
        rows(("odd", None, 1), ("new", None, 1), ("stop", None, 1)),
        rows(("new", None, 1), ("weird", "bad_response", 1)),
    )
    assert list(endings.unknown.items()) == [("new", 2), ("odd", 1)]


def test_a_word_in_every_row_takes_no_more_memory() -> None:
    endings = folded(
        rows(*[("always", None, 1)] * 3), rows(*[(f"word {number}", None, 1) for number in range(FORGET_ABOVE + 1)])
    )
    assert len(endings.unknown) == REMEMBERED
    assert endings.unknown["always"] == 3


def test_reused_rows_are_cut_too_but_say_nothing_of_length() -> None:
    assert folded(rows(("length", None, 0), ("stop", None, 0), attempts=0)) == Endings(cut=1)


@pytest.mark.parametrize(("share", "spread"), [(0.01, 0.4), (0.1, 0.4), (0.25, 1.0)])
def test_the_limit_that_would_have_held_all_is_told_from_those_that_ended(share: float, spread: float) -> None:
    draw = random.Random(1)
    lengths = sorted(math.ceil(draw.lognormvariate(math.log(200), spread)) for _ in range(2000))
    limit = lengths[int((1 - share) * len(lengths))]
    table = rows(*[("stop", None, each) if each < limit else ("length", None, limit) for each in lengths])
    endings = folded(table)
    assert endings.cut == sum(each >= limit for each in lengths)
    assert endings.enough is not None
    assert 0.7 * lengths[-1] < endings.enough < 2.5 * lengths[-1]


@pytest.mark.parametrize(
    ("whole", "cut"), [(0, 12), (19, 1), (30, 16)], ids=["none ended", "too few ended", "too many cut"]
)
def test_where_too_few_ended_nothing_is_told(whole: int, cut: int) -> None:
    table = rows(*[("stop", None, 40)] * whole, *[("length", "truncated", 100)] * cut)
    assert folded(table).enough is None


def test_the_limit_told_is_above_the_one_there_was() -> None:
    table = rows(*[("stop", None, 99)] * 1000, ("length", None, 100))
    assert folded(table).enough == 110
