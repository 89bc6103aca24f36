"""Why an answer ended, in one word for all wire formats; the column `finish_reason` keeps the endpoint's own.

A word means the same in every format that has it, so one table serves them all. Case does not count, nor what follows
a colon: Google's endpoint says `content_filter: RECITATION`. A new word is a line here.
"""

from __future__ import annotations

from enum import Enum, auto


class Stop(Enum):
    """What an endpoint's word stands for. `CONTEXT_FULL` is a cut that a larger output limit does not prevent."""

    END = auto()
    CUT = auto()
    CONTEXT_FULL = auto()
    FILTERED = auto()
    REFUSED = auto()
    GIVEN_UP = auto()


CUTS = frozenset({Stop.CUT, Stop.CONTEXT_FULL})

_WORDS = {
    Stop.END: (
        *("", "stop", "end", "done", "finish", "finished", "complete", "completed"),
        *("eos", "eos_token", "stop_sequence", "stop_token"),  # Together, TGI, Bedrock, Cohere
        "end_turn",  # Anthropic
        *("tool_calls", "tool_call", "tool_use", "function_call"),
    ),
    Stop.CUT: (
        "length",  # OpenAI, vLLM, SGLang, llama.cpp, Ollama
        "max_tokens",  # Anthropic, Bedrock, Cohere, Google (in capitals)
        "max_output_tokens",  # OpenAI's Responses
        "max_length",
        "token_limit",  # watsonx
    ),
    Stop.CONTEXT_FULL: (
        "model_length",  # Mistral
        "model_context_window_exceeded",  # Anthropic, Z.ai
        "error_limit",  # Cohere
    ),
    Stop.FILTERED: (
        *("content_filter", "content_filtered", "guardrail_intervened"),  # OpenAI, Azure; Bedrock
        "sensitive",  # Z.ai
        *("safety", "recitation", "language", "blocklist", "prohibited_content", "spii", "model_armor"),  # Google
        *("image_safety", "image_prohibited_content", "image_recitation"),
    ),
    Stop.REFUSED: ("refusal",),  # Anthropic
    Stop.GIVEN_UP: (
        *("error", "abort", "aborted"),  # OpenRouter, Mistral, Cohere; vLLM, SGLang
        "network_error",  # Z.ai
        *("insufficient_system_resource", "insufficient_system_resources", "resource_exhausted"),  # DeepSeek; Google
        *("timeout", "time_limit", "cancelled", "canceled"),  # Cohere, watsonx, TensorRT-LLM
        *("server_error", "internal_error", "overloaded", "overloaded_error"),
    ),
}
_STOPS = {word: stop for stop, words in _WORDS.items() for word in words}


def stop_of(finish_reason: str | None) -> Stop | None:
    """What the word stands for; `END` without one, `None` if it is not known."""
    return _STOPS.get((finish_reason or "").partition(":")[0].strip().lower())
