"""What a playbook means, after it was read: frozen values, no YAML, no files, no I/O.

The values are msgspec structs because a plan embeds them and is stored as JSON. Durations are
seconds (`_s`). How a playbook is written is docs/playbook-reference.md.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from outagekit.events import Allow, OperatingSystem, StepId

Kind = Literal["vendor-outage", "breach", "bad-update", "other"]
Risk = Literal["read", "change", "destructive"]
Language = Literal["sh", "bash", "powershell", "cmd"]
Phase = Literal[
    "declare",
    "assess",
    "preserve",
    "contain",
    "fix",
    "verify",
    "communicate",
    "close",
    "review",
]
Origin = Literal["shipped", "workspace", "outside", "typed"]
"""Where a playbook comes from; `typed` was made of words on a command line."""
ValueType = Literal["text", "bool", "int", "number", "datetime", "list"]
Account = Literal["login", "root", "system"]
OnDoubt = Literal["probe", "rerun", "ask", "skip"]
Once = Literal["client", "run"]

LANGUAGES_OF: dict[OperatingSystem, tuple[Language, ...]] = {
    "linux": ("sh", "bash"),
    "macos": ("sh", "bash"),
    "windows": ("powershell", "cmd"),
}
SUCCESS_NAMES = {"reboot_needed": 3010, "reboot_started": 1641, "busy": 1618}
"""Exit codes of installers that a step may name: done and a restart is wanted, done and restarting,
not begun because another installation runs."""
RESERVED_NAMES = frozenset({"client", "endpoint", "run"})
"""Facts of the product; no parameter or step may take their names."""
STEP_FIELDS = frozenset({"changed", "ok", "failed", "skipped", "unknown", "state"})
"""What every step offers to expressions, besides the fields of its `result`."""


class Value(msgspec.Struct, frozen=True):
    """Base of the playbook's values."""


class Code(Value, frozen=True):
    """Text in one language, never a template."""

    language: Language
    text: str
    file: str = ""
    """Name of the file beside the playbook, or empty for text in the playbook itself."""

    @property
    def sha256(self) -> str:
        """Hash of the text as UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class Script(Value, frozen=True):
    """The same intent in one or more languages; the endpoint's system picks."""

    variants: tuple[Code, ...]

    def for_os(self, system: OperatingSystem) -> Code | None:
        """Return the first variant this system can run, or None."""
        wanted = LANGUAGES_OF[system]
        return next((code for code in self.variants if code.language in wanted), None)


class Action(Value, frozen=True, tag_field="action"):
    """Base of what a step does; exactly one per step."""


class RunScript(Action, frozen=True, tag="script"):
    """`sh`, `bash`, `powershell`, `cmd` or `script`."""

    script: Script


class Reboot(Action, frozen=True, tag="reboot"):
    """Restart the endpoint and see it come back within the time."""

    within_s: float


class WaitTcp(Action, frozen=True, tag="wait_tcp"):
    """Until a TCP port of the endpoint accepts a connection, seen from here."""

    port: int
    every_s: float = 5.0


class WaitHttp(Action, frozen=True, tag="wait_http"):
    """Until a web server on the endpoint answers with the status, seen from here."""

    port: int
    path: str = "/"
    scheme: Literal["http", "https"] = "http"
    status: int = 200
    every_s: float = 5.0


class WaitScript(Action, frozen=True, tag="wait_script"):
    """Until a script's verdict on the endpoint is true."""

    script: Script
    every_s: float = 5.0


class Fetch(Action, frozen=True, tag="fetch"):
    """Copy files of the endpoint into the run's evidence."""

    paths: tuple[str, ...]
    max_bytes: int


class Push(Action, frozen=True, tag="push"):
    """Write a file that lies beside the playbook onto the endpoint."""

    file: str
    to: str
    content: bytes
    mode: int = 0o644


class Manual(Action, frozen=True, tag="manual"):
    """A person does something and says so."""

    text: str


class Approve(Action, frozen=True, tag="approve"):
    """A person named by the agreement, or typed in, decides whether the run goes on."""

    text: str


class Later(Action, frozen=True, tag="later"):
    """An action of the format that this version reads and refuses to execute."""

    name: Literal["http", "vendor_status", "notify"]
    settings: Any = None


AnyAction = (
    RunScript | Reboot | WaitTcp | WaitHttp | WaitScript | Fetch | Push | Manual | Approve | Later
)


class Retry(Value, frozen=True):
    """How often and how fast a step is tried again after an exit code said it failed."""

    attempts: int = 1
    delay_s: float = 10.0
    backoff: float = 1.0

    def delay_before(self, number: int) -> float:
        """Seconds to wait before try `number` (the first is 1)."""
        return self.delay_s * self.backoff ** max(0, number - 2)


class Step(Value, frozen=True, kw_only=True):
    """One thing that happens on each endpoint."""

    id: StepId
    title: str
    phase: Phase
    action: AnyAction
    risk: Risk
    needs: tuple[Allow, ...]
    check: Script | None = None
    """True: the wanted state already is, the action is not run and the step is `ok`."""
    verify: Script | None = None
    """True after the action: the step is `changed` (or `ok` for a read)."""
    undo: Script | None = None
    verify_wants: bool = True
    """What `verify` must say. An undo is proven by the check of what it took back being false."""
    when: str | None = None
    with_: dict[str, Any] = {}
    """Name -> expression (text) or literal (anything else)."""
    result: dict[str, ValueType] = {}
    success: tuple[int, ...] = (0,)
    """Exit codes of the action that mean it succeeded; as 32 bits, whatever their sign."""
    timeout_s: float = 300.0
    retry: Retry = Retry()
    once: Once | None = None
    always: bool = False
    account: Account | None = None
    """`as`; None: root where the endpoint has `become`, else the login account."""
    detach: bool = False
    on_doubt: OnDoubt | None = None
    refs: tuple[str, ...] = ()
    line: int = 0
    """Where the step begins in its file."""

    @property
    def changes(self) -> bool:
        """Whether the step is meant to alter the endpoint."""
        return self.risk != "read"

    @property
    def local(self) -> bool:
        """Whether nothing of the step happens on an endpoint: a person or this machine does it."""
        return isinstance(self.action, Manual | Approve | Later)


class Param(Value, frozen=True, kw_only=True):
    """A value the person may or must give."""

    type: ValueType = "text"
    default: Any = None
    required: bool = True
    """True exactly when there is no default."""
    help: str = ""
    choices: tuple[Any, ...] = ()
    pattern: str = ""
    """Regular expression the whole text must match."""


class HandsOn(Value, frozen=True, kw_only=True):
    """What a person does next about an endpoint that never answered; the first that fits counts."""

    rung: str
    """Short name of the rung of the repair ladder, for a list."""
    do: str
    """What to do there, for a person; no template."""
    for_: str | None = None
    """Selector of the endpoints it is for; None: all."""
    seen: bool | None = None
    """True: only if its port answered at times during the run; False: only if never."""


class Gate(Value, frozen=True):
    """Limits after which a wave stops the run; each a plain number or a percent text like `5%`."""

    min_answered: str = "80%"
    max_failed: str = "5%"
    max_unreachable: str = "20%"
    max_unknown: str = "0"


class Rollout(Value, frozen=True, kw_only=True):
    """How a change spreads."""

    first: str | None = None
    """Selector of those who go first."""
    waves: tuple[str, ...] = ("1", "25%", "100%")
    """Cumulative sizes, plain or percent."""
    pause: Literal["none", "first", "each"] = "none"
    bake_s: float = 0.0
    gate: Gate = Gate()
    waiting_room_s: float = 0.0
    pounce: StepId | None = None
    apart: str | None = None
    """Selector of endpoints of which one client never has two in a wave."""


class DrillStep(Value, frozen=True, kw_only=True):
    """How a simulated endpoint answers a step. Texts hold `{{ expressions }}` over the state."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    set: dict[str, Any] = {}
    """What becomes true of the machine when the action is done."""
    check: str | None = None
    """Expression: the verdict of `check` and `verify`; default: everything in `set` is so."""
    verify: str | None = None
    """Expression: the verdict of `verify` where it differs from `check`."""
    takes_s: float = 0.0


class Drill(Value, frozen=True):
    """What a fleet of simulated endpoints looks like for this playbook."""

    state: dict[str, Any] = {}
    """Name -> a value for all, `60%` (true for that share), or {value: `40%`, …}."""
    steps: dict[StepId, DrillStep] = {}


class Playbook(Value, frozen=True, kw_only=True):
    """A playbook that passed every check."""

    name: str
    title: str
    kind: Kind = "other"
    summary: str = ""
    targets: str | None = None
    params: dict[str, Param] = {}
    rollout: Rollout | None = None
    steps: tuple[Step, ...]
    drill: Drill | None = None
    hands_on: tuple[HandsOn, ...] = ()
    """What is left to do by hand for who never answered."""
    refs: tuple[str, ...] = ()
    digest: str = ""
    """SHA-256 over the playbook file and every file it uses: what trust is given to."""
    origin: Origin = "outside"
    path: str = ""
    """Where it was read from; never part of a plan's digest."""
