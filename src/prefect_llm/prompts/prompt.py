"""The room's one composition: what a person asked for, checked once, then a request per document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from prefect_llm.prompts.answer_schema import answer_format
from prefect_llm.prompts.field_values import template_value
from prefect_llm.prompts.fingerprint import fingerprint
from prefect_llm.prompts.messages import COLUMN as MESSAGES
from prefect_llm.prompts.messages import column_messages
from prefect_llm.prompts.output_type import output_type
from prefect_llm.prompts.parameters import RowParameters, run_parameters
from prefect_llm.prompts.references import ROW
from prefect_llm.prompts.template import Template
from prefect_llm.prompts.template_environment import make_environment
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import DEFAULT_API
from prefect_llm.values.request import Message, Parameters, Request

ID = "id"
"""Every document has one, with or without a column of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """What a person gave: plain values, stored in the run's manifest as they are.

    Without a `template` each document's `messages` column is sent as it is. `row_params` names the column
    with per-row parameters; `params` are the run's parameters that have no option of their own. With
    `fail_truncated` an answer that the output limit cut is a failure.
    """

    model: str
    template: str | None
    system: str | None = None
    null_as: str | None = None
    row_params: str | None = None
    schema: Mapping[str, Any] | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    fail_truncated: bool = False


class Prompt:
    """A compiled `PromptSpec`.

    `needed` are the columns that every document must have, `wanted` those that may be used (`None`: any),
    `output_type` the type of the column `output` (`None` without a schema), `parameters` the run's own. Of a
    `constant` one every document's request is the same.
    """

    needed: frozenset[str]
    wanted: frozenset[str] | None
    output_type: pa.DataType | None
    parameters: Parameters
    constant: bool

    def __init__(self, spec: PromptSpec) -> None:
        """Raises `InvalidInput`, in one sentence, on whatever in the spec no document could be asked with."""
        self.spec = spec
        self._null_as = spec.null_as
        self._prompt, self._system = _templates(spec)
        wanted_format = None if spec.schema is None else answer_format(spec.schema)
        self.output_type = None if spec.schema is None else output_type(spec.schema)
        self.parameters = run_parameters(
            spec.model, spec.max_output_tokens, spec.temperature, spec.params, wanted_format, spec.fail_truncated
        )
        self._row_parameters = None
        own = {MESSAGES} if self._prompt is None else set()
        if spec.row_params is not None:
            self._row_parameters = RowParameters(spec.row_params, self.parameters)
            own.add(spec.row_params)
        references = [each.references for each in (self._prompt, self._system) if each is not None]
        self._whole_row = any(each.whole_row for each in references)
        self._fields = frozenset[str]().union(*(each.used for each in references))
        self.needed = frozenset(own).union(*(each.needed - {ID} for each in references))
        self.wanted = None if self._whole_row else self._fields | own

        self.constant = self.wanted == frozenset()

    def request(self, row: int, document_id: str, fields: Mapping[str, Any], api: str = DEFAULT_API) -> Request:
        """The request of one document, in the wire format called `api`.

        Raises `BadDocument` where its fields do not make one.
        """
        parameters = self.parameters
        if self._row_parameters is not None:
            parameters = self._row_parameters.of(fields)
        messages = self._messages(document_id, fields)
        return Request(row, document_id, messages, parameters, fingerprint(parameters, messages, api))

    def _messages(self, document_id: str, fields: Mapping[str, Any]) -> list[Message]:
        if self._prompt is None:
            return column_messages(fields.get(MESSAGES))
        variables = self._variables(document_id, fields)
        user = {"role": "user", "content": self._prompt.render(variables)}
        if self._system is None:
            return [user]
        return [{"role": "system", "content": self._system.render(variables)}, user]

    def _variables(self, document_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        null_as = self._null_as
        names = fields if self._whole_row else self._fields & fields.keys()
        values = {name: template_value(name, fields[name], null_as) for name in names}
        if ID in self._fields and ID not in values:
            values[ID] = document_id
        return {**values, ROW: values}


def _templates(spec: PromptSpec) -> tuple[Template | None, Template | None]:
    if spec.template is None:
        if spec.system is not None:
            raise InvalidInput(
                "a system template goes with a prompt template only: the column 'messages' is sent as it is; "
                "leave the system template out or put a system message into the column"
            )
        return None, None
    environment = make_environment(spec.null_as)
    prompt = Template(spec.template, what="prompt template", environment=environment)
    if spec.system is None:
        return prompt, None
    return prompt, Template(spec.system, what="system template", environment=environment)
