"""What a job keeps of its attempts, and how each of them ends its reservation."""

from __future__ import annotations

import pytest
from tests.engine.submitting import requests

from prefect_llm.engine.limits.rate_limits import Tokens
from prefect_llm.engine.submission import Backlog, Job, Receiver, Submission
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import BadResponse, Rejected, RequestError, Throttled, Unavailable
from prefect_llm.values.outcome import Completion, DiscardedAnswer, ErrorKind, Usage

BILLED = Completion("part", usage=Usage(10, 0, 5))
THROTTLED = Throttled("HTTP 429", status=429)
TIMED_OUT = Unavailable("no complete answer within 1 s", kind=ErrorKind.TIMEOUT)


class Ends:
    """A reservation that notes how it ended."""

    def __init__(self) -> None:
        self.by: list[str] = []

    def settle(self, completion: Completion, model: str, route: int) -> None:
        self.by.append("settle")

    def release(self) -> None:
        self.by.append("release")

    def forfeit(self) -> None:
        self.by.append("forfeit")


def made(reservation: Ends | None = None) -> Job:
    """A job in its first attempt."""
    (request,) = requests(1)
    job = Job(
        request,
        Submission(Backlog(iter(())), Receiver(lambda *_: None), StopFlag()),
        b"{}",
        Tokens(1, 1),
        queued_since=0.0,
    )
    job.reservation = reservation
    return job


@pytest.mark.parametrize(
    ("error", "ends_by", "lost"),
    [
        (THROTTLED, "release", 0),
        (Rejected("HTTP 400", status=400), "release", 0),
        (TIMED_OUT, "forfeit", 1),
        (BadResponse("no label", kind=ErrorKind.SCHEMA_MISMATCH, completion=BILLED), "settle", 0),
    ],
    ids=["429", "400", "timeout", "billed"],
)
def test_a_failed_attempt_ends_its_reservation_once(error: RequestError, ends_by: str, lost: int) -> None:
    ends = Ends()
    job = made(ends)
    job.fail(error)
    job.forfeit()
    assert (ends.by, job.attempts.lost) == ([ends_by], lost)


def test_a_document_counts_its_own_429s() -> None:
    job, other = made(), made()
    for _ in range(3):
        job.fail(THROTTLED)
    assert (job.attempts.throttled, other.attempts.throttled) == (3, 0)


def test_a_billed_answer_that_is_asked_again_is_kept_with_its_model() -> None:
    job = made()
    job.discard(BILLED)
    job.discard(Completion("no usage"))
    job.discard(None)
    assert BILLED.usage is not None
    assert job.attempts.discarded == [DiscardedAnswer(BILLED.usage, "m")]
