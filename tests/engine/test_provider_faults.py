"""The rules of docs/contract.md, What stops a run: one provider, its answers one by one, on a clock tests turn."""

from __future__ import annotations

import pytest
from tests.engine.submitting import requests

from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.values.errors import (
    AccountExhausted,
    AuthenticationFailed,
    BadResponse,
    Cause,
    EndpointNotFound,
    ModelNotFound,
    ProviderDown,
    Rejected,
    RequestError,
    RequestRefused,
    Retryable,
    RunError,
    Throttled,
    Unavailable,
)
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider, RetryOptions
from prefect_llm.values.request import AnswerFormat, Request

PROVIDER = Provider("https://llm.example/v1", retries=RetryOptions(outage_s=300, first_connection_s=30))
REFUSED_CONNECTION = Unavailable("no connection: refused", kind=ErrorKind.CONNECTION, unreachable=True)
DOWN = Unavailable("HTTP 503", status=503)
OUT_OF_PLACE = {403: AuthenticationFailed, 404: EndpointNotFound, 302: EndpointNotFound}


class Watched:
    """The provider's faults and the breaker that it asks, told of each answer as the policy tells them."""

    def __init__(self) -> None:
        self._breaker = Breaker(lambda _: 0.0)
        self._provider_faults = ProviderFaults(PROVIDER, self._breaker)

    @property
    def outage(self) -> bool:
        return self._breaker.outage

    @property
    def status(self) -> tuple[float, str]:
        return self._provider_faults.outage_limit_s, self._provider_faults.fault

    def succeeded(self) -> None:
        assert self._breaker.admits(0.0, in_flight=0)
        self._breaker.succeeded(0.0, left_at=0.0, in_flight=0)
        self._provider_faults.record_success()

    def failed(self, now: float, request: Request, error: RequestError) -> RunError | None:
        assert self._breaker.admits(now, in_flight=0)
        if isinstance(error, Unavailable):
            self._breaker.failed(now, now, request.document_id, error)
        else:
            self._breaker.answered(now, now, in_flight=0, throttled=isinstance(error, Throttled))
        return self._provider_faults.classify_failure(now, request, error)

    def rest(self) -> None:
        self._provider_faults.forget_failures()


def fresh(*, succeeded: bool) -> Watched:
    """A provider before or after its first success."""
    health = Watched()
    if succeeded:
        health.succeeded()
    return health


def failed(health: Watched, error: RequestError, *, now: float = 0.0, document: int = 0) -> RunError | None:
    """One failed attempt at that document."""
    (request,) = requests(1, first=document)
    return health.failed(now, request, error)


@pytest.mark.parametrize("succeeded", [False, True])
@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (Rejected("no", status=401), AuthenticationFailed),
        (Rejected("no", status=402), AccountExhausted),
        (Throttled("no", status=429, cause=Cause.ACCOUNT_EXHAUSTED), AccountExhausted),
    ],
    ids=["401", "402", "insufficient_quota"],
)
def test_a_bad_key_and_an_exhausted_account_stop_at_any_time(
    error: RequestError, stops: type[RunError], succeeded: bool
) -> None:
    assert isinstance(failed(fresh(succeeded=succeeded), error), stops)


@pytest.mark.parametrize("status", OUT_OF_PLACE)
def test_what_is_out_of_place_stops_before_the_first_success_and_in_the_tenth_row_after_it(status: int) -> None:
    refused = Rejected("no", status=status)
    assert isinstance(failed(fresh(succeeded=False), refused), OUT_OF_PLACE[status])
    health = fresh(succeeded=True)
    assert [failed(health, refused, document=row) for row in range(9)] == [None] * 9
    assert isinstance(failed(health, refused, document=9), OUT_OF_PLACE[status])


def test_a_success_between_them_makes_ten_404s_single_documents_faults() -> None:
    health = fresh(succeeded=True)
    for row in range(50):
        if row % 9 == 8:
            health.succeeded()
        assert failed(health, Rejected("no", status=404), document=row) is None


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (Rejected("no", status=404, cause=Cause.MODEL_NOT_FOUND), ModelNotFound),
        (Rejected("no", status=400, cause=Cause.KEY_REFUSED), AuthenticationFailed),
        (Rejected("no", status=404, parameters=frozenset({"model"})), ModelNotFound),
        (Rejected("no", status=404), EndpointNotFound),
    ],
    ids=["OpenAI", "vLLM", "parameter", "path"],
)
def test_a_404_says_whether_the_model_or_the_path_is_unknown(error: Rejected, stops: type[RunError]) -> None:
    assert isinstance(failed(fresh(succeeded=False), error), stops)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "error",
    [
        {"parameters": frozenset({"response_format"}), "message": "unknown parameter"},
        {"message": "HTTP 400: response_format is not supported"},
    ],
    ids=["in a field", "in the text"],
)
def test_a_refused_response_format_stops_before_the_first_success_only(error: dict[str, object], status: int) -> None:
    refused = Rejected(status=status, **error)  # type: ignore[arg-type]
    (request,) = requests(1, answer_format=AnswerFormat({}, lambda text: text))
    assert isinstance(fresh(succeeded=False).failed(0.0, request, refused), RequestRefused)
    assert fresh(succeeded=True).failed(0.0, request, refused) is None


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_for_itself_stops_nothing(status: int) -> None:
    health = fresh(succeeded=False)
    assert [failed(health, Rejected("no", status=status), document=row) for row in range(50)] == [None] * 50


def test_unusable_answers_and_rate_limits_say_nothing_of_the_provider() -> None:
    health = fresh(succeeded=False)
    for error in (BadResponse("not JSON", status=200), Throttled("429", status=429)):
        assert [failed(health, error, now=row * 100.0, document=row) for row in range(50)] == [None] * 50
    assert not health.outage


def test_no_connection_from_the_start_stops_after_thirty_seconds() -> None:
    health = fresh(succeeded=False)
    assert failed(health, REFUSED_CONNECTION, now=100.0) is None
    assert failed(health, REFUSED_CONNECTION, now=129.9) is None
    assert isinstance(failed(health, REFUSED_CONNECTION, now=130.0), ProviderDown)


def test_a_host_lost_after_the_first_success_is_waited_for_as_long_as_an_outage_may_last() -> None:
    health = fresh(succeeded=True)
    assert failed(health, REFUSED_CONNECTION, now=100.0) is None
    assert failed(health, REFUSED_CONNECTION, now=399.9) is None
    assert isinstance(failed(health, REFUSED_CONNECTION, now=400.0), ProviderDown)


def test_ten_documents_failing_with_no_success_between_them_are_an_outage() -> None:
    health = fresh(succeeded=True)
    outages = []
    for row in range(10):
        assert failed(health, DOWN, now=float(row), document=row) is None
        outages.append(health.outage)
    assert outages == [False] * 9 + [True]
    assert isinstance(failed(health, DOWN, now=300.0, document=9), ProviderDown)


def test_one_document_that_always_fails_is_no_outage_however_long_it_takes() -> None:
    health = fresh(succeeded=True)
    assert [failed(health, DOWN, now=hundred * 100.0) for hundred in range(20)] == [None] * 20
    assert not health.outage


def test_a_success_ends_an_outage_and_its_clock() -> None:
    health = fresh(succeeded=True)
    for row in range(10):
        failed(health, DOWN, document=row)
    health.succeeded()
    assert not health.outage
    for row in range(10):
        assert failed(health, DOWN, now=500.0, document=row) is None


def test_the_idle_time_between_two_runs_is_no_outage() -> None:
    health = fresh(succeeded=True)
    failed(health, REFUSED_CONNECTION, now=0.0)
    health.rest()
    assert failed(health, REFUSED_CONNECTION, now=10_000.0) is None


@pytest.mark.parametrize(
    "answer",
    [DOWN, Throttled("429", status=429), Rejected("400", status=400), BadResponse("not JSON", status=200)],
    ids=["503", "429", "400", "not JSON"],
)
def test_a_host_that_answers_again_is_no_longer_unreachable(answer: RequestError) -> None:
    health = fresh(succeeded=True)
    failed(health, REFUSED_CONNECTION)
    assert health.outage
    failed(health, answer)
    assert not health.outage


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Rejected("HTTP 401: Bad key.", status=401), "check the key"),
        (Rejected("HTTP 402", status=402), "top it up"),
        (Rejected("HTTP 403", status=403), "check its permissions"),
        (Rejected("HTTP 404", status=404), "check base_url"),
    ],
)
def test_each_stop_says_where_and_what_to_do_in_one_sentence(error: Rejected, said: str) -> None:
    stopping = failed(fresh(succeeded=False), error)
    assert stopping is not None
    assert "llm.example" in stopping.message
    assert error.message in stopping.message
    assert said in stopping.message
    assert "\n" not in stopping.message


def test_the_outage_limit_is_shorter_with_a_host_that_never_answered_and_the_last_fault_is_remembered() -> None:
    never, once = fresh(succeeded=False), fresh(succeeded=True)
    failed(never, REFUSED_CONNECTION)
    failed(once, REFUSED_CONNECTION)
    assert (never.status, once.status) == ((30, "no connection: refused"), (300, "no connection: refused"))
    failed(never, DOWN)
    assert never.status == (300, "HTTP 503")


def test_every_kind_of_fault_counts_as_one() -> None:
    health = fresh(succeeded=True)
    faults: list[Retryable] = [
        Unavailable("slow", kind=ErrorKind.TIMEOUT),
        Unavailable("cut", kind=ErrorKind.CONNECTION),
        DOWN,
    ]
    for row in range(10):
        failed(health, faults[row % 3], document=row)
    assert health.outage
