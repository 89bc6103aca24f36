"""Reads run.yaml as text with line numbers: the sections validate the values, this module names and structure.

YAML's own types are ignored on purpose: `price_input: 0.15` never becomes a float, and `id_column: 007`
stays as it was written. Only the values below `param` are typed, since they are sent as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from prefect_llm.settings.messages import shown, suggestion
from prefect_llm.settings.options import options, sections
from prefect_llm.settings.sources import Setting, Source
from prefect_llm.settings.value_types import is_api_key
from prefect_llm.values.errors import InvalidInput, reason_of
from prefect_llm.values.formatting import listed

_NULL = "tag:yaml.org,2002:null"
_STANDARD = "tag:yaml.org,2002:"


def from_config(path: str | None) -> Source:
    """What the file gives; an empty value counts as not given. Nothing without a path."""
    if path is None:
        return Source()
    try:
        root = _compose(path)
        return Source() if root is None else _Reader(path).read(root)
    except InvalidInput as error:
        return Source(problems=[error.message])


def _compose(path: str) -> Node | None:
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")  # editors on Windows put a byte order mark first
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error

    try:
        root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        place = "" if error.problem_mark is None else f" line {error.problem_mark.line + 1}"
        raise InvalidInput(f"{path}{place}: not YAML: {error.problem}") from error
    except YAMLError as error:
        raise InvalidInput(f"{path}: not YAML: {reason_of(error)}") from error

    return root


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key with its value, and the line of the key."""

    key: str
    value: Node
    line: int


class _Reader:
    """Walks one file, collecting what it gives and what is wrong with it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._given: list[Setting] = []
        self._problems: list[str] = []

    def read(self, root: Node) -> Source:
        if not _is_null(root):
            if not isinstance(root, MappingNode):
                raise InvalidInput(f"{self._at(_line(root))}: expected the sections {_sections()}")
            for entry in self._entries(root, ""):
                self._read_section(entry)
        return Source(self._given, self._problems)

    def _read_section(self, entry: _Entry) -> None:
        section = sections().get(entry.key)
        if section is None:
            self._complain(entry.line, self._unknown_section(entry.key))
        elif isinstance(entry.value, MappingNode):
            for each in self._entries(entry.value, f"{entry.key}."):
                self._read_key(entry.key, each)
        elif not _is_null(entry.value):
            self._complain(
                entry.line,
                f"{entry.key} is a section: expected its keys below it ({listed(list(section), 'and')}), "
                f"got {_shown(entry.value)}",
            )

    def _read_key(self, section: str, entry: _Entry) -> None:
        option = sections()[section].get(entry.key)
        if option is None:
            self._complain(entry.line, self._unknown_key(section, entry.key))
        elif not _is_null(entry.value):
            origin = f"{self._at(entry.line)}, {option.place}"
            try:
                self._given.append(Setting(option, _value(entry.value), origin))
            except RecursionError:  # an alias within its own anchor
                self._problems.append(f"{origin}: the value contains itself")
            except ValueError as error:
                self._problems.append(f"{origin}: {error}")

    def _entries(self, mapping: MappingNode, within: str) -> Iterator[_Entry]:
        lines: dict[str, int] = {}
        for key, value in mapping.value:
            line = _line(key)
            if not isinstance(key, ScalarNode):
                self._complain(line, f"expected a name, got {_shown(key)}")
            elif key.value in lines:
                first = lines[key.value]
                self._complain(line, f"{within}{key.value} is given twice, first on line {first}")
            else:
                lines[key.value] = line
                yield _Entry(key.value, value, line)

    def _unknown_section(self, name: str) -> str:
        if is_api_key(name):
            return _secret(name)
        if name in options():
            return f"there is no section {name!r}; the key {name!r} belongs in {options()[name].section}"
        return f"there is no section {name!r}; {suggestion(name, list(sections()), 'the sections are')}"

    def _unknown_key(self, section: str, name: str) -> str:
        if is_api_key(name):
            return _secret(name)
        if name in options():
            return f"{section} has no key {name!r}; it belongs in {options()[name].section}"
        return f"{section} has no key {name!r}; {suggestion(name, list(sections()[section]), 'its keys are')}"

    def _complain(self, line: int, what: str) -> None:
        self._problems.append(f"{self._at(line)}: {what}")

    def _at(self, line: int) -> str:
        return f"{self._path} line {line}"


def _secret(name: str) -> str:
    return (
        f"{name!r} does not belong in a file: name the variable that holds the key with api.api_key_env, or a "
        "saved block with api.provider"
    )


def _sections() -> str:
    return listed(list(sections()), "and")


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _is_null(node: Node) -> bool:
    return bool(node.tag == _NULL)


def _value(node: Node) -> Any:
    """Text, a list of texts, or a mapping of JSON values. Raises `ValueError` on what is none of them."""
    if isinstance(node, MappingNode):
        return {str(key.value): _json(value) for key, value in _pairs(node)}
    if isinstance(node, SequenceNode):
        return [_value(each) for each in node.value]
    return _text(node)


def _json(node: Node) -> Any:
    if isinstance(node, MappingNode):
        return {str(key.value): _json(value) for key, value in _pairs(node)}
    if isinstance(node, SequenceNode):
        return [_json(each) for each in node.value]

    text = _text(node)
    kind = str(node.tag).removeprefix(_STANDARD)
    typed = YAML(typ="safe", pure=True).constructor
    if kind == "null":
        return None
    if kind == "bool":
        return typed.construct_yaml_bool(node)
    if kind == "int":
        return typed.construct_yaml_int(node)
    if kind == "float":
        number = typed.construct_yaml_float(node)
        if number - number != 0:
            raise ValueError(f"{text} is not a JSON value")
        return number

    return text


def _pairs(mapping: MappingNode) -> Iterator[tuple[ScalarNode, Node]]:
    names = set()
    for key, value in mapping.value:
        if not isinstance(key, ScalarNode):
            raise ValueError(f"expected a name, got {_shown(key)}")
        if key.value in names:
            raise ValueError(f"{key.value!r} is given twice, again on line {_line(key)}")
        names.add(key.value)
        yield key, value


def _text(node: Node) -> str:
    if not str(node.tag).startswith(_STANDARD):
        raise ValueError(f"the tag {node.tag} has no meaning here; write the value itself")
    return str(node.value)


def _shown(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return shown(node.value)
    return "a list" if isinstance(node, SequenceNode) else "a mapping"
