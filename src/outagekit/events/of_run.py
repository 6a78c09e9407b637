"""What happens to a run as a whole: its life, its waves, and what people say."""

from __future__ import annotations

from typing import Literal

from outagekit.events.words import (
    AnswerWord,
    EndpointId,
    EndState,
    Event,
    GateLimit,
    GateSum,
    QuestionKind,
    StepId,
)


class RunOpened(Event, frozen=True, tag="run.opened"):
    """The first record of every log."""

    playbook: str
    title: str
    plan: str
    """Digest of the plan."""
    clients: tuple[str, ...]
    endpoints: int
    os_user: str
    machine: str
    version: str
    drill: bool = False
    trust: str = ""
    """Folder of the keys the endpoints are known by."""
    ssh_config: str = ""
    """The SSH config it follows: a file, or `none`; empty: the person's own and the system's."""
    dry_run: bool = False
    """Nothing is changed, only looked at."""


class PlanFrozen(Event, frozen=True, tag="plan.frozen"):
    """What will be executed is on disk; the hashes tie the files to the log."""

    files: dict[str, str]
    """File name in the run folder -> SHA-256 of its bytes."""


class RunResumed(Event, frozen=True, tag="run.resumed"):
    """A new process life continues the run."""

    os_user: str
    version: str
    retry: bool = True
    """Whether those who closed a gate are tried again; False: a person goes past it."""


class RunStopping(Event, frozen=True, tag="run.stopping"):
    """Somebody asked the run to stop: running steps may end, nothing else begins."""

    why: str
    """`Ctrl-C`, the name of a signal, or a person's words."""
    running: int
    who: str = ""
    """The name a person gave, if it was not done at this terminal."""


class RunPaused(Event, frozen=True, tag="run.paused"):
    """Nothing new is started; what ran has ended or is in doubt. `resume` goes on from here."""

    why: str
    exit_code: int = 6


class RunClosed(Event, frozen=True, tag="run.closed"):
    """The last fact of a run. `counts` maps an end state to its number of endpoints."""

    counts: dict[EndState, int]
    exit_code: int
    why: str = ""
    """Empty for a run that came to its end, else who or what stopped it."""


class StageOpened(Event, frozen=True, tag="stage.opened"):
    """Consecutive steps of one phase begin on all endpoints that are still in the run."""

    stage: int
    phase: str
    steps: tuple[StepId, ...]
    endpoints: int


class WavesCut(Event, frozen=True, tag="waves.cut"):
    """Who needs the stage's change was divided into waves; who does not stays outside."""

    stage: int
    sizes: tuple[int, ...]
    outside: int
    sha256: str
    """Over the waves in order, each the sorted ids joined by newlines, joined by empty lines."""


class WaveOpened(Event, frozen=True, tag="wave.opened"):
    """A wave begins. `limits` are its gate's, resolved."""

    stage: int
    wave: int
    """From 1."""
    waves: int
    endpoints: int
    limits: tuple[GateLimit, ...]


class WaveBaking(Event, frozen=True, tag="wave.baking"):
    """All of a wave are done; after so long its changed endpoints are verified again."""

    stage: int
    wave: int
    """0 stands for those who came back too late for any wave."""
    endpoints: int
    for_ms: int


class WaveJudged(Event, frozen=True, tag="wave.judged"):
    """A wave is over and its gate says whether the run goes on."""

    stage: int
    wave: int
    passed: bool
    sums: tuple[GateSum, ...]


class WaveStopped(Event, frozen=True, tag="wave.stopped"):
    """A gate closed while its wave was running: a limit is certainly exceeded."""

    stage: int
    wave: int
    sums: tuple[GateSum, ...]


class WaveReopened(Event, frozen=True, tag="wave.reopened"):
    """A closed gate is open again: its bad ones were tried again, or a person goes past it."""

    stage: int
    wave: int
    sums: tuple[GateSum, ...]
    because: str = ""
    """Why a person goes past it; empty if the gate opened by its own arithmetic."""
    who: str = ""


class OnceFinished(Event, frozen=True, tag="once.finished"):
    """A step that happens once per client or run has its end."""

    step: StepId
    client: str
    """Empty for once per run."""
    state: EndState
    detail: str = ""
    refused: bool = False
    """A person refused it: the endpoints concerned go no further."""


class ApprovalAsked(Event, frozen=True, tag="approval.asked"):
    """A question waits for a person. Asked again after a resume it keeps its name."""

    question: str
    """Its name, as `outagekit approve` takes it: `call`, `call@acme`, `pause-2.1`."""
    kind: QuestionKind
    text: str
    answers: tuple[AnswerWord, ...]
    step: StepId | None = None
    endpoint: EndpointId | None = None
    client: str = ""
    for_ms: int = 0
    """How long it waits; 0: as long as there is other work."""


class ApprovalGiven(Event, frozen=True, tag="approval.given"):
    """A person has answered. The name is what they claimed; `os_user` is what the system knows."""

    question: str
    answer: AnswerWord
    who: str
    os_user: str
    because: str = ""
    how: Literal["terminal", "inbox", "beforehand"] = "terminal"


class AgreementOverridden(Event, frozen=True, tag="agreement.overridden"):
    """Something the agreement does not allow is done all the same, by name and for a reason."""

    allow: str
    clients: tuple[str, ...]
    approved_by: str
    because: str
    listed: bool
    """Whether that name stands among the agreement's approvers, for every client concerned."""


class Note(Event, frozen=True, tag="note"):
    """Something worth keeping that changes no state."""

    text: str
    who: str = ""
    endpoint: EndpointId | None = None


class InboxRefused(Event, frozen=True, tag="inbox.refused"):
    """Something lay in the inbox that nobody may obey. `name` is made visible and cut."""

    name: str
    why: str
