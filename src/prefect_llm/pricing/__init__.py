"""Dated prices and what usage costs at them, in Decimal."""

from prefect_llm.pricing.cost import ANY_MODEL, cost, price_for

__all__ = ["ANY_MODEL", "cost", "price_for"]
