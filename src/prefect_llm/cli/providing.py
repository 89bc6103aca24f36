"""Which provider a command line asks: a saved block, or a base URL with the key of one variable."""

from __future__ import annotations

from collections.abc import Mapping

from prefect_llm.errors import InvalidInput
from prefect_llm.records import Provider
from prefect_llm.settings import ApiSection, BatchOptions, endpoint_provider, overlaid


def provider_of(api: ApiSection, batch: BatchOptions, environ: Mapping[str, str]) -> Provider:
    """The core's provider. Only a block needs Prefect."""
    if api.provider is None:
        if api.base_url is None:
            raise InvalidInput("no provider: give --provider BLOCK, or --base-url URL")
        return endpoint_provider(api, batch, environ)
    if api.base_url is not None:
        raise InvalidInput("both --provider and --base-url are given: leave one out")
    from prefect_llm.blocks import load_block

    return overlaid(load_block(api.provider).get_provider(), api, batch)
