"""Makes `runs/BUILD/NAME`: a run is carried out by the command line, made neutral, and asked what becomes of it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.cli.commanding import Ended, call, ended, started
from tests.compatibility.frozen import (
    FROZEN,
    INPUT_TIME_S,
    FrozenRun,
    asked_of,
    asking,
    brief,
    named_for,
    rows_of,
    stable_summary,
    upload,
)
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

BUCKET = "frozen"
DEADLINE_S = 30
NOBODY = {"host": "another-host", "pid": 4242, "place": "another-boot pid:[1]", "started": 1}
"""The process that a lease names after it was made neutral: nobody's on any machine."""
LONG_AGO_S = 1_700_000_000.0
PAGE = "finished"
"""The one run that keeps its `report.html`, which is larger than all the rest."""

Action = dict[str, list[str]]
"""What is done with a frozen directory, and by which command."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The folder in which a run to be frozen is carried out, and who answers it."""

    folder: Path
    server: ScriptedServer
    store: str = "local"

    @property
    def output(self) -> str:
        """The run's directory."""
        return f"s3://{BUCKET}/out" if self.store == "s3" else "out"

    def write(
        self, rows: Sequence[Mapping[str, Any]], name: str = "in.jsonl", schema: pa.Schema | None = None
    ) -> str:
        """The input as JSON Lines or Parquet, by the name; returns where it lies."""
        path = self.folder / "input" / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(list(rows), schema), path, compression="zstd")
        else:
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        os.utime(path, (INPUT_TIME_S, INPUT_TIME_S))
        return f"input/{name}"

    def answer(self, others: Mapping[str, Any] | None = None) -> None:
        """Forget what was asked; each document has a frozen answer of its own tokens, but for those in `others`."""
        self.server.reset()
        self.server.script({f"doc-{number}": answer_of(number) for number in range(24)} | dict(others or {}))

    def carry_out(self, arguments: Sequence[str]) -> Ended:
        """The command to its end."""
        return call(*asking(arguments, self.output, self.server), cwd=self.folder)

    def kill(self, arguments: Sequence[str], *, parts: int, journaled: int, in_flight: int) -> None:
        """The command until so many parts and journaled rows are there and the rest hangs; then kill -9."""
        named = named_for(arguments, self.output)
        with started(*named, "--base-url", self.server.base_url, "--quiet", cwd=self.folder) as process:

            def come_so_far() -> bool:
                assert process.poll() is None, ended(process)
                files = self.files()
                lines = sum(content.count(b"\n") for name, content in files.items() if "_run/inflight/" in name)
                done = sum("results/part-0" in name for name in files)
                return (done, lines, self.server.stats().in_flight) == (parts, journaled, in_flight)

            until(come_so_far)
            process.kill()
            ended(process)

    def files(self) -> dict[str, bytes]:
        """Those of the run's directory."""
        if self.store == "s3":
            return objects_below(self.output)
        root = self.folder / "out"
        paths = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
        return {
            path.relative_to(root).as_posix(): content
            for path in sorted(paths)
            if (content := _read(path)) is not None
        }


@dataclass(frozen=True, slots=True)
class Case:
    """A run that is to be frozen: its command, how that ended if nobody killed it, and what can be done with it."""

    command: list[str]
    ended: Ended | None
    actions: Action = field(default_factory=dict)
    output: Any = None
    """What whoever is asked under a schema is to say from then on."""


def answer_of(number: int) -> steps.Step:
    """What document `number` was told before, with tokens of its own."""
    usage = steps.tokens(10 + number, 20 + number, cached=number % 4, reasoning=number % 3)
    return steps.ok(f"{FROZEN} {number}", usage=usage)


def freeze(frozen: FrozenRun, make: Callable[[Stage], Case], stage: Stage, scratch: Path) -> None:
    """Make the run, put it down as neutral files, and write what this build says of it."""
    case = make(stage)
    put_down(stage, frozen.path, keep_page=frozen.name == PAGE)
    said = {
        "store": stage.store,
        "command": case.command,
        "output": case.output,
        "status": None if case.ended is None else case.ended.status,
        "summary": None if case.ended is None else stable_summary(case.ended),
    }
    write_said(frozen, said)
    write_said(frozen, said | _findings(frozen, case, stage, scratch))


def put_down(stage: Stage, path: Path, *, keep_page: bool) -> None:
    """The run's files without anything of this machine: its host, its processes, its folders."""
    path.mkdir(parents=True)
    shutil.copytree(stage.folder / "input", path / "input")
    for name, content in stage.files().items():
        if name.endswith("report.html") and not keep_page:
            continue
        target = path / "out" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(neutral(name, content, stage.folder))
    if (months := stage.folder / ".budget").exists():
        shutil.copytree(months, path / ".budget")


def neutral(name: str, content: bytes, folder: Path) -> bytes:
    """The file's content; binary ones hold nothing of a machine."""
    if name.startswith("_run/lease/"):
        lease = json.loads(content)
        return json.dumps(lease | {"process": NOBODY, "heartbeat": LONG_AGO_S}).encode()
    if not name.endswith((".json", ".md", ".html", ".csv")):
        return content
    return content.replace(str(folder).encode(), b"/frozen")


def write_said(frozen: FrozenRun, said: Mapping[str, Any]) -> None:
    """Replace `expected.json`."""
    (frozen.path / "expected.json").write_text(f"{_in_lines(said)}\n")


def until(happened: Callable[[], bool]) -> None:
    """Wait for that."""
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline, "it did not come so far"
        os.sched_yield()


def objects_below(url: str) -> dict[str, bytes]:
    """Every object of an S3 prefix by its key below it."""
    import fsspec

    store, root = fsspec.core.url_to_fs(url)
    store.invalidate_cache()
    names = store.find(root)
    contents = store.cat(names, on_error="omit") if names else {}  # some go between the two
    return {name.removeprefix(f"{root}/"): content for name, content in sorted(contents.items())}


def _findings(frozen: FrozenRun, case: Case, stage: Stage, scratch: Path) -> dict[str, Any]:
    """What this build reads there, reports, and does by each action, each on a copy of its own."""
    environ = os.environ if stage.store == "s3" else None

    def copied(action: str) -> tuple[Path, str]:
        folder = frozen.copy_to(scratch / action)
        if stage.store == "local":
            return folder, "out"
        upload(folder / "out", f"s3://{BUCKET}/{action}")
        return folder, f"s3://{BUCKET}/{action}"

    folder, output = copied("read")
    rows = rows_of(_located(folder, output), environ)
    findings: dict[str, Any] = {"rows": rows, "journaled": [], "actions": {}}
    if stage.store == "local":
        assert call("report", output, cwd=folder).status == 0
        findings["ledger"] = json.loads((folder / "out" / "_run" / "ledger.json").read_text())
    for action, arguments in case.actions.items():
        stage.server.reset()
        if case.output is not None:
            stage.server.answer_json(case.output)
        folder, output = copied(action)
        began = str(datetime.now(UTC))
        done = call(*asking(arguments, output, stage.server), cwd=folder)
        after = rows_of(_located(folder, output if action != "reuse" else f"{output}-again"), environ)
        known = {row["id"] for row in rows}
        if action == "resume":
            earlier = [row for row in after if row.get("finished_at", began) < began]
            findings["journaled"] = [row for row in earlier if row["id"] not in known]
        findings["actions"][action] = {
            "arguments": arguments,
            "status": done.status,
            "asked": asked_of(stage.server),
            "summary": stable_summary(done),
            "rows": list(map(brief, after)),
        }
    return findings


def _in_lines(said: Any, depth: int = 0) -> str:
    """JSON with a row a line."""
    if isinstance(said, Mapping) and depth < 3:
        fields = (f"{json.dumps(name)}: {_in_lines(value, depth + 1)}" for name, value in said.items())
        return "{\n" + ",\n".join(fields) + "\n}"
    if isinstance(said, list) and said and isinstance(said[0], Mapping):
        return "[\n" + ",\n".join(map(json.dumps, said)) + "\n]"
    return json.dumps(said)


def _located(folder: Path, output: str) -> str:
    return output if output.startswith("s3://") else str(folder / output)


def _read(path: Path) -> bytes | None:
    """`None` for a file that went while it was looked for."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
