"""Every exit status (docs/contract.md, Exit status), its sentence, and the object of `--json`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.cli.commanding import Ended, call, ended, result_rows, started
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port

KEYS = [
    "state", "stopped", "rows", "ok", "failed", "failed_by_kind", "reused", "input_tokens", "cached_input_tokens",
    "cache_write_tokens", "output_tokens", "reasoning_tokens", "cost", "cost_uncertain", "currency", "requests",
    "retries", "throttled", "seconds", "output", "files_left_out", "cut",
]  # fmt: skip


def test_a_run_that_is_done_exits_0(asking: list[str], tmp_path: Path) -> None:
    done = call(*asking, "--json", "--price-input", "1", "--price-output", "2", cwd=tmp_path)
    assert done.status == 0
    assert list(done.summary) == KEYS
    seconds = done.summary.pop("seconds")
    assert 0 < seconds < 60
    assert done.summary | {"seconds": seconds} == {
        "state": "completed",
        "stopped": None,
        "rows": 10,
        "ok": 10,
        "failed": 0,
        "failed_by_kind": {},
        "reused": 0,
        "input_tokens": 110,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 70,
        "reasoning_tokens": 0,
        "cost": "0.00025",
        "cost_uncertain": "0",
        "currency": "USD",
        "requests": 10,
        "retries": 0,
        "throttled": 0,
        "seconds": seconds,
        "output": str(tmp_path / "out"),
        "files_left_out": 0,
        "cut": 0,
    }
    assert [row["content"] for row in result_rows(tmp_path / "out")] == [f"echo: doc-{n} hello" for n in range(10)]


def test_a_fault_of_ours_exits_1_with_one_sentence_and_keeps_the_traceback(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    faulted = _write_fault(scripted_server, asking, tmp_path)
    assert faulted.status == 1
    assert len(faulted.refusals) == 1
    assert faulted.refusals[0].startswith("unexpected FileExistsError: ")
    assert faulted.refusals[0].endswith("(details in out/_run/fault.txt)")
    assert "Traceback" not in faulted.err
    traceback = (tmp_path / "out" / "_run" / "fault.txt").read_text()
    assert traceback.startswith("Traceback")
    assert "commit_part" in traceback
    assert list(faulted.summary) == KEYS
    assert (faulted.summary["state"], faulted.summary["stopped"]["kind"]) == ("failed", "FileExistsError")
    assert (faulted.summary["rows"], faulted.summary["ok"], faulted.summary["requests"]) == (10, 10, 10)


def test_after_a_fault_the_same_command_finishes_the_run(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    _write_fault(scripted_server, asking, tmp_path)
    (tmp_path / "out" / "results").unlink()
    scripted_server.reset()
    again = call(*asking, "--json", cwd=tmp_path)
    assert (again.status, again.summary["state"], again.summary["ok"]) == (0, "completed", 10)


def test_a_fault_before_there_is_a_run_writes_into_no_directory(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    command = [*asking[: asking.index("--base-url")], "--provider", "a-block", "--json"]
    faulted = call(*command, cwd=tmp_path, environ={"PREFECT_CLIENT_MAX_RETRIES": "many"})
    assert faulted.status == 1
    assert faulted.refusals[-1].endswith("(--log-level DEBUG shows the details)")
    assert list(faulted.summary) == KEYS
    assert (faulted.summary["state"], faulted.summary["rows"], faulted.summary["requests"]) == ("failed", 0, 0)
    assert not (tmp_path / "out").exists()
    assert call(*asking, cwd=tmp_path).status == 0


@pytest.mark.parametrize("way", ["--provider", "--prefect"])
def test_a_prefect_server_that_is_away_is_one_sentence_with_what_to_do(
    way: str, asking: list[str], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    command = [*asking, way] if way == "--prefect" else [*asking[: asking.index("--base-url")], way, "a-block"]
    refused = call(*command, cwd=tmp_path, environ={"PREFECT_API_URL": url})
    assert refused.status == 2
    (sentence,) = refused.refusals
    assert sentence.startswith(f"the Prefect server at {url} cannot be reached (")
    assert "start it with prefect server start" in sentence
    assert not (tmp_path / "out").exists()


def test_the_traceback_of_a_fault_is_logged_at_debug(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    faulted = _write_fault(scripted_server, [*asking, "--log-level", "DEBUG"], tmp_path)
    assert "Traceback (most recent call last)" in faulted.err


def test_a_refused_key_exits_3_and_the_same_command_goes_on(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.expect_key("right")
    stopped = call(*asking, "--json", cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": "wrong"})
    assert stopped.status == 3
    assert stopped.refusals == [
        "127.0.0.1 refused the key (HTTP 401: Incorrect API key provided.): check the key and its owner"
    ]
    assert list(stopped.summary) == KEYS
    assert stopped.summary["stopped"] == {"kind": "AuthenticationFailed", "message": stopped.refusals[0]}
    assert (stopped.summary["state"], stopped.summary["rows"], stopped.summary["ok"]) == ("stopped", 10, 0)
    again = call(*asking, "--json", cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": "right"})
    assert (again.status, again.summary["ok"]) == (0, 10)


def test_ten_thousand_documents_and_a_bad_key_cost_no_more_than_the_concurrency_and_say_one_sentence(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("".join(f'{{"id": {n}, "text": "doc-{n} hello"}}\n' for n in range(10_000)))
    scripted_server.expect_key("right")
    stopped = call(*_changed(asking, ["--chunk-rows", "1000"]), "--concurrency", "12", "--quiet", cwd=tmp_path)
    assert stopped.status == 3
    assert 1 <= scripted_server.stats().requests <= 12
    assert (stopped.out, len(stopped.err.splitlines()), len(stopped.refusals)) == ("", 1, 1)


def test_an_unreachable_host_exits_3(asking: list[str], tmp_path: Path) -> None:
    command = _changed(asking, ["--base-url", f"http://127.0.0.1:{free_port()}/v1"])
    stopped = call(*command, "--outage-patience", "0.2", "--json", cwd=tmp_path)
    assert (stopped.status, stopped.summary["stopped"]["kind"]) == (3, "ProviderDown")
    assert len(stopped.refusals) == 1


def test_too_many_failed_rows_exit_4_with_complete_results_and_again_the_same(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script({"doc-3": steps.status(400)})
    for _ in range(2):
        failed = call(*asking, "--json", cwd=tmp_path)
        assert failed.status == 4
        assert failed.refusals == [
            f"1 of 10 documents failed, more than max_error_share allows (5%); see {tmp_path}/out/_run/failed.csv: "
            "the same model would fail alike; redrive with another, or mend the documents in a new output"
        ]
        assert (tmp_path / "out" / "_run" / "failed.csv").is_file()
        assert list(failed.summary) == KEYS
        assert (failed.summary["state"], failed.summary["stopped"]) == ("completed", None)
        assert failed.summary["failed_by_kind"] == {"rejected": 1}
    assert len(result_rows(tmp_path / "out")) == 10
    assert scripted_server.stats().requests == 10
    allowed = call(*asking, "--max-error-share", "0.1", cwd=tmp_path)
    assert (allowed.status, allowed.refusals) == (0, [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["--no-such-option"], "Unknown option: --no-such-option"),
        (["--temperature", "hot"], "--temperature: expected a number from 0 to 2, got 'hot'"),
        (["--prompt", "{{ txet }}"], "txet"),
        (["--prompt", "{{ text"], "prompt template"),
        (["--id-column", "nr"], '"nr"'),
        (["--schema", "absent.json"], "absent.json"),
        (["--output", "in.jsonl"], "is a file: give a directory"),
        (["--output", "taken"], "is not a run directory"),
        (["--output", "nowhere://x/y"], "nowhere://x/y cannot be opened (Protocol not known: nowhere)"),
        (["--output", "/proc/nothing/here"], "the output /proc/nothing/here cannot be used"),
        (["--api-key-env", "ABSENT_KEY"], "the variable ABSENT_KEY, named by api_key_env, is not set"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--limit", "0"], "--limit: expected"),
    ],
)
def test_what_is_refused_exits_2_with_one_sentence_and_asks_nothing(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path, changes: list[str], said: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    refused = call(*_changed(asking, changes), "--json", cwd=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert len(refused.err.splitlines()) == len(refused.refusals) == 1, refused.err
    assert said in refused.refusals[0]
    assert scripted_server.stats().requests == 0
    assert not (tmp_path / "out").exists() or not any(path.is_file() for path in (tmp_path / "out").rglob("*"))
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SSL_CERT_FILE": "/absent.pem"}, "environment SSL_CERT_FILE names /absent.pem"),
        ({"HTTP_PROXY": "ftp://proxy:1"}, "environment HTTP_PROXY is no proxy's address"),
        ({"PREFECT_LLM_API_KEY": "two\nlines"}, "the API key cannot be sent as a header"),
    ],
)
def test_an_environment_that_lets_nothing_be_asked_exits_2_with_one_sentence(
    asking: list[str], tmp_path: Path, environ: dict[str, str], said: str
) -> None:
    refused = call(*asking, cwd=tmp_path, environ=environ)
    assert refused.status == 2
    assert said in refused.refusals[0]
    assert len(refused.refusals) == 1
    assert not (tmp_path / "out").exists()


def test_an_unreadable_input_is_refused_by_file_and_row(asking: list[str], tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n')
    refused = call(*asking, cwd=tmp_path)
    assert refused.status == 2
    assert 'row 1 of "in.jsonl" and row 2 of "in.jsonl"' in refused.refusals[0]


def test_a_changed_prompt_in_the_same_directory_exits_2_with_the_difference(
    asking: list[str], tmp_path: Path
) -> None:
    assert call(*asking, cwd=tmp_path).status == 0
    refused = call(*asking, "--system", "Be brief", cwd=tmp_path)
    assert refused.status == 2
    assert "(system: not set -> 'Be brief')" in refused.refusals[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["--provider", "my-block"], "provider and base_url are both given: leave one out"),
        (["--prompt-file", "p.txt"], "prompt and prompt_file are both given"),
        (["--price-input", "1"], "price_input is given without price_output"),
    ],
)
@pytest.mark.parametrize("prefect", [[], ["--prefect"]])
def test_settings_that_exclude_each_other_are_refused_before_prefect_is_started(
    asking: list[str], tmp_path: Path, changes: list[str], said: str, prefect: list[str]
) -> None:
    (tmp_path / "p.txt").write_text("{{ text }}")
    refused = call(*asking, *changes, *prefect, cwd=tmp_path, environ={"PREFECT_API_URL": "http://127.0.0.1:9/api"})
    assert (refused.status, len(refused.refusals)) == (2, 1)
    assert said in refused.refusals[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "rnu"),
        (["--no-such"], "--no-such"),
        (["run", "a.jsonl", "b.jsonl"], "b.jsonl"),
        (["verify", "--nothing"], "--nothing"),
        (["verify", "extra"], "extra"),
    ],
)
def test_what_is_no_command_line_exits_2_with_one_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    refused = call(*arguments, cwd=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert len(refused.err.splitlines()) == len(refused.refusals) == 1, refused.err
    assert said in refused.refusals[0]


def test_everything_that_is_missing_is_named(tmp_path: Path) -> None:
    refused = call("run", cwd=tmp_path)
    assert refused.status == 2
    assert [sentence.split(":")[0] for sentence in refused.refusals] == [
        "no input", "no provider", "no model", "no output",
    ]  # fmt: skip


def _changed(command: list[str], changes: list[str]) -> list[str]:
    """The command with these options in place of its own."""
    changed = list(command)
    if len(changes) == 2 and changes[0] in changed:
        changed[changed.index(changes[0]) + 1] = changes[1]
        return changed
    return [*changed, *changes]


def _write_fault(scripted_server: ScriptedServer, asking: list[str], tmp_path: Path) -> Ended:
    """A run whose results folder becomes a file while it waits for an answer of each chunk."""
    scripted_server.script({"doc-4": steps.hang(), "doc-9": steps.hang()})
    with started(*asking, "--json", cwd=tmp_path) as process:
        scripted_server.wait_for(requests=10, answered=8, in_flight=2)
        shutil.rmtree(tmp_path / "out" / "results")
        (tmp_path / "out" / "results").write_text("")
        scripted_server.release()
        return ended(process)


def test_a_pattern_that_the_shell_has_spread_is_refused_with_the_quotes_that_it_needs(
    asking: list[str], tmp_path: Path
) -> None:
    refused = call(*asking, "second.csv", "third.csv", cwd=tmp_path)
    assert refused.status == 2
    assert refused.refusals == [
        "'second.csv' (and 1 more) is one argument too many: quote a pattern, as in 'reports/*.csv', or the shell "
        "makes several arguments of it"
    ]
