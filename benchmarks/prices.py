"""What ten models cost by our list prices, by `genai-prices` itself and by litellm's price data, if that is there.

Money in USD for a thousand requests: small ones of 2,000 tokens in (500 of them cached) and 500 out, and large ones
of 300,000 in (100,000 cached) and 1,000 out, at a fixed instant. Nothing is asked over the network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from tables import Table, heading, verdict

from prefect_llm.pricing import cost, list_price
from prefect_llm.values.outcome import Usage

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
REQUESTS = 1000
SIZES = {"small": Usage(2_000, 500, 500), "large": Usage(300_000, 100_000, 1_000)}
GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai"
# model, our base URL, the provider in genai-prices, the key in litellm's file
MODELS = (
    ("gpt-4.1", "https://api.openai.com/v1", "openai", "gpt-4.1"),
    ("gpt-4o", "https://api.openai.com/v1", "openai", "gpt-4o"),
    ("gpt-5-mini", "https://api.openai.com/v1", "openai", "gpt-5-mini"),
    ("gpt-6-luna", "https://api.openai.com/v1", "openai", "gpt-6-luna"),
    ("claude-sonnet-4-5", "https://api.anthropic.com/v1", "anthropic", "claude-sonnet-4-5"),
    ("gemini-2.5-flash", GEMINI, "google", "gemini/gemini-2.5-flash"),
    ("gemini-2.5-pro", GEMINI, "google", "gemini/gemini-2.5-pro"),
    ("deepseek-chat", "https://api.deepseek.com", "deepseek", "deepseek/deepseek-chat"),
    ("deepseek-v4-pro", "https://api.deepseek.com", "deepseek", "deepseek/deepseek-v4-pro"),
    ("mistral-small-latest", "https://api.mistral.ai/v1", "mistral", "mistral/mistral-small-latest"),
)
_LITELLM = ".venv-bench/litellm/lib/python*/site-packages/litellm/model_prices_and_context_window_backup.json"


def main() -> None:
    """Print the table, and how many of our figures are the list's own."""
    heading("List prices", __doc__)
    table, file = Table("model, requests", "ours", "genai-prices", "litellm"), litellm_prices()
    same = 0
    for model, base_url, provider, key in MODELS:
        for size, usage in SIZES.items():
            our = ours(base_url, model, usage)
            their, other = theirs(provider, model, usage), by_litellm(file.get(key, {}), usage)
            same += our == their
            table.row(f"{model}, {size}", *("-" if each is None else f"{each:,.4f}" for each in (our, their, other)))
    print()
    verdict("figures that are those of genai-prices to the last digit", same, at_least=len(MODELS) * len(SIZES))


def ours(base_url: str, model: str, usage: Usage) -> Decimal | None:
    """By `list_price` and `cost`."""
    one = cost(usage, list_price(base_url, model, int(AT.timestamp() * 1e6)))
    return None if one is None else one * REQUESTS


def theirs(provider: str, model: str, usage: Usage) -> Decimal:
    """By `calc_price`."""
    tokens = TheirUsage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
    )
    priced = calc_price(tokens, model, provider_id=provider, genai_request_timestamp=AT)
    return Decimal(priced.total_price) * REQUESTS


def litellm_prices() -> Mapping[str, Mapping[str, object]]:
    """Litellm's file, its figures as Decimal; empty where the peer is not installed."""
    found = next(Path(__file__).resolve().parent.parent.glob(_LITELLM), None)
    return {} if found is None else json.loads(found.read_text(encoding="utf-8"), parse_float=Decimal)


def by_litellm(prices: Mapping[str, object], usage: Usage) -> Decimal | None:
    """By the file's prices a token, those above a size where the input is above it."""
    assert usage.input_tokens is not None
    assert usage.cached_input_tokens is not None
    assert usage.output_tokens is not None
    suffix = ""
    for name in prices:
        above = re.fullmatch(r"input_cost_per_token(_above_(\d+)k_tokens)", name)
        if above is not None and usage.input_tokens > int(above[2]) * 1000:
            suffix = above[1]

    def price(name: str) -> Decimal | None:
        value = prices.get(name + suffix, prices.get(name))
        return value if isinstance(value, Decimal) else None

    into, out = price("input_cost_per_token"), price("output_cost_per_token")
    cached = price("cache_read_input_token_cost") or into
    if into is None or out is None or cached is None:
        return None
    plain = usage.input_tokens - usage.cached_input_tokens
    return (plain * into + usage.cached_input_tokens * cached + usage.output_tokens * out) * REQUESTS


if __name__ == "__main__":
    main()
