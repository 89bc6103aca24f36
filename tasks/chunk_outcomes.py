"""What became of a run's chunks: their figures, and why the run ended early, if it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from prefect.client.schemas.objects import State
from prefect.exceptions import UnfinishedRun
from prefect.futures import PrefectFuture
from prefect.states import get_state_result
from prefect.utilities.asyncutils import run_coro_as_sync

from prefect_llm.store import ChunkStats
from prefect_llm.values.errors import Interrupted, RunError

ChunkOutcome: TypeAlias = ChunkStats | BaseException | State[Any] | PrefectFuture[Any]
"""A chunk's figures, what its task raised, or a state or future that holds either."""


def awaited(given: Any) -> Any:
    """What futures and states hold, by themselves or in a list: a result, or the error in its place."""
    if isinstance(given, (list, tuple)):
        return [awaited(each) for each in given]
    try:
        if isinstance(given, PrefectFuture):
            return given.result(raise_on_failure=False)
        if isinstance(given, State):
            return run_coro_as_sync(get_state_result(given, raise_on_failure=False))
    except UnfinishedRun as error:  # Prefect never ran it: something that it needed has failed
        return error
    return given


def figures_in(outcomes: Iterable[Any]) -> list[ChunkStats]:
    """The figures of the chunks that have their part."""
    return [each for each in outcomes if isinstance(each, ChunkStats)]


def reason_in(outcomes: Iterable[Any]) -> BaseException | None:
    """Why the run ended early: the error that made the others stop. `None` where all chunks have their part."""
    errors = [each for each in outcomes if isinstance(each, BaseException)]
    return min(errors, key=_rank, default=None)


def _rank(error: BaseException) -> int:
    if isinstance(error, (Interrupted, UnfinishedRun)):
        return 2
    return 0 if isinstance(error, RunError) else 1
