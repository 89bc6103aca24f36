"""The rule that counts input tokens: its range holds what a tokenizer counts."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_llm.estimating.sizes import input_size
from prefect_llm.values.request import AnswerFormat, Parameters, Request


def request_of(content: Any, **parameters: Any) -> Request:
    return Request(0, "a", [{"role": "user", "content": content}], Parameters("m", **parameters), "f")


# text, and what o200k_base and cl100k_base make of it
COUNTED = {
    "english": ("The usual rule of thumb for English is four characters a token. " * 20, 261, 261),
    "numbers": ("7919,15838,0.14286\n" * 50, 550, 550),
    "russian": ("Искусственный интеллект выполняет творческие функции человека. " * 10, 112, 311),
    "japanese": ("人工知能は、計算という概念を用いて知能を研究する。" * 10, 190, 280),
}


@pytest.mark.parametrize("name", COUNTED)
def test_the_range_holds_what_tokenizers_count(name: str) -> None:
    text, *counts = COUNTED[name]
    size = input_size(request_of(text))
    assert size.bytes == len(text.encode())
    for tokens in counts:
        assert size.least <= tokens <= size.most


def test_a_schema_and_tools_are_read_too() -> None:
    schema = AnswerFormat({"type": "object", "properties": {"a": {"type": "string"}}}, parse=lambda text: text)
    plain = input_size(request_of("text"))
    assert input_size(request_of("text", answer_format=schema)).expected > plain.expected
    assert input_size(request_of("text", extra={"tools": [{"type": "function"}]})).most > plain.most
    assert input_size(request_of("text", extra={"top_p": 0.5})) == plain


def test_of_parts_the_text_counts_and_what_else_there_is_is_told() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
    size = input_size(request_of([{"type": "text", "text": "what is this?"}, image]))
    assert (size.bytes, size.other) == (13, True)
    assert not input_size(request_of("what is this?")).other
