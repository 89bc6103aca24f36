"""One line for a row's `error_message` or a person: how long it is and how it breaks is decided here."""

from __future__ import annotations

from prefect_llm.values.outcome import MAX_MESSAGE_CHARACTERS


def one_line(text: str, limit: int = MAX_MESSAGE_CHARACTERS) -> str:
    """The text with every run of white space as one blank, cut to `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
