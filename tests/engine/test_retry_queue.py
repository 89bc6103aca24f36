"""Jobs that wait for their next attempt: first due, first out; a submission's are taken out together."""

from __future__ import annotations

from tests.engine.submitting import requests

from prefect_llm.engine.limits.rate_limits import Tokens
from prefect_llm.engine.retry_queue import RetryQueue
from prefect_llm.engine.submission import Backlog, Job, Receiver, Submission
from prefect_llm.system.stop_flag import StopFlag


def chunk() -> Submission:
    """An empty one."""
    return Submission(Backlog(iter(())), Receiver(lambda *_: None), StopFlag())


def jobs_of(submission: Submission, count: int) -> list[Job]:
    """Jobs of it."""
    return [Job(each, submission, b"{}", Tokens(1, 1), queued_since=0.0) for each in requests(count)]


def test_the_first_that_is_due_comes_first_and_of_two_the_one_that_came_first() -> None:
    queue, (early, late, beside) = RetryQueue(), jobs_of(chunk(), 3)
    queue.push(late, 2.0)
    queue.push(early, 1.0)
    queue.push(beside, 2.0)
    assert (queue.next_due, len(queue)) == (1.0, 3)
    assert [queue.pop() for _ in range(3)] == [early, late, beside]
    assert queue.next_due is None


def test_the_jobs_of_one_submission_are_taken_out_and_the_others_keep_their_order() -> None:
    queue, one, other = RetryQueue(), chunk(), chunk()
    removed, kept = jobs_of(one, 5), jobs_of(other, 5)
    for due, (first, second) in enumerate(zip(removed, kept, strict=True)):
        queue.push(first, 5.0 - due)
        queue.push(second, 5.0 - due)
    assert set(map(id, queue.remove(one))) == set(map(id, removed))
    assert queue.submissions() == [other] * 5
    assert [queue.pop() for _ in range(5)] == kept[::-1]
