"""Why a price is not known, in words: which name was looked for, and where."""

from __future__ import annotations

from urllib.parse import urlsplit

from prefect_llm.pricing.list_prices import list_price, looked_up
from prefect_llm.pricing.provenance import LIST
from prefect_llm.pricing.terms import USUAL, Terms
from prefect_llm.values.provider import Provider


def why_unknown(provider: Provider, model: str, terms: Terms = USUAL) -> str:
    """Why `price_for` found no price for such a request, as half a sentence."""
    if terms.searches is None:
        return "how many searches or other tools of the provider it is billed for is not known"
    fee_unknown = f"{LIST} has no fee for the searches of {model!r}"
    if provider.prices:
        return fee_unknown

    found = looked_up(provider.base_url, model)
    if found is None:
        return f"{LIST} does not know the host {urlsplit(provider.base_url).hostname or provider.base_url}"
    if not found.is_listed:
        return f"{LIST} lists no {' or '.join(map(repr, found.names))} under {found.provider}"
    if list_price(provider.base_url, model) is None:
        return f"{LIST} lists {model!r} under {found.provider}, but not by input and output tokens alone"
    if terms.variant and list_price(provider.base_url, model, variant=terms.variant) is None:
        asked = ", ".join(f"{name}={value}" for name, value in terms.variant)
        return f"{LIST} lists {model!r} under {found.provider}, but no price for {asked}"
    return fee_unknown
