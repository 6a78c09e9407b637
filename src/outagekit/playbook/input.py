"""The shape of a playbook file, as pydantic models: types, keys, ranges and words.

Only what one value alone can tell is judged here. What ties values together (one action per step,
names, files, expressions) is judged by the rooms that build and check the playbook, so that all
problems of a file can be reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
)

from outagekit.events import Allow
from outagekit.playbook import units
from outagekit.playbook.model import (
    Account,
    Kind,
    Once,
    OnDoubt,
    Phase,
    Risk,
    ValueType,
)
from outagekit.source import fault, shown
from outagekit.text import identifier, visible, visible_line

ID_PATTERN = r"^[a-z][a-z0-9_]*$"
MODE_PATTERN = r"^0?[0-7]{3}$"
REF_PATTERN = (
    r"^(https://[^\s<>\"]+|CVE-[0-9]{4}-[0-9]{4,}|[A-Z]{2}\.[A-Z]{2}(-[0-9]{2})?"
    r"|[A-Z]{1,3}[0-9]{4}(\.[0-9]{3})?)$"
)
_REF_HINT = "like CM0065, RS.MI-01, T1486, M1053, CVE-2024-3094 or an https address"
LONGEST_LINE = 500
LONGEST_TEXT = 20_000
MOST_STEPS = 500
FETCH_BYTES = 20 * 2**20


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


def _version(value: Any) -> Any:
    return None if isinstance(value, bool) else value  # for Python, True is 1


def _identity(value: Any) -> Any:
    if isinstance(value, str) and not re.match(ID_PATTERN, value):
        raise fault(f"{shown(value)} cannot be an id", f"write `{identifier(value)}`")
    return value


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return _MAPPING
    return _LIST if isinstance(value, list) else _TEXT


# Pydantic puts these words into the place of an error; no key of a file can begin with NUL.
_TEXT, _LIST, _MAPPING = "\0text", "\0list", "\0mapping"

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
Files = Annotated[
    Annotated[Line, Tag(_TEXT)] | Annotated[list[Line], Field(min_length=1), Tag(_LIST)],
    Discriminator(_shape),
]


class Input(BaseModel):
    """Base of the models: exact types, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class CodeInput(Input):
    """Text in a named language, or files beside the playbook. Exactly one key."""

    sh: Given[Source] = Field(None, description="POSIX shell text")
    bash: Given[Source] = Field(None, description="Bash text")
    powershell: Given[Source] = Field(None, description="PowerShell text")
    cmd: Given[Source] = Field(None, description="Windows command prompt text")
    script: Given[Files] = Field(None, description="files beside the playbook")


Part = Annotated[
    Annotated[Source, Tag(_TEXT)] | Annotated[CodeInput, Tag(_MAPPING)],
    Discriminator(lambda value: _MAPPING if isinstance(value, dict) else _TEXT),
]


class HttpInput(Input):
    """A web server on the endpoint."""

    port: int = Field(ge=1, le=65535)
    path: Line = "/"
    scheme: Literal["http", "https"] = "http"
    status: int = Field(200, ge=100, le=599)


class WaitInput(Input):
    """Until something is so: a port, a web server, or a script. Exactly one besides `every`."""

    tcp: Given[Annotated[int, Field(ge=1, le=65535)]] = None
    http: Given[HttpInput] = None
    sh: Given[Source] = None
    bash: Given[Source] = None
    powershell: Given[Source] = None
    cmd: Given[Source] = None
    every: Duration = Field(5.0, description="time between two looks")


class FetchInput(Input):
    """Files to copy into the evidence, and how much at most."""

    paths: list[Line] = Field(min_length=1, max_length=100)
    max: Size = Field(FETCH_BYTES, description="the most all files together may have")


Fetches = Annotated[
    Annotated[Line, Tag(_TEXT)]
    | Annotated[list[Line], Field(min_length=1, max_length=100), Tag(_LIST)]
    | Annotated[FetchInput, Tag(_MAPPING)],
    Discriminator(_shape),
]


class PushInput(Input):
    """A file beside the playbook, and where it goes."""

    file: Line = Field(description="its path beside the playbook")
    to: Line = Field(description="its path on the endpoint")
    mode: Mode = Field("0644", description="octal digits, in quotes")


class RetryInput(Input):
    """How often a step whose exit code said it failed is tried again."""

    attempts: int = Field(1, ge=1, le=20, description="tries in all")
    delay: Duration = Field(10.0, description="before the second try")
    backoff: float = Field(1.0, ge=1, le=10, description="each further delay is longer by this")


class StepInput(Input):
    """One thing that happens on each endpoint. Exactly one action."""

    id: Given[Identity] = Field(None, description="default: made from the title")
    title: Given[Line] = Field(None, description="default: made from the id or the text")
    phase: Given[Phase] = Field(None, description="default: that of the step before, first fix")
    sh: Given[Source] = Field(None, description="action: run POSIX shell text")
    bash: Given[Source] = Field(None, description="action: run Bash text")
    powershell: Given[Source] = Field(None, description="action: run PowerShell text")
    cmd: Given[Source] = Field(None, description="action: run Windows command prompt text")
    script: Given[Files] = Field(
        None, description="action: run a file beside the playbook, chosen by the endpoint's system"
    )
    reboot: Given[Duration] = Field(None, description="action: restart, and be back within this")
    wait: Given[WaitInput] = Field(None, description="action: until something is so")
    fetch: Given[Fetches] = Field(None, description="action: copy files into the evidence")
    push: Given[PushInput] = Field(None, description="action: write a file onto the endpoint")
    manual: Given[Text] = Field(None, description="action: a person does this and says so")
    approve: Given[Text] = Field(None, description="action: a person decides whether to go on")
    http: Given[Any] = Field(None, description="action of a later version")
    vendor_status: Given[Any] = Field(None, description="action of a later version")
    notify: Given[Any] = Field(None, description="action of a later version")
    risk: Given[Risk] = Field(None, description="default: read for fetch and wait, else change")
    needs: Given[list[Allow]] = Field(
        None, description="what the agreement must allow besides what action and risk call for"
    )
    check: Given[Part] = Field(None, description="true: already so, the action does not run")
    verify: Given[Part] = Field(None, description="true after the action; default: the check")
    undo: Given[Part] = Field(None, description="takes the change back")
    when: Given[Expression] = Field(None, description="expression: whether the step runs")
    with_: dict[str, Any] = Field(
        {}, alias="with", description="values for the script: text is an expression"
    )
    result: dict[str, ValueType] = Field(
        {}, description="fields of the JSON object in the action's last output line"
    )
    timeout: Given[Duration] = Field(None, description="for each of check, action and verify")
    retry: Given[RetryInput] = None
    once: Given[Once] = Field(
        None, description="of a step that runs on no endpoint: once per client or run"
    )
    always: bool = Field(False, description="runs even after an earlier step failed")  # noqa: FBT003
    as_: Given[Account] = Field(None, alias="as", description="the account it runs under")
    detach: bool = Field(False, description="runs on without the connection")  # noqa: FBT003
    on_doubt: Given[OnDoubt] = Field(None, description="what settles a lost connection")
    refs: list[Ref] = Field([], max_length=50)


class ParamInput(Input):
    """A value the person may or must give."""

    type: ValueType = "text"
    default: Given[Any] = Field(None, description="without one the person must give a value")
    help: Given[Line] = None
    choices: list[Any] = Field([], max_length=200)
    pattern: Given[str] = Field(
        None, min_length=1, max_length=LONGEST_LINE, description="what the whole text must match"
    )


class GateInput(Input):
    """Limits after which a wave stops the run."""

    min_answered: Share = "80%"
    max_failed: Share = "5%"
    max_unreachable: Share = "20%"
    max_unknown: Share = "0"


class RolloutInput(Input):
    """How a change spreads."""

    first: Given[Line] = Field(None, description="selector of those who go first")
    waves: list[Share] = Field(
        [], max_length=100, description="sizes that count everybody so far; default [1, 25%, 100%]"
    )
    pause: Literal["none", "first", "each"] = "none"
    bake: Duration = Field(0.0, description="wait, verify again, then judge the gate")
    gate: Given[GateInput] = None
    waiting_room: Duration = Field(0.0, description="how long unreachable ones are probed")
    pounce: Given[str] = Field(
        None, description="step that who comes back for a moment gets at once"
    )
    apart: Given[Line] = Field(None, description="selector: never two of a client in one wave")


class DrillStepInput(Input):
    """How a simulated endpoint answers a step."""

    stdout: str = Field("", description="text with {{ expressions }} over state and values")
    stderr: str = ""
    exit_code: int = Field(0, ge=0, le=255)
    set: dict[str, Any] = Field({}, description="what becomes true when the action is done")
    check: Given[Expression] = Field(None, description="expression: verdict of check and verify")
    verify: Given[Expression] = Field(None, description="expression: verdict of verify")
    takes: Duration = 0.0


class DrillInput(Input):
    """What a simulated fleet looks like for this playbook."""

    state: dict[str, Any] = Field(
        {}, description="a value for all, `60%` true, or {value: share, ...}"
    )
    steps: dict[str, DrillStepInput] = {}


class PlaybookInput(Input):
    """A playbook file."""

    outagekit: Annotated[Literal[1], BeforeValidator(_version)] = Field(
        description="version of the format"
    )
    title: Line
    kind: Kind = "other"
    summary: Given[Text] = Field(None, description="a few lines for the list")
    params: dict[str, ParamInput] = {}
    targets: Given[Line] = Field(None, description="selector: whom it is for by default")
    rollout: Given[RolloutInput] = None
    steps: list[StepInput] = Field(min_length=1, max_length=MOST_STEPS)
    drill: Given[DrillInput] = None
    refs: list[Ref] = Field([], max_length=50)
