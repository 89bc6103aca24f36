"""What an answer's headers say of the account's rates, heeded before the endpoint has to answer 429.

OpenAI's spelling (`x-ratelimit-remaining-requests: 0`, `x-ratelimit-reset-requests: 6m0s`), which most imitate,
and Anthropic's (`anthropic-ratelimit-tokens-reset` as an RFC 3339 instant).
https://platform.openai.com/docs/guides/rate-limits, https://docs.anthropic.com/en/api/rate-limits
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from prefect_llm.wire.http import Headers

LONGEST_WAIT_S = 60.0
"""Some limits are per day: a run learns that one is used up from a 429 and its Retry-After."""

Spelling = tuple[str, str, str]
"""The headers of limit, rest and reset, with `{}` for the bucket's name."""
OPENAI_SPELLING: Spelling = ("x-ratelimit-limit-{}", "x-ratelimit-remaining-{}", "x-ratelimit-reset-{}")
ANTHROPIC_SPELLING: Spelling = (
    "anthropic-ratelimit-{}-limit",
    "anthropic-ratelimit-{}-remaining",
    "anthropic-ratelimit-{}-reset",
)

_BUCKETS = ("requests", "tokens", "input-tokens", "output-tokens")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


@dataclass(frozen=True, slots=True)
class Allowance:
    """One bucket as the endpoint reports it: `remaining` of `limit`, full again in `reset_s` seconds."""

    remaining: float
    reset_s: float
    limit: float | None = None

    def wait_s(self, amount: float) -> float:
        """Seconds until the bucket holds `amount`, at the rate at which it fills."""
        if self.remaining >= amount:
            return 0.0
        wait_s = self.reset_s
        if self.limit is not None and self.limit > self.remaining:
            wait_s *= min((amount - self.remaining) / (self.limit - self.remaining), 1.0)
        return min(wait_s, LONGEST_WAIT_S)


class RateHeaders:
    """The headers by which one wire format reports rates, in one or several spellings; without any, none are read."""

    def __init__(self, *spellings: Spelling) -> None:
        # formatted once: they are looked up in every answer
        self._names = {
            of: tuple(tuple(name.format(of) for name in spelling) for spelling in spellings) for of in _BUCKETS
        }

    def wait_s(self, headers: Headers, input_tokens: int, output_tokens: int, now_s: float) -> float:
        """Seconds until another request of that many tokens would be admitted; `now_s` since 1970."""
        longest_s = 0.0
        for of, amount in zip(_BUCKETS, (1, input_tokens + output_tokens, input_tokens, output_tokens), strict=True):
            if (allowance := self.allowance(headers, of, now_s)) is not None:
                longest_s = max(longest_s, allowance.wait_s(amount))
        return longest_s

    def allowance(self, headers: Headers, of: str, now_s: float) -> Allowance | None:
        """The bucket of requests, tokens, input-tokens or output-tokens; `None` if the headers do not report it."""
        for limit, remaining, reset in self._names[of]:
            if (text := headers.get(remaining)) is None or (left := _number(text)) is None:
                continue
            reset_s = _seconds(headers.get(reset), now_s)
            if reset_s is not None:
                return Allowance(left, reset_s, _number(headers.get(limit)))
        return None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else None


def _seconds(text: str | None, now_s: float) -> float | None:
    """A duration (`6m0s`, `20ms`, plain seconds), or the distance to an RFC 3339 instant."""
    if text is None:
        return None
    if (plain := _number(text)) is not None:
        return plain
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.strip():
        return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    try:
        return max(datetime.fromisoformat(text.strip()).timestamp() - now_s, 0.0)
    except ValueError:
        return None
