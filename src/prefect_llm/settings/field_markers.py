"""Marks in the annotations of option fields: what a run keeps from start to end, and what a provider block holds too.

Annotations, not `json_schema_extra`: they must not show in Prefect's forms or in the checksum of a saved block.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from prefect_llm.values.provider import Provider


@dataclass(frozen=True, slots=True)
class FixedForRun:
    """The option keeps its value from the run's first attempt to its last; others may change on resume."""


@dataclass(frozen=True, slots=True)
class ProviderSetting:
    """A provider block holds this too: where the option is empty, the block's value comes before the default.

    `attribute` is what it sets on the core's `Provider`, as `limits.concurrency`; empty where more than one
    assignment is needed.
    """

    attribute: str = ""


FIXED = FixedForRun()

_Marker = TypeVar("_Marker", FixedForRun, ProviderSetting)


def marker_of(field: FieldInfo, kind: type[_Marker]) -> _Marker | None:
    """The field's marker of that kind, if it has one."""
    return next((each for each in field.metadata if isinstance(each, kind)), None)


def with_settings(provider: Provider, settings: BaseModel, names: Collection[str]) -> Provider:
    """The provider with the settings of these names; `auto` is the core's `None`."""
    changes: dict[str, dict[str, Any]] = {}
    for name, field in type(settings).model_fields.items():
        marker = marker_of(field, ProviderSetting)
        if marker is None or not marker.attribute or name not in names:
            continue
        part, _, attribute = marker.attribute.rpartition(".")
        value = getattr(settings, name)
        changes.setdefault(part, {})[attribute] = None if value == "auto" else value
    own = changes.pop("", {})
    parts: dict[str, Any] = {part: replace(getattr(provider, part), **given) for part, given in changes.items()}
    return replace(provider, **own, **parts)
