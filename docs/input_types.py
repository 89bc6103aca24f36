"""Puts what becomes of every Arrow type into docs/input.md: `python docs/input_types.py`. A test keeps them in step.

Each value is staged and read back as a run does it, alone and inside every nested type.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from prefect_llm.documents import Snapshot, Staging, open_source, read_chunk, stage
from prefect_llm.documents.arrow_types import result_type
from prefect_llm.prompts import Prompt, PromptSpec
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import BadDocument, InvalidInput

PAGE = Path(__file__).with_name("input.md")
START, END = "<!-- made by docs/input_types.py -->\n", "<!-- end -->"

INSTANT, CLOCK, MONEY = dt.datetime(2026, 1, 2, 3, 4, 5), dt.time(9, 30), Decimal("1.25")
UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


class Kind(NamedTuple):
    """An Arrow array of one value and a null."""

    name: str
    array: pa.Array


def kinds() -> Iterator[Kind]:
    """Every type that has no other inside."""
    values: dict[pa.DataType, Any] = {
        pa.bool_(): True,
        **dict.fromkeys([pa.int8(), pa.int16(), pa.int32(), pa.int64()], -7),
        **dict.fromkeys([pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()], 7),
        **dict.fromkeys([pa.float16(), pa.float32(), pa.float64()], 1.5),
        **dict.fromkeys([pa.decimal32(5, 2), pa.decimal64(15, 2), pa.decimal128(20, 2), pa.decimal256(50, 2)], MONEY),
        **dict.fromkeys([pa.string(), pa.large_string(), pa.string_view()], "ä"),
        **dict.fromkeys([pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)], b"ab"),
        **dict.fromkeys([pa.date32(), pa.date64()], INSTANT.date()),
        **dict.fromkeys([pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")], CLOCK),
        **dict.fromkeys(map(pa.timestamp, ("s", "ms", "us", "ns")), INSTANT),
        pa.timestamp("us", "Europe/Berlin"): INSTANT.replace(tzinfo=dt.UTC),
        **dict.fromkeys(map(pa.duration, ("s", "ms", "us", "ns")), dt.timedelta(hours=1)),
        pa.month_day_nano_interval(): (1, 2, 3),
    }
    for held, value in values.items():
        yield Kind(str(held), pa.array([value, None], held))
    yield Kind("null", pa.nulls(2))
    yield Kind("uuid", pa.ExtensionArray.from_storage(pa.uuid(), pa.array([UUID.bytes, None], pa.binary(16))))
    yield Kind("json", pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": 1}', None])))
    yield Kind("bool8", pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())))
    yield Kind("sparse_union", _union(pa.UnionArray.from_sparse))
    yield Kind("dense_union", _union(lambda types, cells: pa.UnionArray.from_dense(types, _places(), cells)))


NESTED: dict[str, Callable[[pa.Array], pa.Array]] = {
    "list": lambda array: pa.ListArray.from_arrays([0, 2, 2], array),
    "large_list": lambda array: pa.LargeListArray.from_arrays([0, 2, 2], array),
    "fixed_size_list": lambda array: pa.FixedSizeListArray.from_arrays(array, 1),
    "list_view": lambda array: pa.ListViewArray.from_arrays([0, 1], [2, 1], array),
    "large_list_view": lambda array: pa.LargeListViewArray.from_arrays([0, 1], [2, 1], array),
    "struct": lambda array: pa.StructArray.from_arrays([array], names=["a"]),
    "map": lambda array: pa.MapArray.from_arrays([0, 1, 2], pa.array(["x", "y"]), array),
    "dictionary": lambda array: pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), array),
    "run_end_encoded": lambda array: pa.RunEndEncodedArray.from_arrays(pa.array([1, 2], pa.int32()), array),
}
"""Each nested type, made around an array of two."""


def nested(kind: Kind, *names: str) -> Kind:
    """The kind inside each of these types, the first one innermost."""
    array, said = kind.array, kind.name
    for name in names:
        array, said = NESTED[name](array), f"{name} of {said}"
    return Kind(said, array)


def staged(columns: dict[str, pa.Array], **staging: Any) -> tuple[list[dict[str, Any]], pa.Table]:
    """What templates see of each row, and the table of the kept columns."""
    with tempfile.TemporaryDirectory() as folder:
        run = open_folder(folder)
        written = stage(open_source(pa.table(columns)), Staging(**staging), run)
        chunk = read_chunk(run, Snapshot.from_json(written.to_json()), 0)
        return [chunk.fields(row) for row in range(len(chunk.ids))], chunk.kept


def with_table(page: str) -> str:
    """The page with the table of all types."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    number = Kind("int64", pa.array([7, 8]))
    rows = "\n".join(map(_row, [*kinds(), *(nested(number, name) for name in NESTED)]))
    return f"{before}{START}\n| Type | A prompt sees | Results hold |\n| --- | --- | --- |\n{rows}\n\n{END}{after}"


def _row(kind: Kind) -> str:
    try:
        fields, _ = staged({"x": kind.array}, needed=frozenset({"x"}), wanted=frozenset({"x"}), keep="none")
        prompt = Prompt(PromptSpec(model="m", template="{{ x }}"))
        seen = f"`{prompt.request(0, '0', fields[0]).messages[0]['content']}`"
    except InvalidInput:
        seen = "refused"
    except BadDocument:
        seen = "null, which fails the row"
    kept = staged({"x": kind.array}, keep="all")[1].column("x")
    held = f"JSON text `{kept[0].as_py()}`" if result_type(kind.array.type) is None else f"`{kept.type}`"
    return f"| `{kind.name}` | {seen} | {held} |"


def _union(made: Callable[[pa.Array, list[pa.Array]], pa.Array]) -> pa.Array:
    return made(pa.array([0, 1], pa.int8()), [pa.array([7, 8]), pa.array(["a", None])])


def _places() -> pa.Array:
    return pa.array([0, 1], pa.int32())


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
