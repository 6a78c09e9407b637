"""What reading a playbook found so far: problems, and which parts were too broken to judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outagekit.errors import Problem
    from outagekit.source import Document, Location

_HARMLESS_TOP = frozenset(
    {"outagekit", "title", "kind", "summary", "targets", "rollout", "hands_on", "refs"}
)
_NAMING = frozenset({"id", "title", "result"})


@dataclass(slots=True)
class Findings:
    """Collects problems at places of one document."""

    document: Document
    problems: list[Problem] = field(default_factory=list)
    repaired: set[Location] = field(default_factory=set)
    """Places that were left out or replaced so that the rest could be judged."""

    def add(
        self,
        loc: Location,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
        warning: bool = False,
        offset: int | None = None,
    ) -> None:
        """Note a problem at a place; the arguments are those of `Document.problem`."""
        self.problems.append(
            self.document.problem(loc, message, hint, key=key, warning=warning, offset=offset)
        )

    def uncertain(self, loc: Location) -> bool:
        """Return whether something at or below `loc` was repaired."""
        return any(place[: len(loc)] == loc for place in self.repaired)

    @property
    def names_uncertain(self) -> bool:
        """Whether a repair may have hidden the name of a parameter, step, field or value."""
        return not all(_harmless(place) for place in self.repaired)


def _harmless(place: Location) -> bool:
    match place:
        case ("steps", int(), key, *_):
            return key not in _NAMING
        case ("params", _, *_) | ("drill", "steps", *_):
            return True
        case (str() as key, *_):
            return key in _HARMLESS_TOP
    return False
