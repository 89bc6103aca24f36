"""How a task is told which provider to ask, without a key passing through Prefect."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict, Field

from prefect_llm.blocks.provider import LLMProvider
from prefect_llm.errors import InvalidInput
from prefect_llm.records import Provider
from prefect_llm.settings import ApiOptions, BatchOptions, endpoint_provider, overlaid


class ProviderReference(BaseModel):
    """A saved block's name, or an endpoint and the variable that holds its key; and what a run says over it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: str | None = Field(default=None, description="Name of a saved LLM Provider block.")
    api: ApiOptions = Field(default=ApiOptions(), description="Endpoint, or settings over the block's.")
    batch: BatchOptions = Field(default=BatchOptions(), description="Limits over the block's.")

    def get_provider(self) -> Provider:
        """The core's provider: the block loaded, or the endpoint with its key from this process's environment."""
        if self.block is None:
            return endpoint_provider(self.api, self.batch, os.environ)
        return overlaid(load_block(self.block).get_provider(), self.api, self.batch)


def resolve_provider(provider: LLMProvider | ProviderReference | str) -> Provider:
    """The core's provider for a loaded block, a reference, or a saved block's name.

    Raises `InvalidInput` where no such block is saved, or the key's variable is not set.
    """
    if isinstance(provider, str):
        provider = ProviderReference(block=provider)
    return provider.get_provider()


def load_block(name: str) -> LLMProvider:
    """The saved block of that name."""
    try:
        block = LLMProvider.load(name)
    except ValueError as error:
        raise InvalidInput(
            f"no LLM Provider block named {name!r} is saved: create it in the Prefect UI under Blocks, "
            "or with LLMProvider(...).save()"
        ) from error
    assert isinstance(block, LLMProvider)
    return block
