"""A stop flag: the first error wins, everyone who asked is told once, and asking late is not too late."""

from __future__ import annotations

import threading

from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import AuthenticationFailed, Interrupted

FIRST, SECOND = Interrupted("first"), AuthenticationFailed("second")


def test_the_first_error_stays() -> None:
    stop = StopFlag()
    assert stop.error is None
    stop.set(FIRST)
    stop.set(SECOND)
    assert stop.error is FIRST


def test_every_listener_is_told_once() -> None:
    stop, told = StopFlag(), []
    stop.listen(lambda: told.append("a"))
    stop.listen(lambda: told.append("b"))
    stop.set(FIRST)
    stop.set(SECOND)
    assert told == ["a", "b"]


def test_who_listens_after_the_stop_is_told_at_once() -> None:
    stop, told = StopFlag(), []
    stop.set(FIRST)
    stop.listen(lambda: told.append("late"))
    assert told == ["late"]


def test_who_no_longer_listens_is_not_told() -> None:
    stop, told = StopFlag(), []

    def listener() -> None:
        told.append("told")

    stop.listen(listener)
    stop.forget(listener)
    stop.forget(listener)
    stop.set(FIRST)
    assert told == []


def test_the_error_is_there_when_the_listeners_are_told() -> None:
    stop, seen = StopFlag(), []
    stop.listen(lambda: seen.append(stop.error))
    stop.set(FIRST)
    assert seen == [FIRST]


def test_of_many_threads_that_stop_at_once_one_wins_and_is_told_of_once() -> None:
    stop, told, ready = StopFlag(), [], threading.Barrier(16)
    stop.listen(lambda: told.append(stop.error))

    def set_it(number: int) -> None:
        ready.wait()
        stop.set(Interrupted(str(number)))

    threads = [threading.Thread(target=set_it, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [stop.error]


def test_a_signal_handler_may_stop_the_run_while_its_own_thread_is_at_it() -> None:
    stop = StopFlag()

    class Interrupting:
        """A listener whose comparison, made under the lock, does what a signal handler could do there."""

        def __call__(self) -> None:
            """Nothing to tell."""

        def __eq__(self, other: object) -> bool:
            stop.set(FIRST)
            return False

        __hash__ = None  # type: ignore[assignment]

    stop.listen(Interrupting())
    thread = threading.Thread(target=stop.forget, args=(lambda: None,), daemon=True)
    thread.start()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert stop.error is FIRST
