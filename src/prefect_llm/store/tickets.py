"""Tickets: requests that were submitted and whose outcomes are still to be collected, kept in the run's directory.

One file per ticket, `_run/batches/chunk-00007-NAME.json`: written before its requests can be billed, removed once the
chunk's part is written.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from prefect_llm.system.folders import Folder
from prefect_llm.values.errors import InvalidInput

TICKETS = "_run/batches/"

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A group of a chunk's requests, by row index, submitted through a lane.

    `name` is unique in the run and matches `[a-zA-Z0-9_-]{1,64}`. `handle` is the provider's id of the group, `None`
    until it is known.
    """

    lane: str
    name: str
    row_indexes: tuple[int, ...]
    handle: str | None = None


class ChunkTickets:
    """The tickets of one chunk. `kind` separates those of a redrive from those of the chunk's first answers."""

    def __init__(self, folder: Folder, kind: str, chunk: int) -> None:
        self._folder = folder
        self._prefix = f"{TICKETS}{kind}-{chunk:05d}-"
        self._has_any = False

    def keep(self, ticket: Ticket) -> None:
        """Write or replace the ticket of that name. Durable on return."""
        if not _NAME.fullmatch(ticket.name):
            raise ValueError(f"no name for a ticket: {ticket.name!r}")

        self._has_any = True
        content = {"lane": ticket.lane, "handle": ticket.handle, "rows": list(ticket.row_indexes)}
        self._folder.write(f"{self._prefix}{ticket.name}.json", json.dumps(content).encode())

    def read(self) -> list[Ticket]:
        """Every ticket of the chunk; `InvalidInput` for a damaged one."""
        tickets = [self._read(file) for file in self._files()]
        self._has_any |= bool(tickets)
        return tickets

    def remove(self) -> None:
        """Remove every ticket: the chunk's part is written, and nothing is left to collect."""
        if not self._has_any:
            return  # nothing was kept or found: no store is listed in vain

        for file in self._files():
            self._folder.remove(file)

    def _files(self) -> list[str]:
        return [name for name in self._folder.names(TICKETS) if name.startswith(self._prefix)]

    def _read(self, file: str) -> Ticket:
        name = file.removeprefix(self._prefix).removesuffix(".json")
        try:
            content = json.loads(self._folder.read(file))
            rows = tuple(int(row) for row in content["rows"])
            return Ticket(str(content["lane"]), name, rows, content["handle"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"{self._folder.url}/{file} is not a ticket ({error}): put the file back as it was; without it the "
                "requests that it holds are asked, and paid, again"
            ) from error
