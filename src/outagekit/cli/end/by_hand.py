"""The hands-on list: who never answered, and which rung of the repair ladder is next. Pure."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Final

from rich.text import Text

from outagekit.cli.end.sections import names_text
from outagekit.events import EndState
from outagekit.plan.hands_on import ladder
from outagekit.text import count, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from outagekit.inventory.model import Endpoint
    from outagekit.playbook.model import HandsOn
    from outagekit.run.engine.state import Progress, State

FILE: Final = "hands-on.csv"
"""The whole list, in the run's folder."""
_COLUMNS: Final = ("client", "site", "endpoint", "address", "last_seen", "rung", "do")
_MAX_RUNGS: Final = 5
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """An endpoint that a person has to go to."""

    endpoint: Endpoint
    seen_at: datetime | None
    """When it last gave a sign of life in this run, in UTC; None: never."""
    rung: HandsOn | None
    """None: the playbook says nothing about such an endpoint."""

    @property
    def row(self) -> dict[str, str]:
        """The line of the list, by column; empty where there is nothing to say."""
        endpoint, rung = self.endpoint, self.rung
        seen = f"{self.seen_at:%Y-%m-%dT%H:%M:%SZ}" if self.seen_at else ""
        said = (rung.rung, rung.do) if rung else ("", "")
        values = (endpoint.client, endpoint.site or "", endpoint.name, endpoint.address, seen)
        return dict(zip(_COLUMNS, (*values, *said), strict=True))


def by_hand(state: State) -> tuple[ByHand, ...]:
    """Return who could not be reached, or is still waited for, in the order of the plan."""
    find = ladder(state.plan.playbook)
    away = (each for each in state.progress.values() if _is_away(each))
    return tuple(
        ByHand(each.endpoint, _moment(each), find(each.endpoint, each.seen_ns is not None))
        for each in away
    )


def hand_lines(state: State, *, zone: tzinfo | None = None) -> Iterator[Text]:
    """Yield the list by rungs, where the playbook has a ladder; times are of `zone`."""
    found = by_hand(state) if state.plan.playbook.hands_on else ()
    if not found:
        return
    yield Text()
    never = count(len(found), "endpoint")
    yield Text(f"By hand: {never} out of reach; the whole list is {FILE}, beside the log", "bold")
    rungs = _by_rung(found)
    for rung, those in list(rungs.items())[:_MAX_RUNGS]:
        yield from _rung_lines(rung, those, zone)
    if len(rungs) > _MAX_RUNGS:
        left = sum(len(those) for those in list(rungs.values())[_MAX_RUNGS:])
        yield Text(f"  and {count(left, 'endpoint')} on other rungs", "dim")


def table(found: Sequence[ByHand]) -> str:
    """Return the list as CSV (RFC 4180); no cell of it is a formula."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in each.row.items()} for each in found)
    return text.getvalue()


def _is_away(progress: Progress) -> bool:
    return progress.state is EndState.UNREACHABLE or progress.parked_until_ns is not None


def _moment(progress: Progress) -> datetime | None:
    if progress.seen_ns is None:
        return None
    return datetime.fromtimestamp(progress.seen_ns // 1_000_000_000, UTC)


def _by_rung(found: Sequence[ByHand]) -> dict[HandsOn | None, list[ByHand]]:
    rungs: dict[HandsOn | None, list[ByHand]] = {}
    for each in found:
        rungs.setdefault(each.rung, []).append(each)
    return rungs


def _rung_lines(
    rung: HandsOn | None, those: Sequence[ByHand], zone: tzinfo | None
) -> Iterator[Text]:
    line = Text.assemble("  ", (visible_line(rung.rung) if rung else "?", "bold"))
    said = visible_line(rung.do) if rung else "the playbook does not say what to do here"
    yield line.append(f"  {count(len(those), 'endpoint')}: {said}")
    yield Text(f"      {names_text(each.endpoint.id for each in those)}", "dim")
    seen = max((each.seen_at for each in those if each.seen_at), default=None)
    if seen is not None:
        yield Text(f"      last seen {seen.astimezone(zone):%H:%M:%S}", "dim")


def _cell(value: str) -> str:
    shown = visible_line(value)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
