"""How options look in Prefect's forms, which see nothing of a model but its JSON schema.

A form submits every default of a group that was opened, and it would count as given and beat the saved block's
value; it draws "text or null" as a switch between two types; and it submits null for what was left empty. So the
schema names no default, says in the description what an empty field means, and null is dropped where it comes in.
Prefect's two UIs draw a list of values only where each is a text, a number, true or false, of a stated type.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from prefect_llm.settings.field_markers import ProviderSetting, marker_of

SECTION = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)
"""What every section is: frozen, and filled by an option's name or by the key that run.yaml has for it."""

_NULL = {"type": "null"}


class FormSection(BaseModel):
    """A group of options in a form; `None` counts as not given, as an empty key in run.yaml does."""

    model_config = SECTION
    filled_in: ClassVar[frozenset[str]] = frozenset()
    """Fields whose default the form fills in, as it beats nothing: a group left empty is submitted as none."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        return without_empty(given)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, field in cls.model_fields.items():
            key = field.validation_alias if isinstance(field.validation_alias, str) else name
            shown = left_open(properties[key])
            shown["description"] = " ".join(filter(None, (field.description, _if_empty(field))))
            properties[key] = shown | ({"default": field.default} if name in cls.filled_in else {})
        return schema


def without_empty(given: Any) -> Any:
    """A mapping without its empty values; anything else is left to be refused as what it is."""
    return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given


def left_open(schema: JsonSchemaValue) -> JsonSchemaValue:
    """A field's schema without its default, and without null where an empty field can be told from a filled one."""
    shown = {key: value for key, value in schema.items() if key != "default"}
    if "anyOf" not in shown:
        return _one_box(shown)
    members = [_as_choice(each) for each in shown.pop("anyOf") if each != _NULL]
    types = [each.get("type") for each in members]
    if types == ["number", "string"]:  # an amount: what is typed into a form is a number
        members = members[:1]
    if types == ["boolean"]:  # a switch has no empty position, a list has
        members = [members[0] | {"enum": [True, False]}]
    if len(members) == 1:
        return _one_box({**members[0], **shown})
    return _or_open(members, shown)


def strict_parts(properties: JsonSchemaValue) -> JsonSchemaValue:
    """Take the patterns out of a group's fields; returned as the schema of the fields that had one.

    Beside the choice between the group and none they are refused by the field's name; within it Prefect's newer UI
    says only that the whole group fits none of the choices.
    """
    parts = {name: _pattern_taken(field) for name, field in properties.items()}
    return {name: part for name, part in parts.items() if part}


def _pattern_taken(field: JsonSchemaValue) -> JsonSchemaValue:
    taken = {"pattern": field.pop("pattern")} if "pattern" in field else {}
    items = _pattern_taken(field["items"]) if "items" in field else {}
    return taken | ({"items": items} if items else {})


def _as_choice(member: JsonSchemaValue) -> JsonSchemaValue:
    """A constant as an enumeration of one, which a form draws as a list to choose from."""
    if "const" not in member:
        return member
    return {"enum": [member["const"]]} | {key: value for key, value in member.items() if key != "const"}


def _one_box(shown: JsonSchemaValue) -> JsonSchemaValue:
    if "enum" not in shown:
        return shown
    listed = {"type": shown["type"], "enum": shown["enum"], "title": "One of"}
    return _or_open([listed], {key: value for key, value in shown.items() if key not in ("type", "enum")})


def _or_open(members: list[JsonSchemaValue], shown: JsonSchemaValue) -> JsonSchemaValue:
    return shown | {"anyOf": [*members, _NULL | {"title": "Leave open"}]}


def _if_empty(field: FieldInfo) -> str | None:
    default = None if field.default_factory is not None or field.default in (None, False, ()) else field.default
    value = f"{default:g}" if isinstance(default, float) else default
    if marker_of(field, ProviderSetting) is not None:
        return "If empty: the block's own." if value is None else f"If empty: the block's own, else {value}."
    return None if value is None else f"If empty: {value}."
