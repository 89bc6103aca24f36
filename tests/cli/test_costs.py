"""`prefect-llm costs`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefect_llm.cli.app import exit_status


def test_without_a_file_it_is_the_reference_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["costs"]) == 0
    assert "Recommended: API, DeepSeek V3.2** (rule: low volume)" in capsys.readouterr().out


def test_flags_go_over_the_file_and_json_has_every_figure_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("workload: {output_tokens_per_month: 1}\nmodels: [{name: m, price_input: 1, price_output: 2}]\n")
    flags = ["--documents-per-day", "10", "--input-tokens", "100", "--output-tokens", "50", "--json"]
    assert exit_status(["costs", str(path), *flags]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["models"][0]["monthly"] == "0.06"  # 300 x (100 x 1 + 50 x 2) / 1M
    assert (figures["own"], figures["capacity"]) == (None, None)


def test_the_page_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    assert exit_status(["costs", "--html", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--documents-per-day", "many"], "workload.documents_per_day: Input should be a valid decimal"),
        (["--documents-per-day", "1", "--output-tokens-per-month", "1"], "give one of documents_per_day and"),
        (["--html", "/no/such/folder/page.html"], "/no/such/folder/page.html cannot be written"),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert exit_status(["costs", *arguments]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.out == ""
