"""What a request will take, before it leaves: a rule of thumb first, then what the run's answers took.

Learnt by model from the usage that the endpoint reports; no tokenizer and no download.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from prefect_llm.engine.quota import Tokens
from prefect_llm.records import TokenAccounting, Usage

BYTES_PER_TOKEN = 4
"""The usual rule of thumb for English, https://platform.openai.com/tokenizer."""
UNSTATED_OUTPUT_TOKENS = 256
"""Expected of an answer whose length nobody limited, before the first."""
LEAST_WEIGHT = 0.02
"""Of the last answer; so the last 50 or so count, and a change in the documents is followed."""
MARGIN = 0.25
"""Spreads above the mean, where errors even out over many requests or are given back."""
WIDE_MARGIN = 1.0
"""Spreads above the mean, for an answer without a limit of which nothing is given back."""


@dataclass(slots=True)
class Average:
    """A mean that forgets: exponentially weighted, plain over the first values."""

    mean: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """One more value."""
        self.count += 1
        self.mean += (value - self.mean) * max(LEAST_WEIGHT, 1 / self.count)


@dataclass(slots=True)
class Learnt:
    """Of one model: sizes, and the squared errors of what had been expected of each answer."""

    body_bytes: Average = field(default_factory=Average)
    input: Average = field(default_factory=Average)
    input_error: Average = field(default_factory=Average)
    output: Average = field(default_factory=Average)
    output_error: Average = field(default_factory=Average)

    def input_tokens(self, body_bytes: int, margin: float) -> float:
        """By the ratio of all tokens to all bytes: a mean of ratios would count short bodies too much."""
        if not self.input.count:
            return body_bytes / BYTES_PER_TOKEN
        expected = self.input.mean + margin * math.sqrt(self.input_error.mean)
        return body_bytes * expected / self.body_bytes.mean

    def output_tokens(self, margin: float) -> float:
        """Of an answer; only after the first."""
        return self.output.mean + margin * math.sqrt(self.output_error.mean)

    def learn_input(self, body_bytes: int, tokens: int) -> None:
        """An answer came to a body of that size."""
        self.input_error.add((tokens - self.input_tokens(body_bytes, 0.0)) ** 2)
        self.body_bytes.add(body_bytes)
        self.input.add(tokens)

    def learn_output(self, tokens: int) -> None:
        """An answer was that long."""
        self.output_error.add((tokens - (self.output.mean if self.output.count else UNSTATED_OUTPUT_TOKENS)) ** 2)
        self.output.add(tokens)


class Estimates:
    """Expected tokens, by model. `accounting` is the provider's rule.

    Under `reserved` a stated output limit counts in full. OpenAI counts "the maximum of max_tokens and the
    estimated number of tokens based on the character count of your request"
    (https://platform.openai.com/docs/guides/rate-limits): never more than input and limit together.
    """

    def __init__(self, accounting: TokenAccounting) -> None:
        self._reserved = accounting == "reserved"
        self._models: dict[str, Learnt] = {}

    def tokens(self, model: str, body_bytes: int, max_output_tokens: int | None) -> Tokens:
        """What a request with a body of that many bytes, parameters included, is expected to take."""
        learnt = self._models.get(model) or Learnt()
        return Tokens(
            math.ceil(learnt.input_tokens(body_bytes, MARGIN)), math.ceil(self._output(learnt, max_output_tokens))
        )

    def learn(self, model: str, body_bytes: int, usage: Usage) -> None:
        """An answer came; what the endpoint did not count teaches nothing."""
        learnt = self._models.setdefault(model, Learnt())
        if usage.input_tokens is not None:
            learnt.learn_input(body_bytes, usage.input_tokens)
        if usage.output_tokens is not None:
            learnt.learn_output(usage.output_tokens)

    def _output(self, learnt: Learnt, limit: int | None) -> float:
        if limit is not None and (self._reserved or not learnt.output.count):
            return limit
        if not learnt.output.count:
            return UNSTATED_OUTPUT_TOKENS
        expected = learnt.output_tokens(WIDE_MARGIN if self._reserved else MARGIN)
        return expected if limit is None else min(limit, expected)
