"""What one provider's answers say about the provider: is this document at fault, or all of them?

A bad key, an unknown model, an exhausted account or a dead host stops the run; the same statuses after the first
success, in one row alone, fail that row only (docs/contract.md, What stops a run). Pure in `now`, in seconds.
"""

from __future__ import annotations

from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.values.errors import (
    AccountExhausted,
    AuthenticationFailed,
    Cause,
    EndpointNotFound,
    ModelNotFound,
    NoConnection,
    ProviderDown,
    Rejected,
    RequestError,
    RequestRefused,
    Retryable,
    RunError,
    Throttled,
    Unavailable,
)
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.formats import format_of

REFUSALS_IN_A_ROW = 10
"""403, 404 or redirects after the first success: this many in a row are no longer single documents' faults."""


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

    def classify_failure(self, now: float, request: Request, error: RequestError) -> RunError | None:
        """The error that stops the run, if that failed attempt is one; the breaker has taken it in before."""
        if isinstance(error, Retryable):
            return self._faulted(now, error)
        if not isinstance(error, Rejected) or error.status is None:
            return None  # an unusable answer says nothing of the provider
        return self._refused(request, error, error.status)

    def _faulted(self, now: float, error: Retryable) -> RunError | None:
        if error.cause is Cause.ACCOUNT_EXHAUSTED:
            return self._exhausted(error)
        if isinstance(error, Unavailable):
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

    def _refused(self, request: Request, error: Rejected, status: int) -> RunError | None:
        if status == 401 or error.cause is Cause.KEY_REFUSED:
            return AuthenticationFailed(
                f"{self._provider.name} refused the key ({error.message}): check the key and its owner"
            )
        if status == 402:
            return self._exhausted(error)

        if status in (403, 404) or 300 <= status < 400:
            self._refusals += 1
            stops = not self.has_succeeded or self._refusals >= REFUSALS_IN_A_ROW
            return self._out_of_place(request, error, status) if stops else None

        parameter = self._format.answer_format_parameter
        if not self.has_succeeded and _is_about_answer_format(request, error, parameter):
            return RequestRefused(
                f"{self._provider.name} does not take the answer's JSON schema as {parameter} "
                f"({error.message}): leave the schema out, or ask a model and endpoint that support it"
            )
        return None

    def _out_of_place(self, request: Request, error: Rejected, status: int) -> RunError:
        name = self._provider.name
        if status == 403:
            return AuthenticationFailed(f"{name} forbids this key to ask ({error.message}): check its permissions")
        if status == 404 and (error.cause is Cause.MODEL_NOT_FOUND or "model" in error.parameters):
            model = request.parameters.model
            return ModelNotFound(f"{name} does not know the model {model!r} ({error.message})")
        return EndpointNotFound(
            f"{self._provider.base_url} has no {self._format.service} ({error.message}): check base_url, "
            f"which includes {self._format.base_path} on most endpoints, and the model {request.parameters.model!r}"
        )

    def _exhausted(self, error: RequestError) -> RunError:
        return AccountExhausted(
            f"the account at {self._provider.name} is exhausted ({error.message}): waiting does not help; "
            "top it up or raise its limit"
        )


def _is_about_answer_format(request: Request, error: Rejected, parameter: str) -> bool:
    """Whether the endpoint refuses the parameter of the answer's schema, which every request of the run carries.

    Few endpoints name the parameter in a field of its own; the contract counts a body that names it at all.
    """
    if request.parameters.answer_format is None or error.status not in (400, 422):
        return False
    return parameter in error.parameters or parameter in error.message
