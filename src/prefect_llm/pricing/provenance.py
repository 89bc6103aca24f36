"""Where a price comes from, in the words of a summary."""

from __future__ import annotations

from prefect_llm.values.price import Price

STATED = "stated"
LIST = "genai-prices"
BLOCK = "block"


def provenance(price: Price | str) -> str:
    """`list price (genai-prices 0.2.3 2026-11-04)`: of a price, or of its `source` as a row has it."""
    source = price if isinstance(price, str) else price.source
    first, _, rest = source.partition(" ")
    if source == STATED:
        return "stated for the run"
    if first == LIST:
        return f"list price ({source})"
    if first == BLOCK:
        return f"of the provider block ({rest})" if rest else "of the provider block"
    return source
