"""A Prefect server with its UI, and a real browser on it. Skipped where either half of a browser is missing."""

from __future__ import annotations

import contextvars
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import httpx
import pytest
from tests.prefect_server import STARTUP_S, eventually
from tests.scripted_server.client import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_Result = TypeVar("_Result")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
STOPPED_S = 30
SHOWN_MS = 30_000


@dataclass(frozen=True, slots=True)
class PrefectUI:
    """The running server: where its pages are, and the environment of a process that is to use it."""

    url: str
    environ: dict[str, str]


@pytest.fixture(scope="module")
def chromium() -> str:
    """Where the browser is."""
    pytest.importorskip("playwright.sync_api", reason="no browser test: playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no browser test: chromium is not installed")
    return CHROMIUM


@pytest.fixture(scope="module")
def prefect_ui(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectUI]:
    """A server of its own, since the one of the other tests serves no pages; this process uses it meanwhile."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    home, port = tmp_path_factory.mktemp("prefect-ui"), free_port()
    url = f"http://127.0.0.1:{port}"
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environ = own | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: _is_healthy(url), bool, timeout_s=STARTUP_S)
            with temporary_settings({PREFECT_API_URL: f"{url}/api", PREFECT_HOME: home}):
                yield PrefectUI(url, environ)
                # What is left for this server would be waited for in vain by the tests after these.
                EventsWorker.drain_all(timeout=STOPPED_S)
                APILogWorker.drain_all(timeout=STOPPED_S)
        finally:
            process.terminate()
            process.wait(timeout=STOPPED_S)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1000, "height": 1300})
    page.set_default_timeout(SHOWN_MS)
    yield page
    page.close()


def aside(work: Callable[[], _Result]) -> _Result:
    """What it gives, from a thread: Playwright keeps a loop in this one, and Prefect would return coroutines."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, work).result()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/health", timeout=5).is_success
    except httpx.TransportError:
        return False
