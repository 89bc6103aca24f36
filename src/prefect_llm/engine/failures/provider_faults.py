"""What one provider's answers say about the provider: is this document at fault, or all of them?

A bad key, an unknown model, an exhausted account or a dead host stops the run; the same statuses after the first
success, in one row alone, fail that row only (docs/contract.md, What stops a run). Pure in `now`, in seconds.
"""

from __future__ import annotations

from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.shared_parameters import advice_on, shared_parameters
from prefect_llm.values.errors import (
    AccountExhausted,
    AuthenticationFailed,
    Cause,
    EndpointNotFound,
    LimitReached,
    ModelNotFound,
    NoConnection,
    ProviderDown,
    Rejected,
    RequestError,
    RequestRefused,
    Retryable,
    RunError,
    Throttled,
)
from prefect_llm.values.formatting import duration
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.formats import format_of

REFUSALS_IN_A_ROW = 10
"""403, 404 or redirects after the first success: this many in a row are no longer single documents' faults."""
METHOD_NOT_ALLOWED = 405
CERTAIN = (Cause.KEY_REFUSED, Cause.ACCOUNT_EXHAUSTED, Cause.MODEL_NOT_FOUND)
"""Never one document's fault."""


class ProviderFaults:
    """One provider as its answers show it; the breaker knows whether it answers at all."""

    def __init__(self, provider: Provider, breaker: Breaker) -> None:
        self._provider = provider
        self._format = format_of(provider)
        self._breaker = breaker
        self.has_succeeded = False
        self._refusals = 0
        self.fault = ""
        """Why the provider did not answer, the last time that it did not."""

    @property
    def outage_limit_s(self) -> float:
        """How long nothing may succeed before that stops the run."""
        retries = self._provider.retries
        if self._breaker.unreachable and not self.has_succeeded:
            return min(retries.first_connection_s, retries.outage_s)
        return retries.outage_s

    def record_success(self) -> None:
        """An answer came: whatever went wrong before is over."""
        self.has_succeeded = True
        self._refusals = 0

    def forget_failures(self) -> None:
        """Forget failures in a row: nothing has been asked for a while."""
        self._refusals = 0
        self._breaker.forget_failures()

    def classify_failure(
        self, now: float, request: Request, error: RequestError, *, answered: bool = False
    ) -> RunError | None:
        """The error that stops the run, if that failed attempt is one; the breaker has taken it in before.

        `answered` says that another request of the run was: what all of them carry is not at fault.
        """
        if error.cause is Cause.DOCUMENT_REFUSED or is_answer(error):
            return None
        if error.cause is Cause.UNSUPPORTED:
            return None if answered or self.has_succeeded else self._unsupported(error)
        if isinstance(error, Retryable):
            return self._faulted(now, error)
        if not isinstance(error, Rejected) or error.status is None or error.kind is not ErrorKind.REJECTED:
            return None  # an unusable answer says nothing of the provider
        return self._refused(request, error, error.status, answered=answered or self.has_succeeded)

    def throttled_out(self, throttled_s: float, error: Throttled) -> LimitReached | None:
        """The error that stops the run where nothing but 429s came for `throttled_s`, or will come for long."""
        if error.retry_after_s is not None and error.retry_after_s > self.outage_limit_s:
            wait = duration(error.retry_after_s)
            return LimitReached(
                f"{self._provider.name} asks to wait {wait}, longer than outage_patience ({error.message}); "
                "finished rows are kept"
            )
        if error.cause is Cause.LIMIT_PER_DAY:
            return LimitReached(f"a limit per day is reached at {self._provider.name} ({error.message})")
        if throttled_s < self.outage_limit_s:
            return None
        return LimitReached(
            f"{self._provider.name} has answered nothing but 429 for {throttled_s:.0f} s (last: {error.message}): "
            "its limit is reached for longer than outage_patience, or its account is empty; finished rows are kept"
        )

    def is_suspicion(self, error: RequestError) -> bool:
        """Whether an error that stops the run may be one document's all the same: only an answer to another tells."""
        certain = self.is_certain(error) or isinstance(error, Retryable)
        return not certain and not self.has_succeeded

    def is_certain(self, error: RequestError) -> bool:
        """Whether a refusal is never one document's fault, nor one parameter's."""
        return error.cause in CERTAIN or error.status in (401, 402)

    def refused_alike(self, request: Request, error: RequestError, documents: int) -> RunError:
        """The error that stops the run where its first documents all failed in the same words."""
        if (misdirected := self.misdirected(request, error)) is not None:
            return misdirected
        if error.status is None:
            return ProviderDown(
                f"{self._provider.name} answers a greeting but not one of the first {documents} documents "
                f"({error.message}): finished rows are kept"
            )
        return RequestRefused(
            f"{self._provider.name} refused the first {documents} documents in the same words ({error.message}): "
            "what all requests share is at fault, not a document"
        )

    def misdirected(self, request: Request, error: RequestError) -> RunError | None:
        """The error for a request that met a web page, or an address that takes none; `None` for any other."""
        if error.cause is not Cause.NOT_THE_API and error.status != METHOD_NOT_ALLOWED:
            return None
        return self._out_of_place(request, error, error.status)

    def _faulted(self, now: float, error: Retryable) -> RunError | None:
        if error.cause is Cause.ACCOUNT_EXHAUSTED:
            return self._exhausted(error)
        if error.cause is Cause.KEY_REFUSED:
            return self._key_refused(error)
        self.fault = error.message
        if isinstance(error, NoConnection) and error.lasting and not self.has_succeeded:
            return ProviderDown(error.why)
        if isinstance(error, Throttled) or not self._breaker.outage or self._breaker.failing_since is None:
            return None
        return self._down(now - self._breaker.failing_since, error)

    def _down(self, failing_s: float, error: RequestError) -> RunError | None:
        if failing_s < self.outage_limit_s:
            return None
        if self._breaker.unreachable and not self.has_succeeded:
            return ProviderDown(f"{self._provider.base_url} cannot be reached: {error.message}")
        return ProviderDown(
            f"nothing has succeeded at {self._provider.base_url} for {failing_s:.0f} s (last: {error.message}); "
            "finished rows are kept"
        )

    def _refused(self, request: Request, error: Rejected, status: int, *, answered: bool) -> RunError | None:
        if status == 401 or error.cause is Cause.KEY_REFUSED:
            return self._key_refused(error)
        if status == 402 or error.cause is Cause.ACCOUNT_EXHAUSTED:
            return self._exhausted(error)

        if status in (403, 404) or 300 <= status < 400:
            self._refusals += 1
            stops = not self.has_succeeded or self._refusals >= REFUSALS_IN_A_ROW
            return self._out_of_place(request, error, status) if stops else None
        return None if answered else self._refused_for_all(request, error)

    def _refused_for_all(self, request: Request, error: Rejected) -> RunError | None:
        """What every request of the run carries is refused: the model, or a parameter."""
        parameter = self._format.answer_format_parameter
        if _is_about_answer_format(request, error, parameter):
            return RequestRefused(
                f"{self._provider.name} does not take the answer's JSON schema as {parameter} "
                f"({error.message}): change the schema or leave it out, or ask a model and endpoint that support it"
            )
        if _is_about_the_model(error):
            return self._model_not_found(request, error)

        named = sorted(error.parameters & shared_parameters(request))
        if not named and (error.parameters or error.cause is not Cause.PARAMETER_REFUSED):
            return None
        return RequestRefused(
            f"{self._provider.name} refuses {named[0] if named else 'a parameter'}, which every request carries "
            f"({error.message}): {advice_on(named[0] if named else None)}"
        )

    def _unsupported(self, error: RequestError) -> RunError:
        return RequestRefused(
            f"{self._provider.name} or its model cannot do what is asked ({error.message}): leave it out, or ask a "
            "model and endpoint that support it"
        )

    def _out_of_place(self, request: Request, error: RequestError, status: int | None) -> RunError:
        if error.cause is Cause.NOT_THE_API:
            return EndpointNotFound(
                f"a web page answers in front of {self._provider.base_url} ({error.message}): check base_url, and "
                "that a firewall or proxy lets this machine through"
            )
        if status == 403:
            return AuthenticationFailed(
                f"{self._provider.name} forbids this key to ask ({error.message}): check its permissions"
            )
        if status == 404 and _is_about_the_model(error):
            return self._model_not_found(request, error)
        return EndpointNotFound(
            f"{self._provider.base_url} has no {self._format.service} ({error.message}): check base_url, "
            f"which includes {self._format.base_path} on most endpoints, and the model {request.parameters.model!r}"
        )

    def _model_not_found(self, request: Request, error: RequestError) -> RunError:
        model = request.parameters.model
        return ModelNotFound(f"{self._provider.name} does not know the model {model!r} ({error.message})")

    def _key_refused(self, error: RequestError) -> RunError:
        return AuthenticationFailed(
            f"{self._provider.name} refused the key ({error.message}): check the key and its owner"
        )

    def _exhausted(self, error: RequestError) -> RunError:
        return AccountExhausted(
            f"the account at {self._provider.name} is exhausted ({error.message}): waiting does not help; "
            "top it up or raise its limit"
        )


def is_answer(error: RequestError) -> bool:
    """Whether a whole answer came all the same, which its document cannot use; half a one is the server's fault."""
    return error.completion is not None and not isinstance(error, Retryable)


def _is_about_the_model(error: RequestError) -> bool:
    return error.cause is Cause.MODEL_NOT_FOUND or (isinstance(error, Rejected) and "model" in error.parameters)


def _is_about_answer_format(request: Request, error: Rejected, parameter: str) -> bool:
    """Whether the endpoint refuses the parameter of the answer's schema, which every request of the run carries.

    Few endpoints name the parameter in a field of its own; the contract counts a body that names it at all.
    """
    if request.parameters.answer_format is None or error.status not in (400, 422):
        return False
    return parameter in error.parameters or parameter in error.message
