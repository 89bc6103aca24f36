"""How long an endpoint asks to wait, in each of its forms."""

from __future__ import annotations

import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.wire.waits import LONGEST_BELIEVED_S, retry_after_s, seconds_until

NOW_S = 1_792_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7.5", 7.5),
        ("20ms", 0.02),
        ("1m2s", 62.0),
        ("1h0m0.5s", 3600.5),
        ("1792000002", 2.0),
        ("1792000002000", 2.0),
        ("1791999998", 0.0),
        ("2026-10-14T17:46:50Z", 10.0),
        ("Wed, 14 Oct 2026 17:46:50 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("-3", None),
        ("soon", None),
        ("9" * 400, None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_read_in_each_of_its_forms(text: str | None, seconds: float | None) -> None:
    assert seconds_until(text, NOW_S) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "86400"}, 86_400.0),
        ({"retry-after": "1m2s"}, 62.0),
        ({"retry-after": "99999999"}, None),
        ({"llm_provider-retry-after": "7"}, 7.0),
        ({"llm_provider-retry-after": "7", "retry-after": "60"}, 60.0),
        ({"llm_provider-retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, None),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_in_each_of_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_retry_after_as_a_date_counts_from_now() -> None:
    date = email.utils.formatdate(time.time() + 20, usegmt=True)
    assert retry_after_s({"retry-after": date}) == pytest.approx(20, abs=1.5)


@given(st.text() | st.from_regex(r"\w{3}, \d+ (Jan|Oct) \d{1,12} \d+:\d+:\d+ (GMT|[+-]\d+)", fullmatch=True))
def test_no_retry_after_is_worse_than_none(text: str) -> None:
    seconds = retry_after_s({"retry-after": text, "retry-after-ms": text})
    assert seconds is None or 0.0 <= seconds <= LONGEST_BELIEVED_S
