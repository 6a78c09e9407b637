"""Single values of a playbook file, as types for pydantic: texts, durations, shares, exit codes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from outagekit.playbook import units
from outagekit.playbook.model import SUCCESS_NAMES
from outagekit.source import fault, shown
from outagekit.text import closest, fold_list, identifier, visible, visible_line

ID_PATTERN = r"^[a-z][a-z0-9_]*$"
MODE_PATTERN = r"^0?[0-7]{3}$"
REF_PATTERN = (
    r"^(https://[^\s<>\"]+|CVE-[0-9]{4}-[0-9]{4,}|[A-Z]{2}\.[A-Z]{2}(-[0-9]{2})?"
    r"|[A-Z]{1,3}[0-9]{4}(\.[0-9]{3})?)$"
)
_REF_HINT = "like CM0065, RS.MI-01, T1486, M1053, CVE-2024-3094 or an https address"
RUNG_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,19}$"
LEAST_CODE, MOST_CODE = -(2**31), 2**32 - 1
"""Windows has 32 bits for an exit code, which tools show with a sign or without."""
LONGEST_LINE = 500
LONGEST_TEXT = 20_000


def _line(value: Any) -> Any:
    if isinstance(value, str) and visible_line(value) != value:
        raise fault(
            f"{shown(value)} holds characters that cannot be seen", "one line of plain text"
        )
    return value


def _text(value: Any) -> Any:
    if isinstance(value, str) and visible(value) != value:
        raise fault(f"{shown(value)} holds characters that cannot be seen", "remove them")
    return value


def _given(value: Any) -> Any:
    if value is None:
        raise fault("{name} is empty", "give it a value or remove the key")
    return value


def _measure(read: Callable[[Any], Any], wanted: str) -> Callable[[Any], Any]:
    def measured(value: Any) -> Any:
        try:
            return read(value)
        except ValueError as error:
            said = shown(value) if isinstance(value, str) else shown(repr(value))
            raise fault(f"{said} is not {wanted}") from error

    return measured


def _matching(pattern: str, wanted: str, hint: str) -> Callable[[Any], Any]:
    def matched(value: Any) -> Any:
        if isinstance(value, str) and not re.match(pattern, value):
            raise fault(f"{shown(value)} is not {wanted}", hint)
        return value

    return matched


def version(value: Any) -> Any:
    """Return a version as it is judged: for Python, True is 1."""
    return None if isinstance(value, bool) else value


def _identity(value: Any) -> Any:
    if isinstance(value, str) and not re.match(ID_PATTERN, value):
        raise fault(f"{shown(value)} cannot be an id", f"write `{identifier(value)}`")
    return value


def _exit_code(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and LEAST_CODE <= value <= MOST_CODE:
        return value
    if isinstance(value, str) and value in SUCCESS_NAMES:
        return SUCCESS_NAMES[value]
    near = closest(value, SUCCESS_NAMES) if isinstance(value, str) else None
    hint = f"did you mean `{near}`?" if near else f"a number, or {fold_list(SUCCESS_NAMES)}"
    said = shown(value) if isinstance(value, str) else shown(repr(value))
    raise fault(f"{said} is no exit code", hint)


def shape(value: Any) -> str:
    """Return which of text, list and mapping a value is, as a word for a discriminator."""
    if isinstance(value, dict):
        return MAPPING
    return LIST if isinstance(value, list) else TEXT


# Pydantic puts these words into the place of an error; no key of a file can begin with NUL.
TEXT, LIST, MAPPING = "\0text", "\0list", "\0mapping"

_T = TypeVar("_T")
Given = Annotated[_T | None, BeforeValidator(_given)]
"""A key that may be left out, but not left empty."""
Line = Annotated[str, BeforeValidator(_line), Field(min_length=1, max_length=LONGEST_LINE)]
Text = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=LONGEST_TEXT)]
Source = Annotated[str, Field(min_length=1)]
"""Text of a script or a drill's answer: any characters."""
Expression = Annotated[str, Field(min_length=1)]
Duration = Annotated[
    float,
    BeforeValidator(_measure(units.seconds, "a duration: `500ms`, `10s`, `15m`, `4h`, `2d`")),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": units.DURATION_PATTERN},
                {"type": "number", "minimum": 0},
            ],
            "description": "500ms, 10s, 15m, 4h, 2d, or plain seconds",
        }
    ),
]
Size = Annotated[
    int,
    BeforeValidator(_measure(units.size_bytes, "a size: `512KiB`, `20MiB` or plain bytes")),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": units.SIZE_PATTERN},
                {"type": "integer", "minimum": 0},
            ],
            "description": "512KiB, 20MiB, 1GiB, or plain bytes",
        }
    ),
]
Share = Annotated[
    str,
    BeforeValidator(_measure(units.share, "a number of endpoints or a percentage like `5%`")),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": units.PERCENT_PATTERN},
                {"type": "integer", "minimum": 0},
            ],
            "description": "a number of endpoints, or a percentage like 5%",
        }
    ),
]
Ref = Annotated[
    str,
    BeforeValidator(_matching(REF_PATTERN, "a reference of a known kind", _REF_HINT)),
    Field(max_length=LONGEST_LINE, json_schema_extra={"pattern": REF_PATTERN}),
]
Identity = Annotated[
    str,
    BeforeValidator(_identity),
    Field(max_length=60, json_schema_extra={"pattern": ID_PATTERN}),
]
Mode = Annotated[
    str,
    BeforeValidator(_matching(MODE_PATTERN, "a file mode", "three octal digits, like `0644`")),
    Field(json_schema_extra={"pattern": MODE_PATTERN}),
]
Rung = Annotated[
    str,
    BeforeValidator(
        _matching(RUNG_PATTERN, "a rung's name", "short, of letters, digits and . _ -, like R2")
    ),
    Field(json_schema_extra={"pattern": RUNG_PATTERN}),
]
ExitCode = Annotated[
    int,
    BeforeValidator(_exit_code),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": LEAST_CODE, "maximum": MOST_CODE},
                {"type": "string", "enum": list(SUCCESS_NAMES)},
            ],
            "description": "an exit code, or the name of one",
        }
    ),
]
Files = Annotated[
    Annotated[Line, Tag(TEXT)] | Annotated[list[Line], Field(min_length=1), Tag(LIST)],
    Discriminator(shape),
]
