"""A request leaves only with its money reserved, and each reservation ends exactly once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from tests.engine.submitting import Asked, provider_at, requests, run_for_at_most
from tests.engine.test_scheduler import departing, names, submission, unbroken, written
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.scripted_server.steps import Step

from prefect_llm.engine import Engine
from prefect_llm.engine.scheduler import Scheduler
from prefect_llm.engine.submission import Backlog, Receiver, Submission
from prefect_llm.values.errors import BudgetExceeded
from prefect_llm.values.outcome import Completion
from prefect_llm.values.provider import Limits
from prefect_llm.values.request import Request


class Coins:
    """A budget of coins, one for each attempt; a released coin comes back."""

    def __init__(self, coins: int) -> None:
        self.coins = coins
        self.ended: Counter[str] = Counter()
        self._waiting: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def reserve(self, request: Request, changed: Callable[[], None]) -> Coins | None:
        with self._lock:
            if not self.coins:
                self._waiting.append(changed)
                return None
            self.coins -= 1
            self.ended["reserved"] += 1
            return self

    def settle(self, completion: Completion, model: str, route: int) -> None:
        self.ended["settled"] += 1

    def release(self) -> None:
        self.ended["released"] += 1
        self.put(1)

    def forfeit(self) -> None:
        self.ended["forfeited"] += 1

    def put(self, coins: int) -> None:
        with self._lock:
            self.coins += coins
            waiting, self._waiting = self._waiting, []
        for changed in waiting:
            changed()


ATTEMPTS: dict[str, tuple[Step, str]] = {
    "an answer": (steps.ok(), "settled"),
    "an answer without usage": (steps.ok(usage={}), "settled"),
    "no choices": (steps.empty_choices(), "settled"),
    "429": (steps.status(429), "released"),
    "500": (steps.status(500), "released"),
    "503": (steps.status(503), "released"),
    "400": (steps.status(400), "released"),
    "408": (steps.status(408), "forfeited"),
    "424": (steps.status(424), "forfeited"),
    "499": (steps.status(499), "forfeited"),
    "502": (steps.status(502), "forfeited"),
    "504": (steps.status(504), "forfeited"),
    "not JSON": (steps.not_json(), "forfeited"),
    "a cut answer": (steps.close_mid_body(), "forfeited"),
    "a lost connection": (steps.reset(), "forfeited"),
    "a timeout": (steps.hang(), "forfeited"),
}


@pytest.mark.parametrize("case", ATTEMPTS)
def test_each_attempt_is_settled_or_released_or_forfeited(scripted_server: ScriptedServer, case: str) -> None:
    step, end = ATTEMPTS[case]
    scripted_server.script_all(step, steps.ok())
    coins, asked = Coins(100), Asked()
    ask_within(coins, asked, scripted_server, 1)
    attempts = len(scripted_server.requests_for("doc-0"))
    assert coins.ended["reserved"] == attempts
    assert coins.ended[end] >= 1
    assert coins.ended["settled"] + coins.ended["released"] + coins.ended["forfeited"] == attempts
    assert asked.outcomes["doc-0"].lost == coins.ended["forfeited"]


def test_a_host_that_cannot_be_reached_bills_nothing() -> None:
    coins, asked = Coins(100), Asked()
    engine = Engine(provider_at("http://127.0.0.1:9/v1"))
    try:
        with pytest.raises(Exception, match="no connection"):
            run_for_at_most(30, engine, requests(1), asked, coins)
    finally:
        engine.close()
    assert coins.ended["released"] == coins.ended["reserved"] > 0


def test_no_more_leave_than_there_is_money_for_and_the_rest_waits(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.hang())
    coins, asked = Coins(3), Asked()
    engine = Engine(provider_at(scripted_server.base_url))
    submission = Submission(Backlog(requests(10)), Receiver(asked.deliver), asked.stop, budget=coins)
    engine.start(submission)
    try:
        assert scripted_server.wait_for(in_flight=3).in_flight == 3
        scripted_server.script_all(steps.ok())
        coins.put(7)
        scripted_server.wait_for(requests=10)
        scripted_server.release()
        engine.finish(submission)
    finally:
        engine.close()
    assert len(asked.outcomes) == 10
    assert coins.ended["settled"] == 10


def test_a_run_without_money_does_not_hold_up_another_at_the_same_provider(scripted_server: ScriptedServer) -> None:
    poor, rich = Asked(), Asked()
    engine = Engine(provider_at(scripted_server.base_url, concurrency=1))
    waiting = Submission(Backlog(requests(5)), Receiver(poor.deliver), poor.stop, budget=Coins(0))
    engine.start(waiting)
    try:
        run_for_at_most(30, engine, requests(5, first=5), rich)
        assert len(rich.outcomes) == 5
        assert not poor.outcomes
        poor.stop.set(BudgetExceeded("enough"))
        with pytest.raises(BudgetExceeded):
            engine.finish(waiting)
    finally:
        engine.close()


def test_what_is_in_flight_when_its_chunk_is_given_up_is_forfeited(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.hang())
    coins, asked = Coins(4), Asked()
    engine = Engine(provider_at(scripted_server.base_url))
    submission = Submission(Backlog(requests(10)), Receiver(asked.deliver), asked.stop, budget=coins)
    engine.start(submission)
    scripted_server.wait_for(in_flight=4)
    engine.cancel(submission)
    engine.close()
    assert (coins.ended["forfeited"], coins.ended["released"]) == (4, 0)


def test_money_of_a_request_that_waits_for_quota_is_released_when_its_run_stops() -> None:
    coins = Coins(5)
    chunk = submission(10)
    chunk.budget = coins
    made = Scheduler(Limits(4, requests_per_minute=60), written, unbroken())
    made.add(chunk)
    left = departing(made)
    made.remove(chunk)
    assert coins.ended["reserved"] - coins.ended["released"] == len(left)


def test_parked_documents_are_asked_in_their_order() -> None:
    coins = Coins(1)
    poor, other = submission(3), submission(2, first=3)
    poor.budget = coins
    made = Scheduler(Limits(10), written, unbroken())
    made.add(poor)
    made.add(other)
    assert names(departing(made)) == ["doc-0", "doc-3", "doc-4"]
    coins.coins = 10
    made.unpark()
    assert names(departing(made)) == ["doc-1", "doc-2"]
    assert not coins.ended["released"]


def ask_within(coins: Coins, asked: Asked, server: ScriptedServer, count: int) -> None:
    """Ask within that budget, in an engine of its own."""
    engine = Engine(provider_at(server.base_url))
    try:
        run_for_at_most(30, engine, requests(count), asked, coins)
    finally:
        engine.close()
