"""What a form's fields mean together: the sections that were filled in, and who is asked."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from prefect_llm.blocks import LLMProvider, ProviderReference
from prefect_llm.errors import InvalidInput
from prefect_llm.settings import ApiOptions, BatchOptions, RunSettings


def given_in(options: BaseModel | None) -> dict[str, Any]:
    """What was filled in; the rest is left to the block and the defaults."""
    return options.model_dump(exclude_unset=True) if options is not None else {}


def validated(sections: dict[str, dict[str, Any]]) -> RunSettings:
    """The settings, with `InvalidInput` for what the form lets through; a reason a line, in the form's words."""
    try:
        settings = RunSettings.model_validate(sections)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise InvalidInput(
            "\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults)
        ) from error
    check_someone_is_asked(settings.api.provider, settings.api)
    if settings.api.provider is None and settings.api.model is None:
        raise InvalidInput("no model: only a block has a default model, so give one")
    return settings


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
    return ProviderReference(block=given, api=over, batch=batch)
