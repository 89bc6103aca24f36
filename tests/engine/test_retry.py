"""Each sort of failure has a budget of its own (docs/contract.md, Error kinds)."""

from __future__ import annotations

import pytest

from prefect_llm.engine.failures.retry import RetryCounts, RetryPolicy
from prefect_llm.values.errors import BadResponse, Rejected, RequestError, Throttled, Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import RetryOptions

POLICY = RetryPolicy(RetryOptions(max_attempts=5, backoff_s=1.0, max_backoff_s=10.0))


def delays(error: RequestError, tries: RetryCounts | None = None, *, outage: bool = False) -> list[float]:
    """The waits granted to a document that meets the same error again and again, a hundred at most."""
    tries, granted = tries or RetryCounts(), []
    for _ in range(100):
        if (delay_s := POLICY.delay_s(error, tries, outage=outage)) is None:
            break
        granted.append(delay_s)
    return granted


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (Unavailable("503"), 4),
        (Unavailable("slow", kind=ErrorKind.TIMEOUT), 4),
        (Throttled("429"), 19),
        (BadResponse("not JSON"), 2),
        (BadResponse("no label", kind=ErrorKind.SCHEMA_MISMATCH), 1),
        (BadResponse("cut", kind=ErrorKind.TRUNCATED), 0),
        (Rejected("400"), 0),
    ],
)
def test_a_failure_is_asked_again_as_often_as_its_kind_allows(error: RequestError, again: int) -> None:
    assert len(delays(error)) == again


def test_one_budget_does_not_eat_anothers() -> None:
    tries = RetryCounts()
    assert len(delays(Throttled("429"), tries)) == 19
    assert len(delays(Unavailable("503"), tries)) == 4
    assert len(delays(BadResponse("not JSON"), tries)) == 2


def test_waits_double_from_the_first_up_to_the_longest_with_jitter_on_top() -> None:
    for granted, base in zip(delays(Throttled("429")), [1, 2, 4, 8, 10, 10, 10], strict=False):
        assert base <= granted <= base + 1


def test_two_documents_do_not_come_back_together() -> None:
    assert len({tuple(delays(Unavailable("503"))) for _ in range(10)}) == 10


def test_no_wait_is_shorter_than_the_endpoint_asked_for() -> None:
    assert min(delays(Throttled("429", retry_after_s=33.0))) == 33.0
    assert min(delays(Unavailable("503", retry_after_s=33.0))) == 33.0


def test_a_wait_after_a_server_s_fault_is_no_longer_than_the_patience_with_an_outage() -> None:
    assert set(delays(Unavailable("503", retry_after_s=86_400.0))) == {RetryOptions().outage_s}


def test_an_outage_costs_no_attempt() -> None:
    tries = RetryCounts()
    assert len(delays(Unavailable("down"), tries, outage=True)) == 100
    assert len(delays(Unavailable("503"), tries)) == 4


def test_a_document_that_fails_in_more_outages_than_it_has_attempts_is_to_blame() -> None:
    tries, error = RetryCounts(), Unavailable("slow", kind=ErrorKind.TIMEOUT)
    for outage in range(1, 6):
        for _ in range(3):  # an outage counts once, however often the document leaves as its probe
            tries.failed_in(outage)
            assert POLICY.delay_s(error, tries, outage=True) is not None
    tries.failed_in(6)
    assert POLICY.delay_s(error, tries, outage=True) is None
