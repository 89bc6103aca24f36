"""What a document's fields look like inside a template.

Text and numbers pass as they are. A null or binary value becomes an object that may be asked about (`if`,
`is none`, `default`) but not printed: Jinja2 would quietly print "None" or "b'...'" into a paid request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jinja2

_UNCHANGED = frozenset({str, int, float, bool})


def template_value(path: str, value: Any, null_as: str | None) -> Any:
    """The field's value as a template sees it; `path` names it in error messages (`meta.tags[2]`).

    With `null_as` a null prints as that text. Lists and dicts are copied, so that a template cannot change
    the document.
    """
    if value.__class__ in _UNCHANGED:
        return value
    if value is None:
        return Null(path) if null_as is None else NullText(null_as)
    if isinstance(value, dict):
        return Fields(path, {key: template_value(f"{path}.{key}", each, null_as) for key, each in value.items()})
    if isinstance(value, (list, tuple)):
        return [template_value(f"{path}[{index}]", each, null_as) for index, each in enumerate(value)]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Binary(path, bytes(value))
    return value


def is_null(value: Any) -> bool:
    """Whether a template's value stands for a null."""
    return value is None or isinstance(value, (Null, NullText))


def plain(value: Any) -> Any:
    """The value with its nulls as `None` again, for JSON, which has a word for them."""
    if isinstance(value, dict):
        return {_json_key(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return None if is_null(value) else value


def _json_key(key: Any) -> Any:
    """A map's key as JSON has it: dates and the like as text."""
    return key if key is None or isinstance(key, (str, int, float)) else str(key)


class NotTextError(jinja2.TemplateRuntimeError, TypeError):
    """A null or binary value was used as text.

    It is a `TypeError` too, so that Jinja2's own probes (`is iterable`) answer "no" instead of failing.
    """


class Null:
    """A null field: falsy, equal to none, and every use as text, number or list raises `NotTextError`."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def complaint(self) -> str:
        """The sentence for the row."""
        return f"field {self.path!r} is null; give null_as or a default"

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return is_null(other)

    def __hash__(self) -> int:
        return hash(None)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise NotTextError(self.complaint)

    __str__ = __repr__ = __format__ = __iter__ = __len__ = __contains__ = __call__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = _refuse
    __neg__ = __pos__ = __int__ = __float__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


class NullText(str):
    """A null field under `--null-as`: prints as that text, and is still falsy and none."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return is_null(other) or str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __iter__(self) -> Iterator[str]:
        """As a list it has one entry: joining a null list must not join the text's letters."""
        return iter((str(self),))


class Binary(bytes):
    """A binary field: a template may decode it (`{{ blob.decode() }}`), but not print it."""

    path: str

    def __new__(cls, path: str, value: bytes) -> Binary:
        """The same bytes, with the field's name for the error message."""
        binary = super().__new__(cls, value)
        binary.path = path
        return binary

    @property
    def complaint(self) -> str:
        """The sentence for the row."""
        return f"field {self.path!r} is binary, not text; decode it before the run or leave it out"

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotTextError(self.complaint)

    __str__ = __repr__ = __format__ = _refuse


class Fields(dict[Any, Any]):
    """A field's own fields. The name of its path is one that no template may use: it hides no field."""

    __slots__ = ("_fields_path",)

    def __init__(self, path: str, values: dict[Any, Any]) -> None:
        super().__init__(values)
        self._fields_path = path


class MethodOverField:
    """A dict's method where the dict has a field of that name: it may be called, and is nothing else."""

    __slots__ = ("_method", "_name", "_path")

    def __init__(self, fields: dict[Any, Any], name: str, method: Callable[..., Any]) -> None:
        self._path = getattr(fields, "_fields_path", "")
        self._name = name
        self._method = method

    @property
    def complaint(self) -> str:
        """The sentence for the row."""
        path, name = self._path, self._name
        return f'"{path}.{name}" is a method; for the field of that name write {path}["{name}"]'

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """What the method returns."""
        return self._method(*arguments, **options)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise NotTextError(self.complaint)

    __str__ = __repr__ = __format__ = __iter__ = __len__ = __contains__ = __bool__ = __getitem__ = _refuse
    __eq__ = __add__ = __radd__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = None  # type: ignore[assignment]
