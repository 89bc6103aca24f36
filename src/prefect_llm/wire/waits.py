"""How long an endpoint asks to wait, in each way in which it is written."""

from __future__ import annotations

import email.utils
import math
import re
import time
from datetime import datetime

from prefect_llm.wire.http import Headers

_NUMBER = re.compile(r"\s*\d+(\.\d+)?\s*")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")

FIRST_UNIX_S = 1e9
"""From here on a number is no duration but a Unix time in seconds (since 2001), from a thousand times that in ms."""
LONGEST_BELIEVED_S = 400 * 86400.0
"""A wait beyond a year is a wrong clock, and no wait is known."""

_GATEWAY_PREFIX = "llm_provider-"
"""LiteLLM passes on the headers of the provider behind it under this prefix."""


def seconds_until(text: str | None, now_s: float) -> float | None:
    """Seconds from `now_s` (since 1970): a number of them, `1m2s`, a Unix time, RFC 3339 or an HTTP date.

    0 for what is over, `None` for what is no time.
    """
    if text is None:
        return None
    if (plain := number(text)) is not None:
        return _since_now(plain, now_s)
    parts = _DURATION.findall(text)
    if parts and "".join(count + unit for count, unit in parts) == text.strip():
        return sum(float(count) * _UNITS_S[unit] for count, unit in parts)
    return _instant(text.strip(), now_s)


def _since_now(plain: float, now_s: float) -> float:
    if plain < FIRST_UNIX_S:
        return plain
    return max((plain / 1000 if plain >= 1000 * FIRST_UNIX_S else plain) - now_s, 0.0)


def _instant(text: str, now_s: float) -> float | None:
    for parse in (datetime.fromisoformat, email.utils.parsedate_to_datetime):
        try:
            return max(parse(text).timestamp() - now_s, 0.0)
        except (ValueError, OverflowError, TypeError):
            continue
    return None


def number(text: str | None) -> float | None:
    """A finite number without a sign."""
    if text is None or not _NUMBER.fullmatch(text):
        return None
    return value if math.isfinite(value := float(text)) else None


def retry_after_s(headers: Headers) -> float | None:
    """Seconds to wait, however long: `retry-after-ms` or `Retry-After` (RFC 9110 10.2.3), or a gateway's copy."""
    for prefix in ("", _GATEWAY_PREFIX):
        milliseconds = number(headers.get(f"{prefix}retry-after-ms"))
        seconds = believed(seconds_until(headers.get(f"{prefix}retry-after"), time.time()))
        if milliseconds is not None and (wait_s := believed(milliseconds / 1000)) is not None:
            return wait_s
        if seconds is not None:
            return seconds
    return None


def believed(seconds: float | None) -> float | None:
    """The wait, unless it is a wrong clock's."""
    return seconds if seconds is not None and seconds <= LONGEST_BELIEVED_S else None


def header(headers: Headers, name: str) -> str | None:
    """The header, or a gateway's copy of it."""
    value = headers.get(name)
    return headers.get(_GATEWAY_PREFIX + name) if value is None else value
