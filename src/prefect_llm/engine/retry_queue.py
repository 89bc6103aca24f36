"""Jobs that wait for their next attempt, in the order in which they are due."""

from __future__ import annotations

import heapq
import itertools

from prefect_llm.engine.submission import Job, Submission


class RetryQueue:
    """A heap by the instant at which each job is due; of two for one instant the first pushed comes first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Job]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._heap)

    @property
    def next_due(self) -> float | None:
        """When the first is due; `None` if none waits."""
        return self._heap[0][0] if self._heap else None

    def push(self, job: Job, due: float) -> None:
        """Have it wait until then."""
        heapq.heappush(self._heap, (due, next(self._order), job))

    def pop(self) -> Job:
        """Take out the first, due or not."""
        return heapq.heappop(self._heap)[2]

    def submissions(self) -> list[Submission]:
        """That of each job, in no order."""
        return [job.submission for _, _, job in self._heap]

    def remove(self, submission: Submission) -> list[Job]:
        """Take out all jobs of a submission."""
        removed = [job for _, _, job in self._heap if job.submission is submission]
        if removed:
            self._heap = [entry for entry in self._heap if entry[2].submission is not submission]
            heapq.heapify(self._heap)
        return removed
