"""Where endpoints stand in a run that goes on: counted by stage, by wave and by what was said.

Values that `Tally` keeps up to date; nothing here reads a record, a clock or a screen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from outagekit.events import (
    WORST_FIRST,
    ApprovalAsked,
    EndpointId,
    EndState,
    FailureKind,
    GateCount,
    GateLimit,
    GateSum,
    Purpose,
    StepId,
)

if TYPE_CHECKING:
    from outagekit.inventory.model import Endpoint
    from outagekit.plan.model import Stage

ENDING: Final = frozenset({EndState.FAILED, EndState.UNKNOWN, EndState.UNREACHABLE})
"""After these no later step begins on an endpoint."""

WOULD: Final = "would change"
"""What is counted in a dry run where a real one would have changed something."""

Word = str
"""An end state, or `WOULD`."""

_RANK: Final[dict[Word, int]] = {state: 2 * rank for rank, state in enumerate(WORST_FIRST)}
_RANK[WOULD] = _RANK[EndState.CHANGED] + 1

_NO_CONTACT: Final = frozenset(
    {
        FailureKind.HOST_KEY,
        FailureKind.TLS,
        FailureKind.AUTH,
        FailureKind.CREDENTIAL_STOPPED,
        FailureKind.BECOME,
        FailureKind.WRONG_MACHINE,
        FailureKind.LOST,
        FailureKind.TIMEOUT,
        FailureKind.ABANDONED,
        FailureKind.PROTOCOL,
        FailureKind.LOCAL_IO,
    }
)


def rank_of(word: Word) -> int:
    """Return a number for sorting: the worst first."""
    return _RANK[word]


Mark = Literal["", "doubt", "undo", "would", "passed_over", "refused", "stood"]
"""What an end is if it is no plain one: an open doubt, an undo, what a dry run foresees, a doubt
that the endpoint goes on with, a person's refusal, something done that was looked at again."""


class Said(NamedTuple):
    """What makes step ends identical: these are shown as one line with their number."""

    step: StepId
    state: EndState
    failure: FailureKind | None
    text: str
    """The last line of output, the result, or why it failed; without the endpoint's address."""
    mark: Mark = ""

    @property
    def word(self) -> Word:
        """What an endpoint with this end is counted as."""
        return WOULD if self.mark == "would" else self.state

    @property
    def ending(self) -> bool:
        """Whether no later step begins on the endpoint."""
        if self.mark in {"doubt", "passed_over"}:
            return False
        return self.state in ENDING or self.mark == "refused"


@dataclass(slots=True)
class Fold:
    """Identical step ends."""

    count: int
    text: str
    """What the first of them said, with everything in it."""
    names: dict[EndpointId, None] = field(default_factory=dict)
    """Who ended so, in order; kept of what did not go well."""


class Running(NamedTuple):
    """A step that runs now."""

    endpoint: EndpointId
    step: StepId
    number: int
    since_ns: int
    purpose: Purpose = "do"


class Question(NamedTuple):
    """A question that waits for a person."""

    event: ApprovalAsked
    asked_ns: int

    @property
    def until_ns(self) -> int | None:
        """When it is not waited for any more, or None."""
        return self.asked_ns + self.event.for_ms * 1_000_000 if self.event.for_ms else None


@dataclass(slots=True)
class Ends:
    """How many endpoints of some group are done, and as what; how many have answered."""

    by_word: Counter[Word] = field(default_factory=Counter)
    answered: int = 0

    @property
    def done(self) -> int:
        """How many have nothing left to do."""
        return self.by_word.total()

    def move(self, before: Word | None, after: Word | None) -> None:
        """Count one endpoint no longer as `before` but as `after`; None: it is not done."""
        if before is not None:
            self.by_word[before] -= 1
        if after is not None:
            self.by_word[after] += 1

    def found(self, what: GateCount) -> int:
        """Return the number that a line of a gate is about."""
        return self.answered if what == "answered" else self.by_word[what]


@dataclass(slots=True)
class WaveCount:
    """One wave: who of it is done and how, and what its gate has said."""

    stage: int
    number: int
    """0 stands for those who came back too late for any wave."""
    of: int
    """How many waves there are."""
    size: int
    limits: tuple[GateLimit, ...] = ()
    phase: Literal["open", "baking", "passed", "closed", "retried"] = "open"
    """`retried`: the gate is closed, and who closed it is tried again."""
    sums: tuple[GateSum, ...] = ()
    """What the gate said, once it has spoken."""
    because: str = ""
    """Why a person went past the closed gate."""
    until_ns: int | None = None
    """When its bake is over."""
    begun: int = 0
    busy: int = 0
    ends: Ends = field(default_factory=Ends)

    @property
    def queued(self) -> int:
        """How many of it could begin a step as soon as there is room."""
        return max(self.size - self.ends.done - self.busy, 0)

    @property
    def is_stuck(self) -> bool:
        """Whether its gate is closed, so that no later wave begins."""
        return self.phase in {"closed", "retried"}


@dataclass(slots=True)
class StageCount:
    """One stage: how many endpoints entered it, and how those that left it ended in it.

    In a stage that happens once, clients (or the run) are counted instead.
    """

    stage: Stage
    total: int | None = None
    """None before it is open."""
    ends: Ends = field(default_factory=Ends)
    among: Ends = field(default_factory=Ends)
    """The same of those who were in a wave, or came back too late for one."""
    is_cut: bool = False
    """Whether its waves are known."""
    sizes: tuple[int, ...] = ()
    outside: int = 0
    """How many of it are in none of them."""
    waves: list[WaveCount] = field(default_factory=list)
    """Those that were opened, in order."""
    late: WaveCount | None = None
    """Those who came back too late for any wave."""

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return self.stage.number

    @property
    def wave(self) -> WaveCount | None:
        """The last wave that was opened, or None."""
        return self.waves[-1] if self.waves else None

    def open_wave(self, wave: WaveCount) -> None:
        """Let a wave begin; one of the same number is begun anew."""
        self.waves = [*(each for each in self.waves if each.number < wave.number), wave]

    @property
    def done(self) -> int:
        """How many endpoints have nothing left to do in this stage."""
        return self.ends.done

    @property
    def stuck(self) -> WaveCount | None:
        """The wave whose gate is closed, or None."""
        return next((each for each in (self.wave, self.late) if each and each.is_stuck), None)


class Counted(NamedTuple):
    """What an endpoint is counted as in a stage; None while it is not done there."""

    word: Word | None = None
    in_wave: Word | None = None
    """In its wave, which does not wait for one that went away."""


@dataclass(slots=True)
class Seat:
    """Where one endpoint stands, so that whatever changes can be taken back from the counts."""

    endpoint: Endpoint
    ends: dict[StepId, Said] = field(default_factory=dict)
    counted: dict[int, Counted] = field(default_factory=dict)
    """Stage number -> what it is counted as there."""
    answered: set[int] = field(default_factory=set)
    """Stages in which a command of ours ran on it."""
    heard: bool = False
    """A command of ours ran on it in this process life."""
    worst: Word | None = None
    """What it is counted as among all; None as long as it is not."""
    attempt: str = ""
    """What runs on it now, or an empty text."""
    bad: int = 0
    """How many of its ends let no later step begin."""
    busy: bool = False
    aside: bool = False
    """It is in the waiting room, or a person is asked what became of it."""
    waves: dict[int, WaveCount] = field(default_factory=dict)
    """Stage number -> the wave it is in."""
    late: WaveCount | None = None
    """It came back too late for the waves of this stage."""
    behind: bool = False
    """It came back, and the others have gone on."""
    dead: bool = False
    """It came to an early end, and is not waited for."""
    dismissed: set[int] = field(default_factory=set)
    """Stages that had begun and do not count it any more, since it will not get there."""

    def word_in(self, stage: Stage) -> Word | None:
        """Return what it is to be counted as in a stage; None while it is not done there."""
        ends = [self.ends[step] for step in stage.steps if step in self.ends]
        if any(said.mark == "doubt" for said in ends) and not self.aside:
            return None
        if stage.steps[-1] in self.ends or self.aside or any(said.ending for said in ends):
            return min((said.word for said in ends), key=rank_of, default=None)
        return None

    def counts_in(self, stage: Stage) -> Counted:
        """Return what it is to be counted as in a stage."""
        word = self.word_in(stage)
        if word is not None:
            return Counted(word, word)
        return Counted(None, self._missed_in(stage))

    def _missed_in(self, stage: Stage) -> Word | None:
        """Return what it is counted as in its wave although it still has something to do."""
        ends = [self.ends[step] for step in stage.steps if step in self.ends]
        if any(said.mark == "passed_over" for said in ends):
            return EndState.UNKNOWN
        if not self.behind or stage.number not in self.waves:
            return None
        in_doubt = any(said.mark == "doubt" for said in self.ends.values())
        return EndState.UNKNOWN if in_doubt else EndState.UNREACHABLE

    def is_done_in(self, number: int) -> bool:
        """Return whether it has nothing left to do in a stage."""
        return self.counted.get(number, _NOT_YET).word is not None

    def move(self, stage: StageCount, before: Counted, after: Counted) -> None:
        """Let every count of a stage that it is part of follow what it is counted as."""
        stage.ends.move(before.word, after.word)
        wave, late = self.waves.get(stage.number), self.late_in(stage)
        if late is not None:
            late.ends.move(before.word, after.word)
        if wave is not None:
            wave.ends.move(before.in_wave, after.in_wave)
            stage.among.move(before.in_wave, after.in_wave)
        elif late is not None:
            stage.among.move(before.word, after.word)

    def late_in(self, stage: StageCount) -> WaveCount | None:
        """Return those who came back too late for a stage's waves, if it is one of them."""
        return self.late if self.late is not None and self.late is stage.late else None

    def groups_in(self, stage: StageCount) -> list[Ends]:
        """Return every count of a stage that it is part of, beside the stage's own."""
        waves = [self.waves.get(stage.number), self.late_in(stage)]
        groups = [wave.ends for wave in waves if wave is not None]
        return [*groups, stage.among] if groups else groups


_NOT_YET: Final = Counted()


def proves_contact(state: EndState, failure: FailureKind | None) -> bool:
    """Return whether an attempt that ended so has certainly run a command on its endpoint."""
    return state is not EndState.UNREACHABLE and failure not in _NO_CONTACT
