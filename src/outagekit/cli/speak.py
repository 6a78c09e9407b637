"""`approve`, `stop` and `note`: speaking to a run that goes on in another terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Shown, Stored
from outagekit.errors import NothingMatched, OutagekitError, Refused, StoppedByPerson, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from outagekit.cli.people.hearing import Heard
    from outagekit.cli.people.questions import Question, Questions
    from outagekit.cli.render import Screen
    from outagekit.events import Record, RunStopping

_Run = Annotated[
    str, typer.Argument(metavar="RUN", help="An id, the beginning of one, a path, or last.")
]
_Name = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="Who says it; default: the system's user."),
]
_UNHEARD = 6
_MAX_COMMANDS = 3


@command
def approve(
    *,
    run: _Run,
    stored: Stored,
    shown: Shown,
    question: Annotated[
        str | None,
        typer.Argument(
            metavar="QUESTION",
            help="Its name, or a step for all its open questions; may be left out if only one"
            " is open.",
        ),
    ] = None,
    no: Annotated[bool, typer.Option("--no", help="The answer is no.")] = False,
    answer: Annotated[
        str | None,
        typer.Option(
            "--answer",
            metavar="WORD",
            help="yes (default), no or skip; of a doubt: done, rerun, failed, unknown.",
        ),
    ] = None,
    name: _Name = None,
    because: Annotated[
        str | None, typer.Option("--because", metavar="TEXT", help="Why; goes into the log.")
    ] = None,
) -> None:
    """Answer a question a run is waiting with; without QUESTION show what is open."""
    from outagekit.cli.people.hearing import give, questions_of
    from outagekit.cli.people.questions import required_answer
    from outagekit.run.inbox import user_name
    from outagekit.run.wishes import MAX_REASON, Answer

    screen = shown.screen()
    if no and answer is not None:
        raise UsageError("--no and --answer both are the answer: give one of them")
    folder = _folder(stored, run)
    questions = questions_of(folder)
    chosen = _chosen(screen, folder, questions, question)
    _require_running(folder, questions)
    word = required_answer("no" if no else answer, chosen)
    wish = Answer(
        question="",
        answer=word,
        who=_who(screen, name, chosen),
        because=_said(because or "", "--because", MAX_REASON),
        os_user=user_name(),
    )
    heard = give(folder, chosen, wish, since=questions.last_seq)
    if shown.json:
        screen.document({"run": folder.name, "answers": heard})
    _tell(screen, folder, heard)


@command
def stop(
    *,
    run: _Run,
    stored: Stored,
    shown: Shown,
    name: _Name = None,
    because: Annotated[
        str | None, typer.Option("--because", metavar="TEXT", help="Why; goes into the log.")
    ] = None,
) -> None:
    """Let running steps of a run end and begin nothing else; resume goes on later."""
    from outagekit.cli.people.hearing import last_seq, wait_for, was_taken
    from outagekit.events import RunClosed, RunPaused, RunStopping
    from outagekit.log.lock import is_held
    from outagekit.run.inbox import put
    from outagekit.run.wishes import MAX_REASON, StopWish

    screen = shown.screen()
    folder = _folder(stored, run)
    if not is_held(folder):
        raise NothingMatched(f"{folder.name} is not running: there is nothing to stop")
    since = last_seq(folder)
    wish = StopWish(who=_who(screen, name, ()), why=_said(because or "", "--because", MAX_REASON))
    letter = put(folder, wish)
    found: list[RunStopping] = []

    def settled(record: Record) -> bool:
        if isinstance(record.event, RunStopping):
            found.append(record.event)
        return isinstance(record.event, RunStopping | RunPaused | RunClosed)

    heard = wait_for(folder, since, settled) or was_taken(folder, letter)
    if shown.json:
        running = found[0].running if found else None
        screen.document({"run": folder.name, "heard": heard, "running": running})
    _require_heard(screen, folder, heard=heard)
    screen.note(_stopping(found))
    screen.next([f"outagekit log show {folder.name}", f"outagekit resume {folder.name}"])


@command
def note(
    *,
    run: _Run,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be kept.")],
    stored: Stored,
    shown: Shown,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="CLIENT/NAME", help="The endpoint it is about."),
    ] = None,
    name: _Name = None,
) -> None:
    """Write a note into the log of a run that goes on."""
    from outagekit.cli.people.hearing import endpoint_of, last_seq, wait_for
    from outagekit.events import Note
    from outagekit.run.inbox import put
    from outagekit.run.wishes import MAX_NOTE, NoteWish, spelt_out

    screen = shown.screen()
    folder = _folder(stored, run)
    said = _said(text, "TEXT", MAX_NOTE)
    if not said:
        raise UsageError("an empty note says nothing")
    about = endpoint_of(folder, endpoint) if endpoint is not None else None
    wish = spelt_out(NoteWish(text=said, who=_who(screen, name, ()), endpoint=about))
    _require_open(folder)
    since = last_seq(folder)
    put(folder, wish)
    kept: list[int] = []

    def settled(record: Record) -> bool:
        event = record.event
        if isinstance(event, Note) and (event.text, event.who) == (wish.text, wish.who):
            kept.append(record.seq)
        return bool(kept)

    heard = wait_for(folder, since, settled)
    if shown.json:
        screen.document({"run": folder.name, "heard": heard, "seq": kept[0] if kept else None})
    _require_heard(screen, folder, heard=heard)
    screen.note(f"noted as record {kept[0]} of {folder.name}")


def _folder(stored: Stored, run: str) -> Path:
    from outagekit.cli.places import find_places
    from outagekit.log.folder import find_run

    return find_run(find_places(stored.state_dir).state, run)


def _chosen(
    screen: Screen, folder: Path, questions: Questions, word: str | None
) -> Sequence[Question]:
    """Return the questions that are meant; show what is open if that is not said."""
    if word is not None:
        return questions.named(word)
    if not questions.open:
        raise NothingMatched(f"no question of {folder.name} is open")
    if len(questions.open) == 1:
        return list(questions.open.values())
    found = list(questions.open.values())
    if screen.json:
        screen.document({"run": folder.name, "questions": [_document(each) for each in found]})
    else:
        rows = [(q.name, q.asked.text, q.when, ", ".join(q.asked.answers)) for q in found]
        screen.table(("question", "what", "asked", "answers"), rows)
    commands = [_command(folder, each) for each in found[:_MAX_COMMANDS]]
    raise UsageError(f"{len(found)} questions are open: say which", hint="\n".join(commands))


def _document(question: Question) -> dict[str, object]:
    import msgspec

    fields = msgspec.structs.asdict(question.asked)
    return {**fields, "seq": question.seq, "asked_at": question.at}


def _command(folder: Path, each: Question) -> str:
    from outagekit.cli.render import as_called
    from outagekit.cli.saying import answering

    return as_called(answering(each.asked, folder.name))


def _require_open(folder: Path) -> None:
    from outagekit.log.overview import overview

    if overview(folder).standing.startswith("closed"):
        raise NothingMatched(f"{folder.name} is closed: its log takes no note any more")


def _require_running(folder: Path, questions: Questions) -> None:
    from outagekit.log.lock import is_held

    if is_held(folder):
        return
    stands = "was stopped" if questions.standing == "paused" else "does not run"
    raise StoppedByPerson(
        f"{folder.name} {stands}, so nobody hears an answer; the question goes on waiting",
        hint=f"go on with it and answer then: outagekit resume {folder.name}",
    )


def _who(screen: Screen, name: str | None, questions: Sequence[Question]) -> str:
    from outagekit.run.inbox import user_name
    from outagekit.run.wishes import MAX_NAME

    if name is None and any(each.asked.kind == "approve" for each in questions):
        name = screen.ask("Your name, for the log:", flag="--name")
    if name is None:
        return user_name()
    said = _said(name, "--name", MAX_NAME)
    if not said:
        raise UsageError("--name is empty")
    return said


def _said(text: str, flag: str, longest: int) -> str:
    """Return words of a person as one line with everything in it visible."""
    from outagekit.text import visible_line

    shown = visible_line(" ".join(text.split()))
    if len(shown) > longest:
        raise UsageError(f"{flag} is too long: at most {longest} characters")
    return shown


def _tell(screen: Screen, folder: Path, heard: Sequence[Heard]) -> None:
    """Say what became of every answer; raise or exit unless all were taken."""
    for each in heard:
        screen.note(_sentence(each))
    _require_heard(screen, folder, heard=all(each.came != "unheard" for each in heard))
    bad = [each for each in heard if each.came in {"late", "refused"}]
    if bad:
        raise _refusal(bad)


def _sentence(heard: Heard) -> str:
    match heard.came:
        case "given":
            return f"{heard.question}: {heard.answer}, said {heard.who}; the run has heard it"
        case "late":
            return f"{heard.question}: {heard.who} answered {heard.answer} before you"
        case "refused":
            return f"{heard.question}: the run did not take it: {heard.why}"
        case "unheard":
            return f"{heard.question}: not heard yet"


def _refusal(bad: Sequence[Heard]) -> OutagekitError:
    first = bad[0]
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    what = "was answered by somebody else" if first.came == "late" else "was not taken"
    return Refused(f"the answer to {first.question} {what}{more}", hint="outagekit log show")


def _require_heard(screen: Screen, folder: Path, *, heard: bool) -> None:
    from outagekit.cli.people.hearing import PATIENCE_S
    from outagekit.log.lock import is_held

    if heard:
        return
    why = (
        f"it lies in its inbox, but the run has not heard it within {PATIENCE_S:g} s"
        if is_held(folder)
        else "the run ended before it heard that"
    )
    screen.warn(f"{folder.name}: {why}")
    screen.next([f"outagekit log show {folder.name}"])
    raise typer.Exit(_UNHEARD)


def _stopping(found: Sequence[RunStopping]) -> str:
    from outagekit.text import count

    if not found:
        return "the run is stopping, or has stopped"
    running = count(found[0].running, "running step")
    return f"heard: {running} may end, nothing else begins"
