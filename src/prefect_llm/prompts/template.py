"""One compiled template: its text is checked when the run starts, its documents when they are rendered."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

import jinja2
from jinja2 import nodes

from prefect_llm.prompts.references import find_references
from prefect_llm.values.errors import BadDocument, InvalidInput
from prefect_llm.values.formatting import one_line

_RENDERING_FAILED = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,  # `{{ "x" * count }}`
    RecursionError,
    TypeError,
    ValueError,
)
"""What Python's operators and Jinja2's filters raise on values they were not made for."""

_UNCLOSED = {
    "unexpected end of template, expected 'end of print statement'.": " Close it with }}",
    "unexpected end of template, expected 'end of statement block'.": " Close it with %}",
    "unexpected '}'": ": close {{ with }} and {% with %}",
}
"""What to do about Jinja2's words for the commonest slips."""


class Template:
    """A prompt or system template. `what` names it in messages ("prompt template")."""

    def __init__(self, text: str, *, what: str, environment: jinja2.Environment) -> None:
        """Raises `InvalidInput` on a syntax error, an unknown filter or test, or a reference to a file."""
        self._what = what
        try:
            _check_nodes(environment.parse(text), what, environment)
            self._template = environment.from_string(text)
            self.references = find_references(text, environment)
        except jinja2.TemplateSyntaxError as error:
            said = one_line(error.message or "")
            raise InvalidInput(f"{what}, line {error.lineno}: {said}{_UNCLOSED.get(said, '')}") from error
        self._root = self._template.root_render_func

    def render(self, variables: dict[str, Any]) -> str:
        """The text for one document. Raises `BadDocument`, naming the template's line."""
        try:
            # Not Template.render: it rewrites the traceback of each failure, at a millisecond apiece.
            return "".join(self._root(self._template.new_context(variables)))
        except _RENDERING_FAILED as error:
            place = self._what
            if (line := self._failed_line(error.__traceback__)) is not None:
                place = f"{place}, line {line}"
            raise BadDocument(one_line(f"{place}: {_said(error)}")) from error

    def _failed_line(self, trace: TracebackType | None) -> int | None:
        lines = [line for frame, line in traceback.walk_tb(trace) if frame.f_code.co_filename == "<template>"]
        return self._template.get_corresponding_lineno(lines[-1]) if lines else None


def _check_nodes(tree: nodes.Template, what: str, environment: jinja2.Environment) -> None:
    """What Jinja2 itself would only notice while rendering."""
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        known = environment.filters if isinstance(node, nodes.Filter) else environment.tests
        if node.name not in known:
            kind = type(node).__name__.lower()
            raise InvalidInput(f"{what}, line {node.lineno}: there is no {kind} named {node.name!r}")
    for load in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        raise InvalidInput(f"{what}, line {load.lineno}: a template cannot load another file; put its text here")


def _said(error: BaseException) -> str:
    if isinstance(error, jinja2.TemplateError):
        return error.message or type(error).__name__
    return f"{type(error).__name__}: {error}"
