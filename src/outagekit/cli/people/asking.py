"""Questions at the run's own terminal: shown, answered by typing, taken back when they are moot.

A subscriber of the log, as the live view is, which makes room while a question stands there. It
reads in a thread of its own; a terminal that goes away ends the asking only, never the run.
Ctrl-C stays the run's Ctrl-C.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, Self

from rich.text import Text

from outagekit.cli.people.keys import Keys, TerminalKeys
from outagekit.cli.people.questions import (
    KIND_WORDS,
    Question,
    Questions,
    answer_word,
    choices,
    gate_line,
    meaning,
)
from outagekit.events import AnswerWord
from outagekit.run.inbox import user_name
from outagekit.run.wishes import MAX_NAME, MAX_REASON, Answer
from outagekit.text import count, visible, visible_line

if TYPE_CHECKING:
    from outagekit.cli.render import Screen
    from outagekit.events import Record

_TICK_S: Final = 0.1
"""How late a question can notice that it was answered elsewhere."""
_JOIN_S: Final = 1.0


class View(Protocol):
    """What draws on the terminal, and makes room for a question."""

    def pause(self, *, typed: bool = False) -> None:
        """Wipe the picture away and draw nothing; `typed`: Enter was pressed below it."""
        ...

    def resume(self, notice: str = "") -> None:
        """Draw again, with a line below the picture if there is a notice."""
        ...


class _Moot(Exception):  # noqa: N818  (nothing went wrong)
    """The question needs no answer any more."""


class _Later(Exception):  # noqa: N818
    """The person wants to look at the run first."""


class _Elsewhere(Exception):  # noqa: N818
    """The input has ended: whoever wants to answer does it at another terminal."""


class Asker:
    """Asks the open questions of a run, one after another, while somebody is there to answer.

    Entered before the first record, left after the last. Without a terminal nothing is asked,
    nor before there is somebody to hear the answer. A doubt is asked about only once the run has
    nothing else to do: when its question has a limit.
    """

    def __init__(
        self, screen: Screen, *, view: View | None = None, keys: Keys | None = None
    ) -> None:
        self._screen = screen
        self._hear: Callable[[Answer], None] | None = None
        self._view = view
        self._keys: Keys = keys or TerminalKeys()
        self._questions = Questions()
        self._dealt: dict[str, int] = {}
        """Name -> number of the question that was answered or put aside here."""
        self._name = ""
        """Who decided last at this terminal."""
        self._news = threading.Condition()
        self._over = False
        self._paused = False
        self._thread = threading.Thread(target=self._serve, name="asker", daemon=True)

    @property
    def attended(self) -> bool:
        """Whether anybody can be asked here."""
        return self._screen.interactive

    def heard_by(self, hear: Callable[[Answer], None]) -> None:
        """Tell `hear` every answer from now on, from the asking thread."""
        with self._news:
            self._hear = hear
            self._news.notify()

    def __enter__(self) -> Self:
        if self.attended:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._news:
            self._over = True
            self._news.notify()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)

    def on_records(self, records: tuple[Record, ...]) -> None:
        """Take note of questions and answers; called from the log's thread."""
        with self._news:
            for record in records:
                self._questions.take(record)
            self._news.notify()

    def _serve(self) -> None:
        # Whatever a terminal does, the run goes on without a question at it.
        with suppress(Exception):
            self._keys.begin()
            while (question := self._next()) is not None:
                self._pose(question)
                with self._news:
                    more = bool(self._due())
                if not more:
                    self._give_way()
        with suppress(Exception):
            self._give_way()

    def _next(self) -> Question | None:
        """Wait for a question that can be asked; None when the run is over."""
        with self._news:
            while not self._over and not self._due():
                self._news.wait()
            return None if self._over else self._due()[0]

    def _due(self) -> list[Question]:
        if self._questions.standing != "running" or self._hear is None:
            return []
        return [
            question
            for question in self._questions.open.values()
            if self._dealt.get(question.name) != question.seq
            and (question.asked.kind != "doubt" or question.asked.for_ms > 0)
        ]

    def _pose(self, question: Question) -> None:
        try:
            self._keys.forget()
            self._make_room()
            self._screen.say(self._shown(question))
            answer = self._fill_in(question)
        except _Moot:
            self._keys.forget()
            self._screen.say(self._ended(question))
        except _Later:
            self._wait_for_enter(question)
        except _Elsewhere:
            self._dealt[question.name] = question.seq
            self._screen.say("\nnot answered here")
        else:
            self._dealt[question.name] = question.seq
            self._screen.say(Text.assemble("said ", (answer.answer, "bold")))
            if self._hear is not None:
                self._hear(answer)

    def _fill_in(self, question: Question) -> Answer:
        asked = question.asked
        word = self._word(question)
        who, because = user_name(), ""
        if asked.kind == "approve":
            who = self._signed(question)
            because = self._line(question, "why (Enter: no reason): ", longest=MAX_REASON, may=True)
        return Answer(
            question=question.name, answer=word, who=who, because=because, os_user=user_name()
        )

    def _word(self, question: Question) -> AnswerWord:
        while True:
            typed = self._line(question, "answer: ")
            word = answer_word(typed, question.asked)
            if word is not None:
                return word
            shown = visible_line(typed[:40])
            self._screen.say(f"{shown!r} is no answer here: {choices(question.asked.answers)}")

    def _signed(self, question: Question) -> str:
        """Return who decides: whoever did so last, unless another name is typed."""
        last = f" (Enter: {self._name})" if self._name else ""
        typed = self._line(question, f"your name{last}: ", longest=MAX_NAME, may=bool(last))
        self._name = typed or self._name
        return self._name

    def _line(
        self, question: Question, prompt: str, *, longest: int = 80, may: bool = False
    ) -> str:
        """Return a typed line; an empty one means later, unless it `may` be empty."""
        # Without a picture lines go on coming: they begin at the left.
        end = "" if self._view is not None else "\n"
        self._screen.people.print(Text(prompt, "bold"), end=end, soft_wrap=True)
        line: str | None = None
        while line is None:
            try:
                line = self._keys.line(_TICK_S)
            except EOFError:
                raise _Elsewhere from None
            if self._is_moot(question):
                raise _Moot
        text = visible_line(line.strip()[:longest])[:longest]
        if not text and not may:
            raise _Later
        return text

    def _wait_for_enter(self, question: Question) -> None:
        """Show the run until the person is back, or the question has gone."""
        name = visible_line(question.name)
        if self._view is None:
            self._screen.say(f"{name} waits: press Enter to answer")
        else:
            self._give_way(f"{name} waits for an answer: press Enter")
        try:
            while not self._is_moot(question):
                if self._keys.line(_TICK_S) is not None:
                    self._make_room(typed=True)
                    return
        except EOFError:
            self._dealt[question.name] = question.seq
        self._give_way()

    def _is_moot(self, question: Question) -> bool:
        with self._news:
            known = self._questions.open.get(question.name)
            gone = known is None or self._questions.standing != "running"
            return self._over or gone

    def _make_room(self, *, typed: bool = False) -> None:
        if self._view is not None and not self._paused:
            self._view.pause(typed=typed)
            self._paused = True

    def _give_way(self, notice: str = "") -> None:
        if self._view is not None:
            self._paused = False
            self._view.resume(notice)

    def _shown(self, question: Question) -> tuple[Text, ...]:
        asked = question.asked
        with self._news:
            others, drill = len(self._due()) - 1, self._questions.drill
            gate = gate_line(self._questions) if asked.kind == "pause" else ""
        facts = f"asked {question.when}" + (f", waits {question.waits}" if question.waits else "")
        facts += f"; {count(others, 'more question')} after it" if others > 0 else ""
        words = [*asked.answers, "Enter"]
        cells = max(map(len, words))
        meanings = [*(meaning(each, asked) for each in asked.answers), "look at the run first"]
        return (
            Text(),
            Text.assemble(
                ("? ", "bold yellow"),
                ("DRILL  " if drill else "", "bold reverse"),
                (visible_line(question.name), "bold"),
                f": {KIND_WORDS[asked.kind]}",
            ),
            Text(f"  {facts}", "dim"),
            Text(),
            *(Text(f"  {line}") for line in visible(asked.text).splitlines()),
            *([Text(f"  {gate}", "dim")] if gate else []),
            Text(),
            *(
                Text.assemble("  ", (f"{word:<{cells}}", "bold"), f"  {visible_line(leads)}")
                for word, leads in zip(words, meanings, strict=True)
            ),
        )

    def _ended(self, question: Question) -> str:
        with self._news:
            given = self._questions.given.get(question.name)
            is_open = question.name in self._questions.open
            standing = self._questions.standing
        name = visible_line(question.name)
        if is_open:
            how = "over" if standing == "running" else standing
            return f"\n{name}: not answered, the run is {how}"
        if given is None:
            return f"\n{name}: needs no answer any more"
        return f"\n{name}: {given.answer}, said {visible_line(given.who or given.os_user)}"
