"""One action at an interval: until it is closed, whatever the action raises."""

from __future__ import annotations

import logging
import threading

import pytest

from prefect_llm.system.periodic import Periodic

AT_ONCE_S = 0.001
NEVER_S = 3600.0
DEADLINE_S = 10.0


class Calls:
    """Counts calls; each returns or raises the next of `ends`, `None` after the last."""

    def __init__(self, *ends: bool | Exception | None) -> None:
        self.made = threading.Semaphore(0)
        self.threads: set[str] = set()
        self._ends = list(ends)

    def __call__(self) -> bool | None:
        self.threads.add(threading.current_thread().name)
        self.made.release()
        end = self._ends.pop(0) if self._ends else None
        if isinstance(end, Exception):
            raise end
        return end

    def wait_for(self, count: int) -> bool:
        """Whether so many more calls came in time."""
        return all(self.made.acquire(timeout=DEADLINE_S) for _ in range(count))


def running(name: str) -> bool:
    """Whether a thread of that name runs."""
    return name in {thread.name for thread in threading.enumerate()}


def test_it_is_done_again_and_again_on_a_thread_of_its_own_until_the_end() -> None:
    calls = Calls()
    with Periodic("test-steady", AT_ONCE_S, calls):
        assert calls.wait_for(3)
        assert calls.threads == {"test-steady"}
    assert not running("test-steady")


def test_nothing_is_done_before_the_first_interval_is_over_nor_at_the_end() -> None:
    calls = Calls()
    with Periodic("test-idle", NEVER_S, calls):
        pass
    assert not calls.made.acquire(blocking=False)


def test_who_is_woken_does_it_at_once_and_then_waits_again() -> None:
    calls = Calls()
    with Periodic("test-woken", NEVER_S, calls) as periodic:
        for _ in range(2):
            periodic.wake()
            assert calls.wait_for(1)


def test_a_call_that_returns_false_is_the_last() -> None:
    calls = Calls(None, True, False)
    periodic = Periodic("test-last", AT_ONCE_S, calls)
    periodic.start()
    assert calls.wait_for(3)
    periodic._thread.join(DEADLINE_S)
    assert not running("test-last")
    periodic.close()
    assert not calls.made.acquire(blocking=False)


def test_what_a_call_raises_is_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    calls = Calls(OSError("the disk is gone"))
    with caplog.at_level(logging.ERROR), Periodic("test-faulty", AT_ONCE_S, calls):
        assert calls.wait_for(2)
    assert "test-faulty failed" in caplog.text
    assert "the disk is gone" in caplog.text


def test_it_may_be_closed_by_its_own_call() -> None:
    calls = Calls()

    def close() -> None:
        periodic.close()
        calls()

    periodic = Periodic("test-own-end", AT_ONCE_S, close)
    periodic.start()
    assert calls.wait_for(1)
    periodic._thread.join(DEADLINE_S)
    assert not running("test-own-end")
    assert not calls.made.acquire(blocking=False)


def test_the_end_waits_for_the_call_that_runs() -> None:
    began, goes_on, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        goes_on.wait(DEADLINE_S)
        ended.set()

    periodic = Periodic("test-slow", AT_ONCE_S, slow)
    periodic.start()
    assert began.wait(DEADLINE_S)
    releasing = threading.Timer(0.05, goes_on.set)
    releasing.start()
    periodic.close()
    assert ended.is_set()


def test_it_may_be_closed_before_it_was_started() -> None:
    Periodic("test-unstarted", AT_ONCE_S, Calls()).close()
