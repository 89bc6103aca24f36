"""Tool calls: what a model answers with in place of text, where it was offered tools.

https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prefect_llm.values.request import Parameters
from prefect_llm.wire.openai_chat_shapes import Message

OFFERS = frozenset({"tools", "functions"})
"""Parameters of a request that offer tools; the second is the name before 2024."""


def offers_tools(parameters: Parameters) -> bool:
    """Whether a call is an answer to that request."""
    return not OFFERS.isdisjoint(parameters.extra)


def calls_of(message: Message) -> list[Any]:
    """The calls in a message; one in the form before 2024 comes as today's."""
    if isinstance(message.tool_calls, list) and message.tool_calls:
        return message.tool_calls
    return [{"type": "function", "function": message.function_call}] if message.function_call else []


def joined_calls(deltas: Iterable[Message]) -> list[dict[str, Any]] | None:
    """The calls that a stream's deltas add up to; `None` if there are none.

    A delta says by `index` which call it goes on with; without one, or with another `id`, it begins a call.
    """
    calls: list[dict[str, Any]] = []
    for delta in deltas:
        for piece in calls_of(delta):
            if isinstance(piece, dict):
                _add(piece, calls)
    return [{name: value for name, value in call.items() if name != "index"} for call in calls] or None


def names_in(calls: Iterable[Any]) -> str:
    """The called tools, for people."""
    functions = (call.get("function") for call in calls if isinstance(call, dict))
    return ", ".join(str(each.get("name")) for each in functions if isinstance(each, dict))


def _add(piece: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    last = next((call for call in reversed(calls) if call.get("index") == piece.get("index")), None)
    function = piece.get("function")
    if last is None or (piece.get("id") and last.get("id") not in (None, piece["id"])):
        calls.append({**piece, "function": dict(function) if isinstance(function, dict) else {}})
        return

    last["id"] = last.get("id") or piece.get("id")
    if isinstance(function, dict):
        known = last["function"]
        known["name"] = known.get("name") or function.get("name")
        known["arguments"] = _added(known.get("arguments"), function.get("arguments"))


def _added(known: Any, more: Any) -> Any:
    if isinstance(known, str) and isinstance(more, str):
        return known + more
    return known if more is None else more
