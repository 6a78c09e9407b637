"""A run as lines: one an event for people without a live view, one JSON object for programs.

Subscribers of the log, as the live view is. `Narrator` knows the words, and nothing of a screen.
"""

from __future__ import annotations

import time
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Final

import msgspec

from outagekit.cli.live.tally import Tally
from outagekit.cli.live.wording import ORDINARY, URGENT, counts_text, words_of
from outagekit.errors import OutagekitError
from outagekit.events import Record, RunClosed, RunPaused, StageOpened, WaveOpened, WavesCut
from outagekit.text import count, printable_json, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outagekit.cli.render import Screen
    from outagekit.plan.model import Plan

_TICK_S: Final = 0.05
_IDLE_TICKS: Final = 20
"""So long nothing is written only if the log has stopped telling."""


class Narrator:
    """Says in a line what a record means.

    Keeps the day, so that it is named when it changes, and how many waves a stage has.
    """

    def __init__(
        self, *, verbose: int = 0, quiet: bool = False, zone: tzinfo | None = None
    ) -> None:
        self._level = URGENT if quiet else ORDINARY + verbose
        self._zone = zone
        self._day = ""
        self._waves = 0

    def lines(self, record: Record) -> list[str]:
        """Return the lines for a record, made visible: none if it is not for this level.

        `zone` None is this machine's. Before the first line, and when another day begins, a line
        names the day and the zone.
        """
        self.remember(record)
        level, text = words_of(record.event, waves=self._waves, run=record.run)
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

    def remember(self, record: Record) -> None:
        """Take note of a record without telling it."""
        event = record.event
        if isinstance(event, WavesCut):
            self._waves = len(event.sizes)
        elif isinstance(event, WaveOpened):
            self._waves = event.waves


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

    def catch_up(self, records: Iterable[Record]) -> None:
        """Count what a run's earlier lives recorded, without telling it again."""
        for record in records:
            self._tally.take(record)
            self._narrator.remember(record)

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
        once = stage.stage.once
        whom = "endpoint" if once is None else once
        whole = f"{stage.done} of {count(stage.total or 0, whom)}"
        ends = counts_text(stage.ends.by_word)
        line = f"         stage {stage.stage.phase} ended for {whole}"
        return [f"{line}: {ends}" if ends else line]


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
