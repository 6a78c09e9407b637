"""Whether a run has heard: what it was told, and what its log says within a few seconds. No screen.

What `approve`, `stop` and `note` share. The log is the only answer; nothing is guessed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from outagekit.cli.people.questions import Question, Questions
from outagekit.errors import LogDamaged, NothingMatched, UsageError
from outagekit.events import (
    AnswerWord,
    ApprovalGiven,
    EndpointId,
    InboxRefused,
    Record,
    RunClosed,
    RunPaused,
)
from outagekit.log.file import open_regular
from outagekit.log.reader import glance, read_records
from outagekit.run.inbox import INBOX_NAME, put
from outagekit.run.wishes import Answer
from outagekit.text import closest, visible_line

PATIENCE_S = 5.0
"""How long a run is given to hear something."""
_TICK_S: Final = 0.1
_MAX_INVENTORY_BYTES = 64 * 1024 * 1024

Came = Literal["given", "late", "refused", "unheard"]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one answer."""

    question: str
    answer: AnswerWord
    who: str
    because: str
    os_user: str
    came: Came
    """`late`: somebody else's answer was there first, and is the one shown here."""
    why: str = ""
    """Why the run refused it."""


def questions_of(folder: Path) -> Questions:
    """Return the questions of a run. Raises what `read_records` raises."""
    questions = Questions()
    for record in read_records(folder):
        questions.take(record)
    return questions


def last_seq(folder: Path) -> int:
    """Return the number of the last record of a run's log, -1 if none can be read."""
    try:
        last = glance(folder).last
    except LogDamaged:
        return -1
    return last[-1].seq if last else -1


def wait_for(folder: Path, since: int, settled: Callable[[Record], bool]) -> bool:
    """Show `settled` every record after `since` until it says True; False: it never did.

    Not longer than `PATIENCE_S`, nor beyond the end of the run.
    """
    until_s = time.monotonic() + PATIENCE_S
    while True:
        for record in _after(folder, since):
            since = record.seq
            if settled(record):
                return True
            if isinstance(record.event, RunClosed | RunPaused):
                return False
        if time.monotonic() >= until_s:
            return False
        time.sleep(_TICK_S)


def _after(folder: Path, since: int) -> list[Record]:
    """Return the records after one; from the log's end, or all of it if too much came since."""
    try:
        last = glance(folder).last
    except (LogDamaged, NothingMatched):
        return []
    if last and last[0].seq > since + 1:
        # A damaged log must not keep anybody from stopping its run.
        with suppress(LogDamaged, NothingMatched):
            last = tuple(read_records(folder))
    return [record for record in last if record.seq > since]


def give(
    folder: Path, questions: Sequence[Question], answer: Answer, *, since: int
) -> tuple[Heard, ...]:
    """Put the same answer to several questions and return what became of it, in their order.

    `answer.question` is of no matter. Raises what `put` raises.
    """
    letters: dict[str, str] = {}
    for question in questions:
        letters[put(folder, msgspec.structs.replace(answer, question=question.name))] = (
            question.name
        )
    found: dict[str, Heard] = {}

    def settled(record: Record) -> bool:
        match record.event:
            case ApprovalGiven(question=name) as given if name in letters.values():
                found.setdefault(name, _of_event(given, answer))
            case InboxRefused(name=letter, why=why) if letter in letters:
                found.setdefault(letters[letter], _of_answer(letters[letter], answer, why))
            case _:
                pass
        return len(found) == len(letters)

    wait_for(folder, since, settled)
    names = [question.name for question in questions]
    return tuple(found.get(name) or _of_answer(name, answer) for name in names)


def _of_event(given: ApprovalGiven, answer: Answer) -> Heard:
    ours = (given.answer, given.who) == (answer.answer, visible_line(answer.who))
    return Heard(
        question=given.question,
        answer=given.answer,
        who=given.who,
        because=given.because,
        os_user=given.os_user,
        came="given" if ours else "late",
    )


def _of_answer(question: str, answer: Answer, why: str = "") -> Heard:
    return Heard(
        question=question,
        answer=answer.answer,
        who=answer.who,
        because=answer.because,
        os_user=answer.os_user,
        came="refused" if why else "unheard",
        why=why,
    )


def was_taken(folder: Path, letter: str) -> bool:
    """Return whether a letter lies in the inbox no longer."""
    return not (folder / INBOX_NAME / letter).exists()


class _Endpoint(msgspec.Struct):
    client: str
    name: str


class _Inventory(msgspec.Struct):
    endpoints: list[_Endpoint]


def endpoint_of(folder: Path, word: str) -> EndpointId:
    """Return an endpoint of a run by its id. Raises `UsageError` if the run has no such one.

    Of a run whose frozen inventory cannot be read any word is taken.
    """
    try:
        with open_regular(folder / "inventory.json") as file:
            found = msgspec.json.decode(file.read(_MAX_INVENTORY_BYTES), type=_Inventory)
    except (OSError, ValueError, RecursionError):
        return EndpointId(word)
    ids = [f"{each.client}/{each.name}" for each in found.endpoints]
    if word in ids:
        return EndpointId(word)
    near = closest(word, ids)
    hint = f"did you mean {visible_line(near)}?" if near else "write CLIENT/NAME"
    raise UsageError(f"{visible_line(word[:80])!r} is no endpoint of this run", hint=hint)
