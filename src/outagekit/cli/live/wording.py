"""What is said of an event in one line, and how much it matters. Pure: values in, words out.

Nothing here is made visible; whoever shows the words does that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from outagekit.cli.live.standing import ENDING, rank_of
from outagekit.cli.saying import (
    ACTS,
    act_line,
    answering,
    foreseen,
    last_line,
    result_line,
    short_run,
)
from outagekit.events import (
    AgreementOverridden,
    ApprovalAsked,
    ApprovalGiven,
    Checkpoint,
    ClockJumped,
    EndpointExpired,
    EndpointKeyTrusted,
    EndpointParked,
    EndpointReturned,
    EndState,
    Event,
    EventUnencodable,
    EvidenceSaved,
    GateLimit,
    GateSum,
    InboxRefused,
    LogRepaired,
    LogWriteFailed,
    Note,
    OnceFinished,
    PlanFrozen,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunStopping,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepStarted,
    StepTidied,
    StepUndone,
    StepVerified,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.text import count, duration, fold_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

URGENT, ORDINARY, STEP, COMMAND = range(4)
"""From which level on something is told: `-q`, nothing, `-v`, `-vv`."""


class Words(NamedTuple):
    """What is said of an event, and from which level on."""

    level: int
    text: str


def words_of(event: Event, *, waves: int = 0, run: str = "") -> Words:
    """Return what is said of an event of a run.

    `waves` is how many the open stage has, if that is known.
    """
    if isinstance(event, ApprovalAsked):
        return _asked(event, run)
    teller = _OF_WAVES.get(type(event))
    if teller is not None:
        return teller(event, waves)
    return _WORDS[type(event)](event)


def counts_text(ends: Mapping[Any, int]) -> str:
    """Return end states with their numbers, worst first: `failed 2 · ok 38`."""
    words = sorted(filter(ends.get, ends), key=rank_of)
    return " · ".join(f"{word} {ends[word]}" for word in map(str, words))


def gate_text(sums: Iterable[GateSum]) -> str:
    """Return a gate's arithmetic: `10 of 10 answered (at least 8), 3 failed (at most 2: exceeded)`.

    What does not hold comes first.
    """
    return ", ".join(_sum(each) for each in sorted(sums, key=lambda each: each.holds))


def _sum(each: GateSum) -> str:
    found = f"{each.found} of {each.of}" if each.what == "answered" else str(each.found)
    bad = ": too few" if each.what == "answered" else ": too many"
    return f"{found} {each.what} ({_limit(each)}{'' if each.holds else bad})"


def _limit(limit: GateLimit) -> str:
    way = "at least" if limit.what == "answered" else "at most"
    return f"{way} {limit.limit}" + (" in the run" if limit.scope == "run" else "")


def _wave(number: int, waves: int) -> str:
    if not number:
        return "those who came back late"
    return f"wave {number} of {waves}" if waves else f"wave {number}"


# The run and its waves.


def _opened(event: RunOpened) -> Words:
    kind = "drill" if event.drill else "dry run" if event.dry_run else "run"
    size = count(event.endpoints, "endpoint")
    return Words(ORDINARY, f"{kind} opened: {event.title} · {fold_list(event.clients, 3)} · {size}")


def _resumed(event: RunResumed) -> Words:
    past = "" if event.retry else ", to go past its closed gate"
    return Words(ORDINARY, f"run resumed by {event.os_user}, outagekit {event.version}{past}")


def _stopping(event: RunStopping) -> Words:
    running = count(event.running, "running step")
    who = f"{event.who}: " if event.who and event.who not in event.why else ""
    return Words(ORDINARY, f"{who}{event.why}: {running} may end, nothing else begins")


def _closed(event: RunClosed) -> Words:
    parts = ["run closed", counts_text(event.counts), f"exit code {event.exit_code}", event.why]
    return Words(ORDINARY, " · ".join(filter(None, parts)))


def _stage(event: StageOpened) -> Words:
    # What happens once per client or run is on no endpoint.
    size = f" on {count(event.endpoints, 'endpoint')}" if event.endpoints else ""
    return Words(ORDINARY, f"stage {event.phase}: {fold_list(event.steps)}{size}")


def _cut(event: WavesCut) -> Words:
    sizes = fold_list(map(str, event.sizes), 10)
    size = f"{count(len(event.sizes), 'wave')} of {sizes} endpoints" if event.sizes else "no waves"
    outside = f"; {event.outside} others need no change here" if event.outside else ""
    return Words(ORDINARY, f"cut into {size}{outside}")


def _wave_opened(event: WaveOpened, _waves: int) -> Words:
    size = count(event.endpoints, "endpoint")
    limits = ", ".join(f"{each.what} {_limit(each)}" for each in event.limits)
    begins = f"{_wave(event.wave, event.waves)} begins: {size}"
    return Words(ORDINARY, f"{begins}; its gate: {limits}" if limits else begins)


def _baking(event: WaveBaking, waves: int) -> Words:
    size = count(event.endpoints, "endpoint")
    bakes = f"{_wave(event.wave, waves)} bakes for {duration(event.for_ms / 1000)}"
    return Words(ORDINARY, f"{bakes}; then {size} are verified again")


def _judged(event: WaveJudged, waves: int) -> Words:
    wave, sums = _wave(event.wave, waves), gate_text(event.sums)
    if event.passed:
        return Words(ORDINARY, f"{wave} passed: {sums}")
    return Words(URGENT, f"GATE CLOSED after {wave}: {sums}")


def _stopped(event: WaveStopped, waves: int) -> Words:
    return Words(URGENT, f"GATE CLOSED during {_wave(event.wave, waves)}: {gate_text(event.sums)}")


def _reopened(event: WaveReopened, waves: int) -> Words:
    wave, sums = _wave(event.wave, waves), gate_text(event.sums)
    if event.because:
        who = event.who or "somebody"
        text = f"{who} goes past the closed gate of {wave}, because {event.because}: {sums}"
        return Words(ORDINARY, text)
    return Words(ORDINARY, f"gate of {wave} is open again: {sums}")


def _overridden(event: AgreementOverridden) -> Words:
    standing = "" if event.listed else ", who is no listed approver"
    clients = fold_list(event.clients, 3)
    by = f"{event.approved_by}{standing}"
    return Words(ORDINARY, f"beyond the agreement of {clients}: {event.allow}, approved by {by}")


# Steps.

_BEGINS: Final = {
    "do": "begins",
    "probe": "is looked at: was it done?",
    "recheck": "is verified again",
    "undo": "is taken back",
    "foresee": "is checked only",
}


def _started(event: StepStarted) -> Words:
    again = f" (try {event.number})" if event.number > 1 and event.purpose == "do" else ""
    return Words(STEP, f"{event.endpoint} {event.step} {_BEGINS[event.purpose]}{again}")


def _part(event: StepPart) -> Words:
    last = last_line(event.stdout.tail or event.stdout.text)
    code = "no exit code" if event.exit_code is None else f"exit code {event.exit_code}"
    took = duration(event.duration_ms / 1000)
    said = f" · {last}" if last else ""
    return Words(COMMAND, f"{event.endpoint} {event.step} {event.part} {code} {took}{said}")


def _finished(event: StepFinished) -> Words:
    kind = f" {event.failure.value}" if event.failure else ""
    took = f" {duration(event.duration_ms / 1000)}" if event.attempt else ""
    sure, detail = foreseen(event)
    state = "would change" if sure else event.state.value
    parts = [
        f"{event.endpoint} {event.step} {state}{kind}{took}",
        detail or result_line(event.result),
    ]
    if event.retry_in_ms is not None:
        parts.append(f"again in {duration(event.retry_in_ms / 1000)}")
        return Words(ORDINARY, " · ".join(filter(None, parts)))
    level = URGENT if event.state in ENDING else ORDINARY
    return Words(level, " · ".join(filter(None, parts)))


def _doubt(event: StepInDoubt) -> Words:
    kind = event.failure.value
    return Words(URGENT, f"{event.endpoint} {event.step} in doubt {kind} · {event.why}")


_SETTLED: Final = {
    "probed": "it was looked at",
    "rerun": "",
    "answered": "a person says so",
    "skipped": "left as it is",
    "settled": "its end was known after all",
}


def _resolved(event: StepResolved) -> Words:
    kind = f" {event.failure.value}" if event.failure else ""
    state = f"{event.state.value}{kind}" if event.state else "begins again"
    how = f"{event.who} says so" if event.who else _SETTLED[event.how]
    settled = f"no longer in doubt: {state}"
    if event.state is EndState.UNKNOWN:
        settled = f"stays {state}"
    parts = [f"{event.endpoint} {event.step} {settled}", how, event.detail]
    return Words(URGENT, " · ".join(filter(None, parts)))


def _again(event: StepVerified | StepUndone, good: str, bad: str, level: int) -> Words:
    took = duration(event.duration_ms / 1000)
    if event.state not in ENDING:
        text = f"{event.endpoint} {event.step} {good} {took}"
        return Words(level, " · ".join(filter(None, (text, event.detail))))
    kind = f" {event.failure.value}" if event.failure else ""
    text = f"{event.endpoint} {event.step} {bad}: {event.state.value}{kind} {took}"
    return Words(URGENT, " · ".join(filter(None, (text, event.detail))))


def _once(event: OnceFinished) -> Words:
    whose = f" for {event.client}" if event.client else ""
    refused = " refused" if event.refused else ""
    parts = [f"{event.step}{whose} {event.state.value}{refused}", event.detail]
    level = URGENT if event.state in ENDING else ORDINARY
    return Words(level, " · ".join(filter(None, parts)))


# People, and who is waited for.


def _asked(event: ApprovalAsked, run: str) -> Words:
    about = event.endpoint or event.client
    whose = f" for {about}" if about else ""
    parts = [
        f"asked {event.question}{whose}: {event.text}",
        f"answers: {', '.join(event.answers)}",
        f"waits {duration(event.for_ms / 1000)}" if event.for_ms else "",
        answering(event, short_run(run)),
    ]
    return Words(URGENT, " · ".join(filter(None, parts)))


_HOW: Final = {
    "terminal": "at the terminal",
    "inbox": "from another terminal",
    "beforehand": "given beforehand",
}


def _given(event: ApprovalGiven) -> Words:
    who = f"{event.who} (user {event.os_user})"
    parts = [f"{who} answers {event.question}: {event.answer}", _HOW[event.how], event.because]
    return Words(ORDINARY, " · ".join(filter(None, parts)))


def _note(event: Note) -> Words:
    about = f" {event.endpoint}" if event.endpoint else ""
    who = f" by {event.who}" if event.who else ""
    return Words(ORDINARY, f"note{about}{who}: {event.text}")


def _parked(event: EndpointParked) -> Words:
    wait = duration(event.for_ms / 1000)
    return Words(ORDINARY, f"{event.endpoint} is waited for, at most {wait}")


def _evidence(event: EvidenceSaved) -> Words:
    size = count(event.size_bytes, "byte")
    saved = f"saved {event.source} as {event.path} ({size})"
    return Words(ORDINARY, f"{event.endpoint} {event.step} {saved}")


def _trusted(event: EndpointKeyTrusted) -> Words:
    machine = f"is machine {event.machine_id} from now on ({event.key})"
    return Words(STEP, f"{event.endpoint} {machine}")


def _repaired(event: LogRepaired) -> Words:
    removed = count(event.removed_bytes, "byte")
    return Words(ORDINARY, f"log repaired: {removed} of a torn end kept as {event.kept_as}")


class _Teller(Protocol):
    def __call__(self, event: Any, /) -> Words:
        """Return the words of an event."""
        ...


_OF_WAVES: Final[dict[type[Event], Callable[[Any, int], Words]]] = {
    WaveOpened: _wave_opened,
    WaveBaking: _baking,
    WaveJudged: _judged,
    WaveStopped: _stopped,
    WaveReopened: _reopened,
}
_WORDS: Final[dict[type[Event], _Teller | Callable[[Any], Words]]] = {
    RunOpened: _opened,
    PlanFrozen: lambda event: Words(STEP, f"plan frozen: {fold_list(event.files)}"),
    RunResumed: _resumed,
    RunStopping: _stopping,
    RunPaused: lambda event: Words(ORDINARY, f"run paused: {event.why}"),
    RunClosed: _closed,
    StageOpened: _stage,
    WavesCut: _cut,
    StepStarted: _started,
    StepPart: _part,
    StepFinished: _finished,
    StepInDoubt: _doubt,
    StepResolved: _resolved,
    StepVerified: lambda event: _again(event, "still as wanted", "not as wanted any more", STEP),
    StepUndone: lambda event: _again(event, "taken back", "could not be taken back", ORDINARY),
    StepTidied: lambda event: Words(STEP, f"{event.endpoint} {event.step} left nothing behind"),
    OnceFinished: _once,
    EndpointParked: _parked,
    EndpointReturned: lambda event: Words(ORDINARY, f"{event.endpoint} is back"),
    EndpointExpired: lambda event: Words(ORDINARY, f"{event.endpoint} did not come back in time"),
    ApprovalGiven: _given,
    InboxRefused: lambda event: Words(ORDINARY, f"inbox: {event.name} is not obeyed: {event.why}"),
    EndpointKeyTrusted: _trusted,
    EvidenceSaved: _evidence,
    **dict.fromkeys(ACTS, lambda event: Words(ORDINARY, act_line(event))),
    Note: _note,
    AgreementOverridden: _overridden,
    Checkpoint: lambda event: Words(STEP, f"checkpoint {event.head_seq}:{event.head_sha[:16]}"),
    ClockJumped: lambda event: Words(
        ORDINARY, f"this machine's clock jumped by {duration(event.by_ms / 1000)}"
    ),
    LogRepaired: _repaired,
    LogWriteFailed: lambda event: Words(URGENT, f"log could not be written: {event.why}"),
    EventUnencodable: lambda event: Words(
        URGENT, f"an event {event.kind} could not be written in full"
    ),
}
"""What is said of each kind of event."""
