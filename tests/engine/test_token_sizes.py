"""What a request will take, as the run's own answers teach it."""

from __future__ import annotations

import random

import pytest

from prefect_llm.engine.limits.rate_limits import Tokens
from prefect_llm.engine.limits.token_sizes import UNSTATED_OUTPUT_TOKENS, TokenSizes
from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import TokenAccounting


def taught(accounting: TokenAccounting, *answers: tuple[int, int | None, int | None]) -> TokenSizes:
    """Estimates after answers of one model: bytes of the body, input tokens, output tokens."""
    estimates = TokenSizes(accounting)
    for body_bytes, input_tokens, output_tokens in answers:
        estimates.learn("m", body_bytes, Usage(input_tokens=input_tokens, output_tokens=output_tokens))
    return estimates


def test_before_the_first_answer_a_token_is_four_bytes_and_an_answer_as_long_as_it_may_be() -> None:
    for accounting in ("reserved", "used"):
        assert TokenSizes(accounting).tokens("m", 401, 50) == Tokens(101, 50)
        assert TokenSizes(accounting).tokens("m", 400, None) == Tokens(100, UNSTATED_OUTPUT_TOKENS)


def test_input_follows_the_ratio_of_tokens_to_bytes() -> None:
    estimates = taught("reserved", *[(1_000, 400, 10)] * 200)
    assert estimates.tokens("m", 2_000, 10).input == pytest.approx(800, rel=0.01)


def test_long_bodies_are_not_underestimated_because_many_short_ones_have_a_lower_ratio() -> None:
    short, long = (100, 5, 10), (10_000, 2_500, 10)
    estimates = taught("reserved", *[short, short, short, long] * 50)
    assert estimates.tokens("m", 10_000, 10).input >= 2_400


def test_a_change_in_the_documents_is_followed() -> None:
    estimates = taught("used", *[(1_000, 200, 100)] * 500, *[(1_000, 600, 400)] * 250)
    expected = estimates.tokens("m", 1_000, None)
    assert 590 <= expected.input <= 650
    assert 390 <= expected.output <= 450


@pytest.mark.parametrize("accounting", ["reserved", "used"])
def test_the_more_the_answers_differ_the_wider_the_margin(accounting: TokenAccounting) -> None:
    alike = taught(accounting, *[(1_000, 250, 100)] * 300).tokens("m", 1_000, None)
    differing = taught(accounting, *[(1_000, 150, 20), (1_000, 350, 180)] * 150).tokens("m", 1_000, None)
    assert alike.input <= 252
    assert alike.output <= 110
    assert differing.input >= alike.input + 20
    assert differing.output >= alike.output + 15


@pytest.mark.parametrize("accounting", ["reserved", "used"])
def test_in_all_at_least_what_the_answers_take_is_expected_and_hardly_more_input(accounting: TokenAccounting) -> None:
    rng, estimates = random.Random(4), TokenSizes(accounting)
    expected = [0, 0]
    real = [0, 0]
    for _ in range(2_000):
        body_bytes = rng.randint(300, 6_000)
        usage = int(body_bytes * rng.uniform(0.2, 0.24)) + 1, int(rng.lognormvariate(5, 0.5))
        tokens = estimates.tokens("m", body_bytes, None)
        expected = [expected[0] + tokens.input, expected[1] + tokens.output]
        real = [real[0] + usage[0], real[1] + usage[1]]
        estimates.learn("m", body_bytes, Usage(input_tokens=usage[0], output_tokens=usage[1]))
    assert real[0] <= expected[0] <= 1.05 * real[0]
    assert real[1] <= expected[1]


def test_an_answer_without_a_limit_is_held_a_whole_spread_longer_where_nothing_is_given_back() -> None:
    answers = [(1_000, 250, 20), (1_000, 250, 180)] * 150
    assert 175 <= taught("reserved", *answers).tokens("m", 1_000, None).output <= 185
    assert 115 <= taught("used", *answers).tokens("m", 1_000, None).output <= 125


def test_where_limits_are_reserved_they_count_in_full() -> None:
    assert taught("reserved", *[(1_000, 250, 20)] * 50).tokens("m", 1_000, 800).output == 800


def test_where_usage_counts_an_answer_takes_what_answers_took() -> None:
    assert 20 <= taught("used", *[(1_000, 250, 20)] * 50).tokens("m", 1_000, 800).output <= 40


def test_but_never_more_than_its_limit() -> None:
    assert taught("used", *[(1_000, 250, 500)] * 50).tokens("m", 1_000, 100).output == 100


def test_each_model_is_learnt_by_itself() -> None:
    estimates = taught("used", *[(1_000, 900, 5)] * 50)
    assert estimates.tokens("other", 1_000, None) == Tokens(250, UNSTATED_OUTPUT_TOKENS)
    before = estimates.tokens("m", 1_000, None)
    estimates.learn("other", 1_000, Usage(input_tokens=100, output_tokens=700))
    assert estimates.tokens("m", 1_000, None) == before


def test_what_the_endpoint_did_not_count_teaches_nothing() -> None:
    estimates = taught("used", (1_000, None, None))
    assert estimates.tokens("m", 1_000, 70) == Tokens(250, 70)


def test_the_first_answer_already_counts() -> None:
    after_one = taught("used", (1_000, 200, 90)).tokens("m", 1_000, 4_096)
    assert 200 <= after_one.input <= 225
    assert 90 <= after_one.output <= 200
