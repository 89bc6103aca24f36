"""Which columns a template uses, found in its syntax tree before anything is asked.

Guards are followed along the flow (`{% if x is defined %}`, `and`, `{% set x = x | default('') %}`); a column
that occurs unguarded anywhere is needed, for a missing one must be found before the first request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jinja2
from jinja2 import meta, nodes
from jinja2.defaults import DEFAULT_NAMESPACE

from prefect_llm.prompts.template_environment import DEFAULT_FILTERS

ROW = "row"
"""The template's name for the mapping of all fields."""


@dataclass(frozen=True, slots=True)
class References:
    """The columns a template cannot do without, those it may use, and whether it may use any (`row`)."""

    needed: frozenset[str]
    used: frozenset[str]
    whole_row: bool


def find_references(text: str, environment: jinja2.Environment) -> References:
    """The columns used by a template that parses in `environment`."""
    # Without globals, so that a column named like one (`namespace`) is found where it is printed.
    bare = environment.overlay()
    bare.globals = {}
    tree = bare.parse(text)
    walk = _Walk(frozenset(meta.find_undeclared_variables(tree)))
    walk.statements(tree.body, frozenset())
    return References(frozenset(walk.needed), frozenset(walk.used), walk.whole_row)


class _Reference(NamedTuple):
    """One mention of a column. `spelling` tells `x` from `row.x`: a `set x` shadows only the first."""

    column: str
    spelling: str


Known = frozenset[str]
"""The spellings that are defined wherever the walk stands."""


class _Walk:
    """Walks statements in order, carrying what is known to be defined, and gathers the columns."""

    def __init__(self, free: frozenset[str]) -> None:
        self.needed: set[str] = set()
        self.used: set[str] = set()
        self.whole_row = False
        self._free = free

    def statements(self, body: Iterable[nodes.Node], known: Known) -> Known:
        """Walk a list of statements; returns what is known after the last."""
        for node in body:
            known = self._statement(node, known)
        return known

    def _statement(self, node: nodes.Node, known: Known) -> Known:
        match node:
            case nodes.If():
                return self._if(node, known)
            case nodes.Assign():
                self._expression(node.node, known)
                return known | _stored(node.target)
            case nodes.AssignBlock():
                self._block(node, known, ())
                return known | _stored(node.target)
            case nodes.For():
                self._for(node, known)
            case nodes.Macro() | nodes.CallBlock():
                self._block(node, known, node.args)
            case nodes.With():
                self._block(node, known, node.targets)
            case _:
                self._block(node, known, ())
        return known

    def _if(self, node: nodes.If, known: Known) -> Known:
        """What every branch leaves defined is known after the `if`."""
        ends: list[Known] = []
        for branch in (node, *node.elif_):
            self._expression(branch.test, known)
            ends.append(self.statements(branch.body, known | self._guards(branch.test, True)))
            known |= self._guards(branch.test, False)
        ends.append(self.statements(node.else_, known))
        return frozenset.intersection(*ends)

    def _for(self, node: nodes.For, known: Known) -> None:
        self._expression(node.iter, known)
        inside = known | _stored(node.target)
        if node.test is not None:
            self._expression(node.test, inside)
            inside |= self._guards(node.test, True)
        self.statements(node.body, inside)
        self.statements(node.else_, known)

    def _block(self, node: nodes.Node, known: Known, local: Iterable[nodes.Node]) -> None:
        """A statement with expressions and perhaps a body, in which the names in `local` are its own."""
        for child in node.iter_child_nodes(exclude=("body",)):
            self._expression(child, known)
        self.statements(node.iter_child_nodes(only=("body",)), known.union(*map(_stored, local)))

    def _expression(self, node: nodes.Node, known: Known) -> None:
        reference = self._reference(node)
        if reference is not None:
            self.used.add(reference.column)
            if reference.spelling not in known:
                self.needed.add(reference.column)
            return

        match node:
            case nodes.Name(name="row", ctx="load") if ROW in self._free:
                self.whole_row = True
            case nodes.And() | nodes.Or():
                self._expression(node.left, known)
                self._expression(node.right, known | self._guards(node.left, isinstance(node, nodes.And)))
            case nodes.CondExpr():
                self._expression(node.test, known)
                self._expression(node.expr1, known | self._guards(node.test, True))
                if node.expr2 is not None:
                    self._expression(node.expr2, known | self._guards(node.test, False))
            case _:
                optional = self._optional(node)
                self.used.update(each.column for each in optional)
                skipped = {id(node) for node in _handled(node)} if optional or _calls_global(node) else set()
                for child in node.iter_child_nodes():
                    if id(child) not in skipped:
                        self._expression(child, known)

    def _reference(self, node: nodes.Node) -> _Reference | None:
        """The column that `x`, `row.x` or `row["x"]` stands for."""
        match node:
            case nodes.Name(name=name, ctx="load") if name != ROW and name in self._free:
                return _Reference(name, name)
            case nodes.Getattr(node=nodes.Name(name="row"), attr=name) if ROW in self._free:
                return None if hasattr(dict, name) else _Reference(name, f"row.{name}")
            case nodes.Getitem(node=nodes.Name(name="row"), arg=nodes.Const(value=str(name))):
                return _Reference(name, f"row.{name}") if ROW in self._free else None
        return None

    def _optional(self, node: nodes.Node) -> list[_Reference]:
        """The column a node asks about without needing it."""
        reference = None
        match node:
            case nodes.Test(name="defined" | "undefined"):
                reference = self._reference(node.node)
            case nodes.Filter(name=name, node=nodes.Node() as value) if name in DEFAULT_FILTERS:
                reference = self._reference(value)
            case nodes.Call(node=nodes.Getattr(node=nodes.Name(name="row"), attr="get")):
                key = node.args[0] if node.args else None
                if ROW in self._free and isinstance(key, nodes.Const) and isinstance(key.value, str):
                    reference = _Reference(key.value, f"row.{key.value}")
            case nodes.Compare(expr=nodes.Const(value=str(name)), ops=[nodes.Operand() as operand]):
                if self._is_membership(operand):
                    reference = _Reference(name, f"row.{name}")

        return [] if reference is None else [reference]

    def _is_membership(self, operand: nodes.Operand) -> bool:
        return (
            operand.op in ("in", "notin")
            and isinstance(operand.expr, nodes.Name)
            and operand.expr.name == ROW
            and ROW in self._free
        )

    def _guards(self, test: nodes.Node, outcome: bool) -> Known:
        """What must be defined if `test` came out as `outcome`."""
        match test:
            case nodes.Not():
                return self._guards(test.node, not outcome)
            case nodes.And() | nodes.Or():
                left, right = self._guards(test.left, outcome), self._guards(test.right, outcome)
                return left | right if isinstance(test, nodes.And) is outcome else left & right
            case nodes.Test() | nodes.Filter() | nodes.Compare():
                proven = _proves(test) is outcome
                found = self._optional(test) if proven else []
                return frozenset(key for each in found for key in (each.column, f"row.{each.column}"))
        return frozenset()


def _proves(test: nodes.Node) -> Literal[True, False, None]:
    """The outcome of a test that shows its column to be there; `None` if neither does."""
    match test:
        case nodes.Test(name="defined"):
            return True
        case nodes.Test(name="undefined"):
            return False
        case nodes.Filter(args=[] | [nodes.Const(value="" | False | None | 0)]):
            return True
        case nodes.Compare(ops=[nodes.Operand(op=op)]):
            return op == "in"
    return None


def _handled(node: nodes.Node) -> Iterable[nodes.Node]:
    """The children that `_optional` already read."""
    match node:
        case nodes.Compare():
            return (node.expr, *node.ops)
        case nodes.Call() | nodes.Test() | nodes.Filter() if node.node is not None:
            return (node.node,)
    return ()


def _calls_global(node: nodes.Node) -> bool:
    """`range(3)` uses Jinja2's function, while `{{ range }}` can only mean a column."""
    return isinstance(node, nodes.Call) and (
        isinstance(node.node, nodes.Name) and node.node.name in DEFAULT_NAMESPACE.keys() - {"lipsum"}
    )


def _stored(target: nodes.Node) -> Known:
    """The names that an assignment, a loop or a macro defines."""
    names = [target] if isinstance(target, nodes.Name) else target.find_all(nodes.Name)
    return frozenset(name.name for name in names if name.ctx in ("store", "param"))
