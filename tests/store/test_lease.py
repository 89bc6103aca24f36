"""The lease of a run directory: who owns it, who may take it over, and that of two only one does."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from prefect_llm.store import lease
from prefect_llm.store.journal import claim
from prefect_llm.store.lease import acquire, acquired, check_owner, current_epoch, release, renew
from prefect_llm.store.process import Process, lives, this_process
from prefect_llm.system.folders import Folder, open_folder
from prefect_llm.values.errors import InvalidInput, Superseded

ELSEWHERE = Process("elsewhere", 17, "boot-2 pid:[1]", 5)
THIRD = Process("third", 18, "boot-3 pid:[1]", 6)


@pytest.fixture
def local(tmp_path: Path) -> Folder:
    return open_folder(str(tmp_path / "run"))


@pytest.fixture
def ended_process() -> Process:
    """One that was beside this one."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        known = of_child(child.pid)
        assert lives(known)
    return known


def of_child(pid: int) -> Process:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return replace(this_process(), pid=pid, started=int(fields[19]))


def at(seconds: float) -> Callable[[], float]:
    """A clock that stands."""
    return lambda: seconds


def test_the_first_owner_has_epoch_1_and_its_file_says_who_it_is(folder: Folder) -> None:
    assert current_epoch(folder) == 0
    assert acquire(folder, ELSEWHERE, at(1000)) == 1
    assert folder.names() == ["_run/lease/epoch-00001.json"]
    assert json.loads(folder.read("_run/lease/epoch-00001.json")) == {
        "epoch": 1,
        "process": {"host": "elsewhere", "pid": 17, "place": "boot-2 pid:[1]", "started": 5},
        "heartbeat": 1000.0,
        "released": False,
    }


def test_an_owner_on_another_host_is_refused_until_it_was_silent_for_60_seconds(folder: Folder) -> None:
    acquire(folder, ELSEWHERE, at(1000))
    refusal = (
        rf"^{folder.url} belongs to a run in process 17 on the host elsewhere, last heard of 59 s ago: "
        "wait for it to end or stop it; 60 s after its last sign of life it may be taken over$"
    )
    with pytest.raises(InvalidInput, match=refusal):
        acquire(folder, THIRD, at(1059))
    assert acquire(folder, THIRD, at(1060)) == 2
    assert folder.names() == ["_run/lease/epoch-00002.json"]


def test_a_heartbeat_keeps_the_directory_for_another_60_seconds(folder: Folder) -> None:
    epoch = acquire(folder, ELSEWHERE, at(1000))
    assert renew(folder, epoch, at(1050))
    with pytest.raises(InvalidInput, match="last heard of 50 s ago"):
        acquire(folder, THIRD, at(1100))


def test_an_owner_whose_clock_is_ahead_counts_as_living(local: Folder) -> None:
    acquire(local, ELSEWHERE, at(1500))
    with pytest.raises(InvalidInput, match="last heard of 0 s ago"):
        acquire(local, THIRD, at(1000))


def test_a_released_directory_is_taken_over_at_once(folder: Folder) -> None:
    epoch = acquire(folder, ELSEWHERE, at(1000))
    release(folder, epoch)
    assert acquire(folder, THIRD, at(1000)) == 2


def test_of_many_that_take_over_at_once_one_is_the_owner(folder: Folder) -> None:
    acquire(folder, ELSEWHERE, at(0))
    start = threading.Barrier(8)

    def take(number: int) -> int | None:
        start.wait()
        try:
            return acquire(folder, replace(THIRD, host=f"host-{number}"), at(1000))
        except InvalidInput:
            return None

    with ThreadPoolExecutor(8) as pool:
        epochs = list(pool.map(take, range(8)))
    assert sorted(epochs, key=str) == [2] + [None] * 7
    assert folder.names() == ["_run/lease/epoch-00002.json"]


def test_a_store_refuses_to_create_what_another_process_has_created(folder: Folder) -> None:
    # A filesystem of its own, as another process would have: nothing is known from listings.
    filesystem, root = fsspec.core.url_to_fs(folder.url, skip_instance_cache=True)
    filesystem.makedirs(f"{root}/_run/lease", exist_ok=True)
    filesystem.pipe_file(f"{root}/_run/lease/epoch-00001.json", b"theirs")
    assert not folder.create("_run/lease/epoch-00001.json", b"ours")
    assert folder.read("_run/lease/epoch-00001.json") == b"theirs"


def test_whoever_was_slower_than_a_whole_run_of_another_is_refused(local: Folder) -> None:
    acquire(local, ELSEWHERE, at(0))

    class Slow:
        """Two others take over, one after the other, between our look at the lease and our creating the next."""

        url = local.url
        read, write, names, remove = local.read, local.write, local.names, local.remove
        folders, remove_below = local.folders, local.remove_below

        def create(self, name: str, content: bytes) -> bool:
            if current_epoch(local) == 1:
                release(local, acquire(local, replace(THIRD, host="fourth"), at(1000)))
                acquire(local, replace(THIRD, host="fifth"), at(1000))
            return local.create(name, content)

    with pytest.raises(InvalidInput, match="process 18 on the host fifth"):
        acquire(Slow(), THIRD, at(1000))
    assert local.names() == ["_run/lease/epoch-00003.json"]


def test_a_living_process_of_this_host_is_refused_however_silent(local: Folder) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        acquire(local, of_child(child.pid), at(0))
        refusal = f"^{local.url} belongs to a run that is going on in process {child.pid} on this host"
        with pytest.raises(InvalidInput, match=refusal):
            acquire(local, clock=at(10_000))


def test_a_dead_process_of_this_host_is_taken_over_at_once(local: Folder, ended_process: Process) -> None:
    acquire(local, ended_process, at(1000))
    assert acquire(local, clock=at(1000)) == 2


def test_a_killed_process_whose_parent_has_not_noticed_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child:
        known = of_child(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
        assert not lives(known)


def test_another_process_that_has_got_the_same_pid_is_not_the_owner(local: Folder) -> None:
    parent = os.getppid()
    acquire(local, replace(of_child(parent), started=1), at(1000))
    assert acquire(local, clock=at(1000)) == 2


def test_a_process_of_another_container_is_judged_by_its_heartbeat_though_its_host_has_the_same_name(
    local: Folder, ended_process: Process
) -> None:
    acquire(local, replace(ended_process, place="boot pid:[2]"), at(1000))
    with pytest.raises(InvalidInput, match="last heard of 10 s ago"):
        acquire(local, clock=at(1010))
    assert acquire(local, clock=at(1060)) == 2


def test_without_start_times_a_living_pid_that_was_silent_for_60_seconds_is_another_process(local: Folder) -> None:
    acquire(local, replace(of_child(os.getppid()), started=None), at(1000))
    with pytest.raises(InvalidInput, match="is going on in process"):
        acquire(local, clock=at(1059))
    assert acquire(local, clock=at(1060)) == 2


def test_the_same_process_takes_over_its_own_as_a_retry_of_a_flow_does(folder: Folder) -> None:
    assert [acquire(folder), acquire(folder)] == [1, 2]


def test_an_owner_that_was_taken_over_renews_releases_and_commits_nothing(folder: Folder) -> None:
    first = acquire(folder, ELSEWHERE, at(1000))
    check_owner(folder, first)
    second = acquire(folder, THIRD, at(2000))
    before = {name: folder.read(name) for name in folder.names()}

    assert not renew(folder, first, at(2001))
    release(folder, first)
    with pytest.raises(Superseded, match=f"{folder.url} was taken over by another process"):
        check_owner(folder, first)
    check_owner(folder, second)
    assert {name: folder.read(name) for name in folder.names()} == before


def test_a_released_lease_is_renewed_no_more(folder: Folder) -> None:
    epoch = acquire(folder, ELSEWHERE, at(1000))
    release(folder, epoch)
    assert not renew(folder, epoch, at(1001))
    assert json.loads(folder.read("_run/lease/epoch-00001.json"))["released"] is True


def test_the_owner_renews_its_lease_by_itself_until_it_releases_it(
    local: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.001)
    before = set(threading.enumerate())
    renewed = threading.Event()

    class Watched:
        """Says when something was written."""

        url = local.url
        read, names, remove, create = local.read, local.names, local.remove, local.create
        folders, remove_below = local.folders, local.remove_below

        def write(self, name: str, content: bytes) -> None:
            local.write(name, content)
            renewed.set()

    with acquired(Watched()) as epoch:
        assert renewed.wait(10)
        release(local, epoch)
        last = local.read("_run/lease/epoch-00001.json")
        assert json.loads(last)["released"] is True
        assert set(threading.enumerate()) <= before


def test_a_heartbeat_that_fails_is_tried_again(
    local: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.001)
    renewed = threading.Event()
    faults = iter([OSError("the store is away")])

    class Faulty:
        """Its first write fails."""

        url = local.url
        read, names, remove, create = local.read, local.names, local.remove, local.create
        folders, remove_below = local.folders, local.remove_below

        def write(self, name: str, content: bytes) -> None:
            for fault in faults:
                raise fault
            local.write(name, content)
            renewed.set()

    with caplog.at_level(logging.WARNING), acquired(Faulty()) as epoch:
        assert renewed.wait(10)
        release(local, epoch)
    assert "could not be renewed: the store is away" in caplog.text


def test_who_cannot_open_the_directory_gives_it_back_and_leaves_nothing_in_a_new_one(folder: Folder) -> None:
    with pytest.raises(KeyboardInterrupt), acquired(folder):
        raise KeyboardInterrupt
    assert folder.names() == []

    release(folder, acquire(folder, ELSEWHERE, at(0)))
    with pytest.raises(KeyboardInterrupt), acquired(folder):
        raise KeyboardInterrupt
    # the epoch stays: an owner before it may only be paused
    assert current_epoch(folder) == 2
    assert acquire(folder, THIRD, at(0)) == 3


def test_an_epoch_is_above_every_journal_though_the_leases_were_deleted(local: Folder) -> None:
    claim(local, 0, epoch=4)
    epoch = acquire(local)
    assert epoch == 5
    assert claim(local, 0, epoch)[0] == (5, 2)


def test_an_earlier_owner_that_wakes_up_cannot_claim_a_chunk_that_a_later_one_works_on(local: Folder) -> None:
    claim(local, 0, epoch=2)
    with pytest.raises(Superseded, match="chunk 0 was taken over by a later owner"):
        claim(local, 0, epoch=1)


def test_a_lease_that_cannot_be_read_is_refused_by_name(local: Folder) -> None:
    local.write("_run/lease/epoch-00001.json", b"{")
    with pytest.raises(InvalidInput, match=rf"{local.url}/_run/lease/epoch-00001.json does not say who .*delete it"):
        acquire(local)
