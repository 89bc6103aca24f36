"""A real small model on this machine, behind a real HTTP server that dies with its parent.

The names load on first use: `python -m prefect_llm.local.weights` must find its module not yet imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_llm.local.server import LocalModel, local_model
    from prefect_llm.local.weights import fetch_weights, find_weights

__all__ = ["LocalModel", "fetch_weights", "find_weights", "local_model"]

_MODULES = {
    "LocalModel": "prefect_llm.local.server",
    "fetch_weights": "prefect_llm.local.weights",
    "find_weights": "prefect_llm.local.weights",
    "local_model": "prefect_llm.local.server",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
