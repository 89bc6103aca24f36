"""Every block of code in the README and the docs does what its page says, or says itself that it is not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.following import reader
from tests.docs.reading import NOT_RUN, PAGES, RUN, SHOWN, blocks_of
from tests.prefect_server import PrefectServer
from tests.simulation.simulating import started

# A page's blocks that the tests leave out; each says why in its title. A page that is not here has none.
LEFT_OUT = {
    "README.md": 2,
    "docs/quickstart.md": 2,
    "docs/prefect.md": 4,
    "docs/commands.md": 1,
    "docs/containers.md": 2,
    "docs/input.md": 1,
    "docs/network.md": 1,
    "docs/own-endpoint.md": 2,
    "docs/results.md": 1,
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a simulated provider that answers at once."""
    with started("--output-tokens", "20") as provider:
        yield provider.port


@pytest.fixture(autouse=True)
def _no_automation_is_left(prefect_server: PrefectServer) -> Iterator[None]:
    """It would cancel runs of later tests."""
    yield
    with prefect_server.client() as client:
        for each in client.read_automations():
            client.delete_automation(each.id)


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.is_run for block in blocks_of(page))])
def test_the_blocks_of_a_page_run_one_after_the_other(
    page: str, port: int, tmp_path: Path, prefect_server: PrefectServer
) -> None:
    with reader(tmp_path, port, prefect_server.environ) as follower:
        for block in blocks_of(page):
            if block.is_run:
                follower.follow(page, block)


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_left_out_in_silence(page: str) -> None:
    blocks = blocks_of(page)
    assert {block.language for block in blocks} <= RUN | SHOWN
    assert [block.line for block in blocks if block.info and not block.title] == []
    left_out = [block.line for block in blocks if block.language in RUN and not block.is_run]
    assert len(left_out) == LEFT_OUT.get(page, 0), f"lines {left_out} say {NOT_RUN!r}"
