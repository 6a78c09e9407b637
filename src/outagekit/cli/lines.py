"""A run as lines: one an event for people without a live view, one JSON object for programs.

Subscribers of the log, as the live view is. `Narrator` knows the words, and nothing of a screen.
"""

from __future__ import annotations

import time
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from outagekit.cli.tally import ENDING, Tally, last_line, result_line
from outagekit.errors import OutagekitError
from outagekit.events import (
    AgreementOverridden,
    Checkpoint,
    ClockJumped,
    EndpointKeyTrusted,
    EndState,
    Event,
    EventUnencodable,
    EvidenceSaved,
    LogRepaired,
    LogWriteFailed,
    Note,
    PlanFrozen,
    Record,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepPart,
    StepStarted,
)
from outagekit.text import count, duration, fold_list, printable_json, visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from outagekit.cli.render import Screen
    from outagekit.plan.model import Plan

_FAILURE, _ORDINARY, _STEP, _COMMAND = range(4)
"""From which level on something is told: `-q`, nothing, `-v`, `-vv`."""

_TICK_S: Final = 0.05
_IDLE_TICKS: Final = 20
"""So long nothing is written only if the log has stopped telling."""

_Said = tuple[int, str]


class Narrator:
    """Says in a line what a record means. Keeps the day, so that it is named when it changes."""

    def __init__(
        self, *, verbose: int = 0, quiet: bool = False, zone: tzinfo | None = None
    ) -> None:
        self._level = _FAILURE if quiet else _ORDINARY + verbose
        self._zone = zone
        self._day = ""

    def lines(self, record: Record) -> list[str]:
        """Return the lines for a record, made visible: none if it is not for this level.

        `zone` None is this machine's. Before the first line, and when another day begins, a line
        names the day and the zone.
        """
        level, text = _WORDS[type(record.event)](record.event)
        if level > self._level:
            return []
        moment = _moment(record.at, self._zone)
        if moment is None:  # a log somebody else wrote may say anything
            return [visible_line(f"{record.at[:40]} {text}")]
        shown = visible_line(f"{moment:%H:%M:%S} {text}")
        day = f"{moment:%Y-%m-%d}, times are {moment.tzname()} (UTC{_offset(moment)})"
        if day == self._day:
            return [shown]
        self._day = day
        return [visible_line(day), shown]


def _moment(at: str, zone: tzinfo | None) -> datetime | None:
    try:
        return datetime.fromisoformat(at).astimezone(zone)
    except (ValueError, OverflowError):
        return None


def _offset(moment: datetime) -> str:
    text = f"{moment:%z}"
    return f"{text[:3]}:{text[3:5]}"


class PlainView:
    """Tells a run on stderr, a line an event, and after each stage how it ended."""

    def __init__(self, plan: Plan, screen: Screen, *, zone: tzinfo | None = None) -> None:
        self._screen = screen
        self._narrator = Narrator(verbose=screen.verbose, quiet=screen.quiet, zone=zone)
        self._tally = Tally(plan)

    def on_records(self, records: tuple[Record, ...]) -> None:
        """Print records; called from the log's thread."""
        told: list[str] = []
        for record in records:
            if isinstance(record.event, StageOpened | RunClosed | RunPaused):
                told.extend(self._stage_end())
            self._tally.take(record)
            told.extend(self._narrator.lines(record))
        self._screen.lines(told)

    def _stage_end(self) -> list[str]:
        stage = self._tally.open
        if stage is None or self._screen.quiet:
            return []
        whole = f"{stage.done} of {count(stage.total or 0, 'endpoint')}"
        return [f"         stage {stage.stage.phase} ended for {whole}: {counts_text(stage.ends)}"]


class EventsView:
    """Streams every record to stdout as a line of JSON: the log's fields without `dur` and `prev`.

    If nobody reads on, the run goes on; a reader that is slow keeps nobody but itself waiting.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._last_seq = -1
        self._busy = False
        self._fault = ""

    def on_records(self, records: tuple[Record, ...]) -> None:
        """Write records in one go and flush; called from the log's thread."""
        self._busy = True
        try:
            self._screen.data(printable_json("".join(map(_json_line, records))))
            self._last_seq = records[-1].seq
        except OutagekitError as fault:
            self._fault = fault.message
            raise
        finally:
            self._busy = False

    def finish(self, seq: int) -> str:
        """Wait, as long as a reader takes its time, until record `seq` was written.

        Returns why the stream is not complete, or an empty text.
        """
        idle = 0
        while self._last_seq < seq and not self._fault and idle < _IDLE_TICKS:
            time.sleep(_TICK_S)
            idle = 0 if self._busy else idle + 1
        if self._fault or self._last_seq >= seq:
            return self._fault
        return "its reader was too far behind"


class _Fields(msgspec.Struct, frozen=True):
    """The fields around an event, in the log's order; `v` is the log's format."""

    v: int
    seq: int
    at: str
    mono: int
    life: str
    run: str


def _json_line(record: Record) -> str:
    around = _Fields(1, record.seq, record.at, record.mono, record.life, record.run)
    head = msgspec.json.encode(around).decode()[:-1]
    event = msgspec.json.encode(record.event).decode()[1:-1]
    return f'{head},{event},"sha":{msgspec.json.encode(record.sha).decode()}}}\n'


def counts_text(ends: Mapping[EndState, int]) -> str:
    """Return end states with their numbers, worst first: `failed 2 · ok 38`."""
    return " · ".join(f"{state.value} {ends[state]}" for state in EndState if ends.get(state))


def _opened(event: RunOpened) -> _Said:
    kind = "drill" if event.drill else "run"
    size = count(event.endpoints, "endpoint")
    return _ORDINARY, f"{kind} opened: {event.title} · {fold_list(event.clients, 3)} · {size}"


def _stage(event: StageOpened) -> _Said:
    size = count(event.endpoints, "endpoint")
    return _ORDINARY, f"stage {event.phase}: {fold_list(event.steps)} on {size}"


def _started(event: StepStarted) -> _Said:
    again = f" (try {event.number})" if event.number > 1 else ""
    return _STEP, f"{event.endpoint} {event.step} begins{again}"


def _part(event: StepPart) -> _Said:
    last = last_line(event.stdout.tail or event.stdout.text)
    code = "no exit code" if event.exit_code is None else f"exit code {event.exit_code}"
    took = duration(event.duration_ms / 1000)
    said = f" · {last}" if last else ""
    return _COMMAND, f"{event.endpoint} {event.step} {event.part} {code} {took}{said}"


def _finished(event: StepFinished) -> _Said:
    kind = f" {event.failure.value}" if event.failure else ""
    took = f" {duration(event.duration_ms / 1000)}" if event.attempt else ""
    parts = [
        f"{event.endpoint} {event.step} {event.state.value}{kind}{took}",
        event.detail or result_line(event.result),
    ]
    if event.retry_in_ms is not None:
        parts.append(f"again in {duration(event.retry_in_ms / 1000)}")
        return _ORDINARY, " · ".join(filter(None, parts))
    level = _FAILURE if event.state in ENDING else _ORDINARY
    return level, " · ".join(filter(None, parts))


def _doubt(event: StepInDoubt) -> _Said:
    return _FAILURE, f"{event.endpoint} {event.step} unknown · {event.why}"


def _evidence(event: EvidenceSaved) -> _Said:
    size = count(event.size_bytes, "byte")
    return _ORDINARY, f"{event.endpoint} {event.step} saved {event.source} as {event.path} ({size})"


def _trusted(event: EndpointKeyTrusted) -> _Said:
    return _STEP, f"{event.endpoint} is machine {event.machine_id} from now on ({event.key})"


def _note(event: Note) -> _Said:
    about = f" {event.endpoint}" if event.endpoint else ""
    who = f" by {event.who}" if event.who else ""
    return _ORDINARY, f"note{about}{who}: {event.text}"


def _overridden(event: AgreementOverridden) -> _Said:
    standing = "" if event.listed else ", who is no listed approver"
    clients = fold_list(event.clients, 3)
    by = f"{event.approved_by}{standing}"
    return _ORDINARY, f"beyond the agreement of {clients}: {event.allow}, approved by {by}"


def _repaired(event: LogRepaired) -> _Said:
    removed = count(event.removed_bytes, "byte")
    return _ORDINARY, f"log repaired: {removed} of a torn end kept as {event.kept_as}"


def _closed(event: RunClosed) -> _Said:
    parts = ["run closed", counts_text(event.counts), f"exit code {event.exit_code}", event.why]
    return _ORDINARY, " · ".join(filter(None, parts))


class _Words(Protocol):
    def __call__(self, event: Any, /) -> _Said:
        """Return the level and the words of an event."""
        ...


_WORDS: Final[dict[type[Event], _Words | Callable[[Any], _Said]]] = {
    RunOpened: _opened,
    PlanFrozen: lambda event: (_STEP, f"plan frozen: {fold_list(event.files)}"),
    RunResumed: lambda event: (
        _ORDINARY,
        f"run resumed by {event.os_user}, outagekit {event.version}",
    ),
    RunPaused: lambda event: (_ORDINARY, f"run paused: {event.why}"),
    RunClosed: _closed,
    StageOpened: _stage,
    StepStarted: _started,
    StepPart: _part,
    StepFinished: _finished,
    StepInDoubt: _doubt,
    EndpointKeyTrusted: _trusted,
    EvidenceSaved: _evidence,
    Note: _note,
    AgreementOverridden: _overridden,
    Checkpoint: lambda event: (_STEP, f"checkpoint {event.head_seq}:{event.head_sha[:16]}"),
    ClockJumped: lambda event: (
        _ORDINARY,
        f"this machine's clock jumped by {duration(event.by_ms / 1000)}",
    ),
    LogRepaired: _repaired,
    LogWriteFailed: lambda event: (_FAILURE, f"log could not be written: {event.why}"),
    EventUnencodable: lambda event: (
        _FAILURE,
        f"an event {event.kind} could not be written in full",
    ),
}
"""What is said of each kind of event."""
