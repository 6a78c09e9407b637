"""What a person is told about a plan before it runs: values, no screen, no clock, no prompt."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from outagekit.errors import Refused, UsageError
from outagekit.events import Allow, EndpointId, StepId
from outagekit.inventory.adhoc import ADHOC
from outagekit.inventory.model import Client
from outagekit.plan.accounts import by_sudo
from outagekit.plan.foreseen import ForeseenStage, foreseen_stages, stop_words
from outagekit.plan.model import Override, Plan, Refusal, Stage
from outagekit.plan.spread import survey_of
from outagekit.plan.windows import by_winrm
from outagekit.playbook.model import Once, Phase, Retry, Risk, Rollout, Step
from outagekit.text import count, duration, fold_list, visible_line

SHORT: Final = 12
"""Hexadecimal digits of the digest that a person is shown."""
_SHOWN_FIRST: Final = 3
_PREFIX = re.compile(r"[0-9a-f]{6,64}")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./\\-]+")


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the values of a summary; they can be printed as JSON as they are."""


class Confirmation(Value, frozen=True):
    """A question, and the one answer that counts as yes."""

    text: str
    expected: str


class StepRow(Value, frozen=True):
    """A step as a line of a table."""

    id: StepId
    title: str
    phase: Phase
    risk: Risk
    needs: tuple[Allow, ...]
    endpoints: int
    """At most as many; a `when` may rule some out. Of a step that happens once: how often."""
    as_root: int
    """On how many of them it runs as root: by sudo, or because root logs in."""
    check: bool
    verify: bool
    undo: bool
    retry: Retry
    when: str | None = None
    once: Once | None = None


class Summary(Value, frozen=True):
    """A plan in short."""

    playbook: str
    title: str
    digest: str
    selection: str
    endpoints: dict[str, int]
    """Client -> number of its endpoints."""
    first: EndpointId
    """The endpoint that is changed first, or begun first where nothing is changed."""
    stages: tuple[Stage, ...]
    steps: tuple[StepRow, ...]
    no_undo: tuple[StepId, ...]
    """Changing steps that cannot be taken back."""
    no_check: tuple[StepId, ...]
    """Changing steps that a dry run cannot judge."""
    survey: tuple[StepId, ...]
    """What every endpoint is asked before anything is changed."""
    rollout: Rollout | None
    """How changes spread, with its defaults; None where nothing spreads."""
    waves: tuple[ForeseenStage, ...]
    """Of each changing stage, as many and as large as they can become."""
    leading: tuple[EndpointId, ...]
    """Who goes first, by the rollout's `first`."""
    apart: tuple[EndpointId, ...]
    by_sudo: int
    """On how many endpoints a changing step becomes root by sudo."""
    by_jump: dict[str, int]
    """Jump host that a site names -> how many endpoints are reached through it."""
    by_winrm: dict[str, int]
    """How WinRM is spoken to, in words -> how many endpoints."""
    pounce: tuple[StepId, ...]
    dry_run: bool
    undo_on_failure: bool
    refusals: tuple[Refusal, ...]
    overrides: tuple[Override, ...]


def summarise(plan: Plan) -> Summary:
    """Return the plan in short."""
    counts = {client.client: 0 for client in plan.clients}
    for endpoint in plan.endpoints:
        counts[endpoint.client] += 1
    waves = foreseen_stages(plan)
    return Summary(
        playbook=plan.playbook.name,
        title=plan.playbook.title,
        digest=plan.digest,
        selection=plan.selection,
        endpoints=counts,
        first=waves[0].first[0] if waves else plan.endpoints[0].id,
        stages=plan.stages,
        steps=tuple(_row(step, plan) for step in plan.steps),
        no_undo=tuple(step.id for step in plan.steps if step.changes and step.undo is None),
        no_check=tuple(step.id for step in plan.steps if step.changes and step.check is None),
        survey=survey_of(plan.playbook),
        rollout=plan.rollout if waves else None,
        waves=waves,
        leading=plan.first,
        apart=plan.apart,
        by_sudo=len(by_sudo(plan)),
        by_jump=_by_jump(plan),
        by_winrm=by_winrm(plan),
        pounce=plan.pounce,
        dry_run=plan.dry_run,
        undo_on_failure=plan.undo_on_failure,
        refusals=plan.refusals,
        overrides=plan.overrides,
    )


def confirmation(plan: Plan, *, now: datetime) -> Confirmation | None:
    """Return the question to ask before the plan runs, or None if it only reads.

    The answer is the number of endpoints if anything destructive may happen, else `y`. `now` is
    an aware time; each client's own time tells whether people are at work there.
    """
    if not plan.changes or plan.dry_run:
        return None
    number = len(plan.endpoints)
    destructive = [step for step in plan.steps if step.risk == "destructive"]
    sentences = [
        f"This CHANGES up to {count(number, 'endpoint')} of {_whose(plan.clients, now)}.",
        _named("Destructive, no undo", (s for s in destructive if s.undo is None)),
        _named("Destructive, with undo", (s for s in destructive if s.undo is not None)),
        *_beginning(plan),
        *_on_the_way(plan),
        _taken_back(plan),
    ]
    expected = str(number) if destructive else "y"
    told = " ".join(filter(None, sentences))
    return Confirmation(text=f"{told} Type {expected} to start:", expected=expected)


def _beginning(plan: Plan) -> tuple[str, ...]:
    """Return who is changed first, and what stops it there."""
    stages = foreseen_stages(plan)
    if not stages:
        return ()
    first = stages[0].first
    stops = stop_words(stages[0].waves[0].gate)
    return (
        f"First: {fold_list(first, 1 if len(first) > _SHOWN_FIRST else _SHOWN_FIRST)}.",
        f"Stops there at: {stops}." if stops else "Nothing stops it there.",
    )


def _on_the_way(plan: Plan) -> tuple[str, ...]:
    """Return under which account, by which way and how slowly it happens, where that is special."""
    root, jumps, bake_s = len(by_sudo(plan)), _by_jump(plan), plan.rollout.bake_s
    on = "" if root == len(plan.endpoints) else f" on {root}"
    through = fold_list(f"{jump} ({number})" for jump, number in jumps.items())
    watched = bool(bake_s) and bool(foreseen_stages(plan))
    return (
        f"As root by sudo{on}." if root else "",
        f"Through {count(len(jumps), 'jump host')}: {through}." if jumps else "",
        f"After each wave it waits {duration(bake_s)} and verifies again." if watched else "",
    )


def _by_jump(plan: Plan) -> dict[str, int]:
    sites = (plan.site_of(endpoint) for endpoint in plan.endpoints)
    return dict(Counter(site.jump for site in sites if site is not None and site.jump))


def _taken_back(plan: Plan) -> str:
    if not plan.undo_on_failure:
        return ""
    undone = [step for step in plan.steps if step.changes and step.undo is not None]
    return _named("Taken back at once on an endpoint that fails", undone)


def override_confirmations(plan: Plan) -> tuple[Confirmation, ...]:
    """Return a question for every override by somebody the agreements do not name.

    The answer is the name typed once more. Overrides by a listed approver need no question.
    """
    return tuple(
        Confirmation(
            text=f"{given.approved_by} is no approver of {fold_list(given.clients)} for"
            f" {given.allow}; this is logged as not listed. Type the name again to go on:",
            expected=given.approved_by,
        )
        for given in plan.overrides
        if not given.listed
    )


def local_time(client: Client, *, now: datetime) -> str | None:
    """Return `Fri 03:12 CET`: what clocks at the client show; None if its zone is not known here.

    Where an operating system has no time zone data, `UTC` is known all the same.
    """
    if client.client == ADHOC:
        return None
    try:
        there = now.astimezone(ZoneInfo(client.timezone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    return f"{_DAYS[there.weekday()]} {there:%H:%M} {there.tzname()}"


def next_command(words: Sequence[str], plan: Plan, *, powershell: bool = False) -> str:
    """Return the command that runs exactly this plan, to be pasted.

    `words` are the arguments that made the plan, without the program and the word `plan`. They
    are quoted for a POSIX shell, or for PowerShell.
    """
    quote = _quoted_for_powershell if powershell else shlex.quote
    quoted = " ".join(map(quote, words))
    return " ".join(filter(None, ("outagekit run", quoted, f"--plan {plan.digest[:SHORT]}")))


def matches(plan: Plan, prefix: str) -> bool:
    """Return whether the plan's digest begins with `prefix`, six or more hexadecimal digits.

    Raises `UsageError` for anything that is no such prefix.
    """
    wanted = prefix.strip().lower()
    if not _PREFIX.fullmatch(wanted):
        message = f"{visible_line(prefix)!r} is not the beginning of a plan's digest"
        raise UsageError(message, hint="give at least 6 of the digits that `plan` printed")
    return plan.digest.startswith(wanted)


def require_same(plan: Plan, prefix: str) -> None:
    """Raise `Refused` if this is not the plan whose digest begins with `prefix`."""
    if not matches(plan, prefix):
        message = (
            f"this plan is {plan.digest[:SHORT]}, not {visible_line(prefix.strip())[:SHORT]}:"
            " playbook, parameters, inventory, selection or flags changed since it was shown"
        )
        raise Refused(message, hint="look at it again with 'outagekit plan'")


def _row(step: Step, plan: Plan) -> StepRow:
    reached = {None: len(plan.endpoints), "client": len(plan.clients), "run": 1}
    return StepRow(
        id=step.id,
        title=step.title,
        phase=step.phase,
        risk=step.risk,
        needs=step.needs,
        endpoints=reached[step.once],
        as_root=_as_root(step, plan),
        check=step.check is not None,
        verify=step.verify is not None,
        undo=step.undo is not None,
        retry=step.retry,
        when=step.when,
        once=step.once,
    )


def _as_root(step: Step, plan: Plan) -> int:
    if step.local:
        return 0
    return sum(plan.account_of(step, endpoint) == "root" for endpoint in plan.endpoints)


def _whose(clients: Sequence[Client], now: datetime) -> str:
    """Return the clients with their time; those whose clocks agree share it."""
    by_time: dict[str | None, list[str]] = {}
    for client in clients:
        by_time.setdefault(local_time(client, now=now), []).append(client.client)
    return "; of ".join(
        fold_list(names) + (f" (their time {time})" if time else "")
        for time, names in by_time.items()
    )


def _named(what: str, steps: Iterable[Step]) -> str:
    names = fold_list((step.id for step in steps), 10)
    return f"{what}: {names}." if names else ""


def _quoted_for_powershell(word: str) -> str:
    if _PLAIN_WORD.fullmatch(word):
        return word
    return "'" + word.replace("'", "''") + "'"
