"""The runs that are frozen, each made by commands as a person gives them; the provider answers by a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
from tests.compatibility.freezing import Case, Stage
from tests.compatibility.frozen import FROZEN, OUTPUT
from tests.scripted_server import steps

MODEL = ["--model", "m", "--prompt", "{{ text }}"]
PRICES = ["--price-input", "2", "--price-cached-input", "0.5", "--price-output", "8"]
LIMITED = ["--max-output-tokens", "50"]
RESUME = ["resume", OUTPUT, *PRICES]
REDRIVE = ["redrive", OUTPUT, *PRICES]
SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": ["good", "bad"]},
        "score": {"type": "number"},
        "count": {"type": "integer"},
        "sure": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"type": "object", "properties": {"city": {"type": ["string", "null"]}}, "required": ["city"]},
        "note": {"type": "string"},
    },
    "required": ["label", "score", "count", "sure", "tags", "place"],
}

RARE = pa.schema(
    {
        "id": pa.string(),
        "text": pa.string(),
        "small": pa.decimal64(9, 2),
        "clock": pa.time32("ms"),
        "zone": pa.timestamp("us", "Europe/Berlin"),
        "pair": pa.list_(pa.int32(), 2),
        "inner": pa.struct({"clock": pa.time64("us"), "half": pa.float16()}),
    }
)


def finished(stage: Stage) -> Case:
    """Every document answered; the last asks what the third has asked."""
    stage.write([*_documents(11), {"id": "twin", "text": "doc-2 hello"}])
    command = _run("--concurrency", "4", "--system", "Answer.", "--temperature", "0", "--param", "top_p=0.5")
    stage.answer()
    return Case(command, stage.carry_out(command), {"run": command} | _going_on(command))


def stopped(stage: Stage) -> Case:
    """The key was refused from the seventh document on: a part, and a journal of two rows."""
    stage.write(_documents(12))
    command = _run("--concurrency", "4")
    stage.answer({f"doc-{number}": steps.status(401, delay_s=1) for number in range(6, 12)})
    return Case(command, stage.carry_out(command), {"run": command} | _going_on(command))


def killed(stage: Stage) -> Case:
    """Killed with three chunks under way, resumed, and killed again: journals of two attempts and two owners."""
    stage.write(_documents(16))
    command = _run("--concurrency", "5", "--flush-interval", "0.1", "--max-error-share", "1")
    stage.answer(_troubles() | _hanging(5, 6, 10, 13))
    stage.kill(command, parts=1, journaled=8, in_flight=4)
    stage.answer(_hanging(6, 10))
    stage.kill([*RESUME, "--flush-interval", "0.1"], parts=2, journaled=6, in_flight=2)
    return Case(command, None, {"run": command} | _going_on(command, "--max-error-share", "1"))


def budget(stage: Stage) -> Case:
    """Stopped by its budget, within a month's that it has drawn from."""
    stage.write(_documents(12))
    limits = ["--max-cost", "0.002", "--max-cost-per-month", "0.5"]
    command = _run(*LIMITED, "--concurrency", "2", *limits, chunk_rows=6)
    stage.answer()
    ended = stage.carry_out(command)
    more = ["--max-cost", "0.1", "--max-cost-per-month", "0.5"]
    actions = {
        "again": command,
        "resume": [*RESUME, *more],
        "reuse": [*_run(*LIMITED, *more, output=f"{OUTPUT}-again", chunk_rows=6), "--reuse", OUTPUT],
    }
    return Case(command, ended, actions)


def budget_killed(stage: Stage) -> Case:
    """Killed with money granted to it and requests in flight: nobody can tell whether they were billed."""
    stage.write(_documents(12))
    limits = ["--max-cost", "0.02", "--max-cost-per-month", "0.5"]
    command = _run(*LIMITED, "--concurrency", "4", *limits)
    stage.answer(_hanging(3, 6))
    stage.kill(command, parts=0, journaled=6, in_flight=2)
    return Case(command, None, {"run": command, "resume": [*RESUME, *limits]})


def failed_rows(stage: Stage) -> Case:
    """Done, with a failed row of most kinds, and with more of them than are allowed."""
    _write_failing(stage)
    command = _run("--concurrency", "4", chunk_rows=6)
    ended = stage.carry_out(command)
    return Case(command, ended, {"run": command} | _going_on(command) | {"redrive": REDRIVE})


def redriven(stage: Stage) -> Case:
    """The same after a redrive, in which some failed again."""
    _write_failing(stage)
    command = _run("--concurrency", "4", chunk_rows=6)
    stage.carry_out(command)
    stage.answer({"doc-1": steps.status(400), "doc-5": steps.ok("", finish_reason="content_filter")})
    ended = stage.carry_out(REDRIVE)
    return Case(command, ended, _going_on(command) | {"redrive": REDRIVE})


def redrive_killed(stage: Stage) -> Case:
    """The same killed in its redrive: answers in journals, beside the parts that still have the failed rows."""
    _write_failing(stage)
    command = _run("--concurrency", "4")
    ended = stage.carry_out(command)
    stage.answer(_hanging(2, 5))
    stage.kill([*REDRIVE, "--concurrency", "8"], parts=3, journaled=3, in_flight=2)
    return Case(command, ended, {"resume": ["resume", OUTPUT], "redrive": REDRIVE})


def structured(stage: Stage) -> Case:
    """Answers of a schema, the whole answers kept, and input columns of many types, one of a result column's name."""
    stage.write([_typed(number) for number in range(8)], "in.parquet")
    command = _structured(stage)
    stage.answer(_structured_answers(8))
    return Case(command, stage.carry_out(command), _going_on(command))


def structured_stopped(stage: Stage) -> Case:
    """The same stopped half-way: what its journal holds is parsed again."""
    stage.write([_typed(number) for number in range(8)], "in.parquet")
    command = [*_structured(stage), "--concurrency", "2"]
    stage.answer(_structured_answers(7) | {"doc-7": steps.status(401, delay_s=1)})
    return Case(command, stage.carry_out(command), _going_on(command), _structured_answer(1))


def kept_types(stage: Stage) -> Case:
    """Stopped half-way, with kept columns of types that results hold as others since; then as any stopped run."""
    stage.write([_rare(number) for number in range(8)], "in.parquet", RARE)
    command = _run("--concurrency", "2", source="in.parquet")
    stage.answer({f"doc-{number}": steps.status(401, delay_s=1) for number in range(6, 8)})
    return Case(command, stage.carry_out(command), {"run": command} | _going_on(command))


def reuse(stage: Stage) -> Case:
    """Ten of its documents were answered by an earlier run."""
    stage.write(_documents(10))
    stage.answer()
    earlier = stage.carry_out(_run(output="earlier", chunk_rows=6))
    assert earlier.status == 0, earlier
    stage.write(_documents(12))
    command = _run("--reuse", "earlier", chunk_rows=6)
    ended = stage.carry_out(command)
    return Case(command, ended, _going_on(_run(chunk_rows=6)))


def s3_finished(stage: Stage) -> Case:
    """Every document answered, on an object store."""
    return finished(stage)


def s3_killed(stage: Stage) -> Case:
    """Killed twice on an object store: an object for each flush of a journal."""
    return killed(stage)


CASES: dict[str, Callable[[Stage], Case]] = {
    case.__name__: case
    for case in (
        finished,
        stopped,
        killed,
        budget,
        budget_killed,
        failed_rows,
        redriven,
        redrive_killed,
        structured,
        structured_stopped,
        kept_types,
        reuse,
        s3_finished,
        s3_killed,
    )
}
on_s3 = (s3_finished, s3_killed)


def _run(*options: str, output: str = OUTPUT, source: str = "in.jsonl", chunk_rows: int = 4) -> list[str]:
    chunks = ["--chunk-rows", str(chunk_rows)]
    return ["run", f"input/{source}", "--output", output, *MODEL, *chunks, *PRICES, *options]


def _going_on(command: list[str], *free: str) -> dict[str, list[str]]:
    """Finishing it, and taking its answers for another run."""
    again = [f"{OUTPUT}-again" if argument == OUTPUT else argument for argument in command]
    return {"resume": [*RESUME, *free], "reuse": [*again, "--reuse", OUTPUT]}


def _documents(count: int) -> list[dict[str, Any]]:
    return [{"id": f"d{number}", "text": f"doc-{number} hello", "weight": number / 4} for number in range(count)]


def _hanging(*numbers: int) -> dict[str, steps.Step]:
    return {f"doc-{number}": steps.hang() for number in numbers}


def _troubles() -> dict[str, Any]:
    """What a row says of its attempts: billed and thrown away, cut, throttled, refused."""
    answer = steps.ok(f"{FROZEN} after trouble", usage=steps.tokens(30, 40))
    return {
        "doc-7": steps.status(400),
        "doc-8": [steps.ok("", refusal="I cannot", usage=steps.tokens(5, 6))],
        "doc-9": [steps.empty_choices(), answer],
        "doc-11": [steps.close_mid_body(), answer],
        "doc-14": [steps.status(429, headers={"Retry-After": "0.1"}), answer],
    }


def _write_failing(stage: Stage) -> None:
    documents = _documents(12)
    documents[8]["text"] = None
    stage.write(documents)
    stage.answer(
        {
            "doc-1": steps.status(400),
            "doc-2": steps.not_json(),
            "doc-4": steps.error(400, "This is too long.", code="context_length_exceeded"),
            "doc-5": steps.ok("", finish_reason="content_filter", usage=steps.tokens(7, 0)),
            "doc-7": steps.ok(refusal="I cannot", usage=steps.tokens(8, 3)),
            "doc-9": [steps.status(500), steps.ok(f"{FROZEN} 9", usage=steps.tokens(19, 29))],
            "doc-10": steps.ok(f"{FROZEN} 10, cut", finish_reason="length", usage=steps.tokens(20, 50)),
        }
    )


def _typed(number: int) -> dict[str, Any]:
    """A row of a column of each of many types."""
    return {
        "key": number * 7,
        "text": f"doc-{number} hello",
        "status": f"state {number}",
        "share": number / 8,
        "flag": number % 2 == 0,
        "day": date(2026, 1, number + 1),
        "at": datetime(2026, 1, 1, number, 30, tzinfo=UTC),
        "price": Decimal(number) / 4 + Decimal("0.25"),
        "tags": ["a", f"b{number}"],
        "place": {"city": "Bern", "floor": number},
        "absent": None if number % 3 else "there",
    }


def _rare(number: int) -> dict[str, Any]:
    """A row of `RARE`, without nulls but one."""
    return {
        "id": f"d{number}",
        "text": f"doc-{number} hello",
        "small": Decimal(number) / 4,
        "clock": time(9, number),
        "zone": datetime(2026, 1, 1, number, tzinfo=UTC),
        "pair": [number, number + 1],
        "inner": None if number == 1 else {"clock": time(9, number), "half": number / 2},
    }


def _structured(stage: Stage) -> list[str]:
    (stage.folder / "input" / "schema.json").write_text(json.dumps(SCHEMA))
    options = ["--schema", "input/schema.json", "--id-column", "key", "--keep-raw", "--keep", "all"]
    return _run(*options, source="in.parquet")


def _structured_answers(count: int) -> dict[str, Any]:
    return {
        f"doc-{number}": steps.ok(json.dumps(_structured_answer(number)), usage=steps.tokens(10 + number, 20))
        for number in range(count)
    }


def _structured_answer(number: int) -> dict[str, Any]:
    return {
        "label": "good" if number % 2 else "bad",
        "score": number / 4,
        "count": number,
        "sure": number % 3 == 0,
        "tags": ["x"] * (number % 3),
        "place": {"city": None if number % 2 else "Bern"},
    }
