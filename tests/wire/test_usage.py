"""Usage in every spelling: what is read are the counts that were meant, or none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.values.outcome import Usage
from prefect_llm.wire.usage import usage_of


class Truth(NamedTuple):
    """What the model took: no token is in two of them."""

    uncached: int
    read: int
    written: int
    visible: int
    reasoning: int

    @property
    def input(self) -> int:
        return self.uncached + self.read + self.written

    @property
    def output(self) -> int:
        return self.visible + self.reasoning

    @property
    def total(self) -> int:
        return self.input + self.output


def openai(truth: Truth) -> dict[str, Any]:
    return {
        "prompt_tokens": truth.input,
        "completion_tokens": truth.output,
        "total_tokens": truth.total,
        "prompt_tokens_details": {"cached_tokens": truth.read, "cache_write_tokens": truth.written},
        "completion_tokens_details": {"reasoning_tokens": truth.reasoning},
    }


def responses(truth: Truth) -> dict[str, Any]:
    return {
        "input_tokens": truth.input,
        "output_tokens": truth.output,
        "total_tokens": truth.total,
        "input_tokens_details": {"cached_tokens": truth.read, "cache_write_tokens": truth.written},
        "output_tokens_details": {"reasoning_tokens": truth.reasoning},
    }


def anthropic(truth: Truth) -> dict[str, Any]:
    return {
        "input_tokens": truth.uncached,
        "cache_read_input_tokens": truth.read,
        "cache_creation_input_tokens": truth.written,
        "output_tokens": truth.output,
    }


def gateway(truth: Truth) -> dict[str, Any]:
    return {
        "prompt_tokens": truth.uncached,
        "completion_tokens": truth.output,
        "total_tokens": truth.total,
        "cache_read_input_tokens": truth.read,
        "cache_creation_input_tokens": truth.written,
    }


def gateway_with_details(truth: Truth) -> dict[str, Any]:
    return gateway(truth) | {
        "prompt_tokens_details": {"cached_tokens": truth.read},
        "completion_tokens_details": {"reasoning_tokens": truth.reasoning},
    }


def gateway_that_counts_inside(truth: Truth) -> dict[str, Any]:
    return gateway(truth) | {"prompt_tokens": truth.input}


def gateway_without_a_total(truth: Truth) -> dict[str, Any]:
    return {name: count for name, count in gateway(truth).items() if name != "total_tokens"}


def xai(truth: Truth) -> dict[str, Any]:
    return openai(truth) | {"completion_tokens": truth.visible}


def deepseek(truth: Truth) -> dict[str, Any]:
    return {
        "prompt_tokens": truth.input,
        "prompt_cache_hit_tokens": truth.read,
        "prompt_cache_miss_tokens": truth.uncached + truth.written,
        "completion_tokens": truth.output,
        "total_tokens": truth.total,
    }


SPELLINGS = (openai, responses, anthropic, gateway, gateway_with_details, gateway_that_counts_inside,
             gateway_without_a_total, xai, deepseek)  # fmt: skip
COUNTS = st.integers(0, 20) | st.integers(0, 10**6)
TRUTHS = st.builds(Truth, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


@given(TRUTHS, st.sampled_from(SPELLINGS))
def test_what_was_meant_is_read_or_nothing(truth: Truth, spelled: Callable[[Truth], dict[str, Any]]) -> None:
    usage = usage_of(spelled(truth))
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) in ((truth.input, truth.output), (None, None))
    if usage.input_tokens is not None:
        assert usage.cached_input_tokens == truth.read
        assert usage.cache_write_tokens in (None, truth.written)
        assert usage.reasoning_tokens in (None, truth.reasoning)


@pytest.mark.parametrize("spelled", [each for each in SPELLINGS if each is not gateway_without_a_total])
def test_every_spelling_is_read_where_no_two_counts_are_alike(spelled: Callable[[Truth], dict[str, Any]]) -> None:
    truth = Truth(1_000, 207, 53, 31, 11)
    usage = usage_of(spelled(truth))
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (1_260, 207, 42)


TOLD = {"prompt_tokens": 368, "completion_tokens": 19, "total_tokens": 10_923}
ANTHROPIC_NAMES = {"cache_read_input_tokens": 10_536, "cache_creation_input_tokens": 0}


@pytest.mark.parametrize(
    "more",
    [
        ANTHROPIC_NAMES,
        ANTHROPIC_NAMES | {"prompt_tokens_details": {"cached_tokens": 10_536}},
        ANTHROPIC_NAMES | {"prompt_tokens_details": {"cached_tokens": 0}},
        {"prompt_tokens_details": {"cached_tokens": 10_536}},
    ],
    ids=["Anthropic's names", "and OpenAI's", "and a default", "OpenAI's alone"],
)
def test_cached_tokens_beside_the_prompt_are_input_not_output(more: dict[str, Any]) -> None:
    usage = usage_of(TOLD | more)
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (10_904, 10_536, 19)


def test_a_write_may_stand_beside_a_read_inside() -> None:
    usage = usage_of({
        "prompt_tokens": 1_000, "completion_tokens": 10, "total_tokens": 1_060,
        "cache_read_input_tokens": 900, "cache_creation_input_tokens": 50,
    })  # fmt: skip
    assert usage == Usage(1_050, 900, 10, None, 50)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 11},
        {"prompt_tokens": 15, "total_tokens": 12},
        {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 15, "reasoning_tokens": 4},
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}},
        {"prompt_tokens": 5, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 9}},
        {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6, "reasoning_tokens": 9},
        {"prompt_tokens": 9, "completion_tokens": 1, "cache_read_input_tokens": 5},
        {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 99, "cache_read_input_tokens": 5},
        {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10, "cache_read_input_tokens": 5},
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 4},
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4},
         "cached_tokens": 5},
        {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 14, "reasoning_tokens": 2,
         "prompt_tokens_details": {"cached_tokens": 2}},
    ],
    ids=[
        "a total below its parts", "a total below its one part", "a total nothing explains", "more cached than input",
        "more reasoning than output", "the same with a total", "inside or beside?", "neither inside nor beside",
        "Anthropic's names against the total", "hits and misses", "two counts of one thing", "two readings",
    ],
)  # fmt: skip
def test_counts_that_contradict_each_other_or_mean_two_things_are_not_known(usage: dict[str, Any]) -> None:
    assert usage_of(usage) == Usage()


def test_the_parts_of_a_cache_write_are_the_write() -> None:
    """Anthropic's, by time to live."""
    usage = usage_of({
        "input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 0},
    })  # fmt: skip
    assert usage == Usage(12, 0, 1, None, 7)


COUNTS = st.integers(-1, 4) | st.sampled_from([None, 2.0, "3"])


@given(
    st.fixed_dictionaries({"prompt_tokens": COUNTS, "completion_tokens": COUNTS, "total_tokens": COUNTS}),
    st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens", "cache_creation_tokens"]), COUNTS),
    st.dictionaries(st.just("reasoning_tokens"), COUNTS),
)
def test_a_member_that_is_no_count_changes_nothing(
    counts: dict[str, Any], details: dict[str, Any], output_details: dict[str, Any]
) -> None:
    usage = {**counts, "prompt_tokens_details": details, "completion_tokens_details": output_details}

    assert usage_of(usage) == usage_of({**usage, "other": "word"})
