"""What a form's fields mean together: the sections that were filled in, and who is asked."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from prefect_llm.blocks import LLMProvider, ProviderReference
from prefect_llm.errors import InvalidInput
from prefect_llm.settings import ApiOptions, BatchOptions
from prefect_llm.tasks.runners import over_processes


def given_in(options: BaseModel | None) -> dict[str, Any]:
    """What was filled in; the rest is left to the block and the defaults."""
    return options.model_dump(exclude_unset=True) if options is not None else {}


def name_of(provider: LLMProvider | str | None) -> str | None:
    """The name of a saved block; of one that was never saved, what it is."""
    if isinstance(provider, LLMProvider):
        return provider._block_document_name or provider.get_block_type_slug()
    return provider


def check_someone_is_asked(given: LLMProvider | str | None, api: ApiOptions) -> None:
    """Raises `InvalidInput` where the form names neither a block nor an endpoint."""
    if given is None and api.base_url is None:
        raise InvalidInput("no provider: choose a saved LLM Provider block, or give api.base_url")


def reference_to(given: LLMProvider | str | None, api: ApiOptions, batch: BatchOptions) -> ProviderReference:
    """What chunk tasks are handed: a name wherever there is one, and the loaded block only if never saved."""
    over = ApiOptions.model_validate(api.model_dump(exclude_unset=True, exclude={"provider", "model"}))
    if isinstance(given, LLMProvider):
        given = given._block_document_name or given
    if batch.share_limits is None and over_processes() and _would_not_share(given):
        batch = batch.model_copy(update={"share_limits": True})
    return ProviderReference(block=given, api=over, batch=batch)


def _would_not_share(given: LLMProvider | str | None) -> bool:
    """An endpoint, or a block that was never saved: each process of a cluster would take its limits for its own."""
    return given is None or (isinstance(given, LLMProvider) and given.share_limits)
