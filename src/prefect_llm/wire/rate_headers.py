"""What an answer's headers say of the account's rates, heeded before the endpoint has to answer 429.

OpenAI's spelling (`x-ratelimit-remaining-requests: 0`, `x-ratelimit-reset-requests: 6m0s`), which most imitate,
and Anthropic's (`anthropic-ratelimit-tokens-reset` as an RFC 3339 instant); OpenRouter's without a bucket and with a
Unix time, Cerebras's per minute, those of a key of LiteLLM's.
https://platform.openai.com/docs/guides/rate-limits, https://docs.anthropic.com/en/api/rate-limits
"""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.wire.http import Headers
from prefect_llm.wire.waits import header, number, seconds_until

LONGEST_WAIT_S = 60.0
"""Some limits are per day: a run learns that one is used up from a 429 and its Retry-After."""

PRESUMED_RESET_S = 60.0
"""Azure and LiteLLM report a limit and its rest, and no reset: their limits are per minute."""

Spelling = tuple[str, str, str]
"""The headers of limit, rest and reset, with `{}` for the bucket's name; without it, of the bucket of requests."""
OPENAI_SPELLING: Spelling = ("x-ratelimit-limit-{}", "x-ratelimit-remaining-{}", "x-ratelimit-reset-{}")
ANTHROPIC_SPELLING: Spelling = (
    "anthropic-ratelimit-{}-limit",
    "anthropic-ratelimit-{}-remaining",
    "anthropic-ratelimit-{}-reset",
)
OPENROUTER_SPELLING: Spelling = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
CEREBRAS_SPELLING: Spelling = (
    "x-ratelimit-limit-{}-minute",
    "x-ratelimit-remaining-{}-minute",
    "x-ratelimit-reset-{}-minute",
)
LITELLM_SPELLING: Spelling = (
    "x-ratelimit-api_key-limit-{}",
    "x-ratelimit-api_key-remaining-{}",
    "x-ratelimit-api_key-reset-{}",
)

_BUCKETS = ("requests", "tokens", "input-tokens", "output-tokens")


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
            of: tuple(_named(of, spelling) for spelling in spellings if _has(of, spelling)) for of in _BUCKETS
        }
        self._remaining = tuple(names[1] for spelled in self._names.values() for names in spelled)

    def wait_s(self, headers: Headers, input_tokens: int, output_tokens: int, now_s: float) -> float:
        """Seconds until another request of that many tokens would be admitted; `now_s` since 1970."""
        if not self._says_anything(headers):
            return 0.0

        longest_s = 0.0
        for of, amount in zip(_BUCKETS, (1, input_tokens + output_tokens, input_tokens, output_tokens), strict=True):
            for names in self._names[of]:
                if (allowance := _allowance(headers, names, now_s)) is not None:
                    longest_s = max(longest_s, allowance.wait_s(amount))
        return longest_s

    def _says_anything(self, headers: Headers) -> bool:
        for name in self._remaining:  # noqa: SIM110 (every answer of an endpoint that says nothing passes it)
            if headers.get(name) is not None:
                return True
        return False

    def allowance(self, headers: Headers, of: str, now_s: float) -> Allowance | None:
        """The first reported bucket of requests, tokens, input-tokens or output-tokens; `None` if there is none."""
        found = (_allowance(headers, names, now_s) for names in self._names[of])
        return next((allowance for allowance in found if allowance is not None), None)


def _has(of: str, spelling: Spelling) -> bool:
    return "{}" in spelling[0] or of == "requests"


def _named(of: str, spelling: Spelling) -> Spelling:
    limit, remaining, reset = spelling
    return limit.format(of), remaining.format(of), reset.format(of)


def _allowance(headers: Headers, names: Spelling, now_s: float) -> Allowance | None:
    limit_name, remaining_name, reset_name = names
    if (left := number(headers.get(remaining_name))) is None:
        return None
    limit = number(headers.get(limit_name))
    if limit == 0:
        return None  # nothing is limited, as some gateways say it
    reset_s = seconds_until(header(headers, reset_name), now_s)
    if reset_s is None and limit is not None:
        reset_s = PRESUMED_RESET_S
    return None if reset_s is None else Allowance(left, reset_s, limit)
