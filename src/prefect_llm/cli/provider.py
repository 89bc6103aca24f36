"""Which provider a command line asks: a saved block, or a base URL with the key of one variable."""

from __future__ import annotations

from collections.abc import Mapping

from prefect_llm.cli.prefect_server import check_server
from prefect_llm.settings import ApiSection, BatchOptions, endpoint_provider, with_fallbacks, with_overrides
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import Provider


def provider_of(api: ApiSection, batch: BatchOptions, environ: Mapping[str, str]) -> Provider:
    """The core's provider. Only a block needs Prefect."""
    if api.provider is None:
        if api.base_url is None:
            raise InvalidInput("no provider: give --provider BLOCK, or --base-url URL")
        return with_fallbacks(endpoint_provider(api, batch, environ), api, _saved)
    if api.base_url is not None:
        raise InvalidInput("both --provider and --base-url are given: leave one out")
    return with_fallbacks(with_overrides(_saved(api.provider), api, batch, environ), api, _saved)


def _saved(name: str) -> Provider:
    check_server()
    from prefect_llm.blocks import load_block

    return load_block(name).get_provider()
