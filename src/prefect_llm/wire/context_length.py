"""The sentences by which endpoints say that a request is longer than the model's context.

Many give no code for it, and a fallback with a longer context may answer what they refuse: for this one kind of
failure alone, words decide. Each row has the words as they are sent, with `#` for a number, and where they were seen.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Wording(NamedTuple):
    """One sentence: whose (with the version that was looked at), its words, and where it is written."""

    server: str
    words: str
    source: str


WORDINGS = (
    Wording(
        "OpenAI, DeepSeek, vLLM 0.11 to 0.32, LiteLLM 1.110",
        "This model's maximum context length is # tokens",
        "github.com/vllm-project/vllm vllm/entrypoints/openai/serving_engine.py",
    ),
    Wording(
        "OpenAI, GPT-5",
        "Input tokens exceed the configured limit of # tokens",
        "github.com/BerriAI/litellm litellm/litellm_core_utils/exception_mapping_utils.py",
    ),
    Wording(
        "OpenAI, Responses",
        "Your input exceeds the context window of this model",
        "github.com/badlogic/pi-mono packages/ai/src/utils/overflow.ts",
    ),
    Wording(
        "vLLM 0.19, NVIDIA NIM",
        "However, the model's context length is only # tokens, resulting in a maximum input length of # tokens",
        "github.com/vllm-project/vllm vllm/renderers/params.py",
    ),
    Wording(
        "vLLM 0.11",
        "The decoder prompt (length #) is longer than the maximum model length of #",
        "github.com/vllm-project/vllm vllm/v1/engine/processor.py",
    ),
    Wording(
        "SGLang 0.5, Together AI",
        "The input (# tokens) is longer than the model's context length (# tokens)",
        "github.com/sgl-project/sglang python/sglang/srt/managers/tokenizer_manager.py",
    ),
    Wording(
        "gateways before them, shortened",
        "longer than the model's context",
        "github.com/BerriAI/litellm litellm/litellm_core_utils/exception_mapping_utils.py",
    ),
    Wording(
        "SGLang 0.5",
        "Requested token count exceeds the model's maximum context length of # tokens",
        "github.com/sgl-project/sglang python/sglang/srt/managers/tokenizer_manager.py",
    ),
    Wording(
        "OpenRouter, 2026-09",
        "This endpoint's maximum context length is # tokens",
        "openrouter.ai/docs/api/reference/errors-and-debugging",
    ),
    Wording(
        "OpenRouter, Poolside",
        "exceeds the maximum allowed input length of # tokens",
        "github.com/badlogic/pi-mono packages/ai/src/utils/overflow.ts",
    ),
    Wording(
        "Anthropic",
        "prompt is too long: # tokens > # maximum",
        "docs.claude.com/en/api/errors",
    ),
    Wording(
        "Anthropic",
        "input length and `max_tokens` exceed context limit: # + # > #",
        "github.com/continuedev/continue/issues/8454",
    ),
    Wording(
        "Amazon Bedrock",
        "Input is too long for requested model",
        "repost.aws/knowledge-center/bedrock-validation-exception-errors",
    ),
    Wording(
        "Google Gemini",
        "The input token count (#) exceeds the maximum number of tokens allowed (#)",
        "github.com/badlogic/pi-mono packages/ai/src/utils/overflow.ts",
    ),
    Wording(
        "Google Gemini, 2026",
        "The input token count exceeds the maximum number of tokens allowed #",
        "github.com/BerriAI/litellm litellm/litellm_core_utils/exception_mapping_utils.py",
    ),
    Wording(
        "Mistral",
        "too large for model with # maximum context length",
        "docs.mistral.ai/resources/known-limitations",
    ),
    Wording(
        "text-generation-inference 3.3.6",
        "`inputs` tokens + `max_new_tokens` must be <= #. Given: # `inputs` tokens",
        "github.com/huggingface/text-generation-inference router/src/validation.rs",
    ),
    Wording(
        "text-generation-inference 3.3.6",
        "`inputs` must have less than # tokens. Given: #",
        "github.com/huggingface/text-generation-inference router/src/validation.rs",
    ),
    Wording(
        "llama.cpp",
        "the request exceeds the available context size",
        "github.com/ggml-org/llama.cpp tools/server/server.cpp",
    ),
    Wording(
        "llama.cpp b7200 and later",
        "request (# tokens) exceeds the available context size (# tokens)",
        "github.com/ggml-org/llama.cpp tools/server/server-context.cpp",
    ),
    Wording(
        "LM Studio 0.3",
        "The number of tokens to keep from the initial prompt is greater than the context length",
        "github.com/lmstudio-ai/lmstudio-bug-tracker",
    ),
    Wording(
        "llama.cpp, LM Studio",
        "Context size has been exceeded",
        "github.com/ggml-org/llama.cpp tools/server/server-context.cpp",
    ),
    Wording(
        "Ollama, August 2026",
        "the prompt is longer than the context length currently available to the model",
        "github.com/ollama/ollama llm/llama_server.go",
    ),
    Wording(
        "Ollama's cloud",
        "prompt too long; exceeded max context length by # tokens",
        "github.com/badlogic/pi-mono packages/ai/src/utils/overflow.ts",
    ),
    Wording(
        "Groq",
        "Please reduce the length of the messages or completion",
        "github.com/badlogic/pi-mono packages/ai/src/utils/overflow.ts",
    ),
    Wording(
        "xAI",
        "This model's maximum prompt length is # but the request contains # tokens",
        "github.com/badlogic/pi-mono packages/ai/src/utils/overflow.ts",
    ),
    Wording(
        "DashScope",
        "Range of input length should be [1, #]",
        "help.aliyun.com/zh/model-studio/error-code",
    ),
    Wording(
        "Cerebras",
        "Current length is # while limit is #",
        "github.com/BerriAI/litellm litellm/litellm_core_utils/exception_mapping_utils.py",
    ),
    Wording(
        "Moonshot",
        "Your request exceeded model token limit: #",
        "github.com/badlogic/pi-mono packages/ai/src/utils/overflow.ts",
    ),
    Wording(
        "MiniMax",
        "invalid params, context window exceeds limit",
        "github.com/badlogic/pi-mono packages/ai/src/utils/overflow.ts",
    ),
    Wording(
        "GitHub Copilot",
        "prompt token count of # exceeds the limit of #",
        "github.com/badlogic/pi-mono packages/ai/src/utils/overflow.ts",
    ),
)

_NUMBER = r"\d[\d,._]*"


def _pattern(words: str) -> str:
    return re.escape(words).replace(r"\#", _NUMBER)


_ANY = re.compile("|".join(_pattern(wording.words) for wording in WORDINGS), re.IGNORECASE)


def says_too_long(text: str) -> bool:
    """Whether the sentence, in one line, has the words of a row."""
    return _ANY.search(text) is not None
