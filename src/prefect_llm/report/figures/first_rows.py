"""The first rows of a run, for a person who wants to see what answers look like without opening a file."""

from __future__ import annotations

from typing import NamedTuple

from prefect_llm.store.directory import RunDirectory

SHOWN_CHARACTERS = 300
_COLUMNS = ("id", "status", "content", "error_kind", "error_message")


class FirstRow(NamedTuple):
    """`text` is the beginning of the answer, or what went wrong."""

    id: str
    status: str
    text: str


def first_rows(directory: RunDirectory, most: int) -> tuple[FirstRow, ...]:
    """Of the complete chunks, at most so many; reads no more parts than it needs."""
    rows: list[FirstRow] = []
    parts = directory.scan(_COLUMNS) if most else iter(())
    for part in parts:
        for row in part.slice(0, most - len(rows)).to_pylist():
            said = row["content"] if row["status"] == "ok" else f"{row['error_kind']}: {row['error_message']}"
            rows.append(FirstRow(row["id"], row["status"], (said or "")[:SHOWN_CHARACTERS]))
        if len(rows) >= most:
            break
    return tuple(rows)
