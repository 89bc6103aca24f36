"""What an answer tells of the buckets, as our own engine reads it."""

from __future__ import annotations

import pytest
from tests.simulation.simulating import asked, provider

from prefect_llm.simulation.rate_headers import duration
from prefect_llm.wire.openai_api import RATE_HEADERS
from prefect_llm.wire.waits import retry_after_s


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"), (0.02, "20ms"), (0.0201, "21ms"), (1, "1s"), (1.2, "1.2s"), (59.9999, "1m0s"), (360, "6m0s"),
        (86.4, "1m26.4s"), (5400, "1h30m0s"),
    ],
)  # fmt: skip
def test_durations_are_spelled_as_openai_does_and_rounded_up(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_request_past_the_rate_gets_429_with_the_time_to_wait() -> None:
    simulated = provider(tokens_per_minute=150, output_tokens="5")
    assert asked(simulated).status == 200
    answer = asked(simulated, now=1.0)
    error = answer.json()["error"]
    assert answer.status == 429
    assert (error["type"], error["code"], error["param"]) == ("tokens", "rate_limit_exceeded", None)
    assert error["message"] == (
        "Rate limit reached for m on tokens per min (TPM): Limit 150, Used 98, Requested 100. "
        "Please try again in 19s."
    )
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("19", "19000")
    assert retry_after_s(answer.headers) == 19
    assert asked(simulated, now=20.0).status == 200
    assert (simulated.stats.throttled, simulated.stats.answered) == (1, 2)


def test_a_short_wait_is_a_second_in_whole_seconds() -> None:
    simulated = provider(requests_per_minute=1200, burst=0.01)
    asked(simulated)
    answer = asked(simulated)
    error = answer.json()["error"]
    assert error["type"] == "requests"
    assert error["message"].endswith("Please try again in 50ms.")
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("1", "50")


def test_a_request_that_can_never_fit_is_told_so() -> None:
    answer = asked(provider(tokens_per_minute=99))
    assert answer.status == 429
    assert answer.json()["error"]["message"].startswith("Request too large for m on tokens per min (TPM): Limit 99,")
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(("accounting", "second"), [("reserved", 429), ("used", 200)])
def test_what_an_answer_did_not_use_comes_back_only_where_usage_counts(accounting: str, second: int) -> None:
    simulated = provider(tokens_per_minute=115, output_tokens="5", token_accounting=accounting)
    assert [asked(simulated).status, asked(simulated).status] == [200, second]
    assert simulated.stats.tokens.admitted == (100 if accounting == "reserved" else 30)


def test_our_engine_reads_the_buckets_from_every_answer() -> None:
    simulated = provider(requests_per_minute=60, tokens_per_minute=1_000, output_tokens="5")
    headers = asked(simulated).headers
    requests, tokens = (RATE_HEADERS.allowance(headers, of, 0.0) for of in ("requests", "tokens"))
    assert requests is not None
    assert tokens is not None
    assert (requests.limit, requests.remaining, requests.reset_s) == (60, 59, 1)
    assert (tokens.limit, tokens.remaining, tokens.reset_s) == (1_000, 900, 6)


def test_buckets_for_input_and_output_are_told_in_anthropics_words() -> None:
    simulated = provider(input_tokens_per_minute=100, output_tokens_per_minute=900)
    answer = asked(simulated)
    assert answer.headers["anthropic-ratelimit-input-tokens-remaining"] == "90"
    allowance = RATE_HEADERS.allowance(answer.headers, "output-tokens", 0.0)
    assert allowance is not None
    assert (allowance.limit, allowance.remaining) == (900, 810)


def test_without_limits_nothing_is_told() -> None:
    assert not [name for name in asked(provider()).headers if "ratelimit" in name]
