"""Blocks as a person writes them: plain text and numbers, which the block itself turns into secrets and money."""

from __future__ import annotations

from typing import Any

from prefect_llm import LLMProvider, ModelPrice


def make_block(**settings: Any) -> LLMProvider:
    return LLMProvider(**settings)


def make_price(**settings: Any) -> ModelPrice:
    return ModelPrice(**settings)
