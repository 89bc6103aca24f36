"""The JSON schema an answer must satisfy: checked itself before the run, then applied to every answer.

Nothing is guessed: an answer wrapped in a Markdown fence is not JSON and fails, unless it is read leniently.
Numbers are compared as the decimals that they are written as: 19.99 is a multiple of 0.01, which the nearest binary
numbers are not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import orjson
from jsonschema import Draft7Validator, Draft202012Validator, SchemaError, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for

from prefect_llm.prompts.json_wrapping import unwrapped, wrapping_of
from prefect_llm.prompts.output_type import Shape, output_type, shape_of
from prefect_llm.prompts.schema_references import unresolvable_reference
from prefect_llm.prompts.strict_schema import strict_form
from prefect_llm.values.errors import BadResponse, InvalidInput
from prefect_llm.values.formatting import one_line
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.request import AnswerFormat

logger = logging.getLogger(__name__)

_MAX_QUOTED_CHARACTERS = 150
"""jsonschema's messages begin with the whole offending value; beyond this the rule is shown instead."""


def answer_format(schema: Mapping[str, Any], *, lenient: bool = False) -> AnswerFormat:
    """The schema with its compiled check; Draft 2020-12 unless `$schema` says otherwise. `lenient`: see `unwrapped`.

    `parse` raises `BadResponse` of kind `schema_mismatch`, saying where and what. Raises `InvalidInput` on a
    schema that is invalid, refers to another document, or does not describe an object.
    """
    if not isinstance(schema, Mapping):
        raise InvalidInput(f"the answer schema must be a JSON object, not {type(schema).__name__}")
    validator = _validator(schema)
    parser = _Parser(validator, shape_of(output_type(schema)), lenient)
    return AnswerFormat(schema=schema, parse=parser, strict_schema=strict_form(schema))


class _Parser:
    """Reads answers against one schema. An answer that breaks a rule shows that nobody enforces it."""

    def __init__(self, validator: Validator, shape: Shape, lenient: bool) -> None:
        self._validator = validator
        self._shape = shape
        self._lenient = lenient
        self._told: set[str] = set()

    def __call__(self, text: str) -> Any:
        """The answer's value, which is sure to fit into the column `output`."""
        text = unwrapped(text) if self._lenient else text
        try:
            value = orjson.loads(text)
            if next(self._validator.iter_errors(value), None) is not None:
                raise self._broken(best_match(self._validator.iter_errors(value)))
            self._shape(value)
        except orjson.JSONDecodeError as error:
            raise _mismatch(f"it is not JSON ({error}){wrapping_of(text)}") from error
        except OverflowError as error:
            raise _mismatch(str(error)) from error
        except RecursionError as error:
            raise _mismatch("it is nested too deeply") from error
        return value

    def _broken(self, error: ValidationError) -> BadResponse:
        """The failure of an answer that breaks a rule; said in the log, once for each keyword."""
        keyword = str(error.validator)
        if keyword not in self._told:
            self._told.add(keyword)
            logger.warning(
                "the endpoint accepts %s in the schema and does not enforce it: an answer breaks it at %s. Such "
                "answers are asked once more, and then fail; say the rule in the prompt, or leave it out of the "
                "schema",
                keyword,
                error.json_path,
            )
        return _mismatch(_where_and_what(error))


def _validator(schema: Mapping[str, Any]) -> Validator:
    dialect = _dialect(schema)
    try:
        dialect.check_schema(dict(schema))
    except SchemaError as error:
        raise InvalidInput(one_line(f"the answer schema is invalid: {_invalid(error)}")) from error
    if complaint := unresolvable_reference(schema):
        raise InvalidInput(f"the answer schema is refused: {complaint}")
    return _with_decimals(dialect)(_without_dialect(schema))


def validator_of(schema: Any) -> Validator:
    """The check of any JSON schema, which is not checked itself; Draft 2020-12 where it states no known dialect."""
    dialect = validator_for(schema, default=Draft202012Validator)
    return _with_decimals(dialect)(_without_dialect(schema) if isinstance(schema, Mapping) else schema)


def _without_dialect(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A reference to the whole schema would look its dialect up again, and lose the decimals."""
    return {name: value for name, value in schema.items() if name != "$schema"}


def _dialect(schema: Mapping[str, Any]) -> type[Validator]:
    stated = schema.get("$schema")
    if stated is None:
        return Draft202012Validator
    if isinstance(stated, str):
        # for an unknown draft jsonschema silently returns its default, which two different defaults reveal
        found, other = (
            validator_for({"$schema": stated}, default=each) for each in (Draft202012Validator, Draft7Validator)
        )
        if found is other:
            return found
    raise InvalidInput(f"the answer schema's $schema {stated!r} is not a known draft; leave it out")


@cache
def _with_decimals(dialect: type[Validator]) -> type[Validator]:
    """The dialect with decimal arithmetic. Only division needs it: binary numbers compare as their decimals do."""
    names = {"multipleOf", "divisibleBy"} & dialect.VALIDATORS.keys()
    extended: type[Validator] = extend(dialect, dict.fromkeys(names, _multiple_of))  # type: ignore[no-untyped-call]
    return extended


def _multiple_of(validator: Validator, step: float, value: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "number") and (Fraction(repr(value)) / Fraction(repr(step))).denominator != 1:
        yield ValidationError(f"{value!r} is not a multiple of {step}")


def _invalid(error: SchemaError) -> str:
    """As `_where_and_what`; Python's regular expressions lack some of ECMAScript's, which a JSON schema may use."""
    said = _where_and_what(error)
    if error.validator != "format" or error.validator_value != "regex":
        return said
    return (
        f"{said} that Python knows: one that is ECMAScript's alone (\\p{{L}}, (?<name>...), \\u{{...}}) cannot be "
        "checked here, so write it in other words (\\p{L} as [^\\W\\d_]) or leave the pattern out"
    )


def _mismatch(what: str) -> BadResponse:
    return BadResponse(one_line(f"the answer fails its schema: {what}"), kind=ErrorKind.SCHEMA_MISMATCH)


def _where_and_what(error: ValidationError | SchemaError) -> str:
    """`$.items[0].price: 'x' is not of type 'number'`."""
    message = error.message
    if len(message) > _MAX_QUOTED_CHARACTERS:
        rule = orjson.dumps({str(error.validator): error.validator_value}).decode()
        message = f"{one_line(message, _MAX_QUOTED_CHARACTERS)} (the rule is {rule})"
    return f"{error.json_path}: {message}"
