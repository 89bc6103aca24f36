"""Stages JSON Lines as the lines they are; names and types of the columns are known once all were seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa

from prefect_llm.documents.bad_rows import BAD
from prefect_llm.documents.batches import LineBatch, place
from prefect_llm.documents.chunk_files import ChunkWriter
from prefect_llm.documents.columns import (
    KeptColumn,
    Staging,
    check_needed,
    is_conversation,
    kept_columns,
    not_in,
    result_names,
    warn_of_near_id,
)
from prefect_llm.documents.identifiers import IdRegister, unusable_id
from prefect_llm.documents.json_lines import JsonLinesSource
from prefect_llm.documents.shapes import Shape
from prefect_llm.documents.snapshot import Staged
from prefect_llm.values.errors import InvalidInput

_MAX_COLUMNS = 10_000


def stage_lines(source: JsonLinesSource, staging: Staging, writer: ChunkWriter) -> Staged:
    """Write all rows, or the first `limit`; `InvalidInput` for bad lines, ids and columns."""
    shapes: dict[str, Shape] = {}
    register: IdRegister | None = None
    id_column: str | None = None
    used = _used(staging)

    keep_bad = staging.on_bad_rows == "row"
    for batch in source.batches(keep_bad):
        batch = _first(batch, staging, writer.rows)
        _see(batch, shapes, staging, source.name)
        if writer.rows == 0:
            if _is_unreadable(batch):
                _see(_first_readable(source), shapes, staging, source.name)
            id_column = _id_column(staging, shapes, source.name)
            register = None if id_column is None else IdRegister(id_column)
        if id_column is None or register is None:
            _check_no_late_id(batch, shapes)
            ids = list(map(str, range(writer.rows, writer.rows + len(batch.lines))))
        else:
            ids = _ids(batch, id_column, keep_bad=keep_bad)
            register.add(ids, batch.file, batch.first_row)
        columns = {"id": pa.array(ids, pa.string()), "line": _cells(batch, used)}
        if keep_bad:
            columns[BAD] = pa.array(map(batch.bad.get, range(len(ids))), pa.string())
        writer.add(pa.record_batch(columns))
        if writer.rows == staging.limit:
            break

    return _staged(shapes, staging, source.name, register)


def _staged(shapes: dict[str, Shape], staging: Staging, source: str, register: IdRegister | None) -> Staged:
    names = list(shapes)
    if names:
        check_needed(staging, names, source)
    types = {name: shape.arrow_type() for name, shape in shapes.items()}
    schema = pa.schema([(name, pa.string() if held is None else held) for name, held in types.items()])
    kept = kept_columns(staging, schema, source)
    result = result_names(kept, staging.reserved)
    wanted = set(names) if staging.wanted is None else staging.wanted | staging.needed

    return Staged(
        form="lines",
        kept=tuple(
            KeptColumn(column, name, schema.field(column).type, as_json=types[column] is None)
            for column, name in zip(kept, result, strict=True)
        ),
        prompt=tuple(name for name in names if name in wanted),
        has_id="id" in shapes,
        register=register,
    )


def _used(staging: Staging) -> frozenset[str] | None:
    """The columns to stage, `None` for all: then a line is staged as it is."""
    if staging.wanted is None or staging.keep in ("default", "all"):
        return None
    return staging.wanted | staging.needed | frozenset(staging.keep if staging.keep != "none" else ())


def _first(batch: LineBatch, staging: Staging, rows: int) -> LineBatch:
    if staging.limit is None or rows + len(batch.lines) <= staging.limit:
        return batch
    left = staging.limit - rows
    cut = (batch.lines[:left], batch.objects[:left], batch.numbers[:left])
    return replace(batch, lines=cut[0], objects=cut[1], numbers=cut[2])


def _is_unreadable(batch: LineBatch) -> bool:
    return len(batch.bad) == len(batch.lines)


def _first_readable(source: JsonLinesSource) -> LineBatch:
    """The first lines that tell what the columns are: whole files before them may be unreadable."""
    readable = (batch for batch in source.batches(keep_bad=True) if not _is_unreadable(batch))
    return next(readable, LineBatch([], [], [], source.name, 0))


def _see(batch: LineBatch, shapes: dict[str, Shape], staging: Staging, source: str) -> None:
    """Note new columns, and what kind of values those have whose type the results need."""
    cells: dict[str, list[Any]] = {}
    for row in batch.objects:
        for name, cell in row.items():
            if name in cells:
                cells[name].append(cell)
            else:
                cells[name] = [cell]

    for name, seen in cells.items():
        if name not in shapes:
            shapes[name] = Shape()
        if _is_kept(name, staging):
            shapes[name].see(seen)

    if len(shapes) > _MAX_COLUMNS:
        raise InvalidInput(
            f'"{source}" has more than {_MAX_COLUMNS:,} different names in its objects: put what varies into '
            "one object or list of its own."
        )


def _is_kept(name: str, staging: Staging) -> bool:
    keep = staging.keep
    if isinstance(keep, tuple):
        return name in keep
    return keep == "all" or (keep == "default" and not is_conversation(name, staging))


def _id_column(staging: Staging, shapes: dict[str, Shape], source: str) -> str | None:
    if staging.id_column is None:
        if "id" in shapes:
            return "id"
        warn_of_near_id(list(shapes), source)
        return None
    if staging.id_column not in shapes:
        raise InvalidInput(
            f'the id column is "{staging.id_column}", {not_in(source, staging.id_column, list(shapes))}'
        )
    return staging.id_column


def _check_no_late_id(batch: LineBatch, shapes: dict[str, Shape]) -> None:
    if "id" not in shapes:
        return
    row = next(row for row, cells in enumerate(batch.objects) if "id" in cells)
    raise InvalidInput(
        f'{_place(batch, row)} has an "id" but the rows before it have none: give every document one, '
        "or name another column with id_column."
    )


def _ids(batch: LineBatch, column: str, *, keep_bad: bool) -> list[str]:
    """The ids as text. With `keep_bad` a row without a usable one is bad, and named by its line."""
    ids = []
    for row, cells in enumerate(batch.objects):
        cell = cells.get(column)
        if type(cell) is int:
            cell = str(cell)
        elif type(cell) is not str or not cell:
            wrong = f"{_place(batch, row)}: {unusable_id(column, cell)}"
            if not keep_bad:
                raise InvalidInput(f"{wrong}.")
            batch.bad.setdefault(row, wrong)
            cell = f"{batch.file}:{batch.numbers[row]}"
        ids.append(cell)
    return ids


def _cells(batch: LineBatch, used: frozenset[str] | None) -> pa.Array:
    lines: Iterable[bytes] = batch.lines
    if used is not None:
        encode = msgspec.json.Encoder().encode
        lines = (encode({name: row[name] for name in row if name in used}) for row in batch.objects)
    return pa.array(lines, pa.binary())


def _place(batch: LineBatch, row: int) -> str:
    return place(batch.file, batch.first_row + row, batch.numbers[row])
