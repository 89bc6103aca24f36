"""The state of a run that failed, named after the reason (docs/contract.md, Exit status)."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Failed

from prefect_llm.values.errors import InvalidInput, LLMBatchError, RunError, TooManyFailedRows, reason_of


def failed_state(error: BaseException) -> State[Any]:
    """Failed by the error's name; by Prefect's own where the error is not of this package."""
    message = str(error) if isinstance(error, LLMBatchError) else f"{type(error).__name__}: {reason_of(error)}"
    return Failed(name=_name(error), message=message, data=error)


def _name(error: BaseException) -> str:
    if isinstance(error, InvalidInput):
        return "Refused"
    return error.kind if isinstance(error, (RunError, TooManyFailedRows)) else "Failed"
