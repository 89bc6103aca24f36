"""An endpoint's word for the end of an answer means the same in every format, in whatever case."""

from __future__ import annotations

import pytest

from prefect_llm.wire.finish_reasons import Stop, stop_of


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        (Stop.END, [None, "", "stop", "STOP", "eos", "end_turn", "tool_calls", "COMPLETE"]),
        (Stop.CUT, ["length", "max_tokens", "MAX_TOKENS", "max_output_tokens"]),
        (Stop.CONTEXT_FULL, ["model_length", "model_context_window_exceeded"]),
        (Stop.FILTERED, ["content_filter", "sensitive", "SAFETY", "content_filter: RECITATION", "RECITATION"]),
        (Stop.REFUSED, ["refusal"]),
        (Stop.GIVEN_UP, ["error", "ERROR", "abort", "network_error", "insufficient_system_resource"]),
        (None, ["something_new", "stopp", "function_call_filter: MALFORMED_FUNCTION_CALL"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else str(value),
)
def test_every_word_has_one_meaning(stop: Stop | None, words: list[str | None]) -> None:
    assert {word: stop_of(word) for word in words} == dict.fromkeys(words, stop)
