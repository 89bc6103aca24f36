"""Which columns a run stages, which it keeps, and under what names the results hold them."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import pyarrow as pa

from prefect_llm.documents.arrow_types import has_repeated_field, holds_binary, staged_type
from prefect_llm.documents.periods import frequency_of
from prefect_llm.documents.widening import widened
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.formatting import first_listed

Keep = Literal["default", "all", "none"] | tuple[str, ...]
"""Which input columns the results carry: `default` is all but binary ones and `messages`."""

logger = logging.getLogger(__name__)

OnBadRows = Literal["fail", "row"]

_NAMES_SHOWN = 12
_NEAR_IDS = frozenset({"id", "_id", "uuid", "custom_id", "doc_id", "document_id"})
_CONVERSATION_COLUMNS = {
    "conversations": "conversations",
    "conversation": "conversation",
    "prompt": "prompt",
    "chat": "chat",
    "body": "body.messages",
}
"""Where others keep conversations: ShareGPT, TRL, the batch files of OpenAI."""


@dataclass(frozen=True, slots=True)
class Staging:
    """What to stage of a source.

    `needed` are the columns the prompt certainly uses, `wanted` those it may use (`None`: any), and `sent` the one
    that is sent as it is where there is no prompt. `reserved` are the result columns. `limit` and `chunk_rows` count
    rows; without the latter a chunk has 1,000, or more where the source is known to pass a million. `on_bad_rows`
    says whether one that cannot be read refuses the input ("fail") or is staged as a document that fails ("row").
    """

    id_column: str | None = None
    keep: Keep = "default"
    needed: frozenset[str] = frozenset()
    wanted: frozenset[str] | None = None
    limit: int | None = None
    chunk_rows: int | None = None
    reserved: Sequence[str] = ()
    sent: str | None = None
    on_bad_rows: OnBadRows = "fail"


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """An input column in the results, by `name` and `type`; JSON text where no type holds its values."""

    column: str
    name: str
    type: pa.DataType
    as_json: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of all files together; of those in `conflicts`, by name, no file may be used as they are.

    The value is the sentence that refuses them: a conflict matters only if the column is used.
    """

    schema: pa.Schema
    conflicts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def check_usable(self, names: Iterable[str]) -> None:
        """Raises `InvalidInput` for the first of these columns that is in conflict."""
        for name in names:
            if name in self.conflicts:
                raise InvalidInput(self.conflicts[name])


def merged_columns(schemas: Iterable[tuple[str, pa.Schema]]) -> Columns:
    """The columns of all files, in order of first appearance, each of a type that holds every file's values."""
    fields: dict[str, tuple[pa.DataType, str]] = {}
    conflicts: dict[str, str] = {}
    for file, schema in schemas:
        conflicts |= repeated_columns(schema.names, file)
        for field in schema:
            if (frequency := frequency_of(field)) is not None:
                conflicts[field.name] = (
                    f'the column "{field.name}" of "{file}" holds pandas periods ({frequency}), which are bare '
                    "numbers in Arrow: write them as text, with .astype(str)."
                )
            known, first_file = fields.setdefault(field.name, (field.type, file))
            both = _both(known, field.type)
            if both is not None:
                fields[field.name] = (both, file if pa.types.is_null(known) else first_file)
                continue
            conflicts.setdefault(
                field.name,
                f'the column "{field.name}" is {field.type} in "{file}" but {known} in "{first_file}": '
                "give it one type in all files, or use it neither in the prompt nor with keep.",
            )

    return Columns(pa.schema([(name, known) for name, (known, _) in fields.items()]), conflicts)


def repeated_columns(names: Sequence[str], file: str) -> dict[str, str]:
    """The sentence about each column whose name a file has twice."""
    repeated = (name for name, count in Counter(names).items() if count > 1)
    return {name: f'"{file}" has two columns named "{name}": rename one.' for name in repeated}


def _both(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """A type for both; the first one where they are staged alike, so that a category stays one in the results."""
    if pa.types.is_null(one):
        return other
    if pa.types.is_null(other) or _plain(one).equals(_plain(other)):
        return one
    return widened(_plain(one), _plain(other))


def _plain(type: pa.DataType) -> pa.DataType:
    """As staged, but for what is null in the whole file: such a list goes with any other."""
    return staged_type(type, null=pa.null())


def kept_columns(staging: Staging, schema: pa.Schema, source: str) -> list[str]:
    """The columns to keep, in the source's order, or in the order in which they were named."""
    keep = staging.keep
    if isinstance(keep, tuple):
        for name in keep:
            if name not in schema.names:
                raise InvalidInput(f'keep names the column "{name}", {not_in(source, name, schema.names)}')
        return list(dict.fromkeys(keep))
    if keep == "none":
        return []
    if keep == "all":
        return list(schema.names)
    return [
        field.name for field in schema if not is_conversation(field.name, staging) and not holds_binary(field.type)
    ]


def is_conversation(name: str, staging: Staging) -> bool:
    """Whether a column is a document's conversation, which the results carry only if it is named."""
    return name in ("messages", staging.sent)


def prompt_columns(staging: Staging, schema: pa.Schema, source: str) -> list[str]:
    """The columns templates see, in the source's order; `InvalidInput` for one that is absent or binary."""
    check_needed(staging, schema.names, source)
    needed, wanted = staging.needed, staging.wanted
    if wanted is None:
        return [field.name for field in schema if field.name in needed or not holds_binary(field.type)]
    named = [field for field in schema if field.name in wanted or field.name in needed]
    for field in named:
        if holds_binary(field.type):
            raise InvalidInput(
                f'the prompt uses the column "{field.name}" of "{source}", which holds bytes ({field.type}): '
                "convert it to text."
            )
    return [field.name for field in named]


def check_needed(staging: Staging, names: Sequence[str], source: str) -> None:
    """Raises `InvalidInput` for a column that the prompt needs and the source lacks."""
    for name in sorted(staging.needed):
        # Without such a column, `id` is the document's id.
        if name not in names and name != "id":
            absent = not_in(source, name, names)
            if name == staging.sent:
                raise InvalidInput(
                    "no prompt: give prompt or prompt_file; without one the column "
                    f'"{name}" is sent as it is, {absent}{_other_column(names)}'
                )
            raise InvalidInput(f'the prompt uses the column "{name}", {absent}')


def warn_of_near_id(names: Sequence[str], source: str) -> None:
    """Say that rows are numbered where a column looks like the documents' ids."""
    near = next((name for name in names if name.strip().lower() in _NEAR_IDS), None)
    if near is not None:
        logger.warning(
            'no column of %s is named "id", so its rows are numbered; "%s" is near: give id_column %s to use it',
            source,
            near,
            near,
        )


def check_representable(columns: Iterable[str], schema: pa.Schema, source: str) -> None:
    """Raises `InvalidInput` for a column whose values have no Python form."""
    for name in columns:
        if has_repeated_field(staged_type(schema.field(name).type)):
            raise InvalidInput(
                f'the column "{name}" of "{source}" has two fields of the same name in a struct: rename one.'
            )


def result_names(columns: Sequence[str], reserved: Collection[str]) -> list[str]:
    """The names in the results, no two alike but for case: `input_` is put before a name that is taken.

    `id` becomes `input_id`, and an `input_id` beside it `input_input_id`: results may be the input of the next run.
    """
    results = {name.lower() for name in reserved}
    names = dict.fromkeys(columns, "")
    taken = set(results)

    # first those that a result column displaces, so that `id` is `input_id` whatever else the input holds
    for column in sorted(columns, key=lambda name: name.lower() not in results):
        name = column
        while name.lower() in taken:
            name = f"input_{name}"
        taken.add(name.lower())
        names[column] = name

    return list(names.values())


def not_in(source: str, name: str, names: Sequence[str]) -> str:
    """The rest of a sentence about a column that is not there, with the nearest names and some that are there."""
    lowered = {known.lower(): known for known in names}
    near = [lowered[match] for match in get_close_matches(name.lower(), list(lowered), n=3)]
    others = [known for known in names if known not in near]
    there = [f"there: {_quoted(others) or 'no column'}"] if others or not near else []
    told = "; ".join([f"nearest: {_quoted(near)}", *there] if near else there)
    return f'which is not in "{source}"; {told}{_separated_by(names)}.'


def _other_column(names: Sequence[str]) -> str:
    """What to do about a column that may hold the conversations."""
    path = next((path for column, path in _CONVERSATION_COLUMNS.items() if column in names), None)
    return "" if path is None else f" For the conversations in it give messages_column {path}."


def _quoted(names: Sequence[str]) -> str:
    return first_listed([f'"{name}"' for name in names], _NAMES_SHOWN)


def _separated_by(names: Sequence[str]) -> str:
    """A hint where the one column there is looks like several."""
    found = next((each for each in ";|\t" if each in names[0]), None) if len(names) == 1 else None
    if found == "\t":
        return "; the file looks separated by tabs: name it .tsv"
    return "" if found is None else f"; the file looks separated by '{found}': separate it by ','"
