"""The one place that touches Jinja2: its parser and compiler, behind our own list of what may be.

The parsed tree is checked node by node before anything is compiled. In the compiled expression a
dot reads a key of a mapping and nothing else, operators are guarded, and filters are our own
functions, so neither Python's attributes nor large values are in reach.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.parser import Parser
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from outagekit.playbook.verdicts import LONGEST_OUTPUT, ExpressionProblem, NoValue
from outagekit.text import closest, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DEEPEST = 40
_LARGEST = 2**63 - 1
_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Name,
    nodes.Getattr,
    nodes.Const,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Neg,
    nodes.Pos,
    nodes.CondExpr,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Filter,
)
_WORDS: dict[type[nodes.Node], str] = {
    nodes.Call: "calls are not allowed",
    nodes.Getitem: "`[ ]` after a value is not allowed",
    nodes.Slice: "`[ ]` after a value is not allowed",
    nodes.Pow: "`**` is not allowed",
    nodes.Concat: "`~` is not allowed",
    nodes.Test: "`is` is not allowed",
    nodes.Keyword: "named arguments are not allowed",
}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)")
_COMPARABLE = "comparable"
_MEMBERSHIP = frozenset({"in", "notin"})


class _Environment(ImmutableSandboxedEnvironment):
    """Reads keys of mappings only, and guards every operator."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return self.undefined(name=attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        for operand in (left, right):
            _defined(operand)
        texts = isinstance(left, str) and isinstance(right, str)
        lists = isinstance(left, list) and isinstance(right, list)
        if operator == "+" and (texts or lists):
            if len(left) + len(right) > LONGEST_OUTPUT:
                raise ExpressionProblem("the value grows too long")
            return left + right
        if not (_is_number(left) and _is_number(right)):
            raise ExpressionProblem(f"`{operator}` needs numbers on both sides")
        result = super().call_binop(context, operator, left, right)
        if abs(result) > _LARGEST:
            raise ExpressionProblem("the number grows too large")
        return result


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _defined(value: Any) -> Any:
    if isinstance(value, Undefined):
        raise UndefinedError
    return value


def _comparable(value: Any) -> Any:
    """Return the moment a text stands for, written so that the order of texts is that of time."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return value
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return value
    return moment.isoformat(timespec="microseconds")


def _tojson(value: Any) -> str:
    return json.dumps(_settled(value), ensure_ascii=False, separators=(",", ":"))


def _default(value: Any, other: Any = "") -> Any:
    return other if isinstance(value, Undefined) else value


def _whole(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", value):
        return int(value)
    if not _is_number(value) and not isinstance(value, bool):
        raise ExpressionProblem("`int` needs a number or digits")
    return int(value)


def _rounded(value: Any, digits: Any = 0) -> Any:
    if not _is_number(_defined(value)) or digits not in range(10):
        raise ExpressionProblem("`round` needs a number, and 0 to 9 digits")
    return round(value, digits) if digits else round(value)


def _joined(values: Any, between: Any = "") -> str:
    parts = [str(value) for value in _as_list(values)]
    if sum(map(len, parts)) + len(str(between)) * len(parts) > LONGEST_OUTPUT:
        raise ExpressionProblem("the value grows too long")
    return str(between).join(parts)


def _as_list(values: Any) -> list[Any]:
    if not isinstance(_defined(values), list | tuple):
        raise ExpressionProblem("this filter needs a list")
    return [_defined(value) for value in values]


def _length(value: Any) -> int:
    if not isinstance(_defined(value), str | list | tuple | dict):
        raise ExpressionProblem("`length` needs a text, a list or a mapping")
    return len(value)


def _end_of(values: Any, position: int) -> Any:
    listed = _as_list(values)
    return listed[position] if listed else StrictUndefined(name="first or last")


_FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "first": lambda values: _end_of(values, 0),
    "int": _whole,
    "join": _joined,
    "last": lambda values: _end_of(values, -1),
    "length": _length,
    "lower": lambda value: str(value).lower(),
    "round": _rounded,
    "sort": lambda values: sorted(_as_list(values), key=_comparable),
    "tojson": _tojson,
    "trim": lambda value: str(value).strip(),
    "upper": lambda value: str(value).upper(),
}


def _environment() -> _Environment:
    made = _Environment(
        undefined=StrictUndefined, autoescape=False, optimized=False, keep_trailing_newline=True
    )
    made.globals.clear()
    made.tests.clear()
    made.filters.clear()
    made.filters.update(_FILTERS)
    made.filters[_COMPARABLE] = _comparable
    return made


_ENVIRONMENT = _environment()


def compiled(text: str) -> tuple[frozenset[str], Callable[[Mapping[str, Any]], Any]]:
    """Return the references of an expression and a function from a namespace to its value.

    Raises ExpressionProblem; the function raises that or NoValue.
    """
    try:
        tree = _parsed(text)
        _judge(tree, text)
        names = tuple(dict.fromkeys(_references(tree)))
        body = nodes.Assign(nodes.Name("result", "store"), _with_moments(tree), lineno=1)
        template = _ENVIRONMENT.from_string(nodes.Template([body], lineno=1))
    except TemplateSyntaxError as error:
        raise ExpressionProblem(_said(error), _offset_of(text, str(error.message))) from error
    except (TemplateError, RecursionError, MemoryError, SyntaxError, ValueError) as error:
        raise ExpressionProblem("this is no expression that can be read") from error
    expression = TemplateExpression(template, undefined_to_none=False)
    return frozenset(names), lambda namespace: _value(expression, names, namespace)


def _parsed(text: str) -> nodes.Expr:
    parser = Parser(_ENVIRONMENT, text, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        raise TemplateSyntaxError(f"unexpected {parser.stream.current.value!r}", lineno=1)
    tree.set_environment(_ENVIRONMENT)
    return tree


def _said(error: TemplateSyntaxError) -> str:
    said = str(error.message)
    if "end of template" in said:
        return "the expression ends too early"
    return f"this is no expression: {visible_line(said)[:200]}"


def _offset_of(text: str, message: str) -> int:
    quoted = re.search(r"'([^']+)'", message)
    return max(text.find(quoted[1]), 0) if quoted else 0


def _judge(tree: nodes.Node, text: str) -> None:
    """Raise ExpressionProblem for anything outside the allowed part of the language."""
    level: list[nodes.Node] = [tree]
    for _ in range(_DEEPEST):
        for node in level:
            _judge_node(node, text)
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return
    raise ExpressionProblem("the expression is nested too deeply", hint="use brackets less")


def _judge_node(node: nodes.Node, text: str) -> None:
    if not isinstance(node, _ALLOWED):
        default = f"{type(node).__name__.lower()} is not allowed in an expression"
        raise ExpressionProblem(_WORDS.get(type(node), default))
    if isinstance(node, nodes.CondExpr) and node.expr2 is None:
        raise ExpressionProblem("`if` needs its `else`")
    if isinstance(node, nodes.Const) and not isinstance(node.value, str | int | float | None):
        raise ExpressionProblem("this constant is not allowed")
    if not isinstance(node, nodes.Filter):
        return
    if node.name not in _FILTERS:
        near = closest(node.name, _FILTERS)
        hint = f"did you mean `{near}`?" if near else f"there are {fold_list(_FILTERS, 20)}"
        message = f"unknown filter `{node.name}`"
        raise ExpressionProblem(message, max(text.find(node.name), 0), hint=hint)
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise ExpressionProblem("named arguments are not allowed")


def _references(node: nodes.Node) -> Iterator[str]:
    dotted = _dotted(node)
    if dotted is not None:
        yield dotted
        return
    for child in node.iter_child_nodes():
        yield from _references(child)


def _dotted(node: nodes.Node) -> str | None:
    fields: list[str] = []
    while isinstance(node, nodes.Getattr):
        fields.append(node.attr)
        node = node.node
    return ".".join([node.name, *reversed(fields)]) if isinstance(node, nodes.Name) else None


def _with_moments(tree: nodes.Expr) -> nodes.Expr:
    """Return the tree with both sides of each comparison read as moments where they are such."""
    for compare in [tree, *tree.find_all(nodes.Compare)]:
        if isinstance(compare, nodes.Compare) and not _MEMBERSHIP & {o.op for o in compare.ops}:
            compare.expr = _as_comparable(compare.expr)
            for operand in compare.ops:
                operand.expr = _as_comparable(operand.expr)
    tree.set_environment(_ENVIRONMENT)
    return tree


def _as_comparable(node: nodes.Expr) -> nodes.Expr:
    return nodes.Filter(node, _COMPARABLE, [], [], None, None, lineno=1)


def _value(
    expression: TemplateExpression, names: tuple[str, ...], namespace: Mapping[str, Any]
) -> Any:
    try:
        return _settled(expression(dict(namespace)))
    except UndefinedError as error:
        missing = (name for name in names if not _has(namespace, name))
        raise NoValue(next(missing, "first or last of an empty list")) from error
    except TypeError as error:
        raise ExpressionProblem("these values do not fit together") from error
    except (TemplateError, ValueError, ArithmeticError, RecursionError) as error:
        said = visible_line(str(error))[:200]
        raise ExpressionProblem(f"the expression cannot be evaluated: {said}") from error


def _has(namespace: Mapping[str, Any], name: str) -> bool:
    found: Any = namespace
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def _settled(value: Any) -> Any:
    """Return a value as plain data; raises UndefinedError if something in it does not exist."""
    if isinstance(value, list | tuple):
        return [_settled(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _settled(entry) for key, entry in value.items()}
    if isinstance(_defined(value), str | int | float | None):
        return value
    raise ExpressionProblem("the value is neither text, number, true, false, list nor mapping")
