"""Token counts as OpenAI-compatible endpoints spell them; what cannot be read is `None`, never 0 and never a guess.

Endpoints differ in which counts hold which others. Of all readings of a usage, the one whose parts fit their wholes and
whose wholes add up to the total counts; if there is none, or there are two, every count is `None`.

| who | what differs | where it says so |
|---|---|---|
| OpenAI, vLLM, OpenRouter | `prompt_tokens`, `completion_tokens` and their details | platform.openai.com/docs/api-reference/chat/object |
| the Responses API's names | `input_tokens`, `output_tokens` and their details | platform.openai.com/docs/api-reference/responses/object |
| Anthropic | `input_tokens` without those read from or written to a cache, which stand beside | docs.anthropic.com/en/docs/build-with-claude/prompt-caching |
| gateways before Anthropic and Bedrock | `prompt_tokens` without the cache's, which are inside `total_tokens` | docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html |
| DeepSeek | `prompt_cache_hit_tokens` and `prompt_cache_miss_tokens`, together the input | api-docs.deepseek.com/guides/kv_cache |
| Moonshot, Together | `cached_tokens` beside the others | platform.moonshot.ai/docs/api/chat |
| Mistral | `num_cached_tokens`, `prompt_token_details` | docs.mistral.ai/api |
| Perplexity | `reasoning_tokens` beside the others | docs.perplexity.ai/api-reference |
| xAI | reasoning outside `completion_tokens`, inside `total_tokens` | docs.x.ai/docs/guides/reasoning |
| Google | thoughts outside `completion_tokens` and unreported, inside `total_tokens` | ai.google.dev/gemini-api/docs/openai |
| Groq | streams it as `x_groq.usage` | console.groq.com/docs/api-reference |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

from prefect_llm.values.outcome import MOST_TOKENS, Usage

_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
_CACHED = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens", "num_cached_tokens")
_ANTHROPIC = ("cache_read_input_tokens", "cache_creation_input_tokens")
_WRITTEN = ("cache_creation_input_tokens", "cache_write_tokens")
_UNTOLD: tuple[int | None, ...] = (None,)
_WRITTEN_INSIDE = ("cache_write_tokens", "cache_creation_tokens")
_OPENAI_NAMES = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}
)
_NOTHING: dict[str, Any] = {}


class _Counts(NamedTuple):
    """The counts as given. Of a part that is told in several places, every value told."""

    input: int | None
    output: int | None
    total: int | None
    cached: tuple[int | None, ...]
    written: tuple[int | None, ...]
    reasoning: tuple[int | None, ...]
    uncached: int | None
    is_responses: bool
    is_anthropic: bool


def usage_of(reported: Any) -> Usage | None:
    """The counts in `usage`; `None` if it is not an object."""
    if not isinstance(reported, dict):
        return None

    if (usage := _openai_reading(reported)) is not None:
        return usage
    counts = _counts(reported)
    readings = set(_readings(counts)) or set(_with_unreported_thoughts(counts))
    return readings.pop() if len(readings) == 1 else Usage()


def usage_in(extension: Any) -> Any:
    """The `usage` member of an object beside the choices, if there is one."""
    return extension.get("usage") if isinstance(extension, dict) else None


def _openai_reading(reported: dict[str, Any]) -> Usage | None:
    """The counts of OpenAI's own shape, nearly every answer's, without trying all readings.

    Nothing can stand beside counts that add up to the total: it would be more. `None` sends the rest to the long way.
    """
    given, output = reported.get("prompt_tokens"), reported.get("completion_tokens")
    if type(given) is not int or type(output) is not int or reported.get("total_tokens") != given + output:
        return None
    if not (0 <= given <= MOST_TOKENS and 0 <= output <= MOST_TOKENS) or not reported.keys() <= _OPENAI_NAMES:
        return None

    details = reported.get("prompt_tokens_details") or _NOTHING
    output_details = reported.get("completion_tokens_details") or _NOTHING
    if not (isinstance(details, dict) and isinstance(output_details, dict)) or "cache_creation_tokens" in details:
        return None
    usage = Usage(
        given,
        count_in(details, "cached_tokens"),
        output,
        count_in(output_details, "reasoning_tokens"),
        count_in(details, "cache_write_tokens"),
    )
    return usage if _fits(usage, None) else None


def _counts(reported: dict[str, Any]) -> _Counts:
    return _Counts(
        input=_first(reported, ("prompt_tokens", "input_tokens")),
        output=_first(reported, ("completion_tokens", "output_tokens")),
        total=count_in(reported, "total_tokens"),
        cached=_told(reported, _INPUT_DETAILS, ("cached_tokens",), _CACHED),
        written=_told(reported, _INPUT_DETAILS, _WRITTEN_INSIDE, _WRITTEN),
        reasoning=_told(reported, _OUTPUT_DETAILS, ("reasoning_tokens",), ("reasoning_tokens",)),
        uncached=count_in(reported, "prompt_cache_miss_tokens"),
        is_responses="prompt_tokens" not in reported,
        is_anthropic=_first(reported, _ANTHROPIC) is not None,
    )


def _readings(counts: _Counts) -> Iterator[Usage]:
    """Every reading in which the counts agree."""
    for cached, written, reasoning in product(counts.cached, counts.written, counts.reasoning):
        for given, output in product(_inputs(counts, cached, written), _outputs(counts, reasoning)):
            usage = _completed(counts.total, Usage(given, cached, output, reasoning, written))
            if usage is not None and _fits(usage, counts.uncached):
                yield usage


def _inputs(counts: _Counts, cached: int | None, written: int | None) -> Iterable[int | None]:
    """All input tokens, with the cache's inside the count given, or beside it."""
    given, read, wrote = counts.input, cached or 0, written or 0
    if given is None:
        return (None,)
    beside = given + read + wrote
    if counts.is_anthropic and counts.is_responses:
        return (beside,)

    inside = (given,) if read + wrote <= given else ()
    if counts.total is None:
        return {*inside, beside} if counts.is_anthropic else inside
    one_beside = [given + out for out, kept in ((read, wrote), (wrote, read)) if kept <= given]
    return {*inside, *one_beside, beside}


def _outputs(counts: _Counts, reasoning: int | None) -> Iterable[int | None]:
    """All output tokens, with reasoning inside the count given, or beside it if there is a total to say so."""
    output, reasoned = counts.output, reasoning or 0
    if output is None:
        return (None,)
    inside = (output,) if reasoned <= output else ()
    return inside if counts.total is None else {*inside, output + reasoned}


def _completed(total: int | None, usage: Usage) -> Usage | None:
    """With the one missing count filled in from the total; `None` if they do not add up to it."""
    given, output = usage.input_tokens, usage.output_tokens
    if total is None or (given is None and output is None):
        return usage
    if given is not None and output is not None:
        return usage if given + output == total else None

    rest = total - (given or output or 0)
    if rest < 0:
        return None
    return replace(usage, input_tokens=rest) if given is None else replace(usage, output_tokens=rest)


def _fits(usage: Usage, uncached: int | None) -> bool:
    """Whether every part fits into its whole."""
    read, wrote = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
    if usage.input_tokens is not None:
        if read + wrote > usage.input_tokens:
            return False
        if uncached is not None and usage.cached_input_tokens is not None and read + uncached != usage.input_tokens:
            return False
    return usage.output_tokens is None or (usage.reasoning_tokens or 0) <= usage.output_tokens


def _with_unreported_thoughts(counts: _Counts) -> Iterator[Usage]:
    """Google's reading: what the total has beyond input and output are thoughts, and billed."""
    if counts.input is None or counts.output is None or counts.total is None:
        return
    thoughts = counts.total - counts.input - counts.output
    if thoughts <= 0 or counts.is_anthropic or counts.reasoning != _UNTOLD:
        return
    for cached, written in product(counts.cached, counts.written):
        usage = Usage(counts.input, cached, counts.output + thoughts, thoughts, written)
        if _fits(usage, counts.uncached):
            yield usage


def _told(
    reported: dict[str, Any], objects: tuple[str, ...], inside: tuple[str, ...], beside: tuple[str, ...]
) -> tuple[int | None, ...]:
    """The values of one count in all its places; `None` alone if it is in none of them."""
    values = [count_in(reported, name) for name in beside if name in reported]
    for place in objects:
        if isinstance(details := reported.get(place), dict):
            values += [count_in(details, name) for name in inside if name in details]
    if not values:
        return _UNTOLD
    return tuple({value for value in values if value is not None}) or _UNTOLD


def _first(counts: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        if name in counts and (count := count_in(counts, name)) is not None:
            return count
    return None


def count_in(counts: dict[str, Any], name: str) -> int | None:
    """The count of that name; `None` for what is none."""
    value = counts.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # some gateways write 10.0
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None
