"""A plan runs while somebody looks on: what run, exec, ping and drill share."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from outagekit.errors import LogDamaged
from outagekit.run.conduct import Conducted, conduct
from outagekit.run.decide import Bounds
from outagekit.run.lanes import LaneLimits

if TYPE_CHECKING:
    from outagekit.cli.lines import EventsView
    from outagekit.cli.options import Pace, Shown, Streamed
    from outagekit.cli.prepare import Desk
    from outagekit.cli.render import Screen
    from outagekit.events import RunId
    from outagekit.log.subscribers import OnRecords
    from outagekit.plan.model import Plan
    from outagekit.run.lanes import Connect


def run_plan(
    desk: Desk,
    plan: Plan,
    connect: Connect,
    *,
    pace: Pace,
    streamed: Streamed,
    drill: bool = False,
) -> Conducted:
    """Run a plan and show it live; returns when it is over and the log is closed."""
    from outagekit.cli.lines import EventsView, PlainView
    from outagekit.cli.live import LiveView

    screen = desk.screen
    settings = desk.places.settings
    bounds = Bounds(running=settings.concurrency, per_site=pace.per_site)
    limits = LaneLimits(lanes=settings.concurrency, connecting=settings.connecting)
    streaming = streamed.events and not screen.json
    stream = EventsView(screen)
    with ExitStack() as views:
        subscribers: list[OnRecords] = []
        if streaming:
            subscribers.append(stream.on_records)
        if screen.live:
            subscribers.append(views.enter_context(LiveView(plan, screen)).on_records)
        elif not streaming or screen.verbose:
            subscribers.append(PlainView(plan, screen).on_records)
        over = conduct(
            plan,
            desk.places.state,
            connect,
            bounds=bounds,
            limits=limits,
            subscribers=subscribers,
            drill=drill,
            on_open=lambda run, folder: _opened(desk, run, folder),
            warn=screen.warn,
        )
    if streaming:
        _finish(stream, over, screen)
    return over


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
    from outagekit.cli.ending import counts_document, next_commands, summary

    verdict = verdict_text(over.folder)
    log_path = over.folder / "log.jsonl"
    if shown.json:
        desk.screen.document(counts_document(over.ending, plan, over.run, log_path=log_path))
    tell = desk.screen.say if over.ending.exit_code else desk.screen.note
    tell(summary(over.ending, plan, over.run, log_path=log_path, verdict=verdict))
    desk.screen.next(next_commands(over.ending, plan))
    if over.ending.exit_code:
        raise typer.Exit(over.ending.exit_code)


def verdict_text(folder: Path) -> str:
    """Return what `log verify` says of a run that just ended, in one line."""
    from outagekit.log.verify import verify

    verdict = verify(folder)
    if not verdict.ok:
        raise LogDamaged(f"the log just written does not verify: {verdict.reason}")
    return f"verified: {verdict.records} records, head {verdict.head_seq}:{verdict.head_sha[:16]}"
