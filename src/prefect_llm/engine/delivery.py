"""What becomes of a document once that is decided: delivered, sent again, held, handed over, or its run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

from prefect_llm.engine.failures.policy import ResponsePolicy
from prefect_llm.engine.failures.verdicts import Decision, Fail, Hold, StopRun, Verdict
from prefect_llm.engine.held import HeldDocuments
from prefect_llm.engine.scheduler import Scheduler
from prefect_llm.engine.submission import FallbackReason, Job, Submission
from prefect_llm.values.errors import ModelNotFound, RequestRefused
from prefect_llm.values.outcome import Completion, Outcome

OWN_CHOICE = (ModelNotFound, RequestRefused)
"""What one run asked for and others at the same provider may not have."""


class Delivery:
    """Carries out verdicts. `submissions` are those of the engine now, and `stop` ends one of them."""

    def __init__(
        self,
        scheduler: Scheduler,
        policy: ResponsePolicy,
        submissions: set[Submission],
        stop: Callable[[Submission], None],
        clock: Callable[[], float],
    ) -> None:
        self._scheduler = scheduler
        self._policy = policy
        self._submissions = submissions
        self._stop = stop
        self._clock = clock
        self.held = HeldDocuments()
        self._models_gone: set[str] = set()

    def forget_models_gone(self) -> None:
        """Ask for them again: nothing has been asked for a while."""
        self._models_gone.clear()

    def is_gone(self, job: Job) -> bool:
        """Whether the model that it asks for is known to be gone."""
        return job.request.parameters.model in self._models_gone

    def carry_out(self, job: Job, decision: Decision, latency_s: float, completion: Completion | None = None) -> None:
        """Do to the job, and to all others, what was decided. `completion` came with the failure, and was billed."""
        self._scheduler.apply(decision.effects)
        self._carry_out_verdict(job, decision.verdict, latency_s, completion)

    def _carry_out_verdict(self, job: Job, verdict: Verdict, latency_s: float, completion: Completion | None) -> None:
        if isinstance(verdict, StopRun):
            self._stop_for(job, verdict)
        elif isinstance(verdict, Hold):
            self._hold(job, verdict, latency_s)
        elif isinstance(verdict, Fail):
            if verdict.completion is None:
                job.discard(completion)  # its deadline passed: the answer was billed all the same
            if verdict.why is None or not self.hand_over(job, verdict.why):
                self.deliver(job, verdict, latency_s)
        else:
            job.discard(completion)
            self.retry(job, verdict.delay_s)

    def retry(self, job: Job, delay_s: float) -> None:
        """Send it again after a pause, if its run goes on."""
        if job.submission.stop.error is not None:
            job.submission.jobs_done()  # pending: the run ends before its next attempt
        else:
            self._scheduler.schedule_retry(job, self._clock(), delay_s)

    def hand_over(self, job: Job, why: FallbackReason) -> bool:
        """Hand it to the fallback, if one accepts it: it is then done here."""
        fallback = job.submission.route.fallback
        if fallback is None or not job.submission.has_fallback(why):
            return False
        fallback.accept(job, why)
        job.submission.jobs_done()
        return True

    def deliver(self, job: Job, end: Completion | Fail, latency_s: float | None) -> None:
        """Tell its submission how the document ended."""
        attempts = job.attempts
        outcome = Outcome(
            completion=end.completion if isinstance(end, Fail) else end,
            failure=end.failure if isinstance(end, Fail) else None,
            attempts=attempts.sent,
            throttled=attempts.throttled,
            latency_ms=None if latency_s is None else latency_s * 1e3,
            queued_ms=attempts.queued_s * 1e3,
            started_at_us=attempts.started_at_us,
            finished_at_us=now_us(),
            discarded=tuple(attempts.discarded),
            route=job.submission.route.number,
            lost=attempts.lost,
            endpoint_s=attempts.endpoint_s,
        )

        job.submission.receiver.deliver(job.request, outcome)
        job.submission.jobs_done()

    def end_held(self) -> None:
        """Held documents fail once their run has an answer, or nothing else to ask."""
        for run in self.held.runs:
            ours = [each for each in self._submissions if each.stop is run]
            backlogs = [each.backlog for each in ours]
            asks_more = any(not (each.exhausted or each.open) for each in backlogs)
            left = asks_more or sum(each.unfinished for each in backlogs) > self.held.of(run)
            if not left or any(map(self._policy.has_answer, ours)):
                for held in self.held.take_run(run):
                    self.deliver(held.job, held.hold.fail, held.latency_s)

    def _hold(self, job: Job, hold: Hold, latency_s: float) -> None:
        if job.submission.stop.error is None:
            self.held.hold(job, hold, latency_s)
        else:
            job.submission.jobs_done()  # pending: the run ends before it is known whose fault it was

    def _stop_for(self, job: Job, verdict: StopRun) -> None:
        """Stop the runs concerned; what a fallback may answer goes there, held documents too."""
        if verdict.why is FallbackReason.MODEL_GONE:
            self._models_gone.add(job.request.parameters.model)
        self._stop_runs(verdict, job.submission)

        held = [each.job for each in self.held.take_run(job.submission.stop)]
        for each in (job, *held):
            if verdict.why is None or not self.hand_over(each, verdict.why):
                each.submission.jobs_done()  # pending: it was not its fault

    def _stop_runs(self, verdict: StopRun, asked: Submission) -> None:
        """Stop every run at this provider, or the one that chose what is refused; not those with a fallback.

        Of the run that asked, the submission at fault tells: its fallback may be another one of the run's here.
        """
        for submission in list(self._submissions):
            own = submission.stop is asked.stop
            concerned = own or not isinstance(verdict.error, OWN_CHOICE)
            telling = asked if own else submission
            if concerned and not (verdict.why is not None and telling.has_fallback(verdict.why)):
                submission.stop.set(verdict.error)
                self._stop(submission)


def now_us() -> int:
    """Microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000
