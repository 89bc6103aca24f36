"""What served an answer, which may not be what was asked for: the service tier and the searches decide its price.

| who | where it says so |
|---|---|
| OpenAI, Azure, Groq | `service_tier` beside the choices |
| Anthropic, OpenRouter | `service_tier` and `server_tool_use.web_search_requests` in `usage` |
| Vertex AI | `usage.extra_properties.google.traffic_type` (cloud.google.com/vertex-ai/generative-ai/docs) |
| Google | the header `x-gemini-service-tier` (ai.google.dev/gemini-api/docs) |
"""

from __future__ import annotations

from typing import Any

from prefect_llm.values.outcome import UNTOLD, Service
from prefect_llm.wire.http import Headers
from prefect_llm.wire.usage import count_in

_HEADER = "x-gemini-service-tier"
_TRAFFIC_TYPES = {"ON_DEMAND": "standard", "ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}
_OTHER_RATES = (
    ("prompt_tokens_details", "audio_tokens"),
    ("completion_tokens_details", "audio_tokens"),
    ("cache_creation", "ephemeral_1h_input_tokens"),
)
_TELLING_NOTHING = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_TELLS_NOTHING = "auto"
"""Some servers repeat what was asked for."""


def service_of(tier: Any, usage: Any, headers: Headers) -> Service:
    """In the endpoint's own words. `tier` stands beside the choices."""
    in_usage = usage if isinstance(usage, dict) else {}
    if tier is None and in_usage.keys() <= _TELLING_NOTHING and headers.get(_HEADER) is None:
        return UNTOLD
    searches = count_in(_object(in_usage, "server_tool_use"), "web_search_requests")
    told = _tier(tier, in_usage, headers), searches, _has_other_rates(in_usage)
    return UNTOLD if told == (None, None, False) else Service(*told)


def _tier(beside: Any, usage: dict[str, Any], headers: Headers) -> str | None:
    for told in (beside, usage.get("service_tier"), _traffic(usage), headers.get(_HEADER)):
        if isinstance(told, str) and told and (tier := told.lower()) != _TELLS_NOTHING:
            return tier
    return None


def _traffic(usage: dict[str, Any]) -> str | None:
    traffic = _object(_object(usage, "extra_properties"), "google").get("traffic_type")
    return _TRAFFIC_TYPES.get(traffic, traffic) if isinstance(traffic, str) else None


def _has_other_rates(usage: dict[str, Any]) -> bool:
    """Whether it counts audio, or what Anthropic keeps in its cache for an hour."""
    return any(count_in(_object(usage, place), name) for place, name in _OTHER_RATES)


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    found = holder.get(name)
    return found if isinstance(found, dict) else {}
