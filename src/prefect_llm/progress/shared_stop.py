"""One run's stop flag across processes: the first to stop writes its reason to the run's directory; others poll it.

Each process polls once a second, so that requests pay nothing for it. A process also stops once another owner has
taken the directory over: the chunk tasks of a killed flow live on in a cluster, and would only spend money.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from prefect_llm.store import check_owner
from prefect_llm.system.folders import Folder
from prefect_llm.system.periodic import Periodic
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import InvalidInput, RunError, Superseded, run_error

STOPS = "_run/stops/"
LOOK_S = 1.0
"""Each look costs the store a listing and a read, for every process of the run."""

logger = logging.getLogger(__name__)


class SharedStop:
    """Joins one process's stop flag with those of the invocation's other processes. Thread-safe."""

    def __init__(self, folder: Folder, invocation: str, epoch: int, stop: StopFlag) -> None:
        self._new_watch = partial(_Watch, folder, invocation, epoch, stop)
        self._watch: _Watch | None = None
        self._users = 0
        self._lock = threading.Lock()

    @contextmanager
    def joined(self) -> Iterator[None]:
        """While a block runs, a stop of any process reaches all of them within a second.

        One that was written earlier counts at once. All blocks of this process share one watch.
        """
        with self._lock:
            if self._watch is None:
                self._watch = self._new_watch()
                self._watch.start()
            watch = self._watch
            self._users += 1

        try:
            watch.look()  # not under the lock: a slow store must hold up no other chunk
            yield
        finally:
            with self._lock:
                self._users -= 1
                if last := not self._users:
                    self._watch = None
            if last:  # not under the lock: it joins the thread, and may write
                watch.end()


def forget_stops(folder: Folder) -> None:
    """Remove what the processes of earlier invocations wrote."""
    try:
        folder.remove_below(STOPS)
    except OSError as error:
        logger.warning("earlier stops cannot be removed from %s/%s: %s", folder.url, STOPS, error)


class _Watch:
    """A thread that polls one invocation's file, and writes it once this process stops."""

    def __init__(self, folder: Folder, invocation: str, epoch: int, stop: StopFlag) -> None:
        self._folder = folder
        self._name = f"{STOPS}{invocation}.json"
        self._epoch = epoch
        self._stop = stop
        self._heard = False
        self._told = False
        self._periodic = Periodic("llm-stop", LOOK_S, self._look_or_tell)

    def look(self) -> None:
        """Stop this process if another one has stopped, or owns the directory now."""
        if self._stop.error is not None:
            return
        try:
            check_owner(self._folder, self._epoch)
            with suppress(FileNotFoundError):
                error = _error_in(self._folder.read(self._name))
                self._heard = True  # before the stop, which wakes the thread that would tell it back
                self._stop.set(error)
        except Superseded as superseded:
            self._stop.set(superseded)
        except (OSError, InvalidInput) as error:
            logger.warning("cannot see whether another process stopped the run at %s: %s", self._folder.url, error)

    def start(self) -> None:
        """Poll from now on; tell the others once this process stops."""
        self._stop.listen(self._periodic.wake)
        self._periodic.start()

    def end(self) -> None:
        """Returns once the others have been told, if there is anything to tell."""
        self._stop.forget(self._periodic.wake)
        self._periodic.close()
        self._tell()  # after the thread has ended: one of the two tells

    def _look_or_tell(self) -> bool:
        """`False` once this process stops: the others have then been told."""
        self.look()
        self._tell()
        return self._stop.error is None

    def _tell(self) -> None:
        """Write why this process stops. The first reason stays; a process that lost the directory writes none."""
        error = self._stop.error
        if error is None or self._heard or self._told or isinstance(error, Superseded):
            return
        self._told = True  # before the write: one that fails is warned of once, and not tried again
        try:
            self._folder.create(self._name, json.dumps({"kind": error.kind, "message": error.message}).encode())
        except OSError as failed:
            logger.warning("cannot tell other processes that the run at %s stops: %s", self._folder.url, failed)


def _error_in(content: bytes) -> RunError:
    """The error that stopped the process that wrote it."""
    try:
        read = json.loads(content)
        return run_error(str(read["kind"]), str(read["message"]))
    except (ValueError, KeyError, TypeError):
        return RunError("the run was stopped by another process")
