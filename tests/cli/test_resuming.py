"""`resume DIR`: what an earlier command began is finished from its directory alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.cli.commanding import call, ended, result_rows, started
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer


@pytest.fixture
def stopped(scripted_server: ScriptedServer, asking: list[str], tmp_path: Path) -> list[str]:
    """The command line of a run that was killed after 9 of 10 answers, and whose input is gone since."""
    scripted_server.script({"doc-7": steps.hang()})
    with started(*asking, "--concurrency", "2", "--keep-raw", cwd=tmp_path) as process:
        scripted_server.wait_for(in_flight=1, answered=9)
        while not (_has_part(tmp_path / "out", 0) and _journaled(tmp_path / "out") == 4):
            assert process.poll() is None
            os.sched_yield()
        process.kill()
        ended(process)
    scripted_server.reset()
    (tmp_path / "in.jsonl").unlink()
    return asking


def test_a_killed_run_is_finished_without_its_input_prompt_or_model(
    scripted_server: ScriptedServer, stopped: list[str], tmp_path: Path
) -> None:
    done = call("resume", "out", "--base-url", scripted_server.base_url, "--json", cwd=tmp_path)
    assert (done.status, done.summary["state"], done.summary["ok"]) == (0, "completed", 10), done.err
    assert [row["id"] for row in result_rows(tmp_path / "out")] == [f"d{n}" for n in range(10)]
    assert scripted_server.stats().by_document == {"doc-7": 1}
    (asked,) = scripted_server.log()
    assert (asked.body["model"], asked.body["messages"]) == ("m", [{"role": "user", "content": "doc-7 hello"}])
    assert all(row["raw"] for row in result_rows(tmp_path / "out"))


def test_what_is_fixed_is_the_run_s_whatever_the_environment_and_the_file_say(
    scripted_server: ScriptedServer, stopped: list[str], tmp_path: Path
) -> None:
    config = f"prompt:\n  prompt: other\napi:\n  base_url: {scripted_server.base_url}\n  model: other\n"
    (tmp_path / "run.yaml").write_text(config)
    environ = {"PREFECT_LLM_OUTPUT": "elsewhere", "PREFECT_LLM_TEMPERATURE": "1", "PREFECT_LLM_CHUNK_ROWS": "3"}
    done = call("resume", "out", "--config", "run.yaml", cwd=tmp_path, environ=environ)
    assert done.status == 0, done.err
    (asked,) = scripted_server.log()
    assert (asked.body["model"], asked.body["messages"][0]["content"]) == ("m", "doc-7 hello")
    assert "temperature" not in asked.body
    assert not (tmp_path / "elsewhere").exists()


def test_another_endpoint_key_and_price_may_finish_it(
    second_scripted_server: ScriptedServer, stopped: list[str], tmp_path: Path
) -> None:
    second_scripted_server.expect_key("other")
    options = ["--base-url", second_scripted_server.base_url, "--api-key-env", "OTHER", "--concurrency", "1"]
    prices = ["--price-input", "1", "--price-output", "2", "--timeout", "9", "--max-attempts", "2", "--quiet"]
    done = call("resume", "out", *options, *prices, cwd=tmp_path, environ={"OTHER": "other"})
    assert (done.status, done.out) == (0, "")
    assert [row["id"] for row in result_rows(tmp_path / "out") if row["cost"] is not None] == ["d7"]


def test_a_run_that_stops_again_exits_as_run_does_and_can_be_resumed_again(
    scripted_server: ScriptedServer, stopped: list[str], tmp_path: Path
) -> None:
    scripted_server.expect_key("right")
    command = ["resume", "out", "--base-url", scripted_server.base_url, "--json"]
    again = call(*command, cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": "wrong"})
    assert (again.status, again.summary["stopped"]["kind"]) == (3, "AuthenticationFailed")
    done = call(*command, cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": "right"})
    assert (done.status, done.summary["ok"]) == (0, 10)


def test_a_finished_run_asks_nobody_and_exits_as_before(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script({"doc-3": steps.status(400)})
    before = call(*asking, "--json", cwd=tmp_path)
    scripted_server.reset()
    for endpoint in ([], ["--base-url", scripted_server.base_url]):
        again = call("resume", "out", *endpoint, "--json", cwd=tmp_path)
        assert again.status == before.status == 4
        assert again.refusals == before.refusals
        assert again.summary["failed_by_kind"] == {"rejected": 1}
    assert call("resume", "out", "--max-error-share", "0.1", cwd=tmp_path).status == 0
    assert scripted_server.stats().requests == 0


def test_the_same_run_command_still_knows_a_resumed_run(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.expect_key("right")
    assert call(*asking, cwd=tmp_path).status == 3
    key = {"PREFECT_LLM_API_KEY": "right"}
    assert call("resume", "out", "--base-url", scripted_server.base_url, cwd=tmp_path, environ=key).status == 0
    asked = scripted_server.stats().requests
    assert call(*asking, cwd=tmp_path).status == 0
    assert scripted_server.stats().requests == asked


def test_a_run_s_budget_is_not_lifted_by_leaving_it_out(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    prices = ["--price-input", "2", "--price-output", "8"]
    budget = ["--max-cost", "0.0005", "--max-output-tokens", "50"]
    assert call(*asking, *prices, *budget, cwd=tmp_path).status == 3
    asked = scripted_server.stats().requests
    resume = ["resume", "out", "--base-url", scripted_server.base_url, *prices]
    refused = call(*resume, cwd=tmp_path)
    assert (refused.status, refused.refusals) == (
        2, [f"the run in {tmp_path}/out has a budget of $0.0005: give max_cost again, the same or a larger one"]
    )  # fmt: skip
    unasked = call("resume", "out", "--max-cost", "1", cwd=tmp_path)
    assert unasked.refusals == ["no provider: give --provider BLOCK, or --base-url URL"]
    assert scripted_server.stats().requests == asked
    assert call(*resume, "--max-cost", "1", cwd=tmp_path).status == 0


def test_a_pending_run_needs_to_know_whom_to_ask(stopped: list[str], tmp_path: Path) -> None:
    refused = call("resume", "out", cwd=tmp_path)
    assert (refused.status, refused.refusals) == (2, ["no provider: give --provider BLOCK, or --base-url URL"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent"], "absent is not a run directory: it has no _run/manifest.json; give the output of a run"),
        (["in.jsonl"], "in.jsonl is not a run directory"),
        (["."], " is not a run directory"),
        (["nowhere://x"], "nowhere://x cannot be opened"),
        ([], "DIR"),
        (["absent", "--model", "n"], "Unknown option: --model"),
        (["absent", "--output", "out"], "Unknown option: --output"),
        (["absent", "--provider", "b", "--base-url", "https://h/v1"], "provider and base_url are both given"),
        (["absent", "--price-input", "1"], "price_input is given without price_output"),
    ],
)
def test_what_cannot_be_resumed_exits_2_with_one_sentence(
    asking: list[str], tmp_path: Path, arguments: list[str], said: str
) -> None:
    refused = call("resume", *arguments, "--json", cwd=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert len(refused.err.splitlines()) == len(refused.refusals) == 1, refused.err
    assert said in refused.refusals[0]
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def _has_part(output: Path, chunk: int) -> bool:
    return (output / "results" / f"part-{chunk:05d}.parquet").exists()


def _journaled(output: Path) -> int:
    """The rows in journals of the second chunk."""
    journals = (output / "_run" / "inflight").glob("chunk-00001-*.jsonl")
    return sum(journal.read_bytes().count(b"\n") for journal in journals)
