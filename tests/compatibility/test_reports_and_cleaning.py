"""The directory of an earlier build is reported and cleaned by this one."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from tests.compatibility.conftest import Thawed
from tests.compatibility.frozen import each_frozen, holds


@each_frozen()
def test_every_report_is_made_again_and_its_ledger_says_the_same(thawed: Thawed) -> None:
    """Of a killed run, too, which left none."""
    done = thawed.call("report", thawed.output)
    assert done.status == 0, done.err
    if thawed.environ is None:
        written = {path.name for path in (thawed.folder / "out" / "_run").iterdir() if path.is_file()}
        assert {"report.md", "report.html", "ledger.json"} <= written
        ledger = json.loads((thawed.folder / "out" / "_run" / "ledger.json").read_text())
        assert holds(ledger, _with_lanes(thawed.said["ledger"]))
    assert thawed.rows() == thawed.said["rows"]


@each_frozen()
def test_a_finished_run_is_cleaned_and_an_unfinished_one_only_by_force(thawed: Thawed) -> None:
    """The documents go, and the results stay as they were."""
    documents = len(thawed.said["actions"]["resume"]["rows"])
    missing, journaled = documents - len(thawed.said["rows"]), len(thawed.said["journaled"])
    if missing:
        refused = thawed.call("clean", thawed.output)
        assert refused.status == 2
        lost = f"{missing} of its {documents} documents never get a result row, {journaled} answers in its journals"
        assert lost in refused.refusals[0]
    done = thawed.call("clean", thawed.output, *(["--force"] if missing else []))
    assert (done.status, done.out.split(" of ")[0]) == (0, "removed the snapshot"), done.err
    assert thawed.rows() == thawed.said["rows"]
    if thawed.environ is None:
        left = [path for name in ("input", "inflight") for path in (thawed.folder / "out" / "_run" / name).rglob("*")]
        assert left == []


def _with_lanes(ledger: dict[str, Any]) -> dict[str, Any]:
    """0.1.0 gave rows that were in no part yet a line without a lane; all of its requests were asked online."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in ledger["lines"]:
        key = tuple(line[name] for name in ("entry", "day", "provider", "model", "currency", "price_source"))
        before = merged.get(key)
        line = line | {"lane": line["lane"] or "online"}
        merged[key] = line if before is None else {name: _sum(before[name], line[name]) for name in line}
    return ledger | {"lines": list(merged.values())}


def _sum(one: Any, other: Any) -> Any:
    """Of counts and amounts of money; what two lines have in common stays."""
    if isinstance(one, int):
        return one + other
    return one if one == other and not one.startswith("0.") else format(Decimal(one) + Decimal(other), "f")
