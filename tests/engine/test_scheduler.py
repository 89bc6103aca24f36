"""Which request leaves next, on a clock that the tests turn; the engine only carries it out."""

from __future__ import annotations

from collections.abc import Iterator

from tests.engine.asking import requests

from prefect_llm.engine.scheduler import Job, Scheduler, Submission
from prefect_llm.engine.stop import Stop
from prefect_llm.errors import Interrupted
from prefect_llm.records import Limits, Request


def submission(count: int, first: int = 0, drawn: list[str] | None = None) -> Submission:
    """A chunk of `count` documents; `drawn` collects those that were taken out of it."""

    def watched() -> Iterator[Request]:
        for request in requests(count, first=first):
            if drawn is not None:
                drawn.append(request.document_id)
            yield request

    return Submission(watched(), lambda *_: None, Stop())


def scheduler(concurrency: int = 2, *submissions: Submission, **limits: int) -> Scheduler:
    """A scheduler with these chunks queued."""
    made = Scheduler(Limits(concurrency, **limits), lambda request: b"x" * 40)
    for each in submissions:
        made.add(each)
    return made


def departing(made: Scheduler, now: float = 0.0) -> list[Job]:
    """Every job that may leave at that instant."""
    jobs = []
    while isinstance(job := made.next(now), Job):
        jobs.append(job)
    return jobs


def names(jobs: list[Job]) -> list[str]:
    """Their documents."""
    return [job.request.document_id for job in jobs]


def end(made: Scheduler, job: Job) -> None:
    """The job was answered."""
    made.land(job)
    job.submission.ended()


def test_no_more_leave_than_may_be_in_flight() -> None:
    made = scheduler(2, submission(5))
    first = departing(made)
    assert names(first) == ["doc-0", "doc-1"]
    end(made, first[0])
    assert names(departing(made)) == ["doc-2"]


def test_documents_are_drawn_only_when_they_can_leave() -> None:
    drawn: list[str] = []
    departing(scheduler(2, submission(1_000_000, drawn=drawn)))
    assert len(drawn) == 2


def test_the_next_chunk_fills_the_places_that_a_draining_one_leaves() -> None:
    assert names(departing(scheduler(4, submission(3), submission(3, first=10)))) == [
        "doc-0",
        "doc-1",
        "doc-2",
        "doc-10",
    ]


def test_a_chunk_is_done_when_its_last_job_has_ended() -> None:
    chunk = submission(2)
    made = scheduler(4, chunk)
    one, other = departing(made)
    end(made, one)
    assert not chunk.done.done()
    end(made, other)
    assert chunk.done.result(timeout=0) is None


def test_an_empty_chunk_is_done_at_once() -> None:
    chunk = submission(0)
    assert departing(scheduler(4, chunk)) == []
    assert chunk.done.result(timeout=0) is None


def test_a_retry_that_is_due_goes_before_new_documents() -> None:
    made = scheduler(1, submission(5))
    (job,) = departing(made)
    made.land(job)
    made.again(job, now=0.0, delay_s=3.0)
    (other,) = departing(made, now=1.0)
    assert other.request.document_id == "doc-1"
    end(made, other)
    assert names(departing(made, now=3.0)) == ["doc-0"]


def test_waiting_for_a_retry_holds_no_place_and_counts_as_queued() -> None:
    made = scheduler(1, submission(1))
    (job,) = departing(made)
    made.land(job)
    made.again(job, now=1.0, delay_s=4.0)
    assert made.in_flight == 0
    assert made.next(2.0) == 5.0
    (same,) = departing(made, now=6.0)
    assert same.queued_s == 5.0


def test_while_too_many_wait_for_a_retry_no_new_document_is_drawn() -> None:
    drawn: list[str] = []
    made = scheduler(10, submission(100, drawn=drawn))
    for job in departing(made):
        made.land(job)
        made.again(job, now=0.0, delay_s=60.0)
    assert departing(made, now=1.0) == []
    assert made.next(1.0) == 60.0
    assert len(drawn) == 10


def test_a_cooldown_holds_everyone_until_its_end() -> None:
    made = scheduler(2, submission(5))
    made.cool_down(10.0)
    made.cool_down(4.0)
    assert made.next(9.9) == 10.0
    assert len(departing(made, now=10.0)) == 2


def test_the_quota_lets_the_first_in_line_leave_first() -> None:
    made = scheduler(10, submission(3), requests_per_minute=60)
    assert names(departing(made, now=0.0)) == ["doc-0"]
    assert made.next(0.5) == 1.0
    assert names(departing(made, now=1.0)) == ["doc-1"]


def test_a_dropped_chunk_leaves_nothing_behind() -> None:
    chunk, other = submission(50), submission(2, first=100)
    chunk.stop.set(Interrupted("enough"))
    made = scheduler(1, chunk, other)
    (job,) = departing(made)
    made.land(job)
    made.again(job, now=0.0, delay_s=5.0)
    made.drop(chunk)
    assert chunk.done.exception(timeout=0) is chunk.stop.error
    assert names(departing(made, now=9.0)) == ["doc-100"]


def test_a_chunk_dropped_with_requests_in_flight_is_done_when_they_have_landed() -> None:
    chunk = submission(50)
    chunk.stop.set(Interrupted("enough"))
    made = scheduler(2, chunk)
    one, other = departing(made)
    made.drop(chunk)
    end(made, one)
    assert not chunk.done.done()
    end(made, other)
    assert chunk.done.done()
    assert made.idle


def test_landing_twice_gives_back_one_place() -> None:
    made = scheduler(2, submission(5))
    one, _ = departing(made)
    made.land(one)
    made.land(one)
    assert made.in_flight == 1
