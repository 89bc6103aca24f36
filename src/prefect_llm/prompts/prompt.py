"""The room's one composition: what a person asked for, checked once, then a request per document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect_llm.prompts.answer_schema import answer_format
from prefect_llm.prompts.field_values import Fields, template_value
from prefect_llm.prompts.fingerprint import fingerprint
from prefect_llm.prompts.messages import COLUMN as MESSAGES
from prefect_llm.prompts.messages import column_messages, root_of
from prefect_llm.prompts.output_type import output_type
from prefect_llm.prompts.parameters import RowParameters, run_parameters
from prefect_llm.prompts.references import ROW
from prefect_llm.prompts.template import Template
from prefect_llm.prompts.template_environment import make_environment
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import DEFAULT_API
from prefect_llm.values.request import Message, Request

ID = "id"
"""Every document has one, with or without a column of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """What a person gave: plain values, stored in the run's manifest as they are.

    Without a `template` each document's `messages_column`, by default `messages`, is sent as it is. `row_params`
    names the column with per-row parameters; `params` are the run's parameters that have no option of their own. With
    `fail_truncated` an answer that the output limit cut is a failure. `lenient_json` takes a Markdown fence or a
    <think> block off an answer before it is parsed; `keep_reasoning` keeps what the model thought.
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
    lenient_json: bool = False
    keep_reasoning: bool = False
    messages_column: str | None = None


@dataclass(frozen=True, slots=True)
class PromptColumns:
    """The columns of the input that a prompt uses.

    Every document must have the `needed` ones; the `wanted` ones may be used, `None` for any. `fields` are the names
    that templates use, all of them if a template takes the `whole_row`.
    """

    needed: frozenset[str]
    wanted: frozenset[str] | None
    fields: frozenset[str]
    whole_row: bool

    @classmethod
    def of(cls, templates: Sequence[Template], other: frozenset[str]) -> PromptColumns:
        """Those of the templates, and `other` columns that the spec names."""
        references = [template.references for template in templates]
        whole_row = any(each.whole_row for each in references)
        fields = frozenset[str]().union(*(each.used for each in references))

        needed = other.union(*(each.needed - {ID} for each in references))
        return cls(needed, None if whole_row else fields | other, fields, whole_row)


class Prompt:
    """A compiled `PromptSpec`.

    `columns` are what it uses of the input, `output_type` the type of the column `output` (`None` without a schema),
    `parameters` the run's own.
    """

    def __init__(self, spec: PromptSpec) -> None:
        """Raises `InvalidInput`, in one sentence, for whatever in the spec no document could be asked with."""
        self.spec = spec
        self._prompt, self._system = _templates(spec)
        self.output_type = None if spec.schema is None else output_type(spec.schema)
        self.parameters = run_parameters(
            spec.model,
            spec.max_output_tokens,
            spec.temperature,
            spec.params,
            None if spec.schema is None else answer_format(spec.schema, lenient=spec.lenient_json),
            spec.fail_truncated,
            spec.keep_reasoning,
        )
        self._row_parameters = None if spec.row_params is None else RowParameters(spec.row_params, self.parameters)

        templates = [template for template in (self._prompt, self._system) if template is not None]
        self._column = spec.messages_column or MESSAGES
        other = (self.sent, spec.row_params)
        self.columns = PromptColumns.of(templates, frozenset(name for name in other if name is not None))

    @property
    def sent(self) -> str | None:
        """The column whose messages are sent as they are, where there is no template."""
        return root_of(self._column) if self._prompt is None else None

    @property
    def constant(self) -> bool:
        """Whether every document's request is the same."""
        return self.columns.wanted == frozenset()

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
            return column_messages(fields, self._column)
        variables = self._variables(document_id, fields)
        user = {"role": "user", "content": self._prompt.render(variables)}
        if self._system is None:
            return [user]
        return [{"role": "system", "content": self._system.render(variables)}, user]

    def _variables(self, document_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        columns, null_as = self.columns, self.spec.null_as
        names = fields if columns.whole_row else columns.fields & fields.keys()
        values = {name: template_value(name, fields[name], null_as) for name in names}
        if ID in columns.fields and ID not in values:
            values[ID] = document_id
        return {**values, ROW: Fields(ROW, values)}


def _templates(spec: PromptSpec) -> tuple[Template | None, Template | None]:
    if spec.template is None:
        if spec.system is not None:
            raise InvalidInput(
                "a system template goes with a prompt template only: the column 'messages' is sent as it is; "
                "leave the system template out or put a system message into the column"
            )
        return None, None
    if spec.messages_column is not None:
        raise InvalidInput("a prompt and messages_column are both given: leave one out, each stands for the other")
    environment = make_environment(spec.null_as)
    prompt = Template(spec.template, what="prompt template", environment=environment)
    if spec.system is None:
        return prompt, None
    return prompt, Template(spec.system, what="system template", environment=environment)
