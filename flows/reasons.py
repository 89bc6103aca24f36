"""For flows of one's own: the flow run's state by the name of the reason, as those of this package have it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar, cast

from prefect_llm.flows.execution import state_for
from prefect_llm.values.errors import LLMBatchError

P = ParamSpec("P")
R = TypeVar("R")


def failed_by_reason(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a flow's function, below `@flow`: what stops or refuses its run is the name of the flow run's state.

    An `LLMBatchError` that the function raises makes the flow run Failed by the error's name, such as
    `AuthenticationFailed` or `Refused`, instead of `Failed`. Who calls the flow in Python gets the error, as ever.
    """

    @wraps(function)
    def wrapped(*args: P.args, **options: P.kwargs) -> R:
        try:
            return function(*args, **options)
        except LLMBatchError as error:
            return cast(R, state_for(error))

    @wraps(function)
    async def awaited(*args: P.args, **options: P.kwargs) -> Any:
        try:
            return await cast(Any, function(*args, **options))
        except LLMBatchError as error:
            return state_for(error)

    return cast(Callable[P, R], awaited) if iscoroutinefunction(function) else wrapped
