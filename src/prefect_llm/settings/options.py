"""Every option of a run, read off the sections: its key, flag, variable, place in run.yaml, bounds and help."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from prefect_llm.settings.field_markers import FixedForRun, ProviderSetting, marker_of
from prefect_llm.settings.messages import Wording, expected_by, wording_of
from prefect_llm.settings.sections import RunSettings

PREFIX = "PREFECT_LLM_"
"""Of every environment variable."""
POSITIONAL = "input"
"""The one option that is an argument on the command line."""


@dataclass(frozen=True, slots=True)
class Option:
    """One field of one section. `key` is its name for people, `attribute` its name in the model."""

    section: str
    key: str
    attribute: str
    model: type[BaseModel] = field(repr=False)

    @property
    def flag(self) -> str:
        """As the command line spells it."""
        return self.key.upper() if self.key == POSITIONAL else "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"{PREFIX}{self.key.upper()}"

    @property
    def place(self) -> str:
        """Where it stands in run.yaml."""
        return f"{self.section}.{self.key}"

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return self._field.annotation in (bool, bool | None)

    @property
    def is_repeatable(self) -> bool:
        """Whether the flag may be given several times."""
        return get_origin(self._field.annotation) is dict

    @property
    def is_free(self) -> bool:
        """Whether it may change when a run is resumed."""
        return marker_of(self._field, FixedForRun) is None

    @property
    def is_of_block(self) -> bool:
        """Whether a provider block holds it too."""
        return marker_of(self._field, ProviderSetting) is not None

    @property
    def metavar(self) -> str:
        """What --help shows for the value."""
        return self._wording.metavar

    @property
    def expected(self) -> str:
        """What is accepted, as the end of "expected …"."""
        if self._wording.expected is not None:
            return self._wording.expected
        return expected_by(self.model.model_json_schema()["properties"][self.key])

    @property
    def quoted(self) -> bool:
        """Whether an error may repeat the value."""
        return self._wording.quoted

    @property
    def description(self) -> str:
        """One sentence for --help."""
        return self._field.description or ""

    @property
    def default(self) -> Any:
        """What holds where nothing is given; `None`: the description says what then happens."""
        return None if self._field.default_factory is not None else self._field.default

    @property
    def _field(self) -> FieldInfo:
        return self.model.model_fields[self.attribute]

    @property
    def _wording(self) -> Wording:
        found = wording_of(self._field.annotation, self._field.metadata)
        return found or Wording("VALUE")


@cache
def sections() -> dict[str, dict[str, Option]]:
    """The options by section and key, in the order of the models, what a subclass adds first.

    Cached as long as the process lives: the models are fixed by the code.
    """
    return {section: _options(section, each.annotation) for section, each in RunSettings.model_fields.items()}


@cache
def options() -> dict[str, Option]:
    """The options by key; a key stands in one section only. Cached like `sections`."""
    return {key: option for section in sections().values() for key, option in section.items()}


def _options(section: str, model: Any) -> dict[str, Option]:
    own = model.__annotations__
    ordered = sorted(model.model_fields.items(), key=lambda item: item[0] not in own)
    return {
        key: Option(section, key, name, model)
        for name, each in ordered
        for key in [each.validation_alias if isinstance(each.validation_alias, str) else name]
    }
