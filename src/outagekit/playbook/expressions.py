"""Expressions and texts with expressions in a playbook: read, judged, evaluated.

An expression is a small part of Jinja2: names and fields, constants, comparisons, `and` `or`
`not` `in`, arithmetic, `a if b else c`, list and mapping literals, and a few filters. It cannot
call, index or reach any attribute of Python, and its size, depth and result are capped. Jinja2 is
loaded at the first use, so that a plan can be read without it.

Dates compare as moments: a text that is an ISO 8601 date and time with a zone stands for that
moment when it is compared with another, whatever its zone or fraction; other texts compare as text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from outagekit.playbook.verdicts import LONGEST_OUTPUT, ExpressionProblem, NoValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Expression",
    "ExpressionProblem",
    "NoValue",
    "Template",
    "as_text",
    "evaluate",
    "parse_expression",
    "parse_template",
    "render",
]

LONGEST_EXPRESSION: Final = 1_000
LONGEST_TEMPLATE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that may be evaluated."""

    text: str
    names: frozenset[str]
    """Dotted references such as `detect.impacted`, each as long as it is written."""
    compiled: Callable[[Mapping[str, Any]], Any]

    def offset_of(self, name: str) -> int:
        """Return where a reference stands in the text, 0 if that cannot be told."""
        written = r"\s*\.\s*".join(map(re.escape, name.split(".")))
        found = re.search(rf"(?<![\w.]){written}(?!\w)", self.text)
        return found.start() if found else 0


@dataclass(frozen=True, slots=True)
class Template:
    """A text with `{{ expressions }}`."""

    parts: tuple[str | Expression, ...]
    offsets: tuple[int, ...]
    """Where each part begins in the text; of an expression, its first character in the braces."""

    @property
    def names(self) -> frozenset[str]:
        """Every dotted reference of every expression."""
        found: frozenset[str] = frozenset()
        return found.union(*(part.names for part in self.parts if isinstance(part, Expression)))


@lru_cache(maxsize=1024)
def parse_expression(text: str) -> Expression:
    """Return the expression; raises ExpressionProblem."""
    from outagekit.playbook import jinja  # noqa: PLC0415  (Jinja2 costs 0.1 s)

    if len(text) > LONGEST_EXPRESSION:
        raise ExpressionProblem(f"the expression is longer than {LONGEST_EXPRESSION} characters")
    if not text.strip():
        raise ExpressionProblem("the expression is empty")
    names, compiled = jinja.compiled(text)
    return Expression(text, names, compiled)


def evaluate(text: str, namespace: Mapping[str, Any]) -> Any:
    """Return the expression's value: text, number, Boolean, None, list or mapping.

    `namespace` maps names to values or to mappings of fields. Raises NoValue if a name that is
    needed is not there, ExpressionProblem if the text is no expression or its operands do not fit.
    """
    expression = parse_expression(text)
    value = expression.compiled(namespace)
    if len(str(value)) > LONGEST_OUTPUT:
        raise ExpressionProblem(f"the value is longer than {LONGEST_OUTPUT} characters")
    return value


@lru_cache(maxsize=256)
def parse_template(text: str) -> Template:
    """Return the text cut into plain parts and expressions; raises ExpressionProblem."""
    if len(text) > LONGEST_TEMPLATE:
        raise ExpressionProblem(f"the text is longer than {LONGEST_TEMPLATE} characters")
    parts: list[str | Expression] = []
    offsets: list[int] = []
    position = 0
    while opening := _OPENING.search(text, position):
        if opening[0] != "{{":
            message = f"`{opening[0]}` is not read: only {{{{ expressions }}}} are"
            raise ExpressionProblem(message, opening.start())
        begin, end = opening.end(), _closing(text, opening.end())
        parts += [text[position : opening.start()], _embedded(text[begin:end], begin)]
        offsets += [position, begin]
        position = end + 2
    return Template((*parts, text[position:]), (*offsets, position))


def render(text: str, namespace: Mapping[str, Any]) -> str:
    """Return the text with each expression's value put in as `as_text` writes it.

    Raises as `evaluate`.
    """
    rendered: list[str] = []
    for part in parse_template(text).parts:
        value = evaluate(part.text, namespace) if isinstance(part, Expression) else part
        rendered.append(as_text(value))
        if sum(map(len, rendered)) > LONGEST_OUTPUT:
            raise ExpressionProblem(f"the text grows beyond {LONGEST_OUTPUT} characters")
    return "".join(rendered)


def as_text(value: Any) -> str:
    """Return a value as a text for people: `true`, `3`, compact JSON for lists and mappings."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_OPENING = re.compile(r"\{[{%#]")
_WORD = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[{}]|[^'\"{}]+|.", re.DOTALL)


def _closing(text: str, begin: int) -> int:
    """Return where the `}}` of an expression stands; quotes and inner braces are respected."""
    depth = 0
    for word in _WORD.finditer(text, begin, begin + LONGEST_EXPRESSION):
        if word[0] == "{":
            depth += 1
        elif word[0] == "}" and depth:
            depth -= 1
        elif word[0] == "}":
            if text.startswith("}}", word.start()):
                return word.start()
            break
    raise ExpressionProblem("`{{` without its `}}`", begin - 2)


def _embedded(text: str, begin: int) -> Expression:
    if text.startswith(("-", "+")):
        raise ExpressionProblem("`{{-` and `{{+` are not read", begin, hint="leave a space")
    try:
        return parse_expression(text)
    except ExpressionProblem as error:
        raise ExpressionProblem(error.message, begin + error.offset, hint=error.hint) from error
