"""The names under which the list may have a model: providers take several spellings of one."""

from __future__ import annotations

from collections.abc import Iterator

_FIREWORKS = "accounts/fireworks/models/"


def spellings(provider_id: str, model: str) -> tuple[str, ...]:
    """The name as it was asked for, then others of the same model. `provider_id` is the list's."""
    return tuple(dict.fromkeys((model, *_others(provider_id, model))))


def _others(provider_id: str, model: str) -> Iterator[str]:
    if provider_id == "google":
        # Vertex AI: publishers/PUBLISHER/models/MODEL, PUBLISHER/MODEL; the Gemini API: models/MODEL
        name = model.rpartition("models/")[2]
        yield name
        yield name.removeprefix("google/")
    elif provider_id == "fireworks":
        yield _FIREWORKS + model.removeprefix("fireworks/")
    elif provider_id == "openrouter":
        yield model.removesuffix(":online")  # the same model with searches, whose fee stands apart
