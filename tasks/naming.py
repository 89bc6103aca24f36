"""Names of runs: what they work on. Of a path only its end, and of an address no credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pyarrow as pa
from prefect.tasks import TaskRunNameCallbackWithParameters

MOST_CHARACTERS = 80
"""A longer input, as a glob may be, is cut."""


def named(name: Callable[[dict[str, Any]], str]) -> TaskRunNameCallbackWithParameters:
    """As Prefect declares what names a task run by the task's parameters."""
    return cast(TaskRunNameCallbackWithParameters, name)


def of_input(task: str) -> TaskRunNameCallbackWithParameters:
    """`load-documents (tickets.parquet)`: by the task's `input`."""

    def input_name(parameters: dict[str, Any]) -> str:
        given = parameters["input"]
        return f"{task} ({'a table' if isinstance(given, pa.Table) else end_of(str(given))})"

    return named(input_name)


def of_run(task: str) -> TaskRunNameCallbackWithParameters:
    """`finish-run (2026-11-24)`: by the directory of the task's `run`."""

    def run_name(parameters: dict[str, Any]) -> str:
        return f"{task} ({end_of(parameters['run'].url)})"

    return named(run_name)


def end_of(path: str) -> str:
    """`tickets.parquet`; of `tickets/*.parquet` the folder too, which says more."""
    is_url = "://" in path
    text = path.partition("?")[0].rstrip("/") if is_url else path.rstrip("/")
    folder, _, end = text.rpartition("/")
    pieces = [folder.rpartition("/")[2], end] if "*" in end and folder else [end]
    if is_url:  # where it names a bucket alone, its user and password stand before that
        pieces = [piece.rpartition("@")[2] for piece in pieces]
    return ("/".join(pieces) or "documents")[:MOST_CHARACTERS]
