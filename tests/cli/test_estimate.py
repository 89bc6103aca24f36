"""`prefect-llm estimate`: the options of `run`, and an answer without a request."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commanding import call
from tests.scripted_server.client import ScriptedServer

PRICES = ["--price-input", "1", "--price-output", "2", "--max-output-tokens", "20"]


def estimating(asking: list[str], *more: str) -> list[str]:
    return ["estimate", *asking[1:], *PRICES, *more]


def test_the_same_command_is_estimated_without_a_request(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    done = call(*estimating(asking, "--json"), cwd=tmp_path)
    assert done.status == 0, done.err
    assert (done.summary["requests"], done.summary["basis"], done.summary["sample"]) == (10, "bounds", None)
    assert "10 requests for 10 documents" in done.err
    assert scripted_server.stats().requests == 0
    assert not (tmp_path / "out").exists()


def test_a_sample_s_answers_are_taken_by_the_run(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    done = call(*estimating(asking, "--sample", "10", "--seed", "7", "--json"), cwd=tmp_path)
    assert done.status == 0, done.err
    sample = done.summary["sample"]
    assert (sample["requests"], sample["seed"], done.summary["basis"]) == (10, 7, "sample")
    cost = done.summary["costs"][0]["cost"]
    assert cost["low"] == cost["high"]  # all were asked
    ran = call(*asking, *PRICES, "--reuse", sample["output"], "--json", cwd=tmp_path)
    assert (ran.status, ran.summary["requests"], ran.summary["reused"]) == (0, 0, 10), ran.err
    assert scripted_server.stats().requests == 10


def test_without_an_output_only_a_sample_is_refused(asking: list[str], tmp_path: Path) -> None:
    place = asking.index("--output")
    without = [*asking[:place], *asking[place + 2 :]]
    assert call(*estimating(without), cwd=tmp_path).status == 0
    done = call(*estimating(without, "--sample", "10"), cwd=tmp_path)
    assert done.status == 2
    assert "kept beside it" in done.refusals[0]


def test_other_models_are_named_as_the_price_list_does(asking: list[str], tmp_path: Path) -> None:
    done = call(*estimating(asking, "--models", "openai/gpt-4.1-mini, mistral/nothing-of-that-name"), cwd=tmp_path)
    assert done.status == 2
    assert "'mistral/nothing-of-that-name'" in done.refusals[0]
    done = call(*estimating(asking, "--models", "openai/gpt-4.1-mini", "--json"), cwd=tmp_path)
    assert [(line["model"], line["lane"]) for line in done.summary["costs"]] == [
        ("m", "online"),
        ("openai/gpt-4.1-mini", "online"),
        ("openai/gpt-4.1-mini", "batch"),
    ]


def test_what_stops_the_sample_is_one_sentence(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.expect_key("right")
    done = call(*estimating(asking, "--sample", "10"), cwd=tmp_path)
    assert (done.status, len(done.refusals)) == (3, 1), done.err
