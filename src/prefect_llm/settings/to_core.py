"""From checked settings to what the core runs on: the spec of the run and its provider."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from prefect_llm.pricing import ANY_MODEL
from prefect_llm.prompts import PromptSpec
from prefect_llm.run.options import RunOptions
from prefect_llm.run.spec import RunSpec
from prefect_llm.settings.api_options import ApiOptions
from prefect_llm.settings.batch_options import BatchOptions
from prefect_llm.settings.directory_name import base_directory
from prefect_llm.settings.field_markers import with_settings
from prefect_llm.settings.prompt_files import answer_schema, prompt_text
from prefect_llm.settings.sections import RunSettings
from prefect_llm.store import PREVIOUS
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

_FIRSTS_OWN = frozenset({"output_limit_name"})
"""What a run says of its first provider alone."""
DEFAULT_KEY_VARIABLE = "PREFECT_LLM_API_KEY"


def run_spec(
    settings: RunSettings, *, default_model: str | None = None, schema: Mapping[str, Any] | None = None
) -> RunSpec:
    """What is fixed for the run; `schema` stands for the file that the settings may name.

    Raises `InvalidInput` for unreadable files or if no model is named.
    """
    documents, prompt, api = settings.documents, settings.prompt, settings.api
    model = api.model or default_model
    if model is None:
        raise InvalidInput("no model: the provider has no default model, so give one")

    return RunSpec(
        prompt=PromptSpec(
            model=model,
            template=prompt_text(settings),
            system=prompt.system,
            null_as=documents.null_as,
            row_params=prompt.row_params,
            schema=answer_schema(settings) if schema is None else schema,
            max_output_tokens=api.max_output_tokens,
            temperature=api.temperature,
            params=api.param,
            fail_truncated=api.fail_truncated,
            lenient_json=api.lenient_json,
            keep_reasoning=api.keep_reasoning,
            messages_column=documents.messages_column,
        ),
        id_column=documents.id_column,
        keep=documents.keep or "default",
        limit=documents.limit,
        chunk_rows=settings.batch.chunk_rows,
        on_bad_rows=documents.on_bad_rows,
        keep_raw=settings.output.keep_raw,
        no_dedup=settings.batch.no_dedup,
    )


def run_options(batch: BatchOptions, *, budget: RunBudget | None, siblings: str | None = None) -> RunOptions:
    """The options of this attempt at the run."""
    return RunOptions(
        stop_error_share=batch.stop_error_share,
        flush_interval_s=batch.flush_interval,
        reuse=batch.reuse,
        siblings=siblings,
        budget=budget,
    )


def siblings_of(settings: RunSettings) -> str | None:
    """Where the runs before this one lie, if `reuse` is "previous". `InvalidInput` where `output` does not say."""
    return base_directory(settings.output.output or "") if settings.batch.reuse == PREVIOUS else None


def endpoint_provider(api: ApiOptions, batch: BatchOptions, environ: Mapping[str, str]) -> Provider:
    """The provider at `base_url`, with the key of the variable that was named for it."""
    if api.base_url is None:
        raise InvalidInput("no base_url: give the endpoint's address, or a provider block")
    if api.api_key_env is not None and not environ.get(api.api_key_env):
        raise InvalidInput(f"the variable {api.api_key_env}, named by api_key_env, is not set: export the key")
    key = environ.get(api.api_key_env or DEFAULT_KEY_VARIABLE)
    return with_overrides(Provider(api.base_url, api_key=key or None), api, batch, environ)


def with_overrides(provider: Provider, api: ApiOptions, batch: BatchOptions, environ: Mapping[str, str]) -> Provider:
    """The provider with what the run's settings say over it; what they leave open stays the provider's.

    Raises `InvalidInput` if the variable of a header is not set.
    """
    given = with_settings(with_settings(provider, api, api.model_fields_set), batch, batch.model_fields_set)
    return replace(
        given,
        headers=_with_headers(provider.headers, api.header, environ),
        prices={ANY_MODEL: price} if (price := _stated_price(api)) is not None else provider.prices,
        shared_as=_shared_as(provider, batch),
    )


def _with_headers(
    headers: Mapping[str, str], variables: Mapping[str, str], environ: Mapping[str, str]
) -> Mapping[str, str]:
    """The headers with those whose values stand in variables laid over them. No error names a variable."""
    for name, variable in variables.items():
        if not environ.get(variable):
            raise InvalidInput(f"header {name}: the variable that is to hold its value is not set: export it")
    given = {name: environ[variable] for name, variable in variables.items()}
    return {name: value for name, value in headers.items() if name.lower() not in given} | given


def _shared_as(provider: Provider, batch: BatchOptions) -> str | None:
    """The provider's own name, else the host for people and enough of a hash for two endpoints on one host."""
    if batch.share_limits is None:
        return provider.shared_as
    if not batch.share_limits:
        return None
    return provider.shared_as or f"{provider.name}-{hashlib.sha256(provider.base_url.encode()).hexdigest()[:8]}"


def with_fallbacks(provider: Provider, api: ApiOptions, block: Callable[[str], Provider]) -> Provider:
    """The provider with those that `api.fallback` names behind it; `block` loads the saved one of a name.

    Each keeps its own limits and prices; how long to wait is the run's. Another model of the same provider costs
    what the provider has for that model by name: a price stated for the run is another model's.
    """

    def fallback(entry: str) -> Provider:
        name, _, model = entry.partition("/")
        if name:
            other = block(name)
            other = replace(with_settings(other, api, api.model_fields_set - _FIRSTS_OWN), model=model or other.model)
        else:
            prices = {known: price for known, price in provider.prices.items() if known != ANY_MODEL}
            other = replace(provider, model=model, prices=prices)
        if other.model is None:
            raise InvalidInput(f"the fallback {entry!r} has no model: write {entry}/MODEL, or give its block one")
        return other

    return replace(provider, fallbacks=tuple(fallback(entry) for entry in api.fallback))


def _stated_price(api: ApiOptions) -> Price | None:
    if api.price_per_hour is None and (api.price_input is None or api.price_output is None):
        return None
    return Price(
        input=api.price_input or Decimal(0),
        output=api.price_output or Decimal(0),
        per_hour=api.price_per_hour,
        cached_input=api.price_cached_input,
        currency=api.currency,
    )
