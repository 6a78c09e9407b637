"""What people say becomes events, if it may be obeyed. Pure: the state, a wish, events."""

from __future__ import annotations

from outagekit.events import AnyEvent, ApprovalGiven, InboxRefused, Note
from outagekit.run.engine.state import State
from outagekit.run.wishes import Answer, Heard, NoteWish, Refused, StopWish
from outagekit.text import fold_list


def events_of(heard: Heard, state: State) -> tuple[AnyEvent, ...]:
    """Return the events of something heard; a wish to stop has none here."""
    match heard:
        case Refused(name=name, why=why):
            return (InboxRefused(name=name, why=why),)
        case Answer():
            return (_answered(heard),) if _is_open(heard, state) else _stale(heard, state)
        case NoteWish(text=text, endpoint=endpoint):
            known = endpoint if endpoint in state.progress else None
            about = "" if known or not endpoint else f"{endpoint}: "
            who = heard.who or heard.os_user
            return (Note(text=about + text, who=who, endpoint=known),)
        case StopWish():
            return ()


def _is_open(answer: Answer, state: State) -> bool:
    question = state.questions.get(answer.question)
    return question is not None and answer.answer in question.answers


def _answered(answer: Answer) -> ApprovalGiven:
    return ApprovalGiven(
        question=answer.question,
        answer=answer.answer,
        who=answer.who or answer.os_user,
        os_user=answer.os_user,
        because=answer.because,
        how="inbox" if answer.letter else "terminal",
    )


def _stale(answer: Answer, state: State) -> tuple[AnyEvent, ...]:
    """Refuse an answer that fits no open question; at the terminal it merely came too late."""
    if not answer.letter:
        return ()
    question = state.questions.get(answer.question)
    why = f"no question {answer.question} is open"
    if question is not None:
        why = f"{answer.answer} is no answer to {answer.question}: {fold_list(question.answers)}"
    return (InboxRefused(name=answer.letter, why=why),)
