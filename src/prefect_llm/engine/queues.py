"""What waits to leave one provider: chunks in the order in which they came, and jobs that wait for a retry."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from prefect_llm.engine.retry_queue import RetryQueue
from prefect_llm.engine.submission import Job, Submission
from prefect_llm.values.request import Request


class Queues:
    """The submissions to draw from, those that are parked as they cannot pay for their next job, and the retries.

    `make_job` makes the job of a request that is drawn.
    """

    def __init__(self, make_job: Callable[[Request, Submission, float], Job]) -> None:
        self.retries = RetryQueue()
        self._make_job = make_job
        self._submissions: deque[Submission] = deque()
        self._parked: list[Submission] = []

    @property
    def empty(self) -> bool:
        """Whether nothing waits here."""
        return not (self._submissions or self.retries or self._parked)

    @property
    def can_leave(self) -> bool:
        """Whether something waits that has not to wait for money."""
        return bool(self._submissions) or bool(self.retries)

    def add(self, submission: Submission) -> None:
        """Queue a chunk's requests behind those of the chunks before it."""
        if submission not in self._submissions:
            self._submissions.append(submission)

    def draw(self, now: float, most_retries: int) -> Job | None:
        """The next document's job; `None` while that many documents wait for a retry."""
        while self._submissions and len(self.retries) < most_retries:
            submission = self._submissions[0]
            if (job := submission.draw(self._make_job, now)) is not None:
                return job
            self._submissions.popleft()
            submission.jobs_done(0)
        return None

    def park(self, job: Job) -> None:
        """Draw no more from its submission, which begins with this job again."""
        submission = job.submission
        submission.put_back(job)
        if submission in self._submissions:
            self._submissions.remove(submission)
        if submission not in self._parked:
            self._parked.append(submission)

    def unpark(self) -> None:
        """Let submissions that wait for money go on, before all others."""
        self._submissions.extendleft(reversed([each for each in self._parked if each not in self._submissions]))
        self._parked.clear()

    def take_out(self, submission: Submission) -> list[Job]:
        """Its jobs that wait for a retry. It is no longer drawn from."""
        if submission in self._submissions:
            self._submissions.remove(submission)
        if submission in self._parked:
            self._parked.remove(submission)
        return self.retries.remove(submission)

    def submissions(self) -> list[Submission]:
        """Those that are drawn from, then those with retries; each once."""
        return list(dict.fromkeys([*self._submissions, *self.retries.submissions()]))
