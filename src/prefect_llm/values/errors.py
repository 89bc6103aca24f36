"""Every failure has a type. A `RequestError` becomes its document's row; a `RunError` stops the run.

LLMBatchError
|- RequestError             ends (or retries) one request
|  |- BadDocument           nothing was sent: template, null field, not text
|  |- Rejected              the endpoint said no to this request: never retried
|  |- BadResponse           answered, but unusable: a small budget of its own
|  `- Retryable
|     |- Throttled          429, 498: shared cooldown for the whole provider
|     `- Unavailable        408/409/424/425/499/5xx, timeout, connection lost
|        `- NoConnection    none came about
|- TooManyFailedRows        the run is done, but a larger share of its rows failed than was allowed
`- RunError                 stops the run; the same command resumes it
   |- AuthenticationFailed, ModelNotFound, EndpointNotFound, AccountExhausted, RequestRefused
   |- ProviderDown, LimitReached, TooManyFailures, BudgetExceeded, BudgetUnwritable, NotApproved, Interrupted
   `- InvalidInput          refused before anything was asked; InputAbsent: nothing is there to be read
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from prefect_llm.values.outcome import Completion, ErrorKind


class Cause(StrEnum):
    """Who is at fault, where a refusal says so in a code of its own, whatever its wire format calls it.

    A refusal without a cause may be anybody's: only others like it, or a success, tell whose.
    """

    DOCUMENT_REFUSED = "document_refused"
    """This document, whatever the status: its content was flagged, or it is too long. Others may be answered."""
    KEY_REFUSED = "key_refused"
    ACCOUNT_EXHAUSTED = "account_exhausted"
    """Waiting does not help."""
    LIMIT_PER_DAY = "limit_per_day"
    """A 429 for a quota per day: no request passes before it is renewed, and waiting is not worth it."""
    MODEL_NOT_FOUND = "model_not_found"
    PARAMETER_REFUSED = "parameter_refused"
    """A parameter of the request, not its messages; `Rejected.parameters` has its name where the endpoint gives it.
    All requests of a run carry the same, but for those that a row's own parameters set."""
    UNSUPPORTED = "unsupported"
    """The server or its model cannot do what is asked (images, embeddings, a schema), and no repeat mends that."""
    NOT_THE_API = "not_the_api"
    """A web page of something in front of the endpoint (a firewall, a proxy): it says nothing of key or model."""


class LLMBatchError(Exception):
    """Base of every error this package raises on purpose.

    `summary` is what a run had come to when the error ended it, where that is known (`report.Summary`).
    """

    summary: object | None = None


class RequestError(LLMBatchError):
    """One request failed.

    `status` is the HTTP status if there was one, `code` the endpoint's own word for the fault, `cause` whose fault
    that word says it is. `completion` is what was answered all the same (a partial text, its token usage): it
    is billed, and kept where the row has a place for it.
    """

    default_kind: ClassVar[ErrorKind]

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind | None = None,
        status: int | None = None,
        code: str | None = None,
        cause: Cause | None = None,
        completion: Completion | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind or self.default_kind
        self.status = status
        self.code = code
        self.cause = cause
        self.completion = completion


class BadDocument(RequestError):
    """The document could not be made into a request; nothing was sent."""

    default_kind = ErrorKind.BAD_DOCUMENT


class Rejected(RequestError):
    """The endpoint refuses this request, and would again. `parameters` are those it names as the cause."""

    default_kind = ErrorKind.REJECTED

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind | None = None,
        status: int | None = None,
        code: str | None = None,
        cause: Cause | None = None,
        completion: Completion | None = None,
        parameters: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(message, kind=kind, status=status, code=code, cause=cause, completion=completion)
        self.parameters = parameters


class BadResponse(RequestError):
    """A 200 that cannot be used: not JSON, cut, no choices, no content, against its schema."""

    default_kind = ErrorKind.BAD_RESPONSE


class Retryable(RequestError):
    """May pass by itself. `retry_after_s` is what the endpoint asked for, in seconds."""

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind | None = None,
        status: int | None = None,
        code: str | None = None,
        cause: Cause | None = None,
        completion: Completion | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, status=status, code=code, cause=cause, completion=completion)
        self.retry_after_s = retry_after_s


class Throttled(Retryable):
    """429 or 498: the whole provider cools down."""

    default_kind = ErrorKind.THROTTLED


class Unavailable(Retryable):
    """Timeout, lost connection, a server's fault, or an answer that the endpoint gave up halfway.

    `unreachable` says that no connection came about: then the document is never the cause.
    """

    default_kind = ErrorKind.SERVER_ERROR

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind | None = None,
        status: int | None = None,
        code: str | None = None,
        cause: Cause | None = None,
        completion: Completion | None = None,
        retry_after_s: float | None = None,
        unreachable: bool = False,
    ) -> None:
        super().__init__(
            message,
            kind=kind,
            status=status,
            code=code,
            cause=cause,
            completion=completion,
            retry_after_s=retry_after_s,
        )
        self.unreachable = unreachable


class NoConnection(Unavailable):
    """No connection came about. `why` is a sentence of its own; `lasting` says that only another setting mends it."""

    def __init__(self, why: str, *, lasting: bool = False) -> None:
        super().__init__(f"no connection: {why}", kind=ErrorKind.CONNECTION, unreachable=True)
        self.why = why
        self.lasting = lasting


class TooManyFailedRows(LLMBatchError):
    """The results are complete, and more of them failed than `max_error_share` allows."""

    kind = "TooManyFailedRows"


class RunError(LLMBatchError):
    """Stops the run with one sentence: what, where, what to do.

    `goes_on` is a second one: how the run goes on, for those who typed a command and those who look at a flow run.
    """

    goes_on: ClassVar[str] = "The same command, or Retry in Prefect, continues the run."

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def kind(self) -> str:
        """The word of `stopped.kind` and of the Prefect state's name."""
        return type(self).__name__


class AuthenticationFailed(RunError):
    """401 at any time, 403 before the provider's first success."""

    goes_on = "Once the key is accepted, the same command, or Retry in Prefect, continues the run."


class ModelNotFound(RunError):
    """404 for the model before the first success."""

    goes_on = "Another model needs a new output; if this one is right, a run with the same output continues this one."


class EndpointNotFound(RunError):
    """404 for the path, or a redirect, before the first success."""

    goes_on = "With the right address, a run with the same output continues this one."


class AccountExhausted(RunError):
    """402 or `insufficient_quota`: waiting does not help."""

    goes_on = "After that, the same command, or Retry in Prefect, continues the run."


class RequestRefused(RunError):
    """Before the first success the endpoint refused a parameter that every request carries."""

    goes_on = "A change of prompt, model, schema or parameters makes it a different run, which needs a new output."


class ProviderDown(RunError):
    """Unreachable from the start, or an outage longer than `RetryOptions.outage_s`."""

    goes_on = "When it answers, the same command, or Retry in Prefect, continues the run."


class LimitReached(RunError):
    """Nothing but 429s for longer than `RetryOptions.outage_s`, or a limit that is renewed later than that."""

    goes_on = "Once the limit is renewed, the same command, or Retry in Prefect, continues the run."


class TooManyFailures(RunError):
    """The share of failed documents passed `stop_error_share`."""


class BudgetExceeded(RunError):
    """What the next request may cost no longer fits the budget, and nothing is in flight."""

    goes_on = "With a larger budget, a run with the same output continues this one."


class BudgetUnwritable(RunError):
    """A grant of the budget could not be made durable: nothing more is spent."""


class NotApproved(RunError):
    """The estimate was rejected, or not approved in time."""


class Interrupted(RunError):
    """A signal or a cancellation stopped the run."""


class UnexpectedError(RunError):
    """An error that nobody raised on purpose stopped the run; `kind` is that error's own name."""

    def __init__(self, fault: BaseException) -> None:
        self._kind = type(fault).__name__
        super().__init__(f"unexpected {self._kind}: {reason_of(fault)}")

    @property
    def kind(self) -> str:
        """The name of the error's type."""
        return self._kind


class Superseded(RunError):
    """Another process has taken over what this one was working on."""


class InvalidInput(RunError):
    """Refused before anything was asked: input, settings, or a directory that is not ours."""


class InputAbsent(InvalidInput):
    """Nothing is there where the input should be."""


def reason_of(error: BaseException | str) -> str:
    """What an error says, on one line: the reason inside another sentence."""
    return " ".join(str(error).split())


def run_error(kind: str, message: str) -> RunError:
    """The error that was written down by its `kind`; a plain `RunError` for a kind that this version has not."""
    found = globals().get(kind)
    if isinstance(found, type) and issubclass(found, RunError):
        return found(message)
    return RunError(message)
