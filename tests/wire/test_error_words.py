"""What providers and servers say of documents, keys, accounts, models and parameters, and whose fault that is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.wire.refusing import refusal

from prefect_llm.values.errors import Cause, Rejected, Throttled, Unavailable
from prefect_llm.values.outcome import ErrorKind


def told(message: str = "said by the endpoint", **more: Any) -> dict[str, Any]:
    """OpenAI's form."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}}


def google(code: int, status: str, *details: Any) -> list[dict[str, Any]]:
    """Google's form: a list of one."""
    return [{"error": {"code": code, "status": status, "message": "no", "details": list(details)}}]


AZURE_FILTER = {"hate": {"filtered": True, "severity": "high"}, "jailbreak": {"filtered": False}}
FILTERED = {
    "OpenAI": (400, told(code="content_policy_violation")),
    "Azure": (
        400,
        told(
            type=None,
            param="prompt",
            code="content_filter",
            status=400,
            innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": AZURE_FILTER},
        ),
    ),
    "Azure, by its inner error": (
        400,
        told(code="BadRequest", innererror={"code": "ResponsibleAIPolicyViolation"}),
    ),
    "OpenRouter": (
        403,
        {"error": {"code": 403, "message": "input was flagged", "metadata": {"reasons": ["violence"]}}},
    ),
    "OpenRouter, typed": (
        403,
        {"error": {"code": 403, "message": "no", "metadata": {"error_type": "content_policy_violation"}}},
    ),
    "xAI": (
        403,
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": "Content violates usage guidelines. Team: t, Model: m. Failed check: SAFETY_CHECK_TYPE_BIO",
        },
    ),
    "xAI, in a gateway's text": (
        403,
        {"message": '{"error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_CSAM"}'},
    ),
    "DashScope": (400, told(code="data_inspection_failed")),
    "DashScope, native": (400, {"code": "DataInspectionFailed", "message": "inappropriate", "request_id": "r"}),
    "Zhipu": (400, {"contentFilter": [{"level": 1}], "error": {"code": "1301", "message": "sensitive"}}),
    "Moonshot": (400, told(type="content_filter")),
    "Volcengine": (400, told(code="InputTextSensitiveContentDetected", type="BadRequest")),
    "Cloudflare's AI Gateway": (
        424,
        {"success": False, "error": [{"code": 2016, "message": "Prompt blocked due to security configurations"}]},
    ),
    "Portkey": (446, {"error": {"message": "hooks_failed", "type": "x"}}),
    "451": (451, {"detail": "blocked"}),
    "LiteLLM before Azure": (
        400,
        told(
            "litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException - It was filtered",
            type=None,
            code="400",
        ),
    ),
    "Azure through LiteLLM": (
        400,
        told(provider_specific_fields={"innererror": {"code": "ResponsibleAIPolicyViolation"}}, code="400"),
    ),
}


@pytest.mark.parametrize("provider", FILTERED)
def test_what_a_provider_moderates_is_one_documents_fault_whatever_the_status(provider: str) -> None:
    error = refusal(*FILTERED[provider])
    assert isinstance(error, Rejected)
    assert (error.kind, error.cause) == (ErrorKind.CONTENT_FILTERED, Cause.DOCUMENT_REFUSED)


CAUSES = {
    "Google, wrong key": (400, google(400, "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}), Cause.KEY_REFUSED),
    "Google, wrong key without the list": (
        400,
        google(400, "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"})[0],
        Cause.KEY_REFUSED,
    ),
    "OpenAI, wrong key": (401, told(code="invalid_api_key"), Cause.KEY_REFUSED),
    "Moonshot, wrong key": (401, told(type="invalid_authentication_error"), Cause.KEY_REFUSED),
    "LiteLLM, wrong key without a database": (
        400,
        told("No connected db.", type="no_db_connection", code="400"),
        Cause.KEY_REFUSED,
    ),
    "LiteLLM, wrong key": (
        401,
        told("Authentication Error, Invalid", type="token_not_found_in_db", param="key", code="401"),
        Cause.KEY_REFUSED,
    ),
    "Anthropic, no credit": (402, {"error": {"type": "billing_error", "message": "no"}}, Cause.ACCOUNT_EXHAUSTED),
    "OpenAI, hard limit": (400, told(code="billing_hard_limit_reached"), Cause.ACCOUNT_EXHAUSTED),
    "Groq, spend limit": (400, told(code="blocked_api_access"), Cause.ACCOUNT_EXHAUSTED),
    "DashScope, arrears": (400, told(code="Arrearage", type="Arrearage"), Cause.ACCOUNT_EXHAUSTED),
    "DashScope, free tier": (403, told(code="AllocationQuota.FreeTierOnly"), Cause.ACCOUNT_EXHAUSTED),
    "Volcengine, arrears": (403, told(code="AccountOverdueError", type="Forbidden"), Cause.ACCOUNT_EXHAUSTED),
    "Novita, no credit": (
        403,
        {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "no"},
        Cause.ACCOUNT_EXHAUSTED,
    ),
    "Portkey, budget": (412, b"", Cause.ACCOUNT_EXHAUSTED),
    "LiteLLM, budget": (422, told(type="budget_exceeded", code="422"), Cause.ACCOUNT_EXHAUSTED),
    "LiteLLM, budget, older": (400, told(type="budget_exceeded", code="400"), Cause.ACCOUNT_EXHAUSTED),
    "LiteLLM, a model unknown to the provider": (
        404,
        told("litellm.NotFoundError: NotFoundError: OpenAIException - The model `m` does not exist", code="404"),
        Cause.MODEL_NOT_FOUND,
    ),
    "Mistral, unknown model": (
        400,
        {"object": "error", "message": "Invalid model: m", "type": "invalid_model", "param": None, "code": "1500"},
        Cause.MODEL_NOT_FOUND,
    ),
    "Azure, unknown deployment": (404, told(code="DeploymentNotFound", type=None), Cause.MODEL_NOT_FOUND),
    "Fireworks, unknown model": (404, told(code="NOT_FOUND"), Cause.MODEL_NOT_FOUND),
    "Google, unknown model": (404, google(404, "NOT_FOUND"), Cause.MODEL_NOT_FOUND),
    "Groq, retired model": (400, told(code="model_decommissioned"), Cause.MODEL_NOT_FOUND),
    "Zhipu, unknown model": (400, {"error": {"code": "1211", "message": "no"}}, Cause.MODEL_NOT_FOUND),
    "SiliconFlow, unknown model": (400, {"code": 20012, "message": "no", "data": None}, Cause.MODEL_NOT_FOUND),
    "Cloudflare, unknown model": (
        400,
        {"errors": [{"message": "No such model", "code": 5007}], "success": False},
        Cause.MODEL_NOT_FOUND,
    ),
    "a 400 that names the model": (400, told(param="model"), Cause.MODEL_NOT_FOUND),
    "OpenRouter, unknown model": (400, told("m is not a valid model ID", code=400), None),
    "LiteLLM, unknown model": (
        400,
        told("/chat/completions: Invalid model name passed in model=m.", code="400"),
        None,
    ),
    "OpenAI, unknown parameter": (400, told(code="unknown_parameter", param="foo"), Cause.PARAMETER_REFUSED),
    "OpenAI, another value": (400, told(code=None, param="top_p"), Cause.PARAMETER_REFUSED),
    "OpenAI, a role": (400, told(code="unsupported_value", param="messages[0].role"), Cause.PARAMETER_REFUSED),
    "OpenAI, a message": (400, told(param="messages.[3].content"), None),
    "FastAPI": (
        422,
        {"detail": [{"type": "float_type", "loc": ["body", "temperature"], "msg": "no", "input": "hot"}]},
        Cause.PARAMETER_REFUSED,
    ),
    "FastAPI, text": (400, {"detail": "no"}, None),
    "llama.cpp, embeddings": (501, told(type="not_supported_error", code=501), Cause.UNSUPPORTED),
    "501": (501, b"", Cause.UNSUPPORTED),
    "OpenAI, an image": (400, told(code="invalid_image_url", param="messages"), Cause.DOCUMENT_REFUSED),
    "OpenAI, flagged": (400, told(code="invalid_prompt"), Cause.DOCUMENT_REFUSED),
    "nginx, too large": (413, b"<html><head><title>413</title></head></html>", Cause.DOCUMENT_REFUSED),
    "Cloudflare, a page": (
        403,
        b"<!DOCTYPE html><html lang='en-US'><head><title>Just a moment...</title></head><body></body></html>",
        Cause.NOT_THE_API,
    ),
    "Cloudflare, plain": (403, b"error code: 1020", Cause.NOT_THE_API),
    "a 403 without a word": (403, b"", None),
    "a 403 of the API's": (403, told(), None),
    "Groq, an answer against its schema": (400, told(code="json_validate_failed", failed_generation="{"), None),
}


@pytest.mark.parametrize("case", CAUSES)
def test_a_refusal_says_whose_fault_it_is(case: str) -> None:
    status, body, cause = CAUSES[case]
    error = refusal(status, body)
    assert isinstance(error, Rejected)
    assert error.cause == cause


def test_groq_refuses_an_answer_for_its_schema() -> None:
    assert refusal(400, told(code="json_validate_failed")).kind is ErrorKind.SCHEMA_MISMATCH


THROTTLES = {
    "OpenAI": (told(code="insufficient_quota"), Cause.ACCOUNT_EXHAUSTED),
    "OpenAI, spend limit": (
        told(type="insufficient_quota", code="project_spend_limit_exceeded"),
        Cause.ACCOUNT_EXHAUSTED,
    ),
    "Moonshot": (told(type="exceeded_current_quota_error"), Cause.ACCOUNT_EXHAUSTED),
    "Zhipu": ({"error": {"code": "1113", "message": "no"}}, Cause.ACCOUNT_EXHAUSTED),
    "LiteLLM, budget": (told(type="budget_exceeded", code="429"), Cause.ACCOUNT_EXHAUSTED),
    "LiteLLM, rate": (told("litellm.RateLimitError: no", type="throttling_error", code="429"), None),
    "Google, a day's quota": (
        google(
            429,
            "RESOURCE_EXHAUSTED",
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "250"}],
            },
        ),
        Cause.LIMIT_PER_DAY,
    ),
    "Zhipu, a day's": ({"error": {"code": "1304", "message": "no"}}, Cause.LIMIT_PER_DAY),
    "Google, a minute's quota": (
        google(
            429, "RESOURCE_EXHAUSTED", {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}
        ),
        None,
    ),
    "OpenAI, rate": (told(code="rate_limit_exceeded", type="tokens"), None),
}


@pytest.mark.parametrize("case", THROTTLES)
def test_a_429_says_whether_waiting_helps(case: str) -> None:
    body, cause = THROTTLES[case]
    error = refusal(429, body)
    assert isinstance(error, Throttled)
    assert error.cause == cause


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (google(429, "RESOURCE_EXHAUSTED", {"retryDelay": "12s"}), 12.0),
        (told(retry_after=3), 3.0),
        (told(metadata={"headers": {"X-RateLimit-Reset": "1000"}}), 1000.0),
        (told(), None),
    ],
    ids=["Google", "a number", "OpenRouter", "nothing"],
)
def test_a_body_may_say_how_long_to_wait(body: Any, seconds: float | None) -> None:
    asked, waited = refusal(429, body), refusal(429, body, **{"retry-after": "7"})
    assert isinstance(asked, Throttled)
    assert isinstance(waited, Throttled)
    assert (asked.retry_after_s, waited.retry_after_s) == (seconds, 7.0)


@pytest.mark.parametrize(
    ("status", "body", "parameters"),
    [
        (
            400,
            told("'max_tokens' is not supported", code="unsupported_parameter", param="max_tokens"),
            {"max_tokens"},
        ),
        (
            400,
            told(
                "Unsupported parameter: 'max_tokens' is not supported with this model.", code="unsupported_parameter"
            ),
            {"max_tokens"},
        ),
        (
            400,
            told("litellm.BadRequestError: OpenAIException - Unsupported parameter", param="max_tokens", code="400"),
            {"max_tokens"},
        ),
        (
            400,
            told(
                "litellm.UnsupportedParamsError: openai does not support parameters: ['temperature'], for m",
                type="None",
            ),
            {"temperature"},
        ),
        (
            422,
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "no", "input": 9}]},
            {"max_tokens"},
        ),
        (
            422,
            {
                "object": "error",
                "message": {
                    "detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "no"}]
                },
                "type": "invalid_request_error",
            },
            {"max_completion_tokens"},
        ),
        (422, {"detail": [{"loc": ["temperature"], "msg": "no"}]}, {"temperature"}),
        (400, told(code="unsupported_value", param="temperature"), {"temperature"}),
        (400, told(param="response_format.json_schema"), {"response_format"}),
        (400, google(400, "INVALID_ARGUMENT", {"fieldViolations": [{"field": "contents[0].parts"}]}), {"contents"}),
        (400, told("the parameter 'max_tokens' is fine", param="None"), set()),
        (400, told("'max_tokens' is not supported"), set()),
    ],
)
def test_the_parameter_that_is_blamed_is_known_by_its_name(status: int, body: Any, parameters: set[str]) -> None:
    error = refusal(status, body)
    assert isinstance(error, Rejected)
    assert error.parameters == parameters


def test_a_500_without_a_code_may_pass() -> None:
    error = refusal(500, told("image input is not supported", type="server_error", code=500))
    assert isinstance(error, Unavailable)
    assert error.cause is None
