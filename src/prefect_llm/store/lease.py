"""The lease of a run directory: one owner at a time, and a former owner can no longer commit.

`_run/lease/epoch-00003.json`: the greatest epoch is the owner. Taking over creates the next epoch's file, which only
one process can, and removes older ones. The owner renews its file every 15 s. A dead owner on this host is taken over
at once, one on another host after 60 s of silence, by this host's clock. A wrong clock can take a directory from a
live owner; even then only the newer one commits, since `check_owner` precedes every write that counts.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec

from prefect_llm.store.journal import latest_epoch
from prefect_llm.store.process import Process, lives, this_process
from prefect_llm.system.folders import Folder
from prefect_llm.system.periodic import Periodic
from prefect_llm.values.errors import InvalidInput, Superseded

LEASES = "_run/lease/"
BEAT_S = 15.0
"""A quarter of `SILENCE_S`: an owner whose store fails a few times is not taken for dead."""
SILENCE_S = 60.0
"""An owner on another host counts as dead after this long without a heartbeat (docs/contract.md, Run directory)."""

_NAME = re.compile(rf"{LEASES}epoch-([0-9]{{5,18}})\.json")

logger = logging.getLogger(__name__)

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Lease:
    """The owner of a directory; `heartbeat` is the owner's wall clock in seconds."""

    epoch: int
    process: Process
    heartbeat: float
    released: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Lease).decode


@contextmanager
def acquired(folder: Folder) -> Iterator[int]:
    """Own the directory and renew the lease until `release`; yields the epoch.

    The lease is given back if the block raises. Raises `InvalidInput` if another process owns the directory.
    """
    epoch = acquire(folder)
    _start_renewing(folder, epoch)
    try:
        yield epoch
    except BaseException:
        _give_back(folder, epoch)
        raise


def acquire(folder: Folder, process: Process | None = None, clock: Clock = time.time) -> int:
    """Become the owner; returns the epoch. Raises `InvalidInput` if another process is."""
    process = process or this_process()
    while True:
        last = current_epoch(folder)
        if last:
            try:
                lease = _read(folder, last)
            except FileNotFoundError:
                continue  # taken over and removed since it was listed
            _check_free(folder.url, lease, process, clock())

        epoch = max(last, latest_epoch(folder)) + 1
        if not folder.create(_name(epoch), _encode(Lease(epoch, process, clock()))):
            continue  # another process was quicker; the next round refuses, because of it
        if current_epoch(folder) > epoch:  # the lease read above was out of date
            folder.remove(_name(epoch))
            continue

        for older in _epochs(folder):
            if older < epoch:
                folder.remove(_name(older))
        return epoch


def when_lease_ends(folder: Folder, epoch: int, tell: Callable[[Superseded | None], None]) -> None:
    """Have `tell` called once this process's lease ends by another's deed: with the error if there is a later owner.

    It gets `None` if another process has released the lease, or this one has acquired the directory again.
    """
    with _lock:
        renewal = _renewals.get(folder.url)
        if renewal is not None and renewal.epoch == epoch:
            renewal.tell = tell


def current_epoch(folder: Folder) -> int:
    """The owner's epoch; 0 for a directory that was never owned."""
    return max(_epochs(folder), default=0)


def check_owner(folder: Folder, epoch: int) -> None:
    """Raise `Superseded` if a later owner has taken the directory over."""
    if current_epoch(folder) > epoch:
        raise Superseded(f"{folder.url} was taken over by another process, which finishes it: nothing is left to do")


def renew(folder: Folder, epoch: int, clock: Clock = time.time) -> bool:
    """Write a heartbeat; `False`, and nothing written, once the lease has ended."""
    lease = _held(folder, epoch)
    if lease is not None:
        folder.write(_name(epoch), _encode(replace(lease, heartbeat=clock())))
    return lease is not None


def release(folder: Folder, epoch: int) -> None:
    """Let the next owner have the directory at once. Idempotent, and allowed from any process.

    A failed write is only logged: what was done is durable, and a dead process is taken over anyway.
    """
    _stop_renewing(folder.url, epoch)
    try:
        if (lease := _held(folder, epoch)) is not None:
            folder.write(_name(epoch), _encode(replace(lease, released=True)))
    except OSError as error:
        logger.warning("the lease of %s could not be released: %s", folder.url, error)


def _give_back(folder: Folder, epoch: int) -> None:
    """Release; if this was the first owner, leave no file behind."""
    release(folder, epoch)
    if epoch == 1:
        folder.remove(_name(epoch))


def _held(folder: Folder, epoch: int) -> Lease | None:
    """The lease, while it is still the latest and not released."""
    if current_epoch(folder) != epoch:
        return None
    try:
        lease = _read(folder, epoch)
    except FileNotFoundError:
        return None
    return None if lease.released else lease


def _check_free(url: str, lease: Lease, process: Process, now: float) -> None:
    owner, silent_s = lease.process, now - lease.heartbeat
    if lease.released or owner == process:
        return

    if owner.beside(process):
        # Without start times the pid may belong to another process by now, so silence counts too.
        if lives(owner) and (owner.started is not None or silent_s < SILENCE_S):
            raise InvalidInput(
                f"{url} belongs to a run that is going on in process {owner.pid} on this host ({owner.host}): "
                "wait for it to end or stop it"
            )
    elif silent_s < SILENCE_S:
        raise InvalidInput(
            f"{url} belongs to a run in process {owner.pid} on the host {owner.host}, last heard of "
            f"{max(silent_s, 0):.0f} s ago: wait for it to end or stop it; {SILENCE_S:.0f} s after its last sign of "
            "life it may be taken over"
        )


def _read(folder: Folder, epoch: int) -> Lease:
    content = folder.read(_name(epoch))
    try:
        return _decode(content)
    except msgspec.DecodeError as error:
        raise InvalidInput(
            f"{folder.url}/{_name(epoch)} does not say who owns the run ({error}): delete it if no run goes on there"
        ) from error


def _epochs(folder: Folder) -> list[int]:
    return [int(match[1]) for name in folder.names(LEASES) if (match := _NAME.fullmatch(name)) is not None]


def _name(epoch: int) -> str:
    return f"{LEASES}epoch-{epoch:05d}.json"


class _Renewal:
    """Renews one lease, from a thread of its own, until the lease has ended."""

    def __init__(self, folder: Folder, epoch: int) -> None:
        self.epoch = epoch
        self.tell: Callable[[Superseded | None], None] = lambda _: None
        self._folder = folder
        self._periodic = Periodic("llm-lease", BEAT_S, self._renew)
        self._periodic.start()

    def _renew(self) -> bool:
        """Write a heartbeat; `False` once the lease has ended."""
        try:
            if renew(self._folder, self.epoch):
                return True
            check_owner(self._folder, self.epoch)
        except Superseded as superseded:
            self._end(superseded)
        except (OSError, InvalidInput) as error:
            logger.warning("the lease of %s could not be renewed: %s", self._folder.url, error)
            return True
        else:
            self._end(None)
        return False

    def _end(self, superseded: Superseded | None) -> None:
        with _lock:
            if _renewals.get(self._folder.url) is self:
                del _renewals[self._folder.url]
        self.tell(superseded)

    def stop(self) -> None:
        """Returns when nothing more is written."""
        self._periodic.close()


_renewals: dict[str, _Renewal] = {}
"""The leases that this process renews, by directory; each leaves when its lease ends."""
_lock = threading.Lock()


def _start_renewing(folder: Folder, epoch: int) -> None:
    with _lock:
        earlier = _renewals.get(folder.url)
        _renewals[folder.url] = _Renewal(folder, epoch)
    if earlier is not None:
        earlier.stop()
        earlier.tell(None)


def _stop_renewing(url: str, epoch: int) -> None:
    with _lock:
        renewal = _renewals.get(url)
        if renewal is None or renewal.epoch != epoch:
            return
        del _renewals[url]
    renewal.stop()
