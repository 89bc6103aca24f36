"""At most so many are served, the rest in order of arrival."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.simulation.slots import Slots, Step
from prefect_llm.simulation.turns import Turns


@given(st.integers(1, 4), st.lists(st.sampled_from(["enter", "leave", "give_up"]), max_size=60))
def test_places_are_given_in_order_of_arrival_and_never_more_than_there_are(limit: int, events: list[str]) -> None:
    places, served, waiting = Slots[int](limit), list[int](), list[int]()
    for number, event in enumerate(events):
        if event == "enter":
            (served if places.enter(number) else waiting).append(number)
        elif event == "leave" and served:
            places.leave(served.pop(0))
        elif event == "give_up" and waiting:
            places.leave(waiting.pop(len(waiting) // 2))
        for turn in places.take_in():
            assert turn == waiting.pop(0)
            served.append(turn)
        assert len(served) <= limit
        assert not waiting or len(served) == limit


def test_a_lower_limit_turns_nobody_out_and_a_higher_one_takes_in() -> None:
    places = Slots[str](2)
    assert [places.enter(name) for name in "abcd"] == [True, True, False, False]
    places.limit = 1
    places.leave("a")
    assert list(places.take_in()) == []
    places.limit = 3
    assert list(places.take_in()) == ["c", "d"]


def test_who_comes_when_a_place_is_free_still_waits_behind_those_who_wait() -> None:
    places = Slots[str](1)
    assert [places.enter("a"), places.enter("b")] == [True, False]
    places.leave("a")
    assert not places.enter("c")
    assert list(places.take_in()) == ["b"]


def test_without_a_limit_everyone_has_a_place() -> None:
    places = Slots[int]()
    assert all(places.enter(number) for number in range(1_000))


class Client:
    """Says when its turn has come."""

    def __init__(self) -> None:
        self.turn = asyncio.Event()

    def serve(self) -> None:
        self.turn.set()


async def wait(*clients: Client) -> None:
    async with asyncio.timeout(10):
        for client in clients:
            await client.turn.wait()


def test_the_steps_count_from_the_first_request_and_begin_again_after_a_reset() -> None:
    async def change() -> None:
        loop = asyncio.get_running_loop()
        turns = Turns((Step(0.0, 1), Step(0.02, 3)))
        first, second, third, fourth = (Client() for _ in range(4))
        assert [turns.enter(client) for client in (first, second, third, fourth)] == [True, False, False, False]
        turns.begin(loop.time())
        await wait(second, third)
        assert not fourth.turn.is_set()
        turns.start_over()
        turns.leave(first)
        turns.leave(second)
        turns.leave(third)
        await wait(fourth)
        assert not turns.enter(Client())

    asyncio.run(change())


def test_a_step_of_before_a_reset_is_forgotten() -> None:
    async def reset() -> None:
        now = asyncio.get_running_loop().time()
        turns, later = Turns((Step(0.0, 1), Step(0.01, 2))), Turns((Step(0.0, 1), Step(0.03, 2)))
        waiting, alarm = Client(), Client()
        for some, last in ((turns, waiting), (later, alarm)):
            some.enter(Client())
            some.enter(last)
            some.begin(now)
        turns.start_over()
        await wait(alarm)
        assert not waiting.turn.is_set()

    asyncio.run(reset())
