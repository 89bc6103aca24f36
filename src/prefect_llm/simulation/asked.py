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


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `schema` is a JSON schema that the answer must fit; `{}` fits any JSON."""

    model: str
    input_tokens: int
    output_limit: int | None = None
    stream: bool = False
    include_usage: bool = False
    schema: Any = None
