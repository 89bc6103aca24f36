"""The endpoint's time, shared by the requests in flight: an hour of machines is paid once, by whoever used it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.submitting import ask, provider_at, requests
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.engine.limits.endpoint_time import EndpointTime


def test_a_request_alone_bears_all_of_its_time() -> None:
    endpoint_time = EndpointTime()
    entered = endpoint_time.enter(10.0)
    assert endpoint_time.leave(13.0, entered) == 3.0


def test_two_at_once_bear_half_each_and_nobody_bears_idle_time() -> None:
    endpoint_time = EndpointTime()
    first = endpoint_time.enter(0.0)
    second = endpoint_time.enter(2.0)
    assert endpoint_time.leave(4.0, first) == 3.0
    assert endpoint_time.leave(5.0, second) == 2.0
    later = endpoint_time.enter(100.0)
    assert endpoint_time.leave(101.0, later) == 1.0


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.001, 50)), min_size=1, max_size=20))
def test_the_parts_add_up_to_the_time_in_which_anything_was_in_flight(spans: list[tuple[float, float]]) -> None:
    changes = sorted(
        [(start, True, n) for n, (start, _) in enumerate(spans)]
        + [(start + length, False, n) for n, (start, length) in enumerate(spans)]
    )
    endpoint_time, entered, borne, busy, in_flight, before = EndpointTime(), dict[int, float](), 0.0, 0.0, 0, 0.0
    for at, enters, number in changes:
        busy += at - before if in_flight else 0.0
        in_flight, before = in_flight + (1 if enters else -1), at
        if enters:
            entered[number] = endpoint_time.enter(at)
        else:
            borne += endpoint_time.leave(at, entered[number])
    assert borne == pytest.approx(busy)


def test_every_attempt_of_a_document_counts(scripted_server: ScriptedServer) -> None:
    scripted_server.script_all(steps.status(500).after(0.05), steps.ok(delay_s=0.05))
    (outcome,) = ask(provider_at(scripted_server.base_url), requests(1)).values()
    assert 0.1 <= outcome.endpoint_s < 0.35
