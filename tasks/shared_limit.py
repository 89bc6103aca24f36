"""One provider's limits over all processes and machines that use it, by Prefect's global concurrency limits."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prefect_llm.engine import Engine, engine_for
from prefect_llm.tasks.leased_share import SharedLimit
from prefect_llm.values.provider import Provider


@contextmanager
def limits_shared(provider: Provider) -> Iterator[None]:
    """While the block runs, the limits of the provider and its fallbacks hold over all processes."""
    asked = provider.routes
    shares = [_share_of(each.shared_as, engine_for(each)) for each in asked if each.shared_as is not None]
    for share in shares:
        share.enter()
    ended = False
    try:
        yield
        ended = True
    finally:
        for share in shares:
            share.leave(for_good=not ended)


_shares: dict[tuple[str, Engine], SharedLimit] = {}
_shares_lock = threading.Lock()


def _share_of(name: str, engine: Engine) -> SharedLimit:
    with _shares_lock:
        for gone in [key for key in _shares if key[1].closed]:
            del _shares[gone]
        return _shares.setdefault((name, engine), SharedLimit(name, engine))


def awaited_limits(provider: Provider) -> list[str]:
    """The limits of the provider and its fallbacks that keep this process waiting, for others hold all of them."""
    named = {each.shared_as for each in provider.routes}
    with _shares_lock:
        shares = [share for (name, _), share in _shares.items() if name in named]
    return sorted({share.awaited for share in shares if share.awaited is not None})


def give_all_back() -> None:
    """Return every lease of this process."""
    for share in list(_shares.values()):
        share.close()
    _shares.clear()


atexit.register(give_all_back)
