"""What people say to a run that goes on: an answer, a note, a wish to stop. Values only.

The coordinator, the inbox, the commands and the question at the terminal share them. They hold
what a person claims; `os_user` alone is what the operating system says.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec

from outagekit.events import AnswerWord, EndpointId
from outagekit.text import visible_line

MAX_NAME: Final = 200
MAX_REASON: Final = 1000
MAX_NOTE: Final = 2000
_MAX_QUESTION = 400

_Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
_Reason = Annotated[str, msgspec.Meta(max_length=MAX_REASON)]
_Question = Annotated[str, msgspec.Meta(max_length=_MAX_QUESTION)]

_W = TypeVar("_W", bound="Wish")


class Wish(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="wish",
):
    """Base of what a person says."""

    who: _Name = ""
    """The name the person gives; empty if none was given."""
    os_user: str = ""
    """Whom the operating system knows: set by who hears the wish, never by who writes it."""
    letter: str = ""
    """Name of the file it came in; empty for what was typed at the run's own terminal."""


class Answer(Wish, frozen=True, tag="answer"):
    """An answer to an open question."""

    question: _Question
    answer: AnswerWord
    because: _Reason = ""


class NoteWish(Wish, frozen=True, tag="note"):
    """Something to be kept in the log."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NOTE)]
    endpoint: Annotated[EndpointId, msgspec.Meta(max_length=_MAX_QUESTION)] | None = None


class StopWish(Wish, frozen=True, tag="stop"):
    """Running steps may end, nothing else begins. Saying it twice is the same as once."""

    why: _Reason = ""


AnyWish = Answer | NoteWish | StopWish


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the inbox that nobody may obey: the fields of the event `inbox.refused`."""

    name: str
    """Made visible and cut."""
    why: str


Heard = AnyWish | Refused
"""What a look into the inbox can give."""


def spelt_out(wish: _W) -> _W:
    """Return the wish with everything in its texts that nobody can see spelt out."""
    return msgspec.structs.replace(wish, **{n: visible_line(t) for n, t in _texts(wish).items()})


def is_visible(wish: Wish) -> bool:
    """Return whether every text of a wish is one line of characters that can be seen."""
    return all(text == visible_line(text) for text in _texts(wish).values())


def _texts(wish: Wish) -> dict[str, Any]:
    return {n: t for n, t in msgspec.structs.asdict(wish).items() if isinstance(t, str)}
