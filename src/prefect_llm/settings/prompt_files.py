"""The files that settings name: the prompt, taken as it is, and the answer's schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from prefect_llm.settings.sections import RunSettings
from prefect_llm.values.errors import InvalidInput


def prompt_text(settings: RunSettings) -> str | None:
    """The prompt template, from its option or its file; `None` where the column `messages` is sent.

    Raises `InvalidInput` on a file that is absent, empty or not UTF-8.
    """
    path = settings.prompt.prompt_file
    if path is None:
        return settings.prompt.prompt
    text = _read(path, "prompt file")
    if not text:
        raise InvalidInput(f"the prompt file {path} is empty: write the prompt into it")
    return text


def answer_schema(settings: RunSettings) -> dict[str, Any] | None:
    """The JSON schema of the answers, `None` where there is none.

    Raises `InvalidInput` on a file that is absent or holds no JSON object; the schema itself is checked where
    it is used.
    """
    path = settings.prompt.schema_file
    if path is None:
        return None
    try:
        schema = orjson.loads(_read(path, "schema file"))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the schema file {path} line {error.lineno}: not JSON: {error.msg}") from error
    if not isinstance(schema, dict):
        raise InvalidInput(f"the schema file {path} must hold a JSON object that describes the answer")
    return schema


def _read(path: str, what: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(
            f"the {what} {path} cannot be read: {error.strerror}; a relative path starts at the current directory"
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the {what} {path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
