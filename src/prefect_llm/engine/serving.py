"""The jobs that an engine is at, each on a task of its own, from when it leaves until it is done or waits again."""

from __future__ import annotations

import asyncio

from prefect_llm.engine.submission import Job, Submission
from prefect_llm.system.stop_flag import StopFlag


class Serving(dict[asyncio.Task[None], Job]):
    """By task; a task whose job is done goes on with the next."""

    def is_under_way(self, run: StopFlag, but: Job | None = None) -> bool:
        """Whether requests of the run are in flight, other than that one."""
        in_flight = (job for job in self.values() if job.slot is not None and job is not but)
        return any(job.submission.stop is run for job in in_flight)

    def cancel(self, submission: Submission) -> None:
        """Cancel its requests in flight; not the task that calls this, which is done with its job."""
        for task, job in self.items():
            if job.submission is submission and task is not asyncio.current_task(task.get_loop()):
                task.cancel()
