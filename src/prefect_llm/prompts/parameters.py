"""What shapes an answer besides its messages: the run's parameters, and a document's own laid over them.

Equal parameters share one instance: the wire encodes and the fingerprint hashes each instance only once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from prefect_llm.values.errors import BadDocument, InvalidInput
from prefect_llm.values.formatting import one_line
from prefect_llm.values.request import AnswerFormat, Parameters

MAX_TEMPERATURE = 2
MAX_CACHED = 1024
"""Distinct per-row parameters kept: memory must not grow with the rows where each has its own seed."""

_OWN_OPTIONS = frozenset({"model", "max_output_tokens", "temperature"})
_LIMIT_NAMES = frozenset({"max_tokens", "max_completion_tokens", "max_new_tokens", "n_predict", "num_predict"})
"""Other names of the output limit, llama.cpp's and Ollama's too: they would undo the budget's reservation."""
_SEVERAL_ANSWERS = frozenset({"n", "n_cmpl", "best_of"})
_OURS = frozenset({"messages", "stream", "stream_options"})


def run_parameters(
    model: str,
    max_output_tokens: int | None,
    temperature: float | None,
    params: Mapping[str, Any],
    answer_format: AnswerFormat | None,
    fail_truncated: bool = False,
    keep_reasoning: bool = False,
) -> Parameters:
    """The parameters of every request of a run. Raises `InvalidInput` on a value or name that is refused."""
    for name in params:
        complaint = "it has an option of its own" if name in _OWN_OPTIONS else _refusal(name, answer_format)
        if complaint:
            raise InvalidInput(f"parameter {name!r} is refused: {complaint}")

    try:
        orjson.dumps(params)
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"the run's parameters cannot be sent as JSON: {error}") from error

    try:
        checked = _checked(model, max_output_tokens, temperature, dict(params), answer_format, fail_truncated)
        return replace(checked, keep_reasoning=keep_reasoning)
    except ValueError as error:
        raise InvalidInput(f"the run's parameters: {error}") from error


class RowParameters:
    """Reads per-row parameters from the column `column`, over the run's."""

    def __init__(self, column: str, of_run: Parameters) -> None:
        self._column = column
        self._of_run = of_run
        self._laid_over: Callable[[bytes], Parameters] = lru_cache(maxsize=MAX_CACHED)(self._merge)

    def of(self, fields: Mapping[str, Any]) -> Parameters:
        """A document's parameters; the run's where the column is null or empty. Raises `BadDocument`."""
        value = fields.get(self._column)
        try:
            if isinstance(value, str):
                value = orjson.loads(value) if value.strip() else None
            if value is None:
                return self._of_run
            if not isinstance(value, Mapping):
                raise ValueError(f"expected a JSON object, not {type(value).__name__}")
            given = {name: _number_as_sent(each) for name, each in sorted(value.items()) if each is not None}
            return self._laid_over(orjson.dumps(given)) if given else self._of_run
        except (orjson.JSONDecodeError, orjson.JSONEncodeError, ValueError) as error:
            raise BadDocument(one_line(f"row parameters in column {self._column!r}: {error}")) from error

    def _merge(self, canonical: bytes) -> Parameters:
        given: dict[str, Any] = orjson.loads(canonical)
        run = self._of_run
        model = given.pop("model", run.model)
        max_output_tokens = given.pop("max_output_tokens", run.max_output_tokens)
        temperature = given.pop("temperature", run.temperature)
        for name in given:
            if complaint := _refusal(name, run.answer_format):
                raise ValueError(f"{name!r} is refused: {complaint}")
        extra = {**run.extra, **given}
        own = _checked(model, max_output_tokens, temperature, extra, run.answer_format, run.fail_truncated)
        return replace(own, keep_reasoning=run.keep_reasoning)


def _number_as_sent(value: Any) -> Any:
    """SQL writes 0.5 as a DECIMAL, and 7 beside it in a MAP as 7.0: JSON has doubles, a seed is an integer."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is no number")
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _number_as_sent(each) for name, each in value.items()}
    return [_number_as_sent(each) for each in value] if isinstance(value, list) else value


def _refusal(name: str, answer_format: AnswerFormat | None) -> str | None:
    """Why a parameter may not be sent under this name."""
    if name in _LIMIT_NAMES:
        return "it is another name of the output limit; use max_output_tokens"
    if name in _SEVERAL_ANSWERS:
        return "a document gets exactly one answer"
    if name in _OURS:
        return "it is not a parameter of the answer"
    if name == "response_format" and answer_format is not None:
        return "the answer's schema is already given"
    return None if name else "its name is empty"


def _checked(
    model: Any,
    max_output_tokens: Any,
    temperature: Any,
    extra: dict[str, Any],
    answer_format: AnswerFormat | None,
    fail_truncated: bool,
) -> Parameters:
    """Raises `ValueError` on a value out of range."""
    if not isinstance(model, str) or not model:
        raise ValueError(f"model must be a name, not {model!r}")
    if max_output_tokens is not None:
        # Arrow makes floats of integers where a column has nulls.
        if not _is_number(max_output_tokens) or max_output_tokens < 1 or max_output_tokens % 1:
            raise ValueError(f"max_output_tokens must be a positive integer, not {max_output_tokens!r}")
        max_output_tokens = int(max_output_tokens)
    if temperature is not None:
        if not _is_number(temperature) or not 0 <= temperature <= MAX_TEMPERATURE:
            raise ValueError(f"temperature must be a number from 0 to {MAX_TEMPERATURE:g}, not {temperature!r}")
        temperature = float(temperature)
    return Parameters(model, max_output_tokens, temperature, extra, answer_format, fail_truncated)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
