"""The words by which OpenAI and the endpoints that imitate it say what is wrong: `error.code` or `error.type`.

https://platform.openai.com/docs/guides/error-codes; whose word it is stands beside each. A new word is a line here.
"""

from __future__ import annotations

from prefect_llm.values.errors import Cause
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.wire.error_bodies import ErrorWords
from prefect_llm.wire.error_objects import FLAGGED, PER_DAY

_TOO_LONG = (
    "context_length_exceeded",  # OpenAI, vLLM, Groq, OpenRouter
    "exceed_context_size_error",  # llama.cpp
    "ContextWindowExceededError",  # LiteLLM
    "model_context_window_exceeded",  # Zhipu
    "1261",  # Zhipu
    "request_too_large",  # Anthropic
    "string_too_long",  # OpenRouter
    "tokens_limit_reached",  # GitHub Models
    "model_max_prompt_tokens_exceeded",  # GitHub Copilot
    "TOO_MANY_TOKENS",  # Venice
    "tokens_too_long",  # UCloud
)
_FILTERED = (
    "content_filter",  # Azure, Moonshot
    "ResponsibleAIPolicyViolation",  # Azure
    "content_policy_violation",  # OpenAI, OpenRouter
    "ContentPolicyViolationError",  # LiteLLM
    FLAGGED,  # OpenRouter
    "refusal",  # OpenRouter
    "moderation_blocked",  # OpenAI
    "image_content_policy_violation",  # OpenAI
    "SAFETY_CHECK_TYPE",  # xAI
    "DataInspectionFailed",  # DashScope
    "data_inspection_failed",  # DashScope
    "1301",  # Zhipu
    "1026",  # MiniMax
    "1027",  # MiniMax
    "SensitiveContentDetected",  # Volcengine
    "InputTextSensitiveContentDetected",  # Volcengine
    "OutputTextSensitiveContentDetected",  # Volcengine
    "PROHIBITED_CONTENT",  # Google
    "2016",  # Cloudflare's AI Gateway, prompt
    "2017",  # Cloudflare's AI Gateway, answer
)
_KINDS = {
    **dict.fromkeys(_TOO_LONG, ErrorKind.CONTEXT_TOO_LONG),
    **dict.fromkeys(_FILTERED, ErrorKind.CONTENT_FILTERED),
    "json_validate_failed": ErrorKind.SCHEMA_MISMATCH,  # Groq
}

_DOCUMENT_REFUSED = (
    "invalid_prompt",  # OpenAI, flagged; OpenRouter, malformed
    "invalid_image",  # OpenRouter
    "invalid_image_url",  # OpenAI
    "invalid_image_format",  # OpenAI
    "invalid_base64_image",  # OpenAI
    "image_parse_error",  # OpenAI
    "image_too_large",  # OpenAI, OpenRouter
    "image_too_small",  # OpenAI, OpenRouter
    "image_not_found",  # OpenRouter
    "image_file_not_found",  # OpenAI
    "failed_to_download_image",  # OpenAI
    "image_download_failed",  # OpenRouter
    "unsupported_image_format",  # OpenRouter
    "ImageFetchError",  # LiteLLM
)
_KEY_REFUSED = (
    "invalid_api_key",  # OpenAI
    "InvalidApiKey",  # DashScope
    "API_KEY_INVALID",  # Google, with 400
    "invalid_authentication_error",  # Moonshot
    "authentication",  # OpenRouter
    "authentication_error",  # Anthropic, LiteLLM
    "no_db_connection",  # LiteLLM without a database: any key but the master's
    "token_not_found_in_db",  # LiteLLM
    "expired_key",  # LiteLLM
    "account_deactivated",  # OpenAI
    "CONSUMER_SUSPENDED",  # Google
    "API_KEY_SERVICE_BLOCKED",  # Google
    "SERVICE_DISABLED",  # Google
)
_ACCOUNT_EXHAUSTED = (
    "insufficient_quota",  # OpenAI
    "billing_hard_limit_reached",  # OpenAI
    "billing_not_active",  # OpenAI
    "organization_usage_limit_exceeded",  # OpenAI
    "organization_spend_limit_exceeded",  # OpenAI
    "project_spend_limit_exceeded",  # OpenAI
    "billing_error",  # Anthropic
    "blocked_api_access",  # Groq, with 400
    "payment_required",  # OpenRouter, Cerebras
    "token_limit_exceeded",  # OpenRouter: what the credit allows
    "insufficient_credits",
    "insufficient_balance",
    "insufficient_funds",  # Vercel
    "insufficient_user_quota",  # One API
    "budget_exceeded",  # LiteLLM, with 422, 429 or 400
    "BudgetExceededError",  # LiteLLM
    "PaymentRequiredError",  # LiteLLM
    "BILLING_DISABLED",  # Google
    "Arrearage",  # DashScope, with 400
    "AllocationQuota.FreeTierOnly",  # DashScope, with 403
    "exceeded_current_quota_error",  # Moonshot, with 429
    "AccountOverdueError",  # Volcengine, with 403
    "1113",  # Zhipu, with 429
    "1008",  # MiniMax
    "NOT_ENOUGH_BALANCE",  # Novita, with 403
)
_LIMIT_PER_DAY = (
    PER_DAY,  # Google
    "1304",  # Zhipu
    "1308",  # Zhipu, a plan's hours
    "1310",  # Zhipu, a plan's week or month
)
# not "not_found_error": Ollama and Anthropic say it of a model, llama.cpp of a path
_MODEL_NOT_FOUND = (
    "model_not_found",  # OpenAI
    "NotFoundError",  # vLLM, LiteLLM
    "NOT_FOUND",  # Google, Fireworks
    "invalid_model",  # Mistral, with 400
    "model_not_available",  # Together
    "model_decommissioned",  # Groq, with 400
    "model_not_active",  # Groq, with 400
    "ModelNotFound",  # DashScope
    "DeploymentNotFound",  # Azure
    "InvalidEndpointOrModel.NotFound",  # Volcengine
    "ModelNotOpen",  # Volcengine
    "20012",  # SiliconFlow, with 400
    "resource_not_found_error",  # Moonshot
    "1211",  # Zhipu, with 400
    "5007",  # Cloudflare's Workers AI, with 400
)
_PARAMETER_REFUSED = (
    "unsupported_parameter",  # OpenAI
    "unsupported_value",  # OpenAI
    "unknown_parameter",  # OpenAI
    "invalid_json_schema",  # OpenAI
    "extra_forbidden",  # Mistral, everything on FastAPI
    "UnsupportedParamsError",  # LiteLLM
)
_CAUSES = {
    **dict.fromkeys(_DOCUMENT_REFUSED, Cause.DOCUMENT_REFUSED),
    **dict.fromkeys(_KEY_REFUSED, Cause.KEY_REFUSED),
    **dict.fromkeys(_ACCOUNT_EXHAUSTED, Cause.ACCOUNT_EXHAUSTED),
    **dict.fromkeys(_LIMIT_PER_DAY, Cause.LIMIT_PER_DAY),
    **dict.fromkeys(_MODEL_NOT_FOUND, Cause.MODEL_NOT_FOUND),
    **dict.fromkeys(_PARAMETER_REFUSED, Cause.PARAMETER_REFUSED),
    "not_supported_error": Cause.UNSUPPORTED,  # llama.cpp, with 501
}

_STATUSES = {
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "rate_limit": 429,
    "RESOURCE_EXHAUSTED": 429,
    "throttling_error": 429,
    "permission_denied": 403,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "invalid_request": 400,
    "BadRequestError": 400,
    "INVALID_ARGUMENT": 400,
}

_PARAMETER_KINDS = dict.fromkeys(("input_tokens", "input_text"), ErrorKind.CONTEXT_TOO_LONG)  # vLLM 0.32

ERROR_WORDS = ErrorWords(
    kinds=_KINDS,
    causes=_CAUSES,
    statuses=_STATUSES,
    parameter_kinds=_PARAMETER_KINDS,
    documents_fields=frozenset({"messages", "prompt", "input", "contents"}),
)
