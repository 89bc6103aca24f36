"""A context that is too long, in the words of everyone who has been seen to say so."""

from __future__ import annotations

from typing import Any

import pytest
from tests.wire.refusing import refusal

from prefect_llm.values.errors import Cause, Rejected, Throttled, Unavailable
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire.context_length import WORDINGS, says_too_long


def told(message: str, **more: Any) -> dict[str, Any]:
    """OpenAI's form, without a code that says anything."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}}


LITELLM = (
    "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - {}\n"
    "model=m. context_window_fallbacks=None. fallbacks=None.\n\nSet 'context_window_fallback' - "
    "https://docs.litellm.ai/docs/routing#fallbacks\n\nLiteLLM: model group 'm' failed with the error above."
)
OPENAI = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. "
    "Please reduce the length of the messages."
)
VLLM = (
    "This model's maximum context length is 4096 tokens. However, you requested 500 output tokens and your prompt "
    "contains at least 4000 input tokens, for a total of at least 4500 tokens. Please reduce the length of the input "
    "prompt or the number of requested output tokens. (parameter=input_tokens, value=4000)"
)
TOO_LONG = {
    "OpenAI": (400, told(OPENAI, param="messages", code="context_length_exceeded")),
    "OpenAI 2023, DeepSeek": (400, told(OPENAI)),
    "OpenAI Responses": (400, told("Your input exceeds the context window of this model. Please adjust your input")),
    "Azure": (400, told("Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 5")),
    "vLLM 0.32": (400, told(VLLM, type="BadRequestError", param="input_tokens", code=400)),
    "vLLM 0.32, characters": (
        400,
        told("You passed 9 characters", type="BadRequestError", param="input_text", code=400),
    ),
    "vLLM 0.11": (
        400,
        {"object": "error", "message": VLLM, "type": "BadRequestError", "param": None, "code": 400},
    ),
    "vLLM 0.11, decoder": (
        400,
        told("The decoder prompt (length 88049) is longer than the maximum model length of 32768.", code=400),
    ),
    "vLLM 0.11, shortened": (
        400,
        {"object": "error", "message": "longer than the model's context", "type": "BadRequestError", "code": 400},
    ),
    "vLLM, Messages API": (500, told(VLLM, type="internal_server_error", code=500)),
    "NVIDIA": (
        400,
        told(
            "You passed 98305 input tokens and requested 32768 output tokens. However, the model's context length "
            "is only 131072 tokens, resulting in a maximum input length of 98304 tokens."
        ),
    ),
    "SGLang": (
        400,
        {
            "object": "error",
            "message": "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "SGLang, with its output": (
        400,
        told(
            "Requested token count exceeds the model's maximum context length of 64000 tokens. You requested a total "
            "of 71897 tokens: 7897 tokens from the input messages and 64000 tokens for the completion."
        ),
    ),
    "OpenRouter": (
        400,
        {
            "error": {
                "message": "This endpoint's maximum context length is 16384 tokens. However, you requested about "
                "26265 tokens (26255 of text input, 10 in the output). Please reduce the length of either one",
                "code": 400,
                "metadata": {"provider_name": None},
            }
        },
    ),
    "OpenRouter, typed": (
        400,
        {"error": {"code": 400, "message": "no", "metadata": {"error_type": "context_length_exceeded"}}},
    ),
    "OpenRouter, the provider's": (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {
                    "raw": '{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: '
                    '213462 tokens > 200000 maximum"}}',
                    "provider_name": "Anthropic",
                },
            }
        },
    ),
    "Venice": (
        400,
        {
            "error": "The input (35034 tokens) is longer than the model's context length (32768 tokens).",
            "request_id": "r",
        },
    ),
    "Anthropic": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 213462 tokens > 200000 maximum",
            },
        },
    ),
    "Anthropic, with its output": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "input length and `max_tokens` exceed context limit: 198214 + 8192 > 200000, decrease",
            },
        },
    ),
    "Anthropic, 32 MB": (413, {"type": "error", "error": {"type": "request_too_large", "message": "too large"}}),
    "Amazon Bedrock": (400, {"message": "Input is too long for requested model."}),
    "Gemini": (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (1196265) exceeds the maximum number of tokens allowed "
                    "(1048575).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    "Gemini 2026": (
        400,
        {
            "error": {
                "code": 400,
                "message": "The input token count exceeds the maximum number of tokens allowed 1048576.",
            }
        },
    ),
    "Mistral": (
        400,
        {
            "object": "error",
            "message": "Prompt contains 300000 tokens and 0 draft tokens, too large for model with 131072 maximum "
            "context length",
            "type": "invalid_request_prompt",
            "param": None,
            "code": "3051",
        },
    ),
    "TGI 3.3": (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 "
            "`inputs` tokens and 500 `max_new_tokens`",
            "error_type": "validation",
        },
    ),
    "TGI 3.3, input alone": (
        422,
        {
            "error": "Input validation error: `inputs` must have less than 4095 tokens. Given: 9000",
            "error_type": "validation",
        },
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9000,
                "n_ctx": 4096,
            }
        },
    ),
    "llama.cpp b7200": (
        400,
        told("request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it"),
    ),
    "LM Studio": (
        400,
        {
            "error": "The number of tokens to keep from the initial prompt is greater than the context length "
            "(n_keep: 10978>= n_ctx: 8192). Try to load the model with a larger context length"
        },
    ),
    "LM Studio, while answering": (500, {"error": "Context size has been exceeded."}),
    "Ollama": (
        400,
        told(
            "the prompt is longer than the context length currently available to the model; shorten the prompt, "
            "adjust the context length in settings, or use a model with a longer context length"
        ),
    ),
    "Ollama's cloud": (400, {"error": "prompt too long; exceeded max context length by 65590 tokens (ref: x)"}),
    "Groq": (400, told("Please reduce the length of the messages or completion.", param="messages")),
    "xAI": (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        },
    ),
    "DashScope": (
        400,
        told(
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
            code="invalid_parameter_error",
        ),
    ),
    "Cerebras": (
        400,
        {
            "message": "Please reduce the length of the messages or completion. Current length is 9000 while "
            "limit is 8192"
        },
    ),
    "Moonshot": (400, told("Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)")),
    "MiniMax": (400, told("invalid params, context window exceeds limit (2013)")),
    "Zhipu": (400, {"error": {"code": "1261", "message": "Prompt too long"}}),
    "GitHub Models": (413, told("Request body too large for gpt-4o model.", code="tokens_limit_reached")),
    "GitHub Copilot": (400, told("prompt token count of 135355 exceeds the limit of 128000", code="x")),
    "LiteLLM 1.110, of OpenAI's": (400, told(LITELLM.format(OPENAI), code="400")),
    "LiteLLM 1.110, of Anthropic's": (
        400,
        told(LITELLM.format("prompt is too long: 213462 tokens > 200000 maximum"), code="400"),
    ),
    "LiteLLM 1.110, by its type alone": (400, told(LITELLM.format("no"), code="400")),
    "FastAPI": (400, {"detail": OPENAI}),
}


@pytest.mark.parametrize("server", TOO_LONG)
def test_a_context_that_is_too_long_is_the_documents_own(server: str) -> None:
    error = refusal(*TOO_LONG[server])
    assert isinstance(error, Rejected)
    assert (error.kind, error.cause) == (ErrorKind.CONTEXT_TOO_LONG, Cause.DOCUMENT_REFUSED)


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda wording: wording.server)
def test_every_row_is_found_by_its_words_with_numbers_in_them(wording: Any) -> None:
    assert says_too_long(f"Error: {wording.words.replace('#', '12,345').upper()}.")
    assert not says_too_long(wording.words[: len(wording.words) // 2])


@pytest.mark.parametrize(
    "text",
    [
        "Rate limit reached: too many tokens per minute",
        "Too many tokens, please wait before trying again.",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "context_length_exceeded, perhaps",
        "Invalid 'user': string too long. Expected a string with maximum length 64",
    ],
)
def test_other_words_about_tokens_are_not_taken_for_it(text: str) -> None:
    assert not says_too_long(text)


def test_a_rate_limit_is_one_whatever_it_says_of_tokens() -> None:
    error = refusal(429, told(OPENAI))
    assert isinstance(error, Throttled)
    assert error.kind is ErrorKind.THROTTLED


def test_a_server_error_stays_one_unless_it_has_the_words() -> None:
    assert isinstance(refusal(500, told("context")), Unavailable)
