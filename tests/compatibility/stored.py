"""What lies in `prefect/BUILD`: a saved block and deployments, as a Prefect server stored them for that build."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

STORED = Path(__file__).parent / "prefect"


@dataclass(frozen=True, slots=True)
class Stored:
    """One build's."""

    build: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return STORED / self.build

    @property
    def block(self) -> dict[str, Any]:
        """The block's type, its schema, and the data of its documents by name."""
        return self._read("block.json")

    @property
    def deployments(self) -> dict[str, Any]:
        """Deployments by the names of flow and deployment."""
        return self._read("deployments.json")

    def write(self, name: str, content: Any) -> None:
        """One of the two."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(f"{json.dumps(content, indent=1)}\n")

    def _read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.path / name).read_text())
        return content


def every_stored() -> list[Stored]:
    """Those of every build."""
    return [Stored(path.name) for path in sorted(STORED.iterdir())]


def said(response: httpx.Response) -> Any:
    """What a Prefect server's API said."""
    return response.raise_for_status().json()
