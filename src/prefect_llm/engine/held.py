"""Documents that were refused before their run had an answer: whether they are at fault is not known yet."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.engine.failures.verdicts import Hold
from prefect_llm.engine.submission import Job, Submission
from prefect_llm.system.stop_flag import StopFlag


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """One of them, its refusal, and how long that took."""

    job: Job
    hold: Hold
    latency_s: float


class HeldDocuments:
    """Those of one engine. None of them is in flight."""

    def __init__(self) -> None:
        self._held: list[HeldDocument] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._held)

    @property
    def suspecting(self) -> set[StopFlag]:
        """The runs all of whose requests seem to be at fault."""
        return {each.job.submission.stop for each in self._held if each.hold.suspect}

    @property
    def runs(self) -> set[StopFlag]:
        """Those that have documents here."""
        return {each.job.submission.stop for each in self._held}

    def hold(self, job: Job, hold: Hold, latency_s: float) -> None:
        """Have it wait."""
        self._held.append(HeldDocument(job, hold, latency_s))

    def of(self, run: StopFlag) -> int:
        """How many are of that run."""
        return sum(each.job.submission.stop is run for each in self._held)

    def take_run(self, run: StopFlag) -> list[HeldDocument]:
        """Take out all of a run: it has an answer, or nothing else left to ask."""
        taken = [each for each in self._held if each.job.submission.stop is run]
        self._held = [each for each in self._held if each.job.submission.stop is not run]
        return taken

    def drop(self, submission: Submission) -> int:
        """Forget those of a submission that was given up, and return how many: they stay pending."""
        before = len(self._held)
        self._held = [each for each in self._held if each.job.submission is not submission]
        return before - len(self._held)
