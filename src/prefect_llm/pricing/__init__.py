"""Dated prices and what usage costs at them, in Decimal."""

from prefect_llm.pricing.cost import (
    ANY_MODEL,
    COST_STEP,
    Charge,
    at_prices_of,
    cache_saving,
    charge_for,
    cost,
    dearest_price_for,
    price_for,
)
from prefect_llm.pricing.list_prices import list_price, models_at, provider_list_price
from prefect_llm.pricing.provenance import provenance
from prefect_llm.pricing.terms import BATCH, USUAL, Terms, terms_of
from prefect_llm.pricing.tiers import dearest, tier_of
from prefect_llm.pricing.unknown import why_unknown
from prefect_llm.pricing.worst_case import json_bytes, keeps_for_an_hour, most_input_tokens, schema_bytes, worst_case

__all__ = [
    "ANY_MODEL",
    "BATCH",
    "COST_STEP",
    "USUAL",
    "Charge",
    "Terms",
    "at_prices_of",
    "cache_saving",
    "charge_for",
    "cost",
    "dearest",
    "dearest_price_for",
    "json_bytes",
    "keeps_for_an_hour",
    "list_price",
    "models_at",
    "most_input_tokens",
    "price_for",
    "provenance",
    "provider_list_price",
    "schema_bytes",
    "terms_of",
    "tier_of",
    "why_unknown",
    "worst_case",
]
