"""Addresses below a base URL, which may end with parameters: Azure's `?api-version=2024-10-21`."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=256)
def below(base_url: str, path: str) -> str:
    """The address of `path`, which begins with a slash, under that base URL; parameters stay at the end."""
    bare, mark, parameters = base_url.partition("?")
    return f"{bare.rstrip('/')}{path}{mark}{parameters}"
