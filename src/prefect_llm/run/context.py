"""What the chunks of one run share in one process: stop flag, progress, deduplication, budget, earlier answers.

Opening a run opens its context; finishing or releasing the run closes it. A worker process that gets single chunks
makes a context at the first one. A context in use by a chunk is never dropped, nor is one that is open and has begun
or stopped.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from prefect_llm.budget.account import BudgetAccount, open_account
from prefect_llm.progress.shared_stop import SharedStop
from prefect_llm.progress.tracker import RunTracker
from prefect_llm.reuse.earlier_runs import EarlierRuns
from prefect_llm.reuse.in_flight import RequestDeduplicator
from prefect_llm.run.in_thread import stopped_with_caller
from prefect_llm.run.plan import RunPlan, read_plan
from prefect_llm.run.reference import RunReference
from prefect_llm.system.folders import open_folder
from prefect_llm.system.stop_flag import StopFlag

IDLE_CONTEXTS = 8
"""Contexts kept for runs that are closed, and for runs that have sent this process a chunk and may send another."""
UNBEGUN_CONTEXTS = 64
"""Contexts kept for open runs that no chunk has begun and nothing has stopped: one made again is as it was."""


class RunContext:
    """One run in this process. Thread-safe; what takes memory or IO is made at first use."""

    def __init__(self, run: RunReference) -> None:
        self.run = run
        self.stop = StopFlag()
        self.tracker = RunTracker(run.pending_rows, run.stop_error_share, self.stop)
        self._plan = _LazyPlan(run)
        self._earlier_runs: EarlierRuns | None = None
        self._deduplicator: RequestDeduplicator | None = None
        self._account: BudgetAccount | None = None
        self._shared_stop: SharedStop | None = None
        self._has_begun = False
        self._lock = threading.RLock()

    def amend(self, run: RunReference) -> None:
        """Take a newer reference to the run, until its first chunk begins. Does no IO."""
        with self._lock:
            if self._has_begun or run is self.run:
                return
            if run.reuse != self.run.reuse:
                self._earlier_runs = None
            if run.budget != self.run.budget:
                self._account = None
            self.run = run

    def begin(self) -> None:
        """A chunk begins: the reference stays as it is from now on."""
        with self._lock:
            self._has_begun = True

    @property
    def is_unbegun(self) -> bool:
        """Whether no chunk has begun and nothing has stopped the run."""
        return not self._has_begun and self.stop.error is None

    def adopt(self, earlier_runs: EarlierRuns) -> None:
        """Take earlier runs whose answers are indexed already."""
        with self._lock:
            self._earlier_runs = earlier_runs

    @property
    def answers_not_taken(self) -> Counter[str]:
        """Answers of earlier runs that this process did not take, by the provider that gave them."""
        earlier = self._earlier_runs
        return Counter() if earlier is None else earlier.not_taken

    @property
    def plan(self) -> RunPlan:
        """What is fixed for the run; `InvalidInput` if its directory no longer holds it."""
        return self._plan.get()

    @property
    def earlier_runs(self) -> EarlierRuns:
        """The answers of the earlier runs that this one reuses."""
        kept = self.plan.spec.kept_of_answers
        with self._lock:
            if self._earlier_runs is None:
                self._earlier_runs = EarlierRuns(self.run.reuse, kept)
            return self._earlier_runs

    @property
    def account(self) -> BudgetAccount | None:
        """The process's share of the run's budget; `None` without a budget."""
        with self._lock:
            if self._account is None and self.run.budget is not None:
                self._account = open_account(self.run.budget, self.run.url, self.run.run_id, self.stop)
            return self._account

    @property
    def deduplicator(self) -> RequestDeduplicator:
        """Asks identical requests of the run once."""
        plan = self.plan
        with self._lock:
            if self._deduplicator is None:
                self._deduplicator = RequestDeduplicator(
                    plan.directory, self.run.rows, self.run.chunk_rows, kept=plan.spec.kept_of_answers
                )
            return self._deduplicator

    @property
    def shared_stop(self) -> SharedStop:
        """Joins `stop` with the run's other processes."""
        with self._lock:
            if self._shared_stop is None:
                run = self.run
                self._shared_stop = SharedStop(open_folder(run.url), run.invocation, run.epoch, self.stop)
            return self._shared_stop

    def close(self) -> None:
        """Drop what takes memory. Stop flag, progress and account can still be read."""
        with self._lock:
            self._deduplicator = self._earlier_runs = None
        self._plan.forget()  # not under `_lock`: a slow store may hold it up


class _LazyPlan:
    """A run's plan, read when first needed."""

    def __init__(self, run: RunReference) -> None:
        self._run = run
        self._plan: RunPlan | None = None
        self._reading = threading.Lock()  # its own: a slow store must hold up no stop

    def get(self) -> RunPlan:
        with self._reading:
            if self._plan is None:
                self._plan = read_plan(self._run.url, self._run.run_id)
            return self._plan

    def forget(self) -> None:
        with self._reading:
            self._plan = None


class _Contexts:
    """The contexts of this process by invocation, the most recently used last."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[str, RunContext] = OrderedDict()
        self._open: set[str] = set()
        self._closing: set[str] = set()
        self._in_use: Counter[str] = Counter()
        self._lock = threading.Lock()

    def get(self, run: RunReference) -> RunContext:
        with self._lock:
            context = self._contexts.get(run.invocation)
            if context is None:
                context = self._contexts[run.invocation] = RunContext(run)
            self._contexts.move_to_end(run.invocation)
            self._drop_idle()
        context.amend(run)
        return context

    def open(self, run: RunReference) -> RunContext:
        with self._lock:
            self._open.add(run.invocation)
        return self.get(run)

    def close(self, run: RunReference) -> None:
        """Now, or when the last chunk in it ends."""
        with self._lock:
            self._open.discard(run.invocation)
            self._closing.add(run.invocation)
        self._close_if_unused(run)

    @contextmanager
    def in_use(self, run: RunReference) -> Iterator[RunContext]:
        with self._lock:  # before `get`, so that others cannot drop it in between
            self._in_use[run.invocation] += 1
        try:
            context = self.get(run)
            context.begin()
            yield context
        finally:
            with self._lock:
                self._in_use[run.invocation] -= 1
                if not self._in_use[run.invocation]:
                    del self._in_use[run.invocation]
            self._close_if_unused(run)

    def _close_if_unused(self, run: RunReference) -> None:
        with self._lock:
            closes = run.invocation in self._closing and not self._in_use[run.invocation]
            context = self._contexts.get(run.invocation) if closes else None
            if closes:
                self._closing.discard(run.invocation)
            self._drop_idle()

        if context is not None:  # not under the lock: closing may wait for a store
            context.close()

    def _drop_idle(self) -> None:
        unused = [name for name in self._contexts if not self._in_use[name]]
        idle = [name for name in unused if name not in self._open]
        unbegun = [name for name in unused if name in self._open and self._contexts[name].is_unbegun]
        for name in (*idle[:-IDLE_CONTEXTS], *unbegun[:-UNBEGUN_CONTEXTS]):
            del self._contexts[name]


_contexts = _Contexts()
"""The one process-wide registry of runs; `IDLE_CONTEXTS` and `UNBEGUN_CONTEXTS` say how long an entry lives."""


def open_context(run: RunReference) -> RunContext:
    """The run's context in this process, open until `close_context`."""
    return _contexts.open(run)


def close_context(run: RunReference) -> None:
    """Close the run's context: the run is over in this process."""
    _contexts.close(run)


def context_of(run: RunReference) -> RunContext:
    """The run's context in this process, made when the process first meets the run."""
    return _contexts.get(run)


@contextmanager
def working_on(run: RunReference) -> Iterator[RunContext]:
    """The run's context while a chunk is worked on. A run that is spread over processes stops in all of them."""
    with (
        _contexts.in_use(run) as context,
        stopped_with_caller(context.stop),
        context.shared_stop.joined() if run.spread else nullcontext(),
    ):
        yield context
