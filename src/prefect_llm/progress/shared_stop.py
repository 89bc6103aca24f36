"""One run's stop signal across processes: the one that stops records why in the run's directory, the others poll it.

Between two looks, a second apart, no request costs anything. Who finds that another owner has taken the directory
over stops as well: the chunk tasks of a killed flow go on in a cluster, and would only pay.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect_llm.store import check_owner
from prefect_llm.system.folders import Folder
from prefect_llm.system.periodic import Periodic
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import InvalidInput, RunError, Superseded, run_error

STOPS = "_run/stops/"
LOOK_S = 1.0

logger = logging.getLogger(__name__)


@contextmanager
def shared_stop(folder: Folder, invocation: str, epoch: int, stop: StopFlag) -> Iterator[None]:
    """While the block runs, `stop` and those of the invocation's other processes are one, within a second.

    What others wrote before counts at once.
    """
    key = (folder.url, invocation)
    with _lock:
        watch = _watches.setdefault(key, _Watch(folder, invocation, epoch, stop))
        watch.users += 1
        if watch.users == 1:
            watch.start()

    watch.look()

    try:
        yield
    finally:
        with _lock:
            watch.users -= 1
            if last := not watch.users:
                del _watches[key]
        if last:
            watch.end()


def forget_stops(folder: Folder) -> None:
    """Remove what the processes of ended invocations wrote."""
    try:
        folder.remove_below(STOPS)
    except OSError as error:
        logger.warning("what stopped the run cannot be removed from %s/%s: %s", folder.url, STOPS, error)


class _Watch:
    """One invocation's file, watched by a thread while there are users in this process."""

    def __init__(self, folder: Folder, invocation: str, epoch: int, stop: StopFlag) -> None:
        self.users = 0
        self._folder = folder
        self._name = f"{STOPS}{invocation}.json"
        self._epoch = epoch
        self._stop = stop
        self._heard = False
        self._told = False
        self._periodic = Periodic("llm-stop", LOOK_S, self._look_or_tell)

    def look(self) -> None:
        """Stop this process if another has, or owns the directory."""
        if self._stop.error is not None:
            return
        try:
            check_owner(self._folder, self._epoch)
            with suppress(FileNotFoundError):
                error = _error_in(self._folder.read(self._name))
                self._heard = True
                self._stop.set(error)
        except Superseded as superseded:
            self._stop.set(superseded)
        except (OSError, InvalidInput) as error:
            logger.warning("whether the run at %s was stopped cannot be seen: %s", self._folder.url, error)

    def start(self) -> None:
        """Look from now on, and tell the others where this process stops."""
        self._stop.listen(self._periodic.wake)
        self._periodic.start()

    def end(self) -> None:
        """Returns when the others have been told, if there is anything to tell."""
        self._stop.forget(self._periodic.wake)
        self._periodic.close()
        self._tell()  # after the thread has ended: one of the two tells

    def _look_or_tell(self) -> bool:
        """`False` once this process stops: the others have then been told."""
        self.look()
        self._tell()
        return self._stop.error is None

    def _tell(self) -> None:
        """Write down why this process stops; the first one's reason stays. Not that of one who owns nothing now."""
        error = self._stop.error
        if error is None or self._heard or self._told or isinstance(error, Superseded):
            return
        self._told = True
        try:
            self._folder.create(self._name, json.dumps({"kind": error.kind, "message": error.message}).encode())
        except OSError as failed:
            logger.warning("the stop of the run at %s cannot be told to others: %s", self._folder.url, failed)


def _error_in(content: bytes) -> RunError:
    """The error as the process that wrote it had it."""
    try:
        read = json.loads(content)
        return run_error(str(read["kind"]), str(read["message"]))
    except (ValueError, KeyError, TypeError):
        return RunError("the run was stopped by another process")


_watches: dict[tuple[str, str], _Watch] = {}
_lock = threading.Lock()
