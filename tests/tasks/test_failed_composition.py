"""Flows of a person's own whose chunks fail: summary, report and artifacts are made, and the state has the reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task, unmapped
from prefect.client.schemas.objects import State
from tests.conftest import WriteDocuments
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server.client import ScriptedServer
from tests.tasks.conftest import SPEC

from prefect_llm import (
    InvalidInput,
    ProviderReference,
    Run,
    Summary,
    failed_by_reason,
    finish_run,
    infer_chunk,
    load_documents,
)
from prefect_llm.values.errors import AuthenticationFailed

ARTIFACTS = {"llm-cost", "llm-figures", "llm-report", "llm-results"}
Finish = Callable[[Run, Any], Summary]


def _mapped(run: Run, provider: Any) -> Summary:
    return finish_run(run, infer_chunk.map(unmapped(run), run.pending, unmapped(provider)))


def _submitted(run: Run, provider: Any) -> Summary:
    futures = [infer_chunk.submit(run, chunk, provider) for chunk in run.pending]
    return finish_run.submit(run, figures=futures).result()


def _states(run: Run, provider: Any) -> Summary:
    return finish_run(run, [infer_chunk(run, chunk, provider, return_state=True) for chunk in run.pending])


def _errors(run: Run, provider: Any) -> Summary:
    def ended(chunk: int) -> Any:
        try:
            return infer_chunk(run, chunk, provider)
        except AuthenticationFailed as error:
            return error

    return finish_run(run, [ended(chunk) for chunk in run.pending])


def _with_options(run: Run, provider: Any) -> Summary:
    figures = infer_chunk.map(unmapped(run), run.pending, unmapped(provider))
    return finish_run.with_options(name="finish")(run, figures)


@pytest.mark.parametrize("finish", [_mapped, _submitted, _states, _errors, _with_options])
def test_a_refused_key_fails_the_flow_run_by_its_name_with_summary_report_and_artifacts(
    finish: Finish,
    write_documents: WriteDocuments,
    output: str,
    provider: ProviderReference,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
) -> None:
    scripted_server.expect_key("another")

    @flow
    @failed_by_reason
    def composed() -> Summary:
        return finish(load_documents(write_documents(100), output, SPEC), provider)

    state: State[Summary] = composed(return_state=True)
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id is not None
    known = prefect_server.flow_run(flow_run_id).state
    assert known is not None
    assert (known.type.value, known.name) == ("FAILED", "AuthenticationFailed")
    error = state.result(raise_on_failure=False)
    assert isinstance(error, AuthenticationFailed)
    assert isinstance(error.summary, Summary)
    assert (error.summary.state, error.summary.totals.pending) == ("stopped", 100)
    assert _manifest(output)["state"] == "stopped"
    assert "100 pending" in (Path(output) / "_run" / "report.md").read_text()
    artifacts = eventually(lambda: prefect_server.artifacts(flow_run_id), lambda seen: len(seen) == 4)
    assert set(artifacts) == ARTIFACTS


def test_without_the_decorator_the_reason_is_in_the_message(
    write_documents: WriteDocuments, output: str, provider: ProviderReference, scripted_server: ScriptedServer
) -> None:
    scripted_server.expect_key("another")

    @flow
    def composed() -> Summary:
        return _mapped(load_documents(write_documents(100), output, SPEC), provider)

    state: State[Summary] = composed(return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert "AuthenticationFailed" in str(state.message)
    assert isinstance(state.result(raise_on_failure=False), AuthenticationFailed)


def test_an_asynchronous_flow_fails_by_the_reason_too(
    write_documents: WriteDocuments, output: str, provider: ProviderReference, scripted_server: ScriptedServer
) -> None:
    scripted_server.expect_key("another")

    @flow
    @failed_by_reason
    async def composed() -> Summary:
        return _mapped(load_documents(write_documents(100), output, SPEC), provider)

    state: Any = asyncio.run(composed(return_state=True))  # type: ignore[arg-type]
    assert state.name == "AuthenticationFailed"
    assert _manifest(output)["state"] == "stopped"


@pytest.mark.parametrize("given", ["absent.parquet", "documents"])
def test_what_is_refused_is_named_so_wherever_it_is_refused(
    given: str, write_documents: WriteDocuments, output: str, scripted_server: ScriptedServer
) -> None:
    source = write_documents(100) if given == "documents" else given

    @flow
    @failed_by_reason
    def composed() -> Summary:
        run: Any = load_documents.submit(source, output, SPEC)
        return _mapped(run.result(), "no-such-block") if given == "documents" else finish_run(run)

    state: State[Summary] = composed(return_state=True)
    assert state.name == "Refused"
    assert isinstance(state.result(raise_on_failure=False), InvalidInput)
    assert scripted_server.stats().requests == 0


def test_an_unexpected_error_finishes_what_was_answered_and_is_raised(
    write_documents: WriteDocuments, output: str, provider: ProviderReference
) -> None:
    @task
    def broken() -> Any:
        raise LookupError("no such thing")

    @task
    def after(_: Any) -> Any:
        raise AssertionError("never run")

    @flow
    @failed_by_reason
    def composed() -> Summary:
        run = load_documents(write_documents(100), output, SPEC)
        failed = broken.submit()
        return finish_run(run, [infer_chunk.submit(run, 0, provider), after.submit(failed), failed])

    state: State[Summary] = composed(return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert isinstance(state.result(raise_on_failure=False), LookupError)
    manifest = _manifest(output)
    assert (manifest["state"], manifest["stopped"]["kind"]) == ("failed", "LookupError")
    assert manifest["totals"]["ok"] == 30


def _manifest(output: str) -> Any:
    return json.loads((Path(output) / "_run" / "manifest.json").read_text())
