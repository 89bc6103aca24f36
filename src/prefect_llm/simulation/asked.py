"""What a request asks for, in any format, as far as the answer depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CHARACTERS_PER_TOKEN = 4
"""The usual rule of thumb for English, https://platform.openai.com/tokenizer."""


class BadRequest(Exception):
    """The body cannot be answered; `parameter` is the member of the body that is to blame."""

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.parameter = parameter


class NoInstance(Exception):
    """No instance of the schema was found, or it recurs without end."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `schema` is a JSON schema that the answer must fit; `{}` fits any JSON.

    `schema_name` is what the request calls it; `strict` asks that it is held to the provider's strict rules.
    """

    model: str
    input_tokens: int
    output_limit: int | None = None
    stream: bool = False
    include_usage: bool = False
    schema: Any = None
    schema_name: str = ""
    strict: bool = False
