from __future__ import annotations

import threading
from pathlib import Path

import pytest

from prefect_llm.progress import shared_stop
from prefect_llm.progress.shared_stop import SharedStop
from prefect_llm.system.folders import LocalFolder
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Interrupted


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_stop, "LOOK_S", 0.01)


def shared(path: Path, stop: StopFlag) -> SharedStop:
    return SharedStop(LocalFolder(path), "attempt", 0, stop)


def watches() -> int:
    return sum(thread.name == "llm-stop" for thread in threading.enumerate())


def test_a_stop_reaches_a_process_that_works_and_one_that_joins_later(tmp_path: Path) -> None:
    here, elsewhere, later = StopFlag(), StopFlag(), StopFlag()
    heard = threading.Event()
    elsewhere.listen(heard.set)

    with shared(tmp_path, elsewhere).joined():
        with shared(tmp_path, here).joined():
            here.set(Interrupted("enough"))
        assert heard.wait(20)
        with shared(tmp_path, later).joined():
            assert (later.error and later.error.message) == "enough"
    assert (elsewhere.error and elsewhere.error.message) == "enough"


def test_blocks_of_one_process_share_a_watch_that_ends_with_the_last(tmp_path: Path) -> None:
    stop = shared(tmp_path, StopFlag())
    before = watches()
    with stop.joined():
        with stop.joined():
            assert watches() == before + 1
        assert watches() == before + 1
    assert watches() == before
    with stop.joined():
        assert watches() == before + 1
