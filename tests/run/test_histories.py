"""Promises 1 and 9 under any history of runs, kills, redrives, changed prompts and reuse, over many directories."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow.dataset
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.run.ending_early import abandon_after, stop_after
from tests.run.running import documents, provider_at, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.run.finishing import release_run
from prefect_llm.run.opening import open_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.redrive import open_redrive, redrive_pending
from prefect_llm.run.reference import RunReference
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import lease
from prefect_llm.values.errors import InvalidInput

ROWS, CHUNK_ROWS = 10, 4
TEMPLATES = ("{{ text }}", "{{ text }}!")

Templates = st.sampled_from(TEMPLATES)
Failing = st.frozensets(st.integers(0, ROWS - 1), max_size=3)
Earlier = st.integers(0, 3)


@dataclass
class Directory:
    """A run's directory as this history knows it: which documents have an answer that is not to be paid again."""

    url: str
    template: str
    reuse: Directory | None
    answered: set[int] = field(default_factory=set)

    def rows(self) -> dict[str, bool]:
        """The ids in its results, and whether each was answered."""
        table = pyarrow.dataset.dataset(f"{self.url}/results").to_table(["id", "status"])
        ids = table["id"].to_pylist()
        assert len(ids) == len(set(ids))
        return dict(zip(ids, (status == "ok" for status in table["status"].to_pylist()), strict=True))

    @property
    def finished(self) -> bool:
        return len(self.rows()) == ROWS

    def reusable(self) -> set[int]:
        """The documents whose request an earlier directory holds the answer of."""
        if self.reuse is None or self.reuse.template != self.template:
            return set()
        return {int(each[1:]) for each, answered in self.reuse.rows().items() if answered}


class History(RuleBasedStateMachine):
    """Runs in one directory after another; the last that was gone to is gone on with."""

    server: ScriptedServer

    def __init__(self) -> None:
        super().__init__()
        self._provider = provider_at(self.server.base_url, concurrency=3)
        self._folder = tempfile.TemporaryDirectory()
        self._directories: list[Directory] = []

    @initialize(template=Templates)
    def begin(self, template: str) -> None:
        self._go_to_new(template, None)

    @rule(template=Templates, earlier=Earlier)
    def begin_elsewhere_with_reuse(self, template: str, earlier: int) -> None:
        self._go_to_new(template, self._directories[earlier % len(self._directories)])

    @rule(template=Templates)
    def begin_elsewhere_anew(self, template: str) -> None:
        self._go_to_new(template, None)

    @rule(earlier=Earlier)
    def go_back(self, earlier: int) -> None:
        directory = self._directories[earlier % len(self._directories)]
        self._directories.append(directory)

    @rule(failing=Failing)
    def run(self, failing: frozenset[int]) -> None:
        with self._asked(failing):
            summary = infer_pending(self._open(), self._provider)
        assert summary.state == "completed"
        assert self._now.finished

    @rule(requests=st.integers(0, ROWS), failing=Failing)
    def stop(self, requests: int, failing: frozenset[int]) -> None:
        with self._asked(failing):
            stop_after(self._open(), self._provider, requests)

    @rule(rows=st.integers(0, CHUNK_ROWS))
    def kill(self, rows: int) -> None:
        self._now.answered |= set(abandon_after(self._open(), self._provider, rows))

    @rule(failing=Failing)
    def redrive(self, failing: frozenset[int]) -> None:
        if not self._now.finished:
            with pytest.raises(InvalidInput, match="chunks still to be asked"):
                open_redrive(self._now.url)
            return
        failed = {int(each[1:]) for each, answered in self._now.rows().items() if not answered}
        with self._asked(failing) as again:
            redrive_pending(open_redrive(self._now.url), self._provider)
        assert set(again) == failed

    @rule()
    def change_the_prompt_in_the_same_directory(self) -> None:
        (other,) = set(TEMPLATES) - {self._now.template}
        with self._asked(frozenset()) as asked, pytest.raises(InvalidInput, match=r"other settings \(prompt: "):
            open_run(documents(ROWS), self._now.url, spec_of(template=other, chunk_rows=CHUNK_ROWS))
        assert not asked

    @invariant()
    def every_document_has_at_most_one_row_and_every_chunk_all_or_none(self) -> None:
        for directory in self._directories:
            rows = [int(each[1:]) for each in directory.rows()]
            chunks = {row // CHUNK_ROWS for row in rows}
            assert rows == [row for row in range(ROWS) if row // CHUNK_ROWS in chunks]

    def teardown(self) -> None:
        for directory in {each.url: each for each in self._directories}.values():
            self._directories.append(directory)
            self.run(frozenset())
            assert list(directory.rows()) == [f"d{row}" for row in range(ROWS)]
        self._folder.cleanup()

    @property
    def _now(self) -> Directory:
        return self._directories[-1]

    def _go_to_new(self, template: str, reuse: Directory | None) -> None:
        url = f"{self._folder.name}/{len(self._directories)}"
        self._directories.append(Directory(url, template, reuse))
        release_run(self._open())

    def _open(self) -> RunReference:
        now = self._now
        reuse = now.reuse.url if now.reuse is not None else None
        return open_run(
            documents(ROWS),
            now.url,
            spec_of(template=now.template, chunk_rows=CHUNK_ROWS),
            options=RunOptions(reuse=reuse),
        )

    @contextmanager
    def _asked(self, failing: frozenset[int]) -> Iterator[list[int]]:
        """The documents asked in the block, in any order; none that has its answer, and none twice."""
        answered = self._now.answered | self._now.reusable()
        self.server.reset()
        self.server.script({f"doc-{row}": steps.status(400) for row in failing})
        asked: list[int] = []
        yield asked
        by_document = self.server.stats().by_document
        asked += [int(name.removeprefix("doc-")) for name in by_document]
        assert not answered & set(asked), "paid again"
        assert set(by_document.values()) <= {1}
        self._now.answered |= set(asked) - failing


def test_whatever_the_history_rows_are_exact_and_nothing_that_was_answered_is_paid_again(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 3600.0)  # killed runs leave their thread behind, in a directory that is gone

    class OverThisServer(History):
        server = scripted_server

    run_state_machine_as_test(
        OverThisServer,
        settings=settings(max_examples=25, stateful_step_count=12, deadline=None),
    )
