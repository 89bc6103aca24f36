"""Web searches, and other tools that a provider runs by itself: what they cost stands beside the tokens.

| who | how it is asked for | where it says so |
|---|---|---|
| OpenAI | a search model: one search a request | platform.openai.com/docs/pricing, "Web search" |
| OpenAI, OpenRouter, Perplexity | `web_search_options` | platform.openai.com/docs/guides/tools-web-search |
| OpenRouter | `plugins`, a model's `:online` | openrouter.ai/docs/features/web-search |
| Google | `google_search` in `tools`, also in `extra_body` | ai.google.dev/gemini-api/docs/pricing, "Grounding" |
| xAI | `search_parameters`, unless its mode is off | docs.x.ai/docs/guides/live-search |
| Anthropic, Moonshot, Zhipu | `tools` that are no functions | docs.anthropic.com/en/docs/about-claude/pricing |
| DashScope | `enable_search` | alibabacloud.com/help/en/model-studio/web-search |
| Groq | compound models, `search_settings` | console.groq.com/docs/compound |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ONE_SEARCH = re.compile(r"(.*/)?gpt-[^/:]*-search-(preview|api)(-[0-9-]+)?")
_SEARCHES = re.compile(r".*:online|.*deep-research.*|(.*/)?sonar(-.*)?|(.*/)?compound(-.*)?")
_OPTIONS = frozenset(
    {"web_search_options", "search_parameters", "search_settings", "web_search", "enable_search", "connectors"}
)
_OWN_TOOLS = frozenset({"function", "custom"})
"""Tools that the client runs."""
_FREE_PLUGINS = frozenset({"response-healing"})
_BODIES_INSIDE = ("extra_body", "google")
"""Google's compatible endpoint takes what OpenAI's API does not have inside these."""


def searches_of(model: str, parameters: Mapping[str, Any]) -> int | None:
    """How many searches a request will be billed for; `None` if that is not known before it is answered."""
    name = model.lower()
    if _SEARCHES.fullmatch(name) or _runs_tools(parameters):
        return None
    if _ONE_SEARCH.fullmatch(name):
        return 1
    return None if any(option in _OPTIONS and _is_asked_for(asked) for option, asked in parameters.items()) else 0


def _is_asked_for(option: Any) -> bool:
    """An empty object asks for it; xAI's says that it does not by its mode."""
    if option is None or option is False or option == []:
        return False
    return not (isinstance(option, Mapping) and (option.get("mode") == "off" or option.get("enable") is False))


def _runs_tools(parameters: Mapping[str, Any]) -> bool:
    """Whether the provider is given tools to run itself."""
    tools, plugins = parameters.get("tools"), parameters.get("plugins")
    if any(_is_providers_own(tool) for tool in (tools if isinstance(tools, list) else ())):
        return True
    if any(_is_billed(plugin) for plugin in (plugins if isinstance(plugins, list) else ())):
        return True
    inside = (parameters.get(name) for name in _BODIES_INSIDE)
    return any(searches_of("", body) != 0 for body in inside if isinstance(body, Mapping))


def _is_providers_own(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type") not in _OWN_TOOLS and "function" not in tool


def _is_billed(plugin: Any) -> bool:
    return (
        isinstance(plugin, Mapping) and plugin.get("enabled") is not False and plugin.get("id") not in _FREE_PLUGINS
    )
