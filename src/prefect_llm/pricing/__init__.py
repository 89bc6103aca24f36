"""Dated prices and what usage costs at them, in Decimal."""

from prefect_llm.pricing.cost import ANY_MODEL, cost, dearest_price_for, price_for
from prefect_llm.pricing.list_prices import list_price, terms_of
from prefect_llm.pricing.provenance import provenance
from prefect_llm.pricing.tiers import dearest

__all__ = ["ANY_MODEL", "cost", "dearest", "dearest_price_for", "list_price", "price_for", "provenance", "terms_of"]
