"""What the options of `simulate` mean, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulation.simulating import simulation

from prefect_llm.simulation.distributions import Distribution
from prefect_llm.simulation.faults import Fault, choose
from prefect_llm.simulation.settings import Outage, Simulation, parse_simulation
from prefect_llm.simulation.slots import Step, limit_at
from prefect_llm.values.errors import InvalidInput


def test_without_options_there_are_no_limits_no_faults_and_any_key() -> None:
    half_a_second, hundred_tokens = Distribution("constant", (0.5,)), Distribution("constant", (100.0,))
    assert parse_simulation(environ={}) == Simulation(half_a_second, hundred_tokens)


def test_a_knee_changes_by_the_seconds_since_the_first_request() -> None:
    knee = simulation(knee="200,50@60,200@120.5").knee
    assert knee == (Step(0, 200), Step(60, 50), Step(120.5, 200))
    assert [limit_at(knee, at_s) for at_s in (0, 59.9, 60, 120.4, 120.5)] == [200, 200, 50, 50, 200]


def test_a_knee_may_begin_later_and_there_is_no_limit_before() -> None:
    knee = simulation(knee="5@10").knee
    assert [limit_at(knee, at_s) for at_s in (0, 10)] == [None, 5]


def test_faults_are_met_by_their_shares_of_requests() -> None:
    shares = simulation(fault=["cut=0.25", "hang=0.5"]).faults
    assert [choose(shares, draw) for draw in (0.0, 0.24, 0.25, 0.74, 0.75, 0.99)] == [
        Fault.CUT, Fault.CUT, Fault.HANG, Fault.HANG, None, None,
    ]  # fmt: skip


def test_shares_may_add_up_to_one_though_their_fractions_do_not_quite() -> None:
    assert len(simulation(fault=["cut=0.1", "hang=0.7", "slow=0.2"]).faults) == 3


def test_an_outage_a_key_and_models_are_read() -> None:
    read = simulation(outage=["5,7.5"], models="a, b", api_key_env="K", environ={"K": "sk-1"})
    assert (read.outages, read.models, read.api_key) == ((Outage(5, 7.5),), ("a", "b"), "sk-1")


def test_the_key_is_not_shown() -> None:
    assert "sk-1" not in repr(simulation(api_key_env="K", environ={"K": "sk-1"}))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fault": ["explode=0.1"]}, "--fault 'explode=0.1': no such kind; the kinds are rate_limit,"),
        ({"fault": ["cut"]}, "--fault 'cut': expected KIND=SHARE"),
        ({"fault": ["cut=1.5"]}, "--fault 'cut=1.5': expected KIND=SHARE"),
        ({"fault": ["cut=nan"]}, "--fault 'cut=nan': expected KIND=SHARE"),
        ({"fault": ["cut=0.6", "hang=0.6"]}, "--fault: the shares add up to 1.2"),
        ({"knee": "0"}, "--knee '0': expected N"),
        ({"knee": "ten"}, "--knee 'ten': expected N"),
        ({"knee": "10,20"}, "--knee '10,20': expected N"),
        ({"knee": "10,20@5,30@5"}, "--knee '10,20@5,30@5': every step must come after"),
        ({"outage": ["5"]}, "--outage '5': expected FROM,TO"),
        ({"outage": ["7,5"]}, "--outage '7,5': expected FROM,TO"),
        ({"requests_per_minute": 0}, "--requests-per-minute 0: expected at least 1"),
        ({"output_tokens_per_minute": -1}, "--output-tokens-per-minute -1: expected at least 1"),
        ({"burst": 0.0}, "--burst 0: expected a number of seconds above 0"),
        ({"output_tokens": "long"}, "--output-tokens 'long': expected a number"),
        ({"models": " , "}, "--models: expected at least one name"),
        ({"api_key_env": "NOT_SET"}, "the variable NOT_SET, named by --api-key-env, is not set"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        simulation(**options)
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)
