"""`reuse="previous"`: each night pays for what no night before it has paid for, whatever became of those nights."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.report import Summary
from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.finishing import finish_run
from prefect_llm.run.opening import open_run, reopen_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.threads import infer_pending
from prefect_llm.values.errors import AuthenticationFailed, InvalidInput
from prefect_llm.values.provider import Provider


@pytest.fixture
def provider(scripted_server: ScriptedServer) -> Provider:
    return provider_at(scripted_server.base_url)


@pytest.fixture(params=["local", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the nights' directories lie; nothing is there as yet."""
    return f"{request.getfixturevalue('bucket')}/answers" if request.param == "s3" else str(tmp_path / "answers")


def night(base: str, name: str, input: pa.Table, provider: Provider) -> Summary:
    return carry_out(input, f"{base}/{name}", provider, reuse="previous", siblings=base)


def changed(table: pa.Table, row: int) -> pa.Table:
    texts = table["text"].to_pylist()
    texts[row] += " changed"
    return table.set_column(1, "text", [texts])


def recorded(output: str) -> list[str]:
    reuse: list[str] = json.loads(Path(output, "_run", "manifest.json").read_text())["reuse"]
    return reuse


def test_each_night_pays_for_what_changed_since_the_night_before(
    scripted_server: ScriptedServer, provider: Provider, base: str
) -> None:
    table = documents(20)
    assert night(base, "1", table, provider).requests == 20
    table = changed(table, 3)
    assert night(base, "2", table, provider).requests == 1
    third = night(base, "3", changed(table, 7), provider)
    assert (third.requests, third.totals.reused, third.totals.ok) == (1, 19, 20)
    assert scripted_server.stats().requests == 22


def test_the_first_night_begins_without_and_says_so(
    provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "prefect_llm"):
        night(str(tmp_path), "1", documents(3), provider)
    assert f"no earlier run below {tmp_path}" in caplog.text
    assert recorded(f"{tmp_path}/1") == []


def test_what_a_stopped_night_has_paid_for_is_taken_before_the_complete_one_s(
    scripted_server: ScriptedServer, provider: Provider, tmp_path: Path
) -> None:
    base, old, new = str(tmp_path), documents(20), documents(30)
    night(base, "1", old, provider)
    scripted_server.script({f"doc-{n}": steps.status(401) for n in range(22, 30)})
    assert night(base, "2", new, provider).state == "stopped"
    paid = {name for name in scripted_server.stats().by_document if name in ("doc-20", "doc-21")}
    scripted_server.reset()
    third = night(base, "3", new, provider)
    assert (third.state, third.totals.ok) == ("completed", 30)
    assert not paid & scripted_server.stats().by_document.keys()
    assert scripted_server.stats().requests == 10 - len(paid)
    assert recorded(f"{base}/3") == [f"{base}/2", f"{base}/1"]


def test_a_resumed_night_takes_the_directories_of_its_beginning(
    scripted_server: ScriptedServer, provider: Provider, tmp_path: Path
) -> None:
    base, output = str(tmp_path), f"{tmp_path}/2"
    night(base, "1", documents(20), provider)
    run = open_run(documents(30), output, spec_of(), options=RunOptions(reuse="previous", siblings=base))
    finish_run(run)
    night(base, "later", documents(3), provider)
    assert open_run(documents(30), output, spec_of(), options=RunOptions(reuse="previous", siblings=base)).reuse == (
        f"{base}/1",
    )
    scripted_server.reset()
    assert infer_pending(reopen_run(output), provider).totals.reused == 20
    assert scripted_server.stats().requests == 10


def test_a_recorded_directory_that_is_gone_is_done_without(
    provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, output = str(tmp_path), f"{tmp_path}/2"
    night(base, "1", documents(20), provider)
    finish_run(open_run(documents(20), output, spec_of(), options=RunOptions(reuse="previous", siblings=base)))
    (tmp_path / "1").rename(tmp_path.parent / f"{tmp_path.name}-moved")
    again = reopen_run(output)
    assert again.reuse == ()
    assert "is gone" in caplog.text
    finish_run(again)


def test_a_damaged_night_is_passed_over(provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = str(tmp_path)
    night(base, "1", documents(20), provider)
    night(base, "2", documents(20), provider)
    (tmp_path / "2" / "_run" / "manifest.json").write_text("{")
    assert night(base, "3", documents(20), provider).requests == 0
    assert "skipped: " in caplog.text


def test_answers_are_taken_as_they_came_where_both_runs_keep_them(provider: Provider, tmp_path: Path) -> None:
    spec = spec_of(keep_raw=True)
    first = rows_of(carry_out(documents(3), f"{tmp_path}/1", provider, spec))
    second = rows_of(carry_out(documents(3), f"{tmp_path}/2", provider, spec, reuse=f"{tmp_path}/1"))
    assert [row["raw"] for row in second] == [row["raw"] for row in first]
    assert all(row["raw"] for row in second)
    carry_out(documents(3), f"{tmp_path}/3", provider, spec_of())
    third = rows_of(carry_out(documents(3), f"{tmp_path}/4", provider, spec, reuse=f"{tmp_path}/3"))
    assert [(row["reused"], row["raw"]) for row in third] == [(True, None)] * 3


def test_the_earlier_directory_is_looked_at_once_for_all_chunks(
    scripted_server: ScriptedServer, provider: Provider, tmp_path: Path
) -> None:
    base = str(tmp_path)
    night(base, "1", documents(30), provider)
    run = open_run(documents(30), f"{base}/2", spec_of(), options=RunOptions(reuse="previous", siblings=base))
    assert infer_chunk(run, 0, provider).requests.sent == 0
    (tmp_path / "1" / "_run" / "manifest.json").unlink()
    assert infer_chunk(run, 1, provider).requests.sent == 0
    finish_run(run)


def test_a_resumed_run_that_was_begun_without_it_needs_a_directory(
    scripted_server: ScriptedServer, provider: Provider, output: str
) -> None:
    scripted_server.script({"doc-1": steps.status(401)})
    run = open_run(documents(3), output, spec_of())
    with pytest.raises(AuthenticationFailed):
        infer_chunk(run, 0, provider)
    finish_run(run)
    with pytest.raises(InvalidInput, match="begun without it: give the directory"):
        reopen_run(output, options=RunOptions(reuse="previous"))


def test_answers_of_the_same_endpoint_by_another_name_are_not_taken_and_counted(
    scripted_server: ScriptedServer, provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scripted_server.script({"doc-3": steps.status(400)})
    carry_out(documents(24), f"{tmp_path}/1", provider)
    named = replace(provider, base_url=provider.base_url.replace("127.0.0.1", "localhost"))
    scripted_server.reset()

    again = carry_out(documents(25), f"{tmp_path}/2", named, reuse=f"{tmp_path}/1")

    assert (again.totals.reused, scripted_server.stats().requests) == (0, 25)
    first, *_, last = [message for message in caplog.messages if message.startswith("reuse: ")]
    assert "since another provider gave them" in first
    assert "this run asks localhost: reuse goes by the host" in first
    assert last == "reuse: 23 answers of another provider were not taken (23 of 127.0.0.1)"


def test_nothing_is_said_where_every_answer_is_taken(
    provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    carry_out(documents(12), f"{tmp_path}/1", provider)
    named = replace(provider, base_url=provider.base_url.replace("127.0.0.1", "localhost"))
    both = carry_out(documents(24), f"{tmp_path}/2", named, reuse=f"{tmp_path}/1")
    caplog.clear()
    assert carry_out(documents(30), f"{tmp_path}/3", named, reuse=both.output).totals.reused == 24
    assert not [message for message in caplog.messages if message.startswith("reuse: ")]
