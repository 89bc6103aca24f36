"""List prices out of `genai-prices`: dated data that come with the package; nothing is asked over the network.

A price is a host's: the same model behind another address has none here. Importing the data takes about 0.2 s, so
that is left to the first model whose price nobody has stated.
"""

from __future__ import annotations

import importlib.metadata
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prefect_llm.pricing.provenance import LIST
from prefect_llm.pricing.tiers import dearest
from prefect_llm.values.price import Price, PriceTier

if TYPE_CHECKING:
    from genai_prices import data_snapshot, types

Terms = tuple[tuple[str, str], ...]
"""What sets a request's price apart from the usual one, as the list names it: `(("service_tier", "flex"),)`."""

BATCH: Terms = (("processing", "batch"),)
"""The terms of a provider's batch API."""

_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US
_USUAL_TIERS = frozenset({"auto", "default", "standard"})
# Its addresses are anybody's deployments: the same pattern would price an own endpoint there.
_HOSTS_OF_ANYBODY = frozenset({"modal"})
# What an answer's usage does not report, and what costs nothing unless a request asks for it.
_OTHER_UNITS = frozenset({"web_searches_kcount", "storage_searches_kcount", "cache_write_1h_mtok"})
_TOKENS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
_MODALITIES = re.compile(r"(input|output|cache)_(audio|image|video)_(read_)?mtok")


def list_price(base_url: str, model: str, at_us: int | None = None, terms: Terms = ()) -> Price | None:
    """The price of a model at that address and instant (microseconds since 1970 UTC; now if `None`).

    `None` where the list does not know the host, the model or the terms, or prices by more than the tokens that a
    usage has: a fee for each request, reasoning at a price of its own.
    """
    return _price_at(base_url, model, terms, _microseconds(at_us) // _MINUTE_US)


def provider_list_price(provider: str, model: str, at_us: int | None = None, terms: Terms = ()) -> Price | None:
    """The price of a model at the provider that the list calls so, as in `openai` and `gpt-4.1`; see `list_price`."""
    at = datetime.fromtimestamp(_microseconds(at_us) // _MINUTE_US * 60, UTC)
    return _priced(_found_at(provider, model), terms, at)


def dearest_list_price(
    base_url: str, model: str, most_input_tokens: int | None = None, at_us: int | None = None, terms: Terms = ()
) -> Price | None:
    """The most that a token may cost from that instant on for a day, as one price without tiers.

    `None` if at one of its hours the price is not known.
    """
    prices = [
        price and dearest(price, most_input_tokens)
        for price in _prices_of_a_day(base_url, model, terms, _microseconds(at_us) // _HOUR_US)
    ]
    known = [price for price in prices if price is not None]
    if not known or len(known) < len(prices):
        return None
    return replace(known[0], input=max(each.input for each in known), output=max(each.output for each in known))


def models_at(base_url: str) -> tuple[str, ...]:
    """The models that the list has under that address, without those their provider is giving up."""
    address = _address(base_url)
    if address is None:
        return ()
    from genai_prices import data_snapshot

    providers = data_snapshot.get_snapshot().providers
    provider = next((each for each in providers if _is_at(each, address)), None)
    return () if provider is None else tuple(model.id for model in provider.models if not model.deprecated)


def terms_of(parameters: Mapping[str, Any]) -> Terms:
    """What in a request's parameters changes its price: the service tier, where it is not the usual one."""
    tier = parameters.get("service_tier")
    return () if tier is None or str(tier) in _USUAL_TIERS else (("service_tier", str(tier)),)


@lru_cache(maxsize=1)
def data_date() -> date | None:
    """The latest change of a price that the data know of: their age, for they carry no date of their own.

    Changes announced for later than the data's own installation do not count.
    """
    from genai_prices import data_snapshot

    installed = datetime.fromtimestamp(Path(data_snapshot.__file__).stat().st_mtime, UTC).date()
    known = min(installed, datetime.now(UTC).date())
    return max((day for day in _start_dates(data_snapshot.get_snapshot()) if day <= known), default=None)


@lru_cache(maxsize=4096)
def _price_at(base_url: str, model: str, terms: Terms, minute: int) -> Price | None:
    """A minute's price (since 1970): the list's hours begin and end at whole minutes."""
    return _priced(_found(base_url, model), terms, datetime.fromtimestamp(minute * 60, UTC))


def _priced(found: tuple[types.ModelInfo, bool] | None, terms: Terms, at: datetime) -> Price | None:
    if found is None:
        return None
    model_info, own = found
    if terms and not (own and any(_is_meant(variant, terms, at) for variant in model_info.price_variants or ())):
        return None
    return _converted(model_info.get_prices(at, dict(terms)))


@lru_cache(maxsize=256)
def _prices_of_a_day(base_url: str, model: str, terms: Terms, hour: int) -> frozenset[Price | None]:
    """What the model costs at some time from the beginning of that hour (since 1970) to the end of a day later."""
    quarters = range(hour * 60, (hour + 25) * 60, 15)
    return frozenset(_price_at(base_url, model, terms, minute) for minute in quarters)


@lru_cache(maxsize=1024)
def _found(base_url: str, model: str) -> tuple[types.ModelInfo, bool] | None:
    """The list's entry, and whether it is the provider's own; some are looked up with the model's maker."""
    address = _address(base_url)
    if address is None:
        return None
    from genai_prices import data_snapshot

    providers = data_snapshot.get_snapshot().providers
    return _found_with(next((each for each in providers if _is_at(each, address)), None), model)


@lru_cache(maxsize=1024)
def _found_at(provider_id: str, model: str) -> tuple[types.ModelInfo, bool] | None:
    from genai_prices import data_snapshot

    providers = data_snapshot.get_snapshot().providers
    return _found_with(next((each for each in providers if each.id == provider_id), None), model)


def _found_with(provider: types.Provider | None, model: str) -> tuple[types.ModelInfo, bool] | None:
    from genai_prices import data_snapshot

    providers = data_snapshot.get_snapshot().providers
    found = None if provider is None else provider.find_model(model, all_providers=providers)
    return None if provider is None or found is None else (found, any(found is each for each in provider.models))


def _is_meant(variant: types.PriceVariant, terms: Terms, at: datetime) -> bool:
    return variant.when.items() <= dict(terms).items() and (
        variant.constraint is None or variant.constraint.active(at)
    )


def _address(base_url: str) -> str | None:
    """The address as the list's patterns are held against it; `None` for one that can be nobody's public API."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname
    if parts.scheme != "https" or host is None or "." not in host or port not in (None, 443):
        return None
    # no dots after the host: a path that ends in a provider's name is not that provider
    return f"https://{host}/{parts.path.replace('.', '-').strip('/')}"


def _is_at(provider: types.Provider, address: str) -> bool:
    """Whether the provider's pattern covers the whole host: `api.openai.com.example.org` is not OpenAI."""
    if provider.id in _HOSTS_OF_ANYBODY or (match := re.match(provider.api_pattern, address)) is None:
        return False
    rest = address[match.end() :].partition("/")[0] if match.end() < _host_end(address) else ""
    return not rest or (match[0].endswith(".") and "." not in rest)


def _host_end(address: str) -> int:
    return address.index("/", len("https://"))


@lru_cache(maxsize=1)
def _source() -> tuple[str, str | None]:
    """The columns `price_source` and date of every list price."""
    day = data_date()
    named = f"{LIST} {importlib.metadata.version('genai-prices')}"
    return (named, None) if day is None else (f"{named} {day.isoformat()}", day.isoformat())


def _converted(prices: types.ModelPrice) -> Price | None:
    """The list's price as ours; `None` where ours cannot say it: then no cost is better than a wrong one."""
    given = {name: value for name, value in vars(prices).items() if value is not None}
    if given.get("output_reasoning_mtok") == given.get("output_mtok"):
        given.pop("output_reasoning_mtok", None)
    if "input_mtok" not in given or "output_mtok" not in given or any(not _is_covered(name) for name in given):
        return None

    source, day = _source()
    base = _tier(given, -1)
    starts = sorted({tier.start for value in given.values() for tier in getattr(value, "tiers", ())})
    return Price(
        input=base.input,
        output=base.output,
        cached_input=base.cached_input,
        cache_write=base.cache_write,
        source=source,
        date=day,
        tiers=tuple(_tier(given, start) for start in starts),
    )


def _is_covered(name: str) -> bool:
    """Whether our usage says how much of it there is, or text alone takes none."""
    return name in _TOKENS or name in _OTHER_UNITS or _MODALITIES.fullmatch(name) is not None


def _tier(given: dict[str, Decimal | types.TieredPrices], above: int) -> PriceTier:
    """The prices of a request with one input token more than that."""

    def price(name: str) -> Decimal:
        value = given[name]
        if isinstance(value, Decimal):
            return value
        return next((tier.price for tier in reversed(value.tiers) if above >= tier.start), value.base)

    return PriceTier(
        above=above,
        input=price("input_mtok"),
        output=price("output_mtok"),
        cached_input=price("cache_read_mtok") if "cache_read_mtok" in given else None,
        cache_write=price("cache_write_mtok") if "cache_write_mtok" in given else None,
    )


def _microseconds(at_us: int | None) -> int:
    return time.time_ns() // 1000 if at_us is None else at_us


def _start_dates(snapshot: data_snapshot.DataSnapshot) -> Iterator[date]:
    for provider in snapshot.providers:
        for model in provider.models:
            for price in model.prices if isinstance(model.prices, list) else ():
                if (day := getattr(price.constraint, "start_date", None)) is not None:
                    yield day
