"""What a form's fields look like, and what they mean together: the sections that were filled in, who is asked.

Prefect titles a parameter by its name and draws "text or null" as a switch between types; these annotations say it
in words. A box of text is empty, never null: Prefect's server refuses a null that no type of the schema allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from prefect.context import FlowRunContext
from pydantic import BaseModel, Field, GetJsonSchemaHandler, JsonValue, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from prefect_llm.blocks import LLMProvider, ProviderReference
from prefect_llm.blocks.provider import HIDDEN
from prefect_llm.settings import ApiOptions, BatchOptions, DocumentOptions, MonitoringOptions, RunSettings
from prefect_llm.settings.form_schema import strict_parts
from prefect_llm.tasks.runners import over_processes
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.outcome import ErrorKind


def titled(title: str) -> Any:
    """The title of a parameter in the form."""
    return Field(json_schema_extra={"title": title})


class _Box:
    """Text that may be left empty, as one box."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string"}


class _WithoutDefault(dict[str, Any]):
    """A schema to which pydantic adds no default: with one of null Prefect's newer UI opens with null chosen."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key != "default":
            super().__setitem__(key, value)


class Choice:
    """One of several types: a title for each that has none of its own, the last for null.

    A form opens with null chosen; where it is to open with the first, null is written as a constant, and no default.
    """

    def __init__(self, *titles: str, opens_with_first: bool = False) -> None:
        self._titles = titles
        self._null = {"const": None} if opens_with_first else {"type": "null"}
        self._made = _WithoutDefault if opens_with_first else dict

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        untitled = iter(self._titles)
        members = [self._null if each == {"type": "null"} else each for each in handler(core_schema)["anyOf"]]
        made: JsonSchemaValue = self._made(
            anyOf=[each if "$ref" in each else each | {"title": next(untitled)} for each in members]
        )
        if strict := {name: part for each in members for name, part in self._strict(each, handler).items()}:
            made["properties"] = strict
        return made

    @staticmethod
    def _strict(member: JsonSchemaValue, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return strict_parts(handler.resolve_ref_schema(member)["properties"]) if "$ref" in member else {}


Text = Annotated[str | None, _Box()]
Schema = Annotated[dict[str, JsonValue] | str | None, Choice("JSON schema", "File", "None")]
ProviderChoice = Annotated[LLMProvider | str | None, Choice("By name", "None", opens_with_first=True)]
Kinds = Annotated[list[ErrorKind] | None, Choice("These", "All")]
Documents = Annotated[DocumentOptions | None, Choice("Defaults")]
Api = Annotated[ApiOptions | None, Choice("Defaults")]
Batch = Annotated[BatchOptions | None, Choice("Defaults")]
Monitoring = Annotated[MonitoringOptions | None, Choice("Defaults")]


@dataclass(frozen=True, slots=True)
class Question:
    """The fields of a form that say who is asked what."""

    provider: LLMProvider | str | None
    model: str | None
    prompt: str | None
    prompt_file: str | None
    system: str | None
    answer_schema: dict[str, JsonValue] | str | None
    row_params: str | None


@dataclass(frozen=True, slots=True)
class Sections:
    """The sections of a form; one that was left closed is `None`."""

    documents: DocumentOptions | None
    api: ApiOptions | None
    batch: BatchOptions | None
    monitoring: MonitoringOptions | None = None


def form_settings(
    input: str, output: str | None, question: Question, sections: Sections, *, keep_raw: bool = False
) -> RunSettings:
    """The settings that a form stands for; an empty text is one that was not given.

    Raises `InvalidInput` for what the form lets through, with a sentence on a line of its own for each reason.
    """
    schema = question.answer_schema
    settings = _validated(
        {
            "documents": _given_in(sections.documents) | {"input": input},
            "prompt": {
                "prompt": question.prompt or None,
                "prompt_file": question.prompt_file or None,
                "system": question.system or None,
                "schema": (schema or None) if isinstance(schema, str) else None,
                "row_params": question.row_params or None,
            },
            "api": _given_in(sections.api)
            | {"model": question.model or None, "provider": name_of(question.provider or None)},
            "batch": _given_in(sections.batch),
            "output": {"output": output, "keep_raw": keep_raw},
            "monitoring": _given_in(sections.monitoring),
        }
    )

    check_provider_named(settings.api.provider, settings.api)
    if settings.api.provider is None and settings.api.model is None:
        raise InvalidInput("no model: only a block has a default model, so give one")
    return settings


def parameters_of(settings: RunSettings) -> dict[str, Any]:
    """The form filled in with these settings: what the page of a flow run shows as its parameters."""
    documents, prompt, api = settings.documents, settings.prompt, settings.api
    return {
        "input": documents.input or "",
        "output": settings.output.output or "",
        "provider": api.provider,
        "model": api.model,
        "prompt": prompt.prompt,
        "prompt_file": prompt.prompt_file,
        "system": prompt.system,
        "answer_schema": prompt.schema_file,
        "row_params": prompt.row_params,
        "documents": DocumentOptions(**documents.model_dump(exclude_unset=True, exclude={"input"})),
        "api": _without_names(api),
        "batch": settings.batch,
        "monitoring": settings.monitoring,
        "keep_raw": settings.output.keep_raw,
    }


def schema_in(answer_schema: dict[str, JsonValue] | str | None) -> dict[str, JsonValue] | None:
    """The answer schema where it was written into the form; a file is named in the settings."""
    return None if isinstance(answer_schema, str) else answer_schema


def _given_in(options: BaseModel | None) -> dict[str, Any]:
    """What was filled in; the rest is left to the block and the defaults."""
    return options.model_dump(exclude_unset=True) if options is not None else {}


def _validated(sections: dict[str, dict[str, Any]]) -> RunSettings:
    try:
        return RunSettings.model_validate(sections)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        sentences = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults]
        raise InvalidInput("\n".join(sentences)) from error


def _without_names(api: ApiOptions) -> ApiOptions:
    """What was given but provider and model: a form has fields of their own for them."""
    return ApiOptions(**api.model_dump(exclude_unset=True, exclude={"provider", "model"}))


def name_of(provider: LLMProvider | str | None) -> str | None:
    """The name of a saved block; of one that was never saved, what it is."""
    if isinstance(provider, LLMProvider):
        return provider._block_document_name or provider.get_block_type_slug()
    return provider


def check_provider_named(given: LLMProvider | str | None, api: ApiOptions) -> None:
    """Raises `InvalidInput` where the form names neither a block nor an endpoint."""
    if given is None and api.base_url is None:
        raise InvalidInput("no provider: choose a saved LLM Provider block, or give api.base_url")


def reference_to(given: LLMProvider | str | None, api: ApiOptions, batch: BatchOptions) -> ProviderReference:
    """What chunk tasks are handed: a name wherever there is one, and the loaded block only if never saved.

    Raises `InvalidInput` where a deployment's run was given a key as a parameter.
    """
    if isinstance(given, LLMProvider):
        _check_no_key(given)
        given = given._block_document_name or given
    if batch.share_limits is None and over_processes() and _would_not_share(given):
        batch = batch.model_copy(update={"share_limits": True})
    return ProviderReference(block=given, api=_without_names(api), batch=batch)


def _check_no_key(given: LLMProvider) -> None:
    """A deployment's run is given its parameters by Prefect's database, where a key would lie in plain text."""
    context = FlowRunContext.get()
    if given._block_document_id is not None or context is None or context.flow_run is None:
        return
    secrets = [given.api_key.get_secret_value(), *given.headers.get_secret_value().values()]
    if context.flow_run.deployment_id is None or not any(secrets):
        return
    if HIDDEN in secrets:
        raise InvalidInput(
            "provider: a block that was never saved has no key in a deployment's run, as Prefect's database would "
            "hold it: save the block, and give its name"
        )
    raise InvalidInput(
        "provider: a key given as a parameter lies in Prefect's database in plain text: replace that key, save the "
        "new one in an LLM Provider block, and give the block's name"
    )


def _would_not_share(given: LLMProvider | str | None) -> bool:
    """An endpoint, or a block that was never saved: each process of a cluster would take its limits for its own."""
    return given is None or (isinstance(given, LLMProvider) and given.share_limits)
