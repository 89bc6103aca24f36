"""Dated prices and what usage costs at them, in Decimal."""

from prefect_llm.pricing.cost import ANY_MODEL, cost, price_for
from prefect_llm.pricing.purse import Purse
from prefect_llm.pricing.worst_case import worst_case

__all__ = ["ANY_MODEL", "Purse", "cost", "price_for", "worst_case"]
