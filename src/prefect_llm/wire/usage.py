"""Token counts as OpenAI-compatible endpoints spell them; what cannot be read is `None`, never 0 and never a guess.

| who | what differs | where it says so |
|---|---|---|
| OpenAI, vLLM, OpenRouter | `prompt_tokens`, `completion_tokens` and their details | platform.openai.com/docs/api-reference/chat/object |
| the Responses API's names | `input_tokens`, `output_tokens` and their details | platform.openai.com/docs/api-reference/responses/object |
| Anthropic | `input_tokens` without those read from or written to a cache, which stand beside | docs.anthropic.com/en/docs/build-with-claude/prompt-caching |
| DeepSeek | `prompt_cache_hit_tokens` | api-docs.deepseek.com/guides/kv_cache |
| Moonshot, Together | `cached_tokens` beside the others | platform.moonshot.ai/docs/api/chat |
| Mistral | `num_cached_tokens`, `prompt_token_details` | docs.mistral.ai/api |
| Perplexity | `reasoning_tokens` beside the others | docs.perplexity.ai/api-reference |
| xAI | reasoning outside `completion_tokens`, inside `total_tokens` | docs.x.ai/docs/guides/reasoning |
| Google | thoughts outside `completion_tokens` and unreported, inside `total_tokens` | ai.google.dev/gemini-api/docs/openai |
| Groq | streams it as `x_groq.usage` | console.groq.com/docs/api-reference |
"""  # noqa: E501

from __future__ import annotations

from typing import Any

from prefect_llm.values.outcome import MOST_TOKENS, Usage

_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
_CACHED = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens", "num_cached_tokens")
_APART = ("cache_read_input_tokens", "cache_creation_input_tokens")
_WRITTEN = ("cache_creation_input_tokens", "cache_write_tokens")


def usage_of(reported: Any) -> Usage | None:
    """The counts in `usage`; `None` if it is not an object."""
    if not isinstance(reported, dict):
        return None
    cached = _detail(reported, _INPUT_DETAILS, ("cached_tokens",), _CACHED)
    written = _detail(reported, _INPUT_DETAILS, ("cache_write_tokens", "cache_creation_tokens"), _WRITTEN)
    reasoning = _detail(reported, _OUTPUT_DETAILS, ("reasoning_tokens",), ("reasoning_tokens",))
    total = _count(reported, "total_tokens")
    given = _input(reported, cached, written)
    output = _first(reported, ("completion_tokens", "output_tokens"))
    if total is not None:
        given, output, reasoning = _by_total(total, given, output, reasoning)
    return Usage(given, cached, output, reasoning, written)


def usage_in(extension: Any) -> Any:
    """The `usage` member of an object beside the choices, if there is one."""
    return extension.get("usage") if isinstance(extension, dict) else None


def _input(reported: dict[str, Any], cached: int | None, written: int | None) -> int | None:
    """All input tokens. Endpoints that count as Anthropic does leave out those of the cache."""
    given = _first(reported, ("prompt_tokens", "input_tokens"))
    apart = "prompt_tokens" not in reported and not reported.keys().isdisjoint(_APART)
    return given + (cached or 0) + (written or 0) if apart and given is not None else given


def _by_total(
    total: int, given: int | None, output: int | None, reasoning: int | None
) -> tuple[int | None, int | None, int | None]:
    """Fill in from the total a missing count, or reasoning that is billed but not part of the output."""
    if given is None or output is None:
        known = given if output is None else output
        rest = None if known is None or known > total else total - known
        return (given, rest, reasoning) if output is None and given is not None else (rest, output, reasoning)
    outside = total - given - output
    if outside > 0 and reasoning in (None, outside):
        return given, output + outside, outside
    return given, output, reasoning


def _detail(
    reported: dict[str, Any], objects: tuple[str, ...], inside: tuple[str, ...], beside: tuple[str, ...]
) -> int | None:
    for name in objects:
        details = reported.get(name)
        if isinstance(details, dict) and (count := _first(details, inside)) is not None:
            return count
    return _first(reported, beside)


def _first(counts: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        if (count := _count(counts, name)) is not None:
            return count
    return None


def _count(counts: dict[str, Any], name: str) -> int | None:
    value = counts.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # some gateways write 10.0
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None
