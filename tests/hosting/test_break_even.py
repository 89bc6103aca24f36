from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hosting.scenarios import scenario

from prefect_llm.hosting import Span, compare
from prefect_llm.hosting.break_even import break_even, payback, return_on_investment

money = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(10**7), places=2)
tokens = st.integers(min_value=0, max_value=10**5).map(Decimal)


@given(price_in=money, price_out=money, into=tokens, out=tokens.filter(bool), colocation=money)
def test_at_the_break_even_volume_both_cost_the_same(
    price_in: Decimal, price_out: Decimal, into: Decimal, out: Decimal, colocation: Decimal
) -> None:
    shape = {"input_tokens_per_document": into, "output_tokens_per_document": out}
    models = [{"name": "m", "price_input": price_in, "price_output": price_out}]
    hosting = {"colocation": colocation}
    first = compare(scenario(workload={"documents_per_day": 1, **shape}, models=models, hosting=hosting))
    span = first.models[0].own.running
    assert span is not None
    with localcontext() as context:
        context.prec = 50
        documents = span.low / (into + out) / 30
    there = compare(scenario(workload={"documents_per_day": documents, **shape}, models=models, hosting=hosting))
    assert there.own is not None
    assert abs(there.models[0].cost.monthly - there.own.running.low) < Decimal("1e-20")


def test_a_free_api_is_never_dearer() -> None:
    assert break_even(Span(Decimal(1), Decimal(2)), Decimal(0)) is None


SMALL = Span(Decimal(100), Decimal(200))


@pytest.mark.parametrize(
    ("api", "soonest", "latest"),
    [("100", None, None), ("150", "20", None), ("200", "10", None), ("300", "5", "20")],
)
def test_machines_pay_back_out_of_what_they_save_or_never(api: str, soonest: str | None, latest: str | None) -> None:
    found = payback(Decimal(api), SMALL, Span(Decimal(1000), Decimal(2000)))
    assert found is not None
    assert found.soonest == (soonest and Decimal(soonest))
    assert found.latest == (latest and Decimal(latest))


def test_what_is_rented_has_nothing_to_pay_back() -> None:
    assert payback(Decimal(300), SMALL, None) is None
    assert return_on_investment(Decimal(300), SMALL, None, Decimal(36)) is None


def test_the_return_is_what_was_saved_over_the_months_less_the_purchase() -> None:
    bought = Span(Decimal(1000), Decimal(2000))
    # saved: 100 to 200 a month; 10 months: 1,000 to 2,000 against 2,000 or 1,000
    assert return_on_investment(Decimal(300), SMALL, bought, Decimal(10)) == (Decimal("-0.5"), Decimal(1))
    # lost: 50 to 150 a month; the worst is the greater loss on the smaller purchase
    assert return_on_investment(Decimal(50), SMALL, bought, Decimal(10)) == (Decimal("-2.5"), Decimal("-1.25"))
