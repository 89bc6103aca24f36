"""What an answer's headers say of the account's rates, as endpoints spell it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.wire.openai_api import RATE_HEADERS
from prefect_llm.wire.rate_headers import LONGEST_WAIT_S, Allowance, RateHeaders

NOW_S = 1_792_000_000.0


@pytest.mark.parametrize(
    ("headers", "allowance"),
    [
        (
            {
                "x-ratelimit-limit-requests": "5000",
                "x-ratelimit-remaining-requests": "12",
                "x-ratelimit-reset-requests": "6m0s",
            },
            Allowance(12, 360, 5000),
        ),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, Allowance(0, 0.02)),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2m59.5s"}, Allowance(0, 179.5)),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "7.5"}, Allowance(3, 7.5)),
        (
            {
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-10-14T17:46:50Z",
            },
            Allowance(0, 10, 50),
        ),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2s"}, Allowance(0, 62)),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1792000002"}, Allowance(0, 2)),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1792000002000"}, Allowance(0, 2)),
        ({"x-ratelimit-remaining-requests": "0", "llm_provider-x-ratelimit-reset-requests": "9s"}, Allowance(0, 9)),
        ({"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}, Allowance(0, 60, 60)),
        (
            {"x-ratelimit-api_key-limit-requests": "6", "x-ratelimit-api_key-remaining-requests": "0"},
            Allowance(0, 60, 6),
        ),
        (
            {"x-ratelimit-remaining-requests-minute": "0", "x-ratelimit-reset-requests-minute": "12.5"},
            Allowance(0, 12.5),
        ),
        ({"x-ratelimit-remaining-requests": "0"}, None),
        ({"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None),
        ({"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "1s"}, None),
        ({}, None),
    ],
)
def test_a_bucket_is_read_as_endpoints_spell_it(headers: dict[str, str], allowance: Allowance | None) -> None:
    assert RATE_HEADERS.allowance(headers, "requests", NOW_S) == allowance


@pytest.mark.parametrize(
    ("allowance", "amount", "seconds"),
    [
        (Allowance(5, 60, 100), 5, 0),
        (Allowance(0, 60, 100), 1, 0.6),
        (Allowance(40, 60, 100), 70, 30),
        (Allowance(0, 30), 1, 30),
        (Allowance(0, 86_400), 1, 60),
        (Allowance(0, 60, 100), 1_000, 60),
    ],
)
def test_the_wait_is_as_long_as_the_bucket_takes_to_fill(allowance: Allowance, amount: int, seconds: float) -> None:
    assert allowance.wait_s(amount) == pytest.approx(seconds)


INSTANTS = st.datetimes(timezones=st.none() | st.timezones()).map(lambda instant: instant.isoformat())


@given(st.text() | INSTANTS | st.from_regex(r"(\d{1,400}(\.\d+)?(ms|s|m|h|d)?){1,3}", fullmatch=True), st.integers(0))
def test_no_header_makes_a_run_wait_longer_than_it_may(reset: str, remaining: int) -> None:
    for names in ("x-ratelimit-{}-requests", "anthropic-ratelimit-requests-{}"):
        headers = {
            names.format("remaining"): str(remaining),
            names.format("reset"): reset,
            names.format("limit"): reset,
        }
        assert 0.0 <= RATE_HEADERS.wait_s(headers, 60, 40, NOW_S) <= LONGEST_WAIT_S


def test_a_bucket_without_a_name_is_that_of_requests_alone() -> None:
    headers = {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "5", "x-ratelimit-reset": "30"}
    assert RATE_HEADERS.wait_s(headers, 60_000, 40, NOW_S) == 0.0
    assert RATE_HEADERS.wait_s({**headers, "x-ratelimit-remaining": "0"}, 0, 0, NOW_S) == pytest.approx(3)


def test_of_two_spellings_the_emptier_bucket_decides() -> None:
    headers = {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "99",
        "x-ratelimit-api_key-limit-requests": "6",
        "x-ratelimit-api_key-remaining-requests": "0",
    }
    assert RATE_HEADERS.wait_s(headers, 1, 1, NOW_S) == pytest.approx(10)


def test_the_emptier_bucket_decides() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "100",
        "x-ratelimit-reset-tokens": "54s",
    }
    assert RATE_HEADERS.wait_s(headers, 300, 100, NOW_S) == pytest.approx(18)


def test_input_and_output_may_have_buckets_of_their_own() -> None:
    headers = {
        f"anthropic-ratelimit-{of}-tokens-{what}": value
        for of, left in (("input", "5000"), ("output", "0"))
        for what, value in (("limit", "8000"), ("remaining", left), ("reset", "30"))
    }
    assert RATE_HEADERS.wait_s(headers, 5000, 400, NOW_S) == pytest.approx(1.5)
    assert RATE_HEADERS.wait_s(headers, 5000, 0, NOW_S) == 0.0


def test_a_format_without_a_spelling_heeds_no_header() -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7"}
    assert RATE_HEADERS.wait_s(headers, 1, 1, NOW_S) == 7.0
    assert RateHeaders().wait_s(headers, 1, 1, NOW_S) == 0.0
