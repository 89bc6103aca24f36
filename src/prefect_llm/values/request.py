"""What is asked: the messages of one document, and the parameters that shape its answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

BYTES_PER_TOKEN = 4
"""Of text, where no usage is known: the usual rule of thumb for English, https://platform.openai.com/tokenizer."""
Message = Mapping[str, Any]
"""One message: `role`, and `content` as text or parts. A wire format spells it as its API does."""

_Derived = TypeVar("_Derived")


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """A JSON schema the answer must satisfy. `parse(text)` returns the value or raises `BadResponse`.

    `strict_schema` is the same in the subset that a provider's strict mode takes; `None` if it cannot be put so.
    """

    schema: Mapping[str, Any]
    parse: Callable[[str], Any] = field(compare=False, repr=False)
    name: str = "answer"
    strict_schema: Mapping[str, Any] | None = field(default=None, compare=False)

    @property
    def forms(self) -> tuple[Mapping[str, Any], ...]:
        """What a provider may be sent: one of these."""
        return (self.schema,) if self.strict_schema is None else (self.schema, self.strict_schema)


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """What shapes an answer besides its messages. Many requests share one instance; it is equal to itself only.

    `fail_truncated` makes an answer that the output limit cut a failure; with an answer format it always is. With
    `keep_reasoning` a completion keeps what the model thought.
    """

    model: str
    max_output_tokens: int | None = None
    temperature: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    answer_format: AnswerFormat | None = None
    fail_truncated: bool = False
    keep_reasoning: bool = False
    _derived: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The JSON schema of the answer; `None` if none was asked for."""
        return None if self.answer_format is None else self.answer_format.schema

    def derived(self, make: Callable[..., _Derived], *arguments: Hashable) -> _Derived:
        """`make(self, *arguments)`, computed once for all requests that share this instance. `make` is pure.

        Results live as long as the instance, one per function and arguments. Thread-safe.
        """
        key = (make, arguments)
        found: _Derived | None = self._derived.get(key)
        if found is not None:
            return found

        # of two threads that come here together, the first sets the result of both
        made: _Derived = self._derived.setdefault(key, make(self, *arguments))
        return made


@dataclass(frozen=True, slots=True)
class Request:
    """What one document asks, in any wire format. `row_index` is the document's place in its chunk, from 0."""

    row_index: int
    document_id: str
    messages: Sequence[Message]
    parameters: Parameters
    fingerprint: str
