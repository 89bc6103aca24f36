"""What a request will take, before it leaves: a rule of thumb first, then what the run's answers took.

Learnt by model from the usage that the endpoint reports; no tokenizer and no download.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from prefect_llm.engine.limits.rate_limits import Tokens
from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import TokenAccounting
from prefect_llm.values.request import BYTES_PER_TOKEN

UNSTATED_OUTPUT_TOKENS = 256
"""Expected of an answer of unlimited length, before the first."""
LEAST_WEIGHT = 0.02
"""Of the last answer; so the last 50 or so count, and a change in the documents is followed."""
MARGIN = 0.25
"""Spreads above the mean, where errors even out over many requests or are given back."""
WIDE_MARGIN = 1.0
"""Spreads above the mean, for an answer without a limit of which nothing is given back."""


@dataclass(slots=True)
class ModelSizes:
    """Of one model: means of sizes, and of the squared errors of what had been expected of each answer."""

    inputs: int = 0
    body_bytes: float = 0.0
    input: float = 0.0
    input_error: float = 0.0
    outputs: int = 0
    output: float = 0.0
    output_error: float = 0.0

    def input_tokens(self, body_bytes: int, margin: float) -> float:
        """By the ratio of all tokens to all bytes: a mean of ratios would count short bodies too much."""
        if not self.inputs:
            return body_bytes / BYTES_PER_TOKEN
        return body_bytes * (self.input + margin * math.sqrt(self.input_error)) / self.body_bytes

    def output_tokens(self, margin: float) -> float:
        """Of an answer; only after the first."""
        return self.output + margin * math.sqrt(self.output_error)

    def learn_input(self, body_bytes: int, tokens: int) -> None:
        """An answer came to a body of that size."""
        error = tokens - self.input_tokens(body_bytes, 0.0)
        self.inputs += 1
        weight = _weight(self.inputs)
        self.input_error += (error * error - self.input_error) * weight
        self.body_bytes += (body_bytes - self.body_bytes) * weight
        self.input += (tokens - self.input) * weight

    def learn_output(self, tokens: int) -> None:
        """An answer was that long."""
        error = tokens - (self.output if self.outputs else UNSTATED_OUTPUT_TOKENS)
        self.outputs += 1
        weight = _weight(self.outputs)
        self.output_error += (error * error - self.output_error) * weight
        self.output += (tokens - self.output) * weight


def _weight(count: int) -> float:
    """Of the last value in a mean that forgets: plain over the first ones."""
    return max(LEAST_WEIGHT, 1 / count)


class TokenSizes:
    """Expected tokens, by model. `accounting` is the provider's rule.

    Under `reserved` a stated output limit counts in full. OpenAI counts "the maximum of max_tokens and the
    estimated number of tokens based on the character count of your request"
    (https://platform.openai.com/docs/guides/rate-limits): never more than input and limit together.
    """

    def __init__(self, accounting: TokenAccounting) -> None:
        self._reserved = accounting == "reserved"
        self._models: dict[str, ModelSizes] = {}

    def tokens(self, model: str, body_bytes: int, max_output_tokens: int | None) -> Tokens:
        """What a request with a body of that many bytes, parameters included, is expected to take."""
        sizes = self._models.get(model) or ModelSizes()
        return Tokens(
            math.ceil(sizes.input_tokens(body_bytes, MARGIN)), math.ceil(self._output(sizes, max_output_tokens))
        )

    def learn(self, model: str, body_bytes: int, usage: Usage) -> None:
        """An answer came; what the endpoint did not count teaches nothing."""
        sizes = self._models.setdefault(model, ModelSizes())
        if usage.input_tokens is not None:
            sizes.learn_input(body_bytes, usage.input_tokens)
        if usage.output_tokens is not None:
            sizes.learn_output(usage.output_tokens)

    def _output(self, sizes: ModelSizes, limit: int | None) -> float:
        if limit is not None and (self._reserved or not sizes.outputs):
            return limit
        if not sizes.outputs:
            return UNSTATED_OUTPUT_TOKENS
        expected = sizes.output_tokens(WIDE_MARGIN if self._reserved else MARGIN)
        return expected if limit is None else min(limit, expected)
