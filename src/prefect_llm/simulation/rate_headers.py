"""Reports the state of the buckets in headers: OpenAI's, or Anthropic's if input and output are separate.

https://platform.openai.com/docs/guides/rate-limits, https://docs.anthropic.com/en/api/rate-limits
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from prefect_llm.simulation.answers import Delivery
from prefect_llm.simulation.buckets import Bucket, Buckets, Shortage
from prefect_llm.simulation.format import Problem, SimulatedFormat

_SHORT_NAMES = {"requests": "RPM", "tokens": "TPM", "input-tokens": "ITPM", "output-tokens": "OTPM"}


def rate_headers(buckets: Buckets, now: float, wall_clock_s: float) -> bytes:
    """Header lines for every bucket; `wall_clock_s` is `now` in seconds since 1970.

    The limit is per minute whatever the bucket holds: that a provider enforces it by the second shows in 429s only.
    """
    return b"".join(_of_bucket(name, bucket, now, wall_clock_s) for name, bucket in buckets.by_name.items())


def _of_bucket(name: str, bucket: Bucket, now: float, wall_clock_s: float) -> bytes:
    missing = bucket.missing(now)
    remaining = max(0, math.floor(bucket.limit - missing))
    full_in_s = missing / bucket.per_second
    if name in ("requests", "tokens"):
        text = (
            f"x-ratelimit-limit-{name}: {bucket.limit}\r\nx-ratelimit-remaining-{name}: {remaining}\r\n"
            f"x-ratelimit-reset-{name}: {duration(full_in_s)}\r\n"
        )
    else:
        full_at = datetime.fromtimestamp(wall_clock_s + full_in_s, UTC).isoformat(timespec="milliseconds")
        text = (
            f"anthropic-ratelimit-{name}-limit: {bucket.limit}\r\n"
            f"anthropic-ratelimit-{name}-remaining: {remaining}\r\n"
            f"anthropic-ratelimit-{name}-reset: {full_at.replace('+00:00', 'Z')}\r\n"
        )

    return text.encode()


def duration(seconds: float) -> str:
    """OpenAI's spelling, rounded up to milliseconds: `20ms`, `1.2s`, `6m0s`, `1h30m0s`."""
    milliseconds = _milliseconds(seconds)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = (f"{hours}h" if hours else "") + f"{minutes}m{text}"
    return text


def rate_limited(
    wire_format: SimulatedFormat, model: str, shortage: Shortage, now: float, headers: bytes
) -> Delivery:
    """429 for a request that a bucket has no room for."""
    of, bucket = shortage.of, shortage.bucket
    problem = Problem.REQUESTS_PER_MINUTE if of == "requests" else Problem.TOKENS_PER_MINUTE
    what = f"{model} on {of.replace('-', ' ')} per min ({_SHORT_NAMES[of]}): Limit {bucket.limit}"
    if math.isinf(shortage.wait_s):
        message = f"Request too large for {what}, Requested {shortage.requested}."
        return wire_format.error(problem, message, headers=headers)
    message = (
        f"Rate limit reached for {what}, Used {round(bucket.missing(now))}, Requested {shortage.requested}. "
        f"Please try again in {duration(shortage.wait_s)}."
    )
    return wire_format.error(problem, message, headers=headers + retry_after(shortage.wait_s))


def retry_after(wait_s: float) -> bytes:
    """Both spellings, rounded up: whole seconds are at least 1."""
    return b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (math.ceil(wait_s), _milliseconds(wait_s))


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000 - 1e-6)
