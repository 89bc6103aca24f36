"""Which request leaves next, on a clock that the tests turn; the engine only carries it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.submitting import requests, slot_of

from prefect_llm.engine.failures.breaker import Breaker, BreakerState
from prefect_llm.engine.failures.recent_failures import OUTAGE_DOCUMENTS
from prefect_llm.engine.scheduler import WAITING_ALWAYS_ALLOWED, Scheduler
from prefect_llm.engine.submission import Backlog, Job, Receiver, Submission
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Interrupted, Unavailable
from prefect_llm.values.provider import Limits
from prefect_llm.values.request import Request


def submission(count: int, first: int = 0, drawn: list[str] | None = None) -> Submission:
    """A chunk of `count` documents; `drawn` collects those that were taken out of it."""

    def watched() -> Iterator[Request]:
        for request in requests(count, first=first):
            if drawn is not None:
                drawn.append(request.document_id)
            yield request

    return Submission(Backlog(watched()), Receiver(lambda *_: None), StopFlag())


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
    """Every job that may leave at that instant; each is one more attempt at its document."""
    jobs = []
    while isinstance(job := made.next(now), Job):
        job.attempts.sent += 1
        jobs.append(job)
    return jobs


def names(jobs: list[Job]) -> list[str]:
    """Their documents."""
    return [job.request.document_id for job in jobs]


def end(made: Scheduler, job: Job) -> None:
    """The job was answered."""
    made.release_slot(job)
    job.submission.jobs_done()


def wait_for_retry(made: Scheduler, jobs: list[Job], now: float = 0.0) -> None:
    """They have failed, and are to be asked again in a second."""
    for job in jobs:
        made.release_slot(job)
        made.schedule_retry(job, now, delay_s=1.0)


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


def test_the_next_chunk_fills_the_slots_that_a_draining_one_leaves() -> None:
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
    made.release_slot(job)
    made.schedule_retry(job, now=0.0, delay_s=3.0)
    (other,) = departing(made, now=1.0)
    assert other.request.document_id == "doc-1"
    end(made, other)
    assert names(departing(made, now=3.0)) == ["doc-0"]


def test_waiting_for_a_retry_holds_no_place_and_counts_as_queued() -> None:
    made = scheduler(1, submission(1))
    (job,) = departing(made)
    made.release_slot(job)
    made.schedule_retry(job, now=1.0, delay_s=4.0)
    assert made.in_flight == 0
    assert made.next(2.0) == 5.0
    (same,) = departing(made, now=6.0)
    assert same.attempts.queued_s == 5.0


def test_while_too_many_wait_for_a_retry_no_new_document_is_drawn() -> None:
    drawn: list[str] = []
    made = scheduler(10, submission(100, drawn=drawn))
    for job in departing(made):
        made.release_slot(job)
        made.schedule_retry(job, now=0.0, delay_s=60.0)
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
    assert made.next(0.5) == pytest.approx(1.02)
    assert names(departing(made, now=1.02)) == ["doc-1"]


def test_a_dropped_chunk_leaves_nothing_behind() -> None:
    chunk, other = submission(50), submission(2, first=100)
    chunk.stop.set(Interrupted("enough"))
    made = scheduler(1, chunk, other)
    (job,) = departing(made)
    made.release_slot(job)
    made.schedule_retry(job, now=0.0, delay_s=5.0)
    made.remove(chunk)
    assert chunk.done.exception(timeout=0) is chunk.stop.error
    assert names(departing(made, now=9.0)) == ["doc-100"]


def test_a_chunk_dropped_with_requests_in_flight_is_done_when_they_have_landed() -> None:
    chunk = submission(50)
    chunk.stop.set(Interrupted("enough"))
    made = scheduler(2, chunk)
    one, other = departing(made)
    made.remove(chunk)
    end(made, one)
    assert not chunk.done.done()
    end(made, other)
    assert chunk.done.done()
    assert made.idle


def test_landing_twice_gives_back_one_place() -> None:
    made = scheduler(2, submission(5))
    one, _ = departing(made)
    made.release_slot(one)
    made.release_slot(one)
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
        made.release_slot(job)
        made.schedule_retry(job, now=0.0, delay_s=60.0)
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
    assert job.attempts.queued_s == 1.5


def test_a_dropped_document_that_waits_for_the_quota_lets_the_next_chunk_leave() -> None:
    chunk, other = submission(50), submission(2, first=100)
    made = scheduler(10, chunk, other, requests_per_minute=60)
    (job,) = departing(made)
    assert made.next(0.5) == pytest.approx(1.02)
    made.remove(chunk)
    end(made, job)
    assert chunk.done.done()
    assert names(departing(made, now=1.02)) == ["doc-100"]


def test_a_broken_iterator_ends_its_chunk_with_its_fault_when_the_last_job_has_landed() -> None:
    def broken() -> Iterator[Request]:
        yield from requests(2)
        raise LookupError("no more documents")

    chunk = Submission(Backlog(broken()), Receiver(lambda *_: None), StopFlag())
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


def test_more_slots_may_be_used_at_once_and_fewer_as_they_come_free() -> None:
    made = scheduler(4, submission(20))
    jobs = departing(made)
    made.set_concurrency(6)
    assert len(departing(made)) == 2
    made.set_concurrency(3)
    end(made, jobs[0])
    end(made, jobs[1])
    assert departing(made) == []
    end(made, jobs[2])
    end(made, jobs[3])
    assert len(departing(made)) == 1


def broken(made: Scheduler, breaker: Breaker, now: float) -> list[Job]:
    """All that may leave does, and fails: the breaker is open. Each waits for a second to be asked again."""
    jobs = departing(made, now)
    for job in jobs:
        breaker.failed(now, job.left_at, job.request.document_id, Unavailable("down", unreachable=True))
    wait_for_retry(made, jobs, now)
    return jobs


def answered(made: Scheduler, breaker: Breaker, job: Job, now: float) -> None:
    """The job was answered well."""
    breaker.succeeded(now, job.left_at, made.in_flight)
    end(made, job)


def breaking(concurrency: int, documents: int = 1000) -> tuple[Scheduler, Breaker]:
    """A scheduler with a breaker that stays open for ten seconds."""
    breaker = Breaker(lambda _: 10.0)
    made = Scheduler(Limits(concurrency), written, breaker)
    made.add(submission(documents))
    return made, breaker


def test_nothing_leaves_while_the_breaker_is_open_and_then_one_alone() -> None:
    made, breaker = breaking(4)
    broken(made, breaker, now=0.0)
    assert made.next(9.9) == 10.0
    (probe,) = departing(made, now=10.0)
    assert slot_of(probe).is_probe
    assert made.next(10.0) is None


def test_a_probe_is_a_new_document_if_there_is_one() -> None:
    made, breaker = breaking(4)
    broken(made, breaker, now=0.0)
    assert names(departing(made, now=10.0)) == ["doc-4"]


def test_a_probe_is_a_document_that_waits_for_its_retry_where_no_new_one_is_left() -> None:
    made, breaker = breaking(4, documents=4)
    broken(made, breaker, now=0.0)
    assert names(departing(made, now=10.0)) == ["doc-0"]


def test_a_probe_given_up_lets_another_leave() -> None:
    made, breaker = breaking(4)
    broken(made, breaker, now=0.0)
    (probe,) = departing(made, now=10.0)
    made.release_slot(probe)
    (other,) = departing(made, now=10.0)
    assert slot_of(other).is_probe


def test_the_slots_of_a_provider_that_recovers_double_with_its_answers() -> None:
    made, breaker = breaking(100)
    broken(made, breaker, now=0.0)
    jobs, left = departing(made, now=10.0), []
    for now in range(11, 17):
        for job in jobs:
            answered(made, breaker, job, float(now))
        jobs = departing(made, float(now))
        left.append(len(jobs))
    assert left == [8, 16, 32, 64, 100, 100]


@pytest.mark.parametrize(("concurrency", "most"), [(10, 5), (3, 1), (2, 1), (1, 1)])
def test_retries_take_at_most_half_of_the_slots_while_new_documents_can_leave(concurrency: int, most: int) -> None:
    made = scheduler(concurrency, submission(1000))
    wait_for_retry(made, departing(made))
    leaving = departing(made, now=2.0)
    assert len(leaving) == concurrency
    assert sum(slot_of(job).is_retry for job in leaving) == most


def test_retries_take_all_slots_where_no_new_document_is_left() -> None:
    made = scheduler(10, submission(10))
    wait_for_retry(made, departing(made))
    assert [slot_of(job).is_retry for job in departing(made, now=2.0)] == [True] * 10


def test_a_retry_that_has_landed_makes_room_for_the_next() -> None:
    made = scheduler(4, submission(1000))
    wait_for_retry(made, departing(made))
    first = [job for job in departing(made, now=2.0) if slot_of(job).is_retry]
    for job in first:
        end(made, job)
    assert [slot_of(job).is_retry for job in departing(made, now=2.0)] == [True] * 2


def test_retries_take_at_most_half_of_what_a_recovering_provider_is_asked() -> None:
    made, breaker = breaking(100)
    broken(made, breaker, now=0.0)
    (probe,) = departing(made, now=10.0)
    answered(made, breaker, probe, now=11.0)
    assert sum(slot_of(job).is_retry for job in departing(made, now=11.0)) == 4


@pytest.mark.parametrize("concurrency", [1, 2, 3, 16])
def test_an_outage_is_known_as_one_before_a_document_has_spent_two_attempts(concurrency: int) -> None:
    breaker = Breaker(lambda _: 10.0)
    made, now = Scheduler(Limits(concurrency), written, breaker), 0.0
    made.add(submission(1000))
    asked: dict[str, int] = {}
    while breaker.state is BreakerState.CLOSED:
        jobs = departing(made, now)
        for job in jobs:
            asked[job.request.document_id] = job.attempts.sent
            breaker.failed(now, job.left_at, job.request.document_id, Unavailable("down"))
        wait_for_retry(made, jobs, now)
        if not jobs:
            now += 1.0
        assert max(asked.values()) == 1, "these documents pay for the outage"


def test_while_nothing_succeeds_new_documents_go_before_retries_so_that_an_outage_is_soon_known() -> None:
    breaker = Breaker(lambda _: 10.0)
    made = Scheduler(Limits(1), written, breaker)
    made.add(submission(1000))
    for document in range(OUTAGE_DOCUMENTS):
        (job,) = departing(made, now=document * 120.0)
        breaker.failed(document * 120.0 + 120.0, job.left_at, job.request.document_id, Unavailable("hangs"))
        wait_for_retry(made, [job], document * 120.0)
    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize(("share", "slots"), [(1.0, 10), (0.5, 5), (0.25, 2), (0.01, 1), (0.0, 0)])
def test_a_share_of_the_limits_is_a_share_of_the_slots(share: float, slots: int) -> None:
    made = scheduler(10, submission(100))
    made.share = share
    assert len(departing(made)) == slots


def test_who_has_no_share_sends_nothing_until_it_has_one() -> None:
    made = scheduler(4, submission(100))
    jobs = departing(made)
    made.share = 0.0
    for job in jobs:
        end(made, job)
    assert made.next(1.0) is None
    assert not made.idle
    made.share = 0.5
    assert len(departing(made, now=1.0)) == 2


def test_a_share_is_of_the_limit_and_not_of_what_the_controller_has_found() -> None:
    made = Scheduler(Limits(max_concurrency=100), written, unbroken())
    made.add(submission(1000))
    made.set_concurrency(30)
    made.share = 0.5
    assert made.slots == 30
    made.share = 0.2
    assert made.slots == 20
