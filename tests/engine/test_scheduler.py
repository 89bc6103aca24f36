"""Which request leaves next, on a clock that the tests turn; the engine only carries it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.engine.asking import requests

from prefect_llm.engine.breaker import Breaker
from prefect_llm.engine.scheduler import WAITING_ALWAYS_ALLOWED, Scheduler
from prefect_llm.engine.stop import Stop
from prefect_llm.engine.submission import Job, Submission
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


def written(request: Request) -> bytes:
    """A body of 40 bytes."""
    return b"x" * 40


def unbroken() -> Breaker:
    """A breaker that is closed."""
    return Breaker(lambda _: 1.0)


def scheduler(concurrency: int = 2, *submissions: Submission, **limits: Any) -> Scheduler:
    """A scheduler with these chunks queued."""
    made = Scheduler(Limits(concurrency, **limits), written, unbroken())
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


def test_a_draining_chunk_is_done_after_the_one_behind_it_if_it_takes_longer() -> None:
    slow, quick = submission(1), submission(1, first=10)
    made = scheduler(4, slow, quick)
    first, second = departing(made)
    end(made, second)
    assert quick.done.done()
    assert not slow.done.done()
    end(made, first)
    assert slow.done.done()


def test_a_few_documents_may_wait_for_a_retry_without_stalling_all_others() -> None:
    made = scheduler(1, submission(100))
    for _ in range(WAITING_ALWAYS_ALLOWED):
        (job,) = departing(made)
        made.land(job)
        made.again(job, now=0.0, delay_s=60.0)
    assert departing(made) == []
    assert made.next(0.0) == 60.0


def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    sizes = {"doc-0": 400, "doc-1": 40_000}

    def written_at_length(request: Request) -> bytes:
        return b"x" * sizes.get(request.document_id, 400)

    made = Scheduler(Limits(10, tokens_per_minute=60_000), written_at_length, unbroken())
    made.add(submission(5))
    left: list[tuple[str, float]] = []
    now = 0.0
    while len(left) < 5:
        if isinstance(job := made.next(now), Job):
            left.append((job.request.document_id, now))
        else:
            assert job is not None
            now = job
    assert [name for name, _ in left] == ["doc-0", "doc-1", "doc-2", "doc-3", "doc-4"]
    assert left[1][1] < 1.0
    assert left[2][1] >= 10.0  # 10,256 tokens at 1,000 a second, paid for before the next one leaves


def test_a_document_whose_quota_comes_late_counts_the_wait_as_queued() -> None:
    made = scheduler(10, submission(2), requests_per_minute=60)
    departing(made)
    (job,) = departing(made, now=1.5)
    assert job.queued_s == 1.5


def test_a_dropped_document_that_waits_for_the_quota_lets_the_next_chunk_leave() -> None:
    chunk, other = submission(50), submission(2, first=100)
    made = scheduler(10, chunk, other, requests_per_minute=60)
    (job,) = departing(made)
    assert made.next(0.5) == 1.0
    made.drop(chunk)
    end(made, job)
    assert chunk.done.done()
    assert names(departing(made, now=1.0)) == ["doc-100"]


def test_a_broken_iterator_ends_its_chunk_with_its_fault_when_the_last_job_has_landed() -> None:
    def broken() -> Iterator[Request]:
        yield from requests(2)
        raise LookupError("no more documents")

    chunk = Submission(broken(), lambda *_: None, Stop())
    made = scheduler(10, chunk, submission(1, first=10))
    jobs = departing(made)
    assert names(jobs) == ["doc-0", "doc-1", "doc-10"]
    end(made, jobs[0])
    assert not chunk.done.done()
    end(made, jobs[1])
    assert isinstance(chunk.done.exception(timeout=0), LookupError)


def test_a_request_that_cannot_be_written_ends_its_chunk_and_no_other() -> None:
    def unwritable(request: Request) -> bytes:
        if request.document_id == "doc-1":
            raise TypeError("not JSON")
        return b""

    chunk, other = submission(5), submission(1, first=10)
    made = Scheduler(Limits(10), unwritable, unbroken())
    made.add(chunk)
    made.add(other)
    first, second = departing(made)
    assert names([first, second]) == ["doc-0", "doc-10"]
    end(made, first)
    assert isinstance(chunk.done.exception(timeout=0), TypeError)


def test_more_places_may_be_used_at_once_and_fewer_as_they_come_free() -> None:
    made = scheduler(4, submission(20))
    jobs = departing(made)
    made.concurrency = 6
    assert len(departing(made)) == 2
    made.concurrency = 3
    end(made, jobs[0])
    end(made, jobs[1])
    assert departing(made) == []
    end(made, jobs[2])
    end(made, jobs[3])
    assert len(departing(made)) == 1
