"""How a task is told which provider to ask, without a key passing through Prefect."""

from __future__ import annotations

import os

from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prefect_llm.blocks.prefect_calls import may_pass, one_try, patiently
from prefect_llm.blocks.provider import LLMProvider
from prefect_llm.settings import ApiOptions, BatchOptions, endpoint_provider, with_fallbacks, with_overrides
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import Provider


class ProviderReference(BaseModel):
    """A block, best by its saved name, or an endpoint and its key's variable; and what a run says over it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    block: LLMProvider | str | None = Field(
        default=None, description="Name of a saved LLM Provider block, or one that was never saved."
    )
    api: ApiOptions = Field(default=ApiOptions(), description="Endpoint, or settings over the block's.")
    batch: BatchOptions = Field(default=BatchOptions(), description="Limits over the block's.")

    def get_provider(self) -> Provider:
        """The core's provider: the block loaded, or the endpoint with its key from this process's environment.

        Raises `InvalidInput` where no such block is saved, the key's variable is not set, or both ways are given.
        """
        if self.block is None:
            return with_fallbacks(endpoint_provider(self.api, self.batch, os.environ), self.api, _saved)
        for name in ("base_url", "api_key_env"):
            if getattr(self.api, name) is not None:
                raise InvalidInput(f"block and {name} are both given: leave one out, a block has its own")
        block = load_block(self.block) if isinstance(self.block, str) else self.block
        return with_fallbacks(
            with_overrides(block.get_provider(), self.api, self.batch, os.environ), self.api, _saved
        )


def resolve_provider(provider: LLMProvider | ProviderReference | str) -> Provider:
    """The core's provider for a loaded block, a reference, or a saved block's name.

    Raises `InvalidInput` where no such block is saved, or the key's variable is not set.
    """
    if isinstance(provider, str):
        provider = ProviderReference(block=provider)
    return provider.get_provider()


def _saved(name: str) -> Provider:
    return load_block(name).get_provider()


def load_block(name: str) -> LLMProvider:
    """The saved block of that name. Raises `InvalidInput` where there is none, or none that this version takes.

    While the Prefect server does not answer, it is as this process loaded it last: a run goes on without. A block
    that this process has not loaded is waited for.
    """
    place = (PREFECT_API_URL.value(), name)
    known = _loaded.get(place)
    block = patiently(lambda: _load(name)) if known is None else _load_again(name, known)
    _loaded[place] = block
    return block


_loaded: dict[tuple[str | None, str], LLMProvider] = {}
"""Blocks by server and name as this process loaded them last, until it ends: a process uses few."""


def _load_again(name: str, known: LLMProvider) -> LLMProvider:
    try:
        with one_try():
            return _load(name)
    except Exception as error:
        if not may_pass(error):
            raise
        return known


def _load(name: str) -> LLMProvider:
    try:
        block = LLMProvider.load(name)
    except ValueError as error:
        if not isinstance(error.__cause__, ObjectNotFound):
            raise
        raise InvalidInput(
            f"no LLM Provider block named {name!r} is saved: create it in the Prefect UI under Blocks, "
            "or with LLMProvider(...).save()"
        ) from error
    except RuntimeError as error:  # Prefect's own for a document that no longer validates, among others
        if not isinstance(error.__cause__, ValidationError):
            raise
        raise InvalidInput(
            f"the LLM Provider block {name!r} has settings that are not valid ({_which(error.__cause__)}): open it "
            "in the Prefect UI under Blocks and save it again"
        ) from error

    assert isinstance(block, LLMProvider)
    return block


def _which(fault: ValidationError) -> str:
    """The fields and what is wrong with each, without the values."""
    faults = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in fault.errors(include_url=False))
    return "; ".join(faults)
