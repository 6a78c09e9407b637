"""A plan runs while somebody looks on: what run, exec, ping and drill share."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from outagekit.errors import LogDamaged
from outagekit.run.conduct import Conducted, Setting, conduct, conduct_on
from outagekit.run.engine.situation import Bounds
from outagekit.run.executing.lanes import LaneLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from outagekit.cli.end.said import Said
    from outagekit.cli.live.lines import EventsView, PlainView
    from outagekit.cli.live.view import LiveView
    from outagekit.cli.options import Pace, Shown, Streamed
    from outagekit.cli.prepare import Desk
    from outagekit.cli.render import Screen
    from outagekit.cli.trust.beliefs import Machines
    from outagekit.events import Record, RunId
    from outagekit.log.subscribers import OnRecords
    from outagekit.plan.model import Plan
    from outagekit.run.executing.lanes import Connect
    from outagekit.run.opening import Beginning, Resumption
    from outagekit.run.replay import Recorded
    from outagekit.transports.protocol import Ways


def run_plan(
    desk: Desk,
    plan: Plan,
    connect: Connect,
    *,
    pace: Pace,
    streamed: Streamed,
    beginning: Beginning,
    ways: Ways | None = None,
) -> Conducted:
    """Run a plan and show it live; returns when it is over and the log is closed."""
    with _seen(desk, plan, connect, pace, streamed) as seen:
        setting = replace(seen.setting, ways=ways)
        return seen.end(conduct(plan, desk.places.state, setting, beginning))


def resume_run(
    desk: Desk,
    left: Recorded,
    connect: Connect,
    how: Resumption,
    *,
    pace: Pace,
    streamed: Streamed,
    ways: Ways | None = None,
) -> Conducted:
    """Take up a run that was left and show it live, as `run_plan` does one that is new."""
    with _seen(desk, left.state.plan, connect, pace, streamed, left.records) as seen:
        return seen.end(conduct_on(left.folder, replace(seen.setting, ways=ways), how))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A run that somebody looks on at."""

    setting: Setting
    stream: EventsView | None
    screen: Screen
    machines: Machines

    def end(self, over: Conducted) -> Conducted:
        """Let the reader of the events take the last ones, and say what was odd on the way."""
        if self.stream is not None:
            _finish(self.stream, over, self.screen)
        for line in self.machines.clones():
            self.screen.warn(line)
        return over


@contextmanager
def _seen(  # noqa: PLR0917  (what a run is seen with)
    desk: Desk,
    plan: Plan,
    connect: Connect,
    pace: Pace,
    streamed: Streamed,
    before: Sequence[Record] = (),
) -> Iterator[_Seen]:
    from outagekit.cli.live.lines import EventsView
    from outagekit.cli.people.asking import Asker
    from outagekit.cli.trust.beliefs import Machines

    screen, settings = desk.screen, desk.places.settings
    stream = EventsView(screen) if streamed.events and not screen.json else None
    subscribers: list[OnRecords] = [stream.on_records] if stream else []
    with ExitStack() as views:
        live = None
        if screen.live:
            live = _live_view(plan, screen, before)
            subscribers.append(views.enter_context(live).on_records)
        elif stream is None or screen.verbose:
            subscribers.append(_plain_view(plan, screen, before).on_records)
        machines = Machines(desk.places.trust)
        subscribers.append(machines.on_records)
        asker = Asker(screen, view=live)
        asker.on_records(tuple(before))
        views.enter_context(asker)
        subscribers.append(asker.on_records)
        setting = Setting(
            connect,
            bounds=Bounds(running=settings.concurrency, per_site=pace.per_site),
            limits=LaneLimits(lanes=settings.concurrency, connecting=settings.connecting),
            subscribers=subscribers,
            on_open=lambda run, folder: _opened(desk, run, folder),
            warn=screen.warn,
            voice=asker if asker.attended else None,
        )
        yield _Seen(setting, stream, screen, machines)


def _live_view(plan: Plan, screen: Screen, before: Sequence[Record]) -> LiveView:
    from outagekit.cli.live.view import LiveView

    view = LiveView(plan, screen)
    view.on_records(tuple(before))
    return view


def _plain_view(plan: Plan, screen: Screen, before: Sequence[Record]) -> PlainView:
    from outagekit.cli.live.lines import PlainView

    view = PlainView(plan, screen)
    view.catch_up(before)
    return view


def _finish(stream: EventsView, over: Conducted, screen: Screen) -> None:
    """Let the reader of the events take the last ones, unless a person does not want to wait."""
    try:
        why = stream.finish(over.last_seq)
    except KeyboardInterrupt:
        why = "nobody waited for its reader"
    if why:
        screen.warn(f"the stream of events is not complete, the log is: {why}")


def _opened(desk: Desk, run: RunId, folder: Path) -> None:
    desk.screen.note(f"run {run}")
    desk.screen.note(f"log {folder / 'log.jsonl'}")


def tell_ending(desk: Desk, plan: Plan, over: Conducted, shown: Shown) -> None:
    """Say how it ended, for people or as one document, and exit with the run's code."""
    from outagekit.cli.end.document import counts_document
    from outagekit.cli.end.onward import next_commands
    from outagekit.cli.end.summary import summary

    verdict = verdict_text(over.folder)
    said = said_of(over)
    keep_hands_on(desk, over)
    log_path = over.folder / "log.jsonl"
    if shown.json:
        desk.screen.document(
            counts_document(over.ending, plan, over.run, log_path=log_path, said=said)
        )
    tell = desk.screen.say if over.ending.exit_code else desk.screen.note
    tell(summary(over.ending, plan, over.run, log_path=log_path, verdict=verdict, said=said))
    desk.screen.next(next_commands(over.ending, plan))
    if over.ending.exit_code:
        raise typer.Exit(over.ending.exit_code)


def keep_hands_on(desk: Desk, over: Conducted) -> None:
    """Write who is to be seen to by hand into the run's folder, where the playbook has a ladder."""
    from outagekit.cli.end.by_hand import FILE, by_hand, table

    found = by_hand(over.ending.state) if over.ending.state.plan.playbook.hands_on else ()
    path = over.folder / FILE
    try:
        if found:
            with path.open("w", encoding="utf-8", newline="") as file:
                path.chmod(0o600)
                file.write(table(found))
        else:  # of an earlier life of the run
            path.unlink(missing_ok=True)
    except OSError as fault:
        desk.screen.warn(f"{FILE} could not be written: {fault.strerror or fault}")


def said_of(over: Conducted) -> tuple[Said, ...]:
    """Return what steps of a run said for people, over all its process lives."""
    from outagekit.cli.end.said import said_in, speaking
    from outagekit.log.reader import read_records

    state = over.ending.state
    return said_in(read_records(over.folder), state) if speaking(state.plan) else ()


def verdict_text(folder: Path) -> str:
    """Return what `log verify` says of a run that just ended, in one line."""
    from outagekit.log.verify import verify

    verdict = verify(folder)
    if not verdict.ok:
        raise LogDamaged(f"the log just written does not verify: {verdict.reason}")
    return f"verified: {verdict.records} records, head {verdict.head_seq}:{verdict.head_sha[:16]}"
