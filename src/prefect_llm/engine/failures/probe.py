"""What to ask a provider in doubt: the cheapest request that it has answered, once more and for one token.

Documents that fail where the probe is answered are at fault themselves; where it fails too, the provider is. Decides
only; the asker sends it in the place of a document that has failed, whose row bears its price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from prefect_llm.values.request import Message, Request

ONE_TOKEN = 1
MESSAGE_SIZE = 16
"""What a message counts beyond its text, as in the bound on its price (docs/contract.md, Budget)."""


class KnownRequests:
    """The cheapest answered request of each model; a model that has answered none is asked the `greeting`."""

    def __init__(self, greeting: Sequence[Message]) -> None:
        self._greeting = greeting
        self._cheapest: dict[str, tuple[int, Sequence[Message]]] = {}
        self._whole: set[str] = set()
        self._in_vain: set[str] = set()

    def answered(self, request: Request) -> None:
        """A good answer came to it."""
        model, size = request.parameters.model, _size(request.messages)
        self._in_vain.discard(model)
        if model not in self._cheapest or size < self._cheapest[model][0]:
            self._cheapest[model] = (size, request.messages)

    def refused(self, model: str) -> None:
        """The probe was refused, perhaps for its limit: ask as the documents do from now on.

        One that is refused even so tells nothing: there is none until the model answers again.
        """
        if model in self._whole:
            self._in_vain.add(model)
        self._whole.add(model)

    def probe_for(self, failing: Request) -> Request | None:
        """The probe in that document's place; `None` if none tells more, or costs less, than the document itself."""
        parameters, most = failing.parameters, _size(failing.messages)
        if parameters.model in self._in_vain:
            return None
        known = self._cheapest.get(parameters.model)
        messages = known[1] if known is not None and known[0] <= most else self._greeting
        if _size(messages) > most:
            return None

        if parameters.model not in self._whole:
            parameters = replace(parameters, max_output_tokens=ONE_TOKEN, answer_format=None, fail_truncated=False)
        return replace(failing, messages=messages, parameters=parameters)


def _size(messages: Sequence[Message]) -> int:
    """Bytes of their content: what they cost grows with them."""
    return sum(MESSAGE_SIZE + _content_size(message.get("content")) for message in messages)


def _content_size(content: object) -> int:
    if isinstance(content, str):
        return len(content.encode("utf-8", "replace"))
    return len(orjson.dumps(content)) if content else 0
