"""List prices from `genai-prices`: dated data that come with the package. Nothing is fetched over the network.

A price belongs to a host: the same model behind another address has none here. Importing the data takes about 0.2 s,
so they are imported for the first model whose price is not stated.
"""

from __future__ import annotations

import importlib.metadata
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from prefect_llm.pricing.list_entries import converted
from prefect_llm.pricing.model_names import spellings
from prefect_llm.pricing.provenance import LIST
from prefect_llm.pricing.terms import TIER, Variant
from prefect_llm.pricing.tiers import dearest
from prefect_llm.values.price import Price

if TYPE_CHECKING:
    from genai_prices import data_snapshot, types

MOST_REMEMBERED = 256
"""Minutes, and hours, whose prices a model remembers: those of four hours, and of ten days."""

_Found = TypeVar("_Found")
_Key = TypeVar("_Key")

_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US
# Its addresses are customers' deployments: the pattern would put a price on anyone's own endpoint there.
_HOSTS_OF_ANYBODY = frozenset({"modal"})


def list_price(base_url: str, model: str, at_us: int | None = None, variant: Variant = ()) -> Price | None:
    """The price of a model at that address and instant (microseconds since 1970 UTC; now if `None`).

    `None` if the list does not know the host, the model or the variant, or prices by more than a usage tells: a fee
    per request, reasoning at a price of its own.
    """
    return _price_at(_listed(_provider_at, base_url, model), at_us, variant)


def provider_list_price(provider: str, model: str, at_us: int | None = None, variant: Variant = ()) -> Price | None:
    """The price of a model at a provider, both by their names in the list (`openai`, `gpt-4.1`); see `list_price`."""
    return _price_at(_listed(_provider_named, provider, model), at_us, variant)


def dearest_list_price(
    base_url: str,
    model: str,
    most_input_tokens: int | None = None,
    at_us: int | None = None,
    variant: Variant = (),
    *,
    any_tier: bool = False,
) -> Price | None:
    """The most that a token may cost within a day of that instant, as one price without tiers.

    At the usual tier or the variant's, with `any_tier` at any that is listed. `None` if the price is unknown at any
    hour.
    """
    if (listed := _listed(_provider_at, base_url, model)) is None:
        return None

    prices = listed.prices_of_a_day(_microseconds(at_us) // _HOUR_US, variant, any_tier=any_tier)
    known = [dearest(price, most_input_tokens) for price in prices if price is not None]
    if len(known) < len(prices):
        return None
    fees = [each.search for each in known if each.search is not None]
    return replace(
        known[0],
        input=max(each.input for each in known),
        output=max(each.output for each in known),
        search=max(fees) if len(fees) == len(known) else None,
    )


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Where and by which names a model was looked for."""

    provider: str
    names: tuple[str, ...]
    is_listed: bool


def looked_up(base_url: str, model: str) -> LookedUp | None:
    """How the list is asked for a model at that address; `None` if it does not know the host."""
    provider = _provider_at(base_url)
    if provider is None:
        return None
    is_listed = _listed(_provider_at, base_url, model) is not None
    return LookedUp(provider.name, spellings(provider.id, model), is_listed)


def models_at(base_url: str) -> tuple[str, ...]:
    """The models that the list has under that address, without deprecated ones."""
    provider = _provider_at(base_url)
    return () if provider is None else tuple(model.id for model in provider.models if not model.deprecated)


def data_date() -> date | None:
    """The latest price change in the data, which carry no date of their own: how old they are.

    Changes announced for after the data were installed do not count. Takes milliseconds: every model is looked at.
    """
    from genai_prices import data_snapshot

    installed = datetime.fromtimestamp(Path(data_snapshot.__file__).stat().st_mtime, UTC).date()
    known = min(installed, datetime.now(UTC).date())
    return max((day for day in _start_dates(data_snapshot.get_snapshot()) if day <= known), default=None)


class ListedModel:
    """One model's entry in the list, and its prices at the times last asked for. Thread-safe."""

    def __init__(self, entry: types.ModelInfo, *, is_own: bool) -> None:
        """`is_own`: the provider lists the model itself; others are listed by the model's maker."""
        self._entry = entry
        self._is_own = is_own
        day = data_date()
        self._day = None if day is None else day.isoformat()
        self._source = " ".join(filter(None, (LIST, importlib.metadata.version("genai-prices"), self._day)))
        self._by_minute: dict[tuple[int, Variant], Price | None] = {}
        self._by_day: dict[tuple[int, Variant, bool], frozenset[Price | None]] = {}

    def price(self, minute: int, variant: Variant) -> Price | None:
        """The price in that minute since 1970: the list's hours begin and end at whole minutes."""
        key = (minute, variant)
        try:
            return self._by_minute[key]
        except KeyError:
            price = None if variant and not self._is_own else self._price_at(minute, variant)
            return _remember(self._by_minute, key, price)

    def prices_of_a_day(self, hour: int, variant: Variant, *, any_tier: bool = False) -> frozenset[Price | None]:
        """What the model may cost from the beginning of that hour since 1970 to a day after its end.

        With `any_tier` the provider chooses the service tier: of a model that it does not list itself, one of its
        maker's (Azure has OpenAI's).
        """
        if variant and not self._is_own:
            return frozenset({None})
        key = (hour, variant, any_tier)
        try:
            return self._by_day[key]
        except KeyError:
            variants = self._variants_of_a_day(hour, variant, any_tier=any_tier)
            quarters = range(hour * 60, (hour + 25) * 60, 15)
            prices = frozenset(self._price_at(minute, each) for each in variants for minute in quarters)
            return _remember(self._by_day, key, prices)

    def _price_at(self, minute: int, variant: Variant) -> Price | None:
        at = datetime.fromtimestamp(minute * 60, UTC)
        if variant and not self._has(variant, at):
            return None
        return converted(self._entry.get_prices(at, dict(variant)), self._source, self._day)

    def _has(self, variant: Variant, at: datetime) -> bool:
        """Whether there is a price for every part of the variant."""
        listed = [each.when for each in self._entry.price_variants or () if _is_active(each, at)]
        return all(any(when == {name: value} for when in listed) for name, value in variant)

    def _variants_of_a_day(self, hour: int, variant: Variant, *, any_tier: bool) -> set[Variant]:
        """The variants at whose price a request may be billed: another tier than was asked for may serve it."""
        others = tuple(each for each in variant if each[0] != TIER)
        listed = [each.when for each in self._entry.price_variants or ()] if any_tier else []
        tiers = {when[TIER] for when in listed if when.keys() == {TIER}}
        at = datetime.fromtimestamp(hour * 3600, UTC)
        served = [((TIER, tier), *others) for tier in tiers]
        return {variant, others, *(each for each in served if self._has(each, at))}


def _remember(memo: dict[_Key, _Found], key: _Key, found: _Found) -> _Found:
    """Keep it, and at most `MOST_REMEMBERED` in all."""
    if len(memo) >= MOST_REMEMBERED:
        memo.clear()
    memo[key] = found
    return found


@lru_cache(maxsize=1024)
def _listed(
    find_provider: Callable[[str], types.Provider | None], provider_key: str, model: str
) -> ListedModel | None:
    """The model at that provider. Kept while the process lives: the data come with the package and never change."""
    provider = find_provider(provider_key)
    if provider is None:
        return None

    names = spellings(provider.id, model)
    entries = (provider.find_model(name, all_providers=_providers()) for name in names)
    entry = next((each for each in entries if each is not None), None)
    return None if entry is None else ListedModel(entry, is_own=any(entry is each for each in provider.models))


def _price_at(listed: ListedModel | None, at_us: int | None, variant: Variant) -> Price | None:
    return None if listed is None else listed.price(_microseconds(at_us) // _MINUTE_US, variant)


def _provider_at(base_url: str) -> types.Provider | None:
    """Imports nothing for an address that cannot be a public API."""
    address = _address(base_url)
    return None if address is None else next((each for each in _providers() if _is_at(each, address)), None)


def _provider_named(provider_id: str) -> types.Provider | None:
    return next((each for each in _providers() if each.id == provider_id), None)


def _providers() -> list[types.Provider]:
    from genai_prices import data_snapshot

    return data_snapshot.get_snapshot().providers


def _is_active(variant: types.PriceVariant, at: datetime) -> bool:
    return variant.constraint is None or variant.constraint.active(at)


def _address(base_url: str) -> str | None:
    """The address as the list's patterns expect it; `None` if it cannot be a public API."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname
    if parts.scheme != "https" or host is None or "." not in host or port not in (None, 443):
        return None
    if host.replace(".", "").isdigit():
        return None  # an IP address
    # without dots after the host: a path that ends in a provider's name is not that provider
    return f"https://{host}/{parts.path.replace('.', '-').strip('/')}"


def _is_at(provider: types.Provider, address: str) -> bool:
    """Whether the provider's pattern covers the whole host: `api.openai.com.example.org` is not OpenAI."""
    if provider.id in _HOSTS_OF_ANYBODY or (match := re.match(provider.api_pattern, address)) is None:
        return False
    rest = address[match.end() :].partition("/")[0] if match.end() < _host_end(address) else ""
    return not rest or (match[0].endswith(".") and "." not in rest)


def _host_end(address: str) -> int:
    return address.index("/", len("https://"))


def _microseconds(at_us: int | None) -> int:
    return time.time_ns() // 1000 if at_us is None else at_us


def _start_dates(snapshot: data_snapshot.DataSnapshot) -> Iterator[date]:
    models = chain.from_iterable(provider.models for provider in snapshot.providers)
    prices = chain.from_iterable(model.prices for model in models if isinstance(model.prices, list))
    for price in prices:
        if (day := getattr(price.constraint, "start_date", None)) is not None:
            yield day
