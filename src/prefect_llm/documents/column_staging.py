"""Stages sources whose columns and types are known beforehand: whole columns, no Python per cell."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from prefect_llm.documents.arrow_types import result_type, staged_type
from prefect_llm.documents.bad_rows import BAD, BadRows
from prefect_llm.documents.batches import ColumnSource, SourceBatch, place
from prefect_llm.documents.chunk_files import ChunkWriter
from prefect_llm.documents.columns import (
    KeptColumn,
    Staging,
    check_representable,
    kept_columns,
    not_in,
    prompt_columns,
    result_names,
    warn_of_near_id,
)
from prefect_llm.documents.conversion import converted
from prefect_llm.documents.identifiers import IdRegister, check_id_type, ids_of_column
from prefect_llm.documents.snapshot import Staged
from prefect_llm.values.errors import InvalidInput


def stage_columns(source: ColumnSource, staging: Staging, writer: ChunkWriter) -> Staged:
    """Write all rows, or the first `limit`; `InvalidInput` for bad ids, columns, types and bytes."""
    schema = source.columns.schema
    id_column = _id_column(source, staging)
    kept = kept_columns(staging, schema, source.name)
    names = result_names(kept, staging.reserved)
    prompt = prompt_columns(staging, schema, source.name)
    staged = [name for name in schema.names if name in {*kept, *prompt}]
    source.columns.check_usable(staged)
    check_representable(staged, schema, source.name)
    register = None if id_column is None else IdRegister(id_column)
    _write(source, staging, writer, staged=staged, id_column=id_column, register=register)

    return Staged(
        form="columns",
        kept=tuple(_kept(column, name, schema) for column, name in zip(kept, names, strict=True)),
        prompt=tuple(prompt),
        has_id="id" in schema.names,
        register=register,
    )


def _write(
    source: ColumnSource,
    staging: Staging,
    writer: ChunkWriter,
    *,
    staged: Sequence[str],
    id_column: str | None,
    register: IdRegister | None,
) -> None:
    read = [*staged] if id_column is None or id_column in staged else [*staged, id_column]
    types = {name: staged_type(source.columns.schema.field(name).type) for name in read}

    keep_bad = staging.on_bad_rows == "row"
    for batch in source.batches(read, keep_bad):
        rows = batch.rows if staging.limit is None else min(batch.rows, staging.limit - writer.rows)
        bad = BadRows(batch, rows) if keep_bad else None
        columns = {name: _column(batch, name, types[name], rows, bad) for name in read}
        if id_column is None or register is None:
            ids = pa.array(range(writer.rows, writer.rows + rows)).cast(pa.string())
        else:
            cells = columns[id_column] if bad is None else bad.with_ids(columns[id_column], id_column)
            ids = ids_of_column(cells, id_column, batch.file, batch.first_row)
            register.add(ids.to_pylist(), batch.file, batch.first_row)
        # Arrays are found by place: a column of the source may be named like the ids. Reasons come last.
        reasons = [] if bad is None else [bad.reasons]
        names = ["id", *staged, *(BAD for _ in reasons)]
        writer.add(pa.record_batch([ids, *(columns[name] for name in staged), *reasons], names=names))
        if writer.rows == staging.limit:
            return


def _id_column(source: ColumnSource, staging: Staging) -> str | None:
    schema = source.columns.schema
    column = staging.id_column
    if column is None:
        column = source.default_id if source.default_id in schema.names else None
        if column is None:
            warn_of_near_id(schema.names, source.name)
    elif column not in schema.names:
        raise InvalidInput(f'the id column is "{column}", {not_in(source.name, column, schema.names)}')
    if column is not None:
        source.columns.check_usable([column])
        check_id_type(staged_type(schema.field(column).type), column=column, source=source.name)
    return column


def _kept(column: str, name: str, schema: pa.Schema) -> KeptColumn:
    held = result_type(schema.field(column).type)
    return KeptColumn(column, name, pa.string() if held is None else held, as_json=held is None)


def _column(batch: SourceBatch, name: str, type: pa.DataType, rows: int, bad: BadRows | None) -> pa.Array:
    index = batch.record_batch.schema.get_field_index(name)
    if index < 0:
        return pa.nulls(rows, type)

    cells = batch.record_batch.column(index).slice(0, rows)
    try:
        staged = converted(cells, type)
        staged.validate(full=True)
    except pa.ArrowException as error:
        if bad is not None:
            return bad.converted_by_row(name, cells, type)
        row = _undecodable_row(cells)
        if row is None:
            other = "" if staged_type(cells.type).equals(type) else f" as the {type} that other files need"
            raise InvalidInput(
                f'the column "{name}" of "{batch.file}" ({cells.type}) cannot be read{other} ({error}): convert it.'
            ) from error
        raise InvalidInput(
            f'{place(batch.file, batch.first_row + row)}: the column "{name}" is not UTF-8 text: '
            "convert the file to UTF-8."
        ) from error

    return staged


def _undecodable_row(cells: pa.Array) -> int | None:
    for row, cell in enumerate(cells):
        try:
            cell.as_py()
        except UnicodeDecodeError:
            return row
        except (ValueError, OverflowError):
            continue
    return None
