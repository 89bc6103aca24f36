"""One engine per provider and process, found by its settings; all closed when the interpreter ends."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Hashable

from prefect_llm.engine.engine import Engine
from prefect_llm.values.provider import Provider


def engine_for(provider: Provider) -> Engine:
    """The process's engine for that provider: same endpoint, credentials and settings, same engine."""
    key = (os.getpid(), _identity(provider))
    with _lock:
        if key not in _engines:
            _engines[key] = Engine(provider)
        return _engines[key]


def open_engine(provider: Provider) -> Engine | None:
    """The process's engine for that provider, if it has asked it anything."""
    with _lock:
        return _engines.get((os.getpid(), _identity(provider)))


def open_engines() -> list[Engine]:
    """Every engine of this process."""
    with _lock:
        return [engine for (pid, _), engine in _engines.items() if pid == os.getpid()]


def close_engines() -> None:
    """Close every engine of this process."""
    with _lock:
        engines = [engine for (pid, _), engine in _engines.items() if pid == os.getpid()]
        _engines.clear()
    for engine in engines:
        engine.close()


_engines: dict[tuple[int, Hashable], Engine] = {}
"""One engine per process and provider; all are closed, and leave, at the end of the process."""
_lock = threading.Lock()
atexit.register(close_engines)


def _identity(provider: Provider) -> Hashable:
    return (
        provider.api,
        provider.base_url,
        provider.api_key,
        tuple(sorted(provider.headers.items())),
        provider.limits,
        provider.timeouts,
        provider.retries,
        provider.http_client,
        provider.output_limit_name,
    )
