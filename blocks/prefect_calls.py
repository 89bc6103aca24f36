"""Calls to Prefect's API that outlast an ill server: 5xx, 429, timeouts, refused and cut connections.

Prefect's client tries 408, 429, 502, 503 and lost connections again for a minute. It raises at once every other 5xx,
and what a new client cannot connect to (`prefect.client.base`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx
from prefect.exceptions import PrefectException
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_CLIENT_RETRY_EXTRA_CODES,
    temporary_settings,
)
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential, wait_random

PATIENCE_S = 300.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
RETRIES = 7
"""The client waits 2, 4, ... 128 s, each a fifth more or less at random: 254 s in all."""
FURTHER_CODES = frozenset({500, 504})
"""What the client does not try again by itself, and a gateway or a busy database answers."""
ONE_TRY_S = 10.0

UNREACHABLE = (httpx.HTTPError, PrefectException)
"""What the client raises where the server cannot be asked, or refuses."""

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


def may_pass(error: BaseException) -> bool:
    """Whether the server fails, rather than the call is wrong."""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS) or status >= 500
    if isinstance(error, json.JSONDecodeError):  # a gateway's page with status 200
        return True
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def patiently(call: Callable[[], Result]) -> Result:
    """What `call` returns, once the server answers. Raises its last error after `PATIENCE_S`."""
    tries = Retrying(
        retry=retry_if_exception(may_pass),
        wait=wait_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S) + wait_random(0, FIRST_WAIT_S),
        stop=stop_after_delay(PATIENCE_S),
        before_sleep=_tell_once,
        reraise=True,
    )
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        return tries(call)


@contextmanager
def one_try() -> Iterator[None]:
    """While the block runs, a call either succeeds soon or raises: for what is asked again later anyway."""
    timeout_s = min(PREFECT_API_REQUEST_TIMEOUT.value(), ONE_TRY_S)
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: timeout_s}):
        yield


@contextmanager
def patient_client() -> Iterator[None]:
    """While the block runs, calls of Prefect's own (states of the flow run, its leases, log lines) are as patient."""
    retries = max(PREFECT_CLIENT_MAX_RETRIES.value(), RETRIES)
    codes = {*PREFECT_CLIENT_RETRY_EXTRA_CODES.value(), *FURTHER_CODES}
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: retries, PREFECT_CLIENT_RETRY_EXTRA_CODES: codes}):
        yield


def _tell_once(call: RetryCallState) -> None:
    if call.attempt_number == 1 and call.outcome is not None:
        error = call.outcome.exception()
        logger.warning("Prefect's API cannot be asked (%s): trying again for up to %.0f s", _named(error), PATIENCE_S)


def _named(error: BaseException | None) -> str:
    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
    return type(error).__name__ if status is None else f"status {status}"
