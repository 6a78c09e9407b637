"""The questions of a run: which wait for a person, which were answered, and what they mean.

A fold over the log's records, for whoever asks at the terminal and for `approve`. No screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from outagekit.errors import NothingMatched, UsageError
from outagekit.events import (
    AnswerWord,
    ApprovalAsked,
    ApprovalGiven,
    OnceFinished,
    QuestionKind,
    Record,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunStopping,
    StepFinished,
    StepResolved,
    WaveJudged,
)
from outagekit.text import closest, duration, fold_list, visible_line

KIND_WORDS: Final[Mapping[QuestionKind, str]] = {
    "approve": "somebody has to decide this",
    "manual": "somebody has to do this",
    "pause": "the run waits between two waves",
    "doubt": "nobody knows what happened here",
}
"""What kind of question it is, for somebody who sees one for the first time."""

_MEANING: Final[Mapping[QuestionKind, Mapping[AnswerWord, str]]] = {
    "approve": {"yes": "go on", "no": "refused: {} goes no further"},
    "manual": {
        "yes": "it is done",
        "skip": "leave it out and go on",
        "no": "it could not be done: {} goes no further",
    },
    "pause": {"yes": "go on", "no": "the run ends here for now; resume goes on with it"},
    "doubt": {
        "done": "it was done, I have looked",
        "rerun": "do it again, even if it was done",
        "failed": "it was not done: {} has failed",
        "unknown": "nobody can tell: {} stays unknown",
    },
}


def meaning(answer: AnswerWord, asked: ApprovalAsked) -> str:
    """Return what an answer to a question leads to; not made visible."""
    return _MEANING[asked.kind].get(answer, "").format(asked.endpoint or asked.client or "the run")


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it was last asked."""

    asked: ApprovalAsked
    seq: int
    """Number of its record: asked again, a question is another one."""
    at: str

    @property
    def name(self) -> str:
        """What it is answered by."""
        return self.asked.question

    @property
    def when(self) -> str:
        """When it was asked, in this machine's zone: `08:14:03`."""
        try:
            return f"{datetime.fromisoformat(self.at).astimezone():%H:%M:%S}"
        except (ValueError, OverflowError):  # a log somebody else wrote may say anything
            return visible_line(self.at[:20])

    @property
    def waits(self) -> str:
        """How long it waits for a person, in words; empty for no limit."""
        return duration(self.asked.for_ms // 1000) if self.asked.for_ms else ""


@dataclass(slots=True)
class Questions:
    """What a run asked and was told; `take` every record in order."""

    open: dict[str, Question] = field(default_factory=dict)
    """Name -> question, in the order they were asked."""
    given: dict[str, ApprovalGiven] = field(default_factory=dict)
    """Name -> the last answer."""
    standing: str = "running"
    """`running`, `stopping`, `paused` or `closed`, as far as the log says."""
    last_seq: int = -1
    drill: bool = False
    """Whether the run is a rehearsal: nobody has to be rung."""
    judged: WaveJudged | None = None
    """What the last gate said."""

    def take(self, record: Record) -> None:
        """Take note of a record."""
        self.last_seq = record.seq
        event = record.event
        match event:
            case ApprovalAsked(question=name):
                self.open[name] = Question(event, record.seq, record.at)
            case ApprovalGiven(question=name):
                self.open.pop(name, None)
                self.given[name] = event
            case StepResolved() | StepFinished() | OnceFinished():
                self._withdraw(event)
            case WaveJudged():
                self.judged = event
            case _:
                self._stand(record)

    def _stand(self, record: Record) -> None:
        match record.event:
            case RunOpened(drill=drill):
                self.drill = drill
            case RunStopping():
                self.standing = "stopping"
            case RunPaused():
                self.standing = "paused"
            case RunResumed():
                # Whatever still waits for a person is asked again.
                self.standing = "running"
                self.open.clear()
            case RunClosed():
                self.standing = "closed"
                self.open.clear()
            case _:
                pass

    def _withdraw(self, event: StepResolved | StepFinished | OnceFinished) -> None:
        """Close the questions about what has its end by now: they wait for nobody."""
        for name, question in list(self.open.items()):
            if _settles(event, question.asked):
                del self.open[name]

    def named(self, word: str) -> list[Question]:
        """Return the open questions a word stands for: a name, a step, a kind of question.

        Raises `NothingMatched` if it stands for none.
        """
        found = [self.open[word]] if word in self.open else []
        found = found or [q for q in self.open.values() if q.name.partition("@")[0] == word]
        found = found or [q for q in self.open.values() if word in {q.asked.step, q.asked.kind}]
        if found:
            return found
        raise self._none(word)

    def _none(self, word: str) -> NothingMatched:
        shown = repr(visible_line(word[:80]))
        given = [g for n, g in self.given.items() if word in {n, n.partition("@")[0]}]
        if given:
            who = visible_line(given[-1].who or given[-1].os_user)
            return NothingMatched(f"{shown} was answered already: {given[-1].answer}, by {who}")
        words = {w for q in self.open.values() for w in (q.name, q.asked.step) if w}
        near = closest(word, sorted(words))
        names = fold_list([visible_line(name) for name in self.open], 3)
        hint = f"did you mean {visible_line(near)}?" if near else f"open: {names}" if names else ""
        return NothingMatched(f"no open question is called {shown}", hint=hint)


def _settles(event: StepResolved | StepFinished | OnceFinished, asked: ApprovalAsked) -> bool:
    if event.step != asked.step or asked.kind == "pause":
        return False
    if isinstance(event, OnceFinished):
        return asked.endpoint is None and event.client == asked.client
    if isinstance(event, StepResolved):
        return asked.kind == "doubt" and event.endpoint == asked.endpoint
    return event.endpoint == asked.endpoint


def answer_word(word: str, question: ApprovalAsked) -> AnswerWord | None:
    """Return the answer a person typed: a word of the question's, or the beginning of one."""
    typed = word.strip().casefold()
    meant = [each for each in question.answers if typed and each.startswith(typed)]
    exact = [each for each in meant if each == typed]
    found = exact or meant
    return found[0] if len(found) == 1 else None


def choices(answers: Iterable[str]) -> str:
    """Return answers for a sentence: `yes, no or skip`."""
    listed = list(answers)
    return " or ".join(filter(None, (", ".join(listed[:-1]), *listed[-1:])))


def required_answer(word: str | None, questions: Iterable[Question]) -> AnswerWord:
    """Return the word if it answers every one of these questions; None stands for yes.

    Raises `UsageError`.
    """
    common: AnswerWord | None = None
    for question in questions:
        asked = question.asked
        common = answer_word(word or "yes", asked)
        if common is None:
            shown = visible_line(asked.question)
            said = f"is not answered by {visible_line(word[:40])}" if word else "has no plain yes"
            raise UsageError(
                f"{shown} {said}",
                hint=f"--answer {choices(asked.answers)}" if asked.answers else "",
            )
    if common is None:
        raise UsageError("there is nothing to answer")
    return common


def gate_line(questions: Questions) -> str:
    """Return how the wave before a pause came out at its gate, or an empty text."""
    if questions.judged is None:
        return ""
    return " · ".join(
        f"{each.what} {each.found} (at {'least' if each.what == 'answered' else 'most'}"
        f" {each.limit})"
        for each in questions.judged.sums
    )
