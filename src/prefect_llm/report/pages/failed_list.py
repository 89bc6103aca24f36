"""The failed rows of a run as one file for people: `_run/failed.csv`."""

from __future__ import annotations

import csv
import io

import pyarrow.compute as pc

from prefect_llm.report.figures.failures import FAILURE_COLUMNS
from prefect_llm.store.directory import RunDirectory

MOST_LISTED = 100_000
"""More than anybody reads; the file must not outgrow memory. All of them are in results/."""
_COLUMNS = ("id", *FAILURE_COLUMNS)


def failed_csv(directory: RunDirectory) -> str:
    """A line of id, kind, status and message per failed row of the complete chunks, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    listed = 0
    for part in directory.scan(("status", *_COLUMNS)):
        failed = part.filter(pc.equal(part["status"], "failed")).select(_COLUMNS)
        writer.writerows(zip(*(column.to_pylist() for column in failed.columns), strict=True))
        listed += failed.num_rows
        if listed >= MOST_LISTED:
            break
    return text.getvalue()
