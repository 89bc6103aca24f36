"""Merges flags over environment over run.yaml over defaults.

Each source is validated on its own, so that an error shows even where a stronger source hides it. Alternatives (a
block or a URL, a prompt or its file) displace each other: the stronger source's alternative wins whole, so that a key
never goes to a host it was not given for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from prefect_llm.settings.config_file import from_config
from prefect_llm.settings.messages import shown
from prefect_llm.settings.options import Option, sections
from prefect_llm.settings.sections import RunSettings
from prefect_llm.settings.sources import PAIRS, Setting, Source, from_environment, from_flags
from prefect_llm.values.errors import InvalidInput

_Values = dict[str, dict[str, Any]]
"""Valid values by section and attribute: only those that were given."""

_REPLACES = {
    "provider": ("base_url", "api_key_env"),
    "base_url": ("provider",),
    "prompt": ("prompt_file",),
    "prompt_file": ("prompt",),
}


def load(flags: Mapping[str, Any], environ: Mapping[str, str], config: str | None = None) -> RunSettings:
    """The settings of a run, merged and valid; `check` says whether anything is missing.

    `flags` go by the options' names with underscores (`schema`, `json`, …), values as text; `param` is a list
    of `NAME=JSON` or a mapping. Parameters are merged by name. Raises `InvalidInput` with a sentence, on a line
    of its own, for each thing that is wrong.
    """
    merged: _Values = {section: {} for section in sections()}
    problems: list[str] = []
    # the strongest first: each of the others only fills in what is still open
    for source in (from_flags(flags), from_environment(environ), from_config(config)):
        values, invalid = _validate(source)
        problems += [*source.problems, *invalid]
        _merge_under(merged, values)
    if problems:
        raise InvalidInput("\n".join(problems))
    return RunSettings.model_validate(merged)


def _validate(source: Source) -> tuple[_Values, list[str]]:
    values: _Values = {}
    problems: list[str] = []
    for section, known in sections().items():
        given = {each.option.key: each for each in source.given if each.option.section == section}
        model = next(iter(known.values())).model
        try:
            valid = model.model_validate({key: each.value for key, each in given.items()})
        except ValidationError as error:
            problems += _sentences(error, given)
        else:
            values[section] = _as_given(valid)
    return values, problems


def _as_given(valid: BaseModel) -> dict[str, Any]:
    return {attribute: getattr(valid, attribute) for attribute in valid.model_fields_set}


def _sentences(error: ValidationError, given: Mapping[str, Setting]) -> Iterator[str]:
    """One sentence per option, however many members of its type refused the value."""
    # backwards, so that the first fault of an option is the one that stays
    faults = {str(fault["loc"][0]): fault for fault in reversed(error.errors(include_url=False))}
    for key, each in given.items():
        if key not in faults:
            continue
        fault = faults[key]
        if fault["type"] == "value_error":
            yield f"{each.origin}: {fault['ctx']['error']}"
        else:
            yield f"{each.origin}: expected {each.option.expected}{_got(each.option, each.value)}"


def _got(option: Option, value: Any) -> str:
    return f", got {shown(value)}" if option.quoted else ""


def _merge_under(merged: _Values, weaker: _Values) -> None:
    """Add what a weaker source gives and no stronger one gave or displaced."""
    for section, values in weaker.items():
        stronger = merged[section]
        displaced = {name for way, others in _REPLACES.items() if way in stronger for name in others}
        if "base_url" in stronger and _names_another_host(values, stronger["base_url"]):
            displaced |= {"api_key_env", "header"}
        if "provider" in stronger and _names_another_block(values, stronger["provider"]):
            displaced.add("header")
        kept = {name: value for name, value in values.items() if name not in displaced}
        for name in PAIRS & stronger.keys() & kept.keys():
            stronger[name] = {**kept[name], **stronger[name]}
        merged[section] = {**kept, **stronger}


def _names_another_block(values: Mapping[str, Any], provider: str) -> bool:
    return "base_url" in values or values.get("provider", provider) != provider


def _names_another_host(values: Mapping[str, Any], base_url: str) -> bool:
    return "provider" in values or values.get("base_url", base_url) != base_url
