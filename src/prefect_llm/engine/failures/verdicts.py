"""What was decided of an answer: what becomes of its document, and what changes for all requests of its provider."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.engine.limits.concurrency import Ramp
from prefect_llm.engine.submission import FallbackReason
from prefect_llm.values.errors import (
    Cause,
    LimitReached,
    ModelNotFound,
    ProviderDown,
    Rejected,
    RequestError,
    RunError,
)
from prefect_llm.values.outcome import Completion, ErrorKind, Failure


@dataclass(frozen=True, slots=True)
class Fail:
    """The document fails for good. With `why`, a fallback may still answer it."""

    failure: Failure
    completion: Completion | None = None
    why: FallbackReason | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The document is sent again after a pause."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class StopRun:
    """The provider answers no document. With `why`, a fallback may still."""

    error: RunError
    why: FallbackReason | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """The document waits until the run has an answer, and fails, or until its refusals are found alike.

    With `suspect`, what all requests carry seems at fault: no more of them leave until those in flight tell.
    """

    fail: Fail
    suspect: bool = False


Verdict = Fail | Retry | StopRun | Hold


@dataclass(frozen=True, slots=True)
class Effects:
    """What an answer changes for all requests of its provider; `None` changes nothing.

    `concurrency` is reached by the `ramp`, if there is one. Nothing leaves before `cool_down_until`.
    """

    concurrency: int | None = None
    ramp: Ramp | None = None
    cool_down_until: float | None = None


NO_EFFECTS = Effects()


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a failed attempt's document, and what else changes."""

    verdict: Verdict
    effects: Effects = NO_EFFECTS


def fallback_reason(error: RequestError | RunError) -> FallbackReason | None:
    """Why a fallback may answer what this provider did not; `None`: another would not either."""
    if isinstance(error, (ProviderDown, LimitReached)):
        return FallbackReason.OUTAGE
    if isinstance(error, ModelNotFound) or (isinstance(error, Rejected) and error.cause is Cause.MODEL_NOT_FOUND):
        return FallbackReason.MODEL_GONE
    if isinstance(error, RequestError) and error.kind is ErrorKind.CONTEXT_TOO_LONG:
        return FallbackReason.CONTEXT_TOO_LONG
    return None
