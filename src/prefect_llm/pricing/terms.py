"""What sets a request's price apart from the usual one: its service tier, and what is billed beside its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from prefect_llm.pricing.searches import searches_of
from prefect_llm.values.outcome import Service

Variant = tuple[tuple[str, str], ...]
"""A price beside the usual one, as the list names it: `(("service_tier", "flex"),)`."""

TIER = "service_tier"
SPEED = "speed"
"""Anthropic's fast mode, docs.anthropic.com/en/docs/build-with-claude/fast-mode."""

_BATCH_VARIANT: Variant = (("processing", "batch"),)
_USUAL_TIERS = frozenset({"auto", "default", "standard", "standard_only", "on_demand"})
_CHOSEN_BY_PROVIDER = frozenset({"None", "auto"})


@dataclass(frozen=True, slots=True)
class Terms:
    """`searches` are billed beside the tokens; `None`: how many is not known. `is_open`: the provider chooses the
    tier, by the account's settings. `has_other_rates`: some tokens have rates that no `Price` expresses.
    """

    variant: Variant = ()
    searches: int | None = 0
    is_open: bool = False
    has_other_rates: bool = False


USUAL = Terms()

BATCH = Terms(_BATCH_VARIANT)
"""The terms of a provider's batch API."""


def terms_of(model: str, parameters: Mapping[str, Any]) -> Terms:
    """Those of a request for that model with these parameters."""
    if not parameters:
        return _terms_of_model(model)
    tier = str(parameters.get(TIER))
    fast = ((SPEED, str(parameters[SPEED])),) if parameters.get(SPEED) not in (None, "standard") else ()
    return Terms(
        _variant(None if tier == "None" else tier) + fast,
        searches_of(model, parameters),
        is_open=tier in _CHOSEN_BY_PROVIDER,
    )


@lru_cache(maxsize=256)
def _terms_of_model(model: str) -> Terms:
    """Kept for the life of the process: nearly every request of a run asks for them."""
    return Terms(searches=searches_of(model, {}), is_open=True)


def terms_served(asked: Terms, service: Service) -> Terms:
    """Those of its answer, which may tell the tier that served it and how many searches it took."""
    served = replace(asked, has_other_rates=True) if service.has_other_rates else asked
    if service.tier is not None:
        others = tuple(each for each in asked.variant if each[0] != TIER)
        served = replace(served, variant=_variant(service.tier) + others)
    return served if service.searches is None else replace(served, searches=service.searches)


def _variant(tier: str | None) -> Variant:
    if tier is None or tier in _USUAL_TIERS:
        return ()
    return _BATCH_VARIANT if tier == "batch" else ((TIER, tier),)
