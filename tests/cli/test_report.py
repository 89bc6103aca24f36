"""`report DIR`: every report again, of the directory alone."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

from tests.cli.commanding import call, result_rows
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

PRICES = ("--price-input", "1", "--price-output", "2")


def test_every_report_is_made_again_from_the_directory(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    hostile = "<script>alert(1)</script>"
    scripted_server.script(
        {"doc-3": steps.status(400, {"error": {"message": f"bad: {hostile}", "type": "invalid_request_error"}})}
    )
    assert call(*asking, *PRICES, "--max-error-share", "1", cwd=tmp_path).status == 0
    run = tmp_path / "out" / "_run"
    names = ("report.md", "report.html", "ledger.json", "failed.csv")
    before = {name: (run / name).read_text() for name in names}
    for name in names:
        (run / name).unlink()
    again = call("report", "out", cwd=tmp_path)
    assert (again.status, again.err) == (0, "")
    assert again.out.startswith("Completed: ")
    assert {name: (run / name).read_text() for name in names} == before
    assert hostile not in before["report.html"]
    assert "&lt;script&gt;" in before["report.html"]
    assert not re.search(r"<(script|img|iframe|link)|(src|href)=|@import|url\((?!#)", before["report.html"])
    spent = sum((row["cost"] or Decimal(0) for row in result_rows(tmp_path / "out")), Decimal(0))
    assert Decimal(json.loads(before["ledger.json"])["totals"]["known_cost"]) == spent > 0


def test_where_there_is_no_run_there_is_nothing_to_report(tmp_path: Path) -> None:
    refused = call("report", "nowhere", cwd=tmp_path)
    assert (refused.status, len(refused.refusals)) == (2, 1)
    assert "nowhere is not a run directory" in refused.refusals[0]
