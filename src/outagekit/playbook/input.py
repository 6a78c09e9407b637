"""The shape of a playbook file, as pydantic models: types, keys, ranges and words.

Only what one value alone can tell is judged here. What ties values together (one action per step,
names, files, expressions) is judged by the rooms that build and check the playbook, so that all
problems of a file can be reported at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from outagekit.events import Allow
from outagekit.playbook.model import Account, Kind, Once, OnDoubt, Phase, Risk, ValueType
from outagekit.playbook.scalars import (
    LEAST_CODE,
    LIST,
    LONGEST_LINE,
    MAPPING,
    MOST_CODE,
    TEXT,
    Duration,
    ExitCode,
    Expression,
    Files,
    Given,
    Identity,
    Line,
    Mode,
    Ref,
    Rung,
    Share,
    Size,
    Source,
    Text,
    shape,
    version,
)

MOST_STEPS = 500
MOST_RUNGS = 100
FETCH_BYTES = 20 * 2**20


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
    Annotated[Source, Tag(TEXT)] | Annotated[CodeInput, Tag(MAPPING)],
    Discriminator(lambda value: MAPPING if isinstance(value, dict) else TEXT),
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
    Annotated[Line, Tag(TEXT)]
    | Annotated[list[Line], Field(min_length=1, max_length=100), Tag(LIST)]
    | Annotated[FetchInput, Tag(MAPPING)],
    Discriminator(shape),
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
    success: Given[list[ExitCode]] = Field(
        None,
        min_length=1,
        max_length=100,
        description="exit codes with which the script succeeded; default [0]",
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
    exit_code: int = Field(0, ge=LEAST_CODE, le=MOST_CODE)
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


class HandsOnInput(Input):
    """What a person does next about an endpoint that never answered."""

    rung: Rung = Field(description="short name of the rung, like R2")
    for_: Given[Line] = Field(None, alias="for", description="selector: which; default: all")
    seen: Given[bool] = Field(
        None, description="true: its port answered at times during the run; false: never"
    )
    do: Text = Field(description="what to do, for people")


class PlaybookInput(Input):
    """A playbook file."""

    outagekit: Annotated[Literal[1], BeforeValidator(version)] = Field(
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
    hands_on: list[HandsOnInput] = Field(
        [],
        max_length=MOST_RUNGS,
        description="what is left to do by hand for who never answered; the first that fits counts",
    )
    refs: list[Ref] = Field([], max_length=50)
