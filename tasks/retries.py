"""When Prefect tries a task again: after what may pass by itself, never after what needs a person.

What is not tried again is one line of the log, too: Prefect adds a traceback where no attempt is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from prefect_llm.values.errors import LLMBatchError, RunError

RetryCondition = Callable[[Task[..., Any], TaskRun, State[Any]], bool]


def _unless(needs_a_person: type[LLMBatchError]) -> RetryCondition:
    def may_pass(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
        return not isinstance(state.result(raise_on_failure=False), needs_a_person)

    return may_pass


def _retries(needs_a_person: type[LLMBatchError]) -> dict[str, Any]:
    return {
        "retries": 2,
        "retry_delay_seconds": [5, 30],
        "retry_jitter_factor": 0.5,
        "retry_condition_fn": _unless(needs_a_person),
    }


OPENING = _retries(LLMBatchError)
"""Prefect's options for tasks that open a run: what is refused once is refused again."""
ASKING = _retries(RunError)
"""Prefect's options for tasks that ask a chunk: the engine retries requests, and its block may be back soon."""
