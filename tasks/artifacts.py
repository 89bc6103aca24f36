"""Artifacts of a flow run: made once the Prefect server answers, or left out with a warning after a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from prefect_llm.blocks.prefect_calls import UNREACHABLE, patiently
from prefect_llm.values.errors import reason_of


def show_markdown(markdown: str, *, key: str, description: str) -> UUID:
    """A markdown artifact; its id."""
    return patiently(lambda: cast(UUID, create_markdown_artifact(markdown, key=key, description=description)))


def show_table(rows: list[dict[str, Any]], *, key: str, description: str) -> UUID:
    """A table artifact; its id."""
    return patiently(lambda: cast(UUID, create_table_artifact(rows, key=key, description=description)))


@contextmanager
def may_be_left_out(what: str) -> Iterator[None]:
    """Artifacts made inside fail nothing: what they show is elsewhere too."""
    try:
        yield
    except UNREACHABLE as error:
        get_run_logger().warning("%s could not be shown in Prefect: %s", what, reason_of(error))
