"""What is fixed for every chunk of a run, read from its directory once per process."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from prefect_llm.documents import Snapshot
from prefect_llm.prompts import Prompt
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import RESULT_COLUMNS, Manifest, RunDirectory, result_schema
from prefect_llm.values.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run's directory, spec, compiled prompt and staged documents.

    `answered` says that an earlier attempt at the run had answers.
    """

    directory: RunDirectory
    spec: RunSpec
    prompt: Prompt
    snapshot: Snapshot
    lacking_columns: frozenset[str] = frozenset()
    answered: bool = False

    @classmethod
    def of(cls, directory: RunDirectory, manifest: Manifest) -> RunPlan:
        """The plan recorded in a manifest."""
        spec = RunSpec.from_json(manifest.spec)
        snapshot = Snapshot.from_json(manifest.snapshot)

        # a kept column of that name is from before the result column: today it would be kept under another name
        taken = frozenset(RESULT_COLUMNS) & {column.name for column in snapshot.kept}
        lacking, answered = directory.lacking_columns() | taken, bool((manifest.totals or {}).get("ok"))
        return cls(directory, spec, Prompt(spec.prompt), snapshot, lacking, answered)

    @property
    def schema(self) -> pa.Schema:
        """The schema of every part of the run."""
        return result_schema(
            kept=self.snapshot.kept_schema,
            output_type=self.prompt.output_type,
            keep_raw=self.spec.keep_raw,
            keep_reasoning=self.spec.prompt.keep_reasoning,
            lacking=self.lacking_columns,
        )


def read_plan(url: str, run_id: str) -> RunPlan:
    """The plan of the run `run_id` in the directory `url`; `InvalidInput` if that no longer holds it."""
    directory = RunDirectory.open(url)
    manifest = directory.manifest()
    if manifest is None or manifest.run_id != run_id:
        raise InvalidInput(f"{url} no longer holds the run {run_id}: start the flow again")

    return RunPlan.of(directory, manifest)
