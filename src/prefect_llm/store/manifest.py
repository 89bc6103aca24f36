"""What a run is and its state, as one JSON file: written before any result, always replaced as a whole.

It holds no secrets: callers leave them out of `spec`.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import InvalidOperation
from typing import Any, Literal, Self, get_args

from prefect_llm.store.lost_requests import LostRequests
from prefect_llm.store.spec import difference, spec_fingerprint
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import InvalidInput

FORMAT = 1
State = Literal["running", "completed", "stopped", "failed", "interrupted"]
_STATES = frozenset(get_args(State))


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a run ended early: the error's kind, and its message."""

    kind: str
    message: str

    def to_json(self) -> dict[str, str]:
        """As `stopped` in the manifest and in `--json`."""
        return {"kind": self.kind, "message": self.message}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One run. `run_id` is a uuid4 in hex; `version` is the prefect-llm that made it; instants are UTC.

    It is written once staging is done: `snapshot["chunks"]` is the number of parts to come. `totals` are those of
    the last invocation that ended. `reuse` lists the earlier runs whose answers are taken, `None` if that was never
    asked for. `budget` is the last one given, `None` if there never was one. `lost` requests had no row in the end.
    """

    run_id: str
    created_at: datetime
    updated_at: datetime
    version: str
    spec: dict[str, Any]
    spec_fingerprint: str
    snapshot: dict[str, Any]
    state: State = "running"
    stopped: Stopped | None = None
    totals: dict[str, Any] | None = None
    reuse: tuple[str, ...] | None = None
    budget: RunBudget | None = None
    lost: LostRequests = LostRequests()  # noqa: RUF009

    @classmethod
    def new(cls, run_id: str, spec: dict[str, Any], snapshot: dict[str, Any]) -> Self:
        """The manifest of a run that begins now."""
        now = datetime.now(UTC)
        version = importlib.metadata.version("prefect-llm")
        return cls(run_id, now, now, version, spec, spec_fingerprint(spec), snapshot)

    def changed(self, **changes: Any) -> Self:
        """A copy with some fields replaced; `updated_at` is now, unless given."""
        return replace(self, **{"updated_at": datetime.now(UTC), **changes})

    @property
    def chunks(self) -> int:
        """How many chunks the snapshot has."""
        return int(self.snapshot["chunks"])

    def to_json(self) -> bytes:
        """The file's content, indented for people."""
        content = {
            "format": FORMAT,
            "run_id": self.run_id,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
            "version": self.version,
            "state": self.state,
            "stopped": self.stopped.to_json() if self.stopped else None,
            "totals": self.totals,
            "reuse": self.reuse,
            "budget": self.budget.to_json() if self.budget else None,
            "lost": self.lost.to_json(),
            "snapshot": self.snapshot,
            "spec": self.spec,
            "spec_fingerprint": self.spec_fingerprint,
        }
        # A lone surrogate (a stray byte on a command line) becomes `\udc..`, which is valid JSON.
        return json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")


def check_same_spec(manifest: Manifest, spec: Mapping[str, Any], *, where: str = "this directory") -> None:
    """Raise `InvalidInput` if a run would be continued under another spec. `where` names its directory."""
    if manifest.spec_fingerprint == spec_fingerprint(spec):
        return
    differences = "; ".join(difference(manifest.spec, spec)) or "its manifest was edited"
    raise InvalidInput(
        f"{where} holds a run with other settings ({differences}): "
        "give a new output, or the old settings to continue that run"
    )


def read_manifest(content: bytes, where: str) -> Manifest:
    """The manifest in a file's content; `InvalidInput`, with `where` in it, if this version cannot read it."""
    try:
        read = json.loads(content)
    except ValueError as error:
        raise _damaged(where, str(error)) from error

    if not isinstance(read, dict) or "format" not in read:
        raise _damaged(where, "it has no format")
    if read["format"] != FORMAT:
        raise InvalidInput(
            f"{where} has format {read['format']!r} and this prefect-llm reads format {FORMAT}: "
            f"use the version that wrote it ({read.get('version', 'unknown')}), or give a new output"
        )

    try:
        return _manifest(read)
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise _damaged(where, f"{type(error).__name__}: {error}") from error


def _manifest(read: dict[str, Any]) -> Manifest:
    if read["state"] not in _STATES:
        raise ValueError(f"unknown state {read['state']!r}")

    manifest = Manifest(
        run_id=str(read["run_id"]),
        created_at=datetime.fromisoformat(read["created_at"]),
        updated_at=datetime.fromisoformat(read["updated_at"]),
        version=str(read["version"]),
        spec=dict(read["spec"]),
        spec_fingerprint=str(read["spec_fingerprint"]),
        snapshot=dict(read["snapshot"]),
        state=read["state"],
        stopped=None if read["stopped"] is None else Stopped(**read["stopped"]),
        totals=read["totals"],
        reuse=None if read.get("reuse") is None else tuple(map(str, read["reuse"])),
        budget=None if read.get("budget") is None else RunBudget.from_json(read["budget"]),
        lost=LostRequests() if read.get("lost") is None else LostRequests.from_json(read["lost"]),
    )
    if manifest.chunks < 1:
        raise ValueError(f"a snapshot of {manifest.chunks} chunks")

    return manifest


def _damaged(where: str, reason: str) -> InvalidInput:
    return InvalidInput(f"{where} is not the manifest of a run ({reason}): give a new output")
