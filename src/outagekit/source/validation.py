"""What pydantic found wrong, in our words and at its place in the file.

Pydantic itself is loaded only when something is validated.
"""

from __future__ import annotations

import re
import types
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from outagekit.source.document import Document, Location, shown
from outagekit.source.reader import BLOCK_HINT, LIMIT_PROBLEMS
from outagekit.text import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails, PydanticCustomError

    from outagekit.errors import Problem

_FAULT = "fault"
_ALIKE = 0.7
"""From here on a key is taken for a misspelt one rather than for another."""
_KINDS: dict[str, str] = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
}
"""Pydantic's name of a type error -> what should stand there."""
_LIMITS: dict[str, str] = {
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
}
"""Pydantic's name of a limit -> the sentence; braces are filled from the error's context."""


def fault(message: str, hint: str = "") -> PydanticCustomError:
    """Return what a validator raises to have its sentence and hint reported as they are.

    A first `{name}` in the sentence becomes the name of the key or entry concerned.
    """
    from pydantic_core import PydanticCustomError  # noqa: PLC0415  (heavy)

    return PydanticCustomError(_FAULT, "{message}", {"message": message, "hint": hint})


def problems_of(
    error: ValidationError, document: Document, model: type[BaseModel] | None = None
) -> tuple[Problem, ...]:
    """Return one problem for each thing pydantic found, in the order of the file.

    With the `model` that was validated, unknown keys come with the known one they resemble.
    What stands in a place the reader already complained about is left out.
    """
    details = error.errors(include_url=False)[:LIMIT_PROBLEMS]
    problems = {
        _problem(detail, document, model)
        for detail in details
        if not _in_broken_place(document, place_of(detail))
    }
    return tuple(sorted(problems))


def place_of(detail: ErrorDetails) -> Location:
    """Return where in the file an error of pydantic is.

    Pydantic also names the alternative it took; models let such names begin with NUL, which no
    key can.
    """
    return tuple(part for part in detail["loc"] if not str(part).startswith("\0"))


def _in_broken_place(document: Document, loc: Location) -> bool:
    return any(document.node(loc[:length]).broken for length in range(len(loc) + 1))


def _problem(detail: ErrorDetails, document: Document, model: type[BaseModel] | None) -> Problem:
    kind, loc, context = detail["type"], place_of(detail), detail.get("ctx", {})
    if kind == "extra_forbidden":
        message = f"unknown key {shown(str(loc[-1]))}"
        return document.problem(loc, message, _key_hint(document, loc, model), key=True)
    if kind == "missing":
        return document.problem(loc[:-1], f"{name_of(loc)} is missing")
    return document.problem(loc, *_words(detail, kind, loc, context))


def _words(
    detail: ErrorDetails, kind: str, loc: Location, context: dict[str, Any]
) -> tuple[str, str]:
    """Return the message and the hint for what stands at `loc`."""
    if kind == _FAULT:
        return context["message"].replace("{name}", name_of(loc), 1), context["hint"]
    if kind == "literal_error":
        return _choice(loc, detail["input"], context)
    if kind in _KINDS:
        return _wrong_type(kind, loc, detail["input"])
    if kind in _LIMITS:
        return f"{name_of(loc)} {_LIMITS[kind].format_map(context)}", ""
    if kind == "string_pattern_mismatch":
        return f"{shown(detail['input'])} does not match {context['pattern']}", ""
    return f"{name_of(loc)}: {shown(detail['msg'])}", ""


def name_of(loc: Location) -> str:
    """Return how a sentence calls the value at `loc`: its key, or its place in a list."""
    if not loc:
        return "the file"
    if isinstance(loc[-1], int):
        inside = f" of {shown(str(loc[-2]))}" if len(loc) > 1 else ""
        return f"entry {loc[-1] + 1}{inside}"
    return shown(loc[-1])


def _wrong_type(kind: str, loc: Location, value: Any) -> tuple[str, str]:
    wanted = _KINDS[kind]
    if value is None:
        empty = "is empty" if loc else "is empty: it must hold"
        return f"{name_of(loc)} {empty}{', it must be' if loc else ''} {wanted}", ""
    quotes = "put it in quotes" if wanted == "text" and not isinstance(value, (dict, list)) else ""
    return f"{name_of(loc)} must be {wanted}, not {_kind_of(value)}", quotes


def _kind_of(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value)) or ("a list" if isinstance(value, list) else "a mapping")


def _choice(loc: Location, value: Any, context: dict[str, Any]) -> tuple[str, str]:
    choices = re.findall(r"'([^']*)'|(\d+)", str(context.get("expected", "")))
    names = [text or number for text, number in choices]
    near = closest(value, names) if isinstance(value, str) else None
    hint = f"did you mean `{near}`?" if near else ""
    if len(names) == 1:
        return f"{name_of(loc)} must be `{names[0]}`", hint
    listed = ", ".join(f"`{name}`" for name in names)
    return f"{name_of(loc)} must be one of {listed}", hint


def _key_hint(document: Document, loc: Location, model: type[BaseModel] | None) -> str:
    above = document.node(loc[:-1])
    node = above.children.get(loc[-1])
    cut_at_a_comma = above.style == "flow" and node is not None and node.value is None
    if cut_at_a_comma and not (node and node.style):
        return BLOCK_HINT
    near = closest(str(loc[-1]), _keys_at(model, loc[:-1])) if model else None
    alike = near and SequenceMatcher(None, str(loc[-1]), near).ratio() >= _ALIKE
    return f"did you mean `{near}`?" if alike else ""


def _keys_at(model: type[BaseModel], loc: Location) -> tuple[str, ...]:
    """Return the keys the model knows at a place."""
    shapes: list[Any] = [model]
    for part in loc:
        shapes = [inner for shape in shapes for inner in _inside(shape, part)] or shapes
    return tuple(key for shape in shapes for key in _fields(shape))


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    for shape in _alternatives(annotation):
        fields = _fields(shape)
        if fields:
            yield from _alternatives(fields[part]) if part in fields else ()
        elif get_origin(shape) in {list, dict, tuple}:
            yield from _alternatives(get_args(shape)[-1])


def _alternatives(annotation: Any) -> Iterable[Any]:
    while hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, types.UnionType}:
        return [inner for each in get_args(annotation) for inner in _alternatives(each)]
    return [annotation]


def _fields(shape: Any) -> dict[Any, Any]:
    fields = getattr(shape, "model_fields", None) or {}
    return {field.alias or name: field.annotation for name, field in fields.items()}
