"""What endpoints said, in a line: the last words of an output, a result, a reason. Pure."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from outagekit.cli.render import json_text
from outagekit.events import TrustAdded, TrustPinned, TrustRemoved, TrustReplaced
from outagekit.run.engine.state import CANNOT_CHECK
from outagekit.text import fold_list
from outagekit.transports.winrm.place import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outagekit.events import ApprovalAsked, StepFinished
    from outagekit.inventory.model import Endpoint

LONGEST: Final = 200
"""Characters of what is said that anybody looks at."""

_STAMP: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z(?=-)", re.ASCII)
_SSH_PORT: Final = 22
_NOT_TO_PASTE: Final = "(?<!trust add )(?<!trust replace )(?<!--jump )"
_FORESEEN: Final = "would change: "
"""How the words of a dry run begin where the state says it already."""


def short_run(run: str) -> str:
    """Return the beginning of a run's id that is enough to name it, or `last` if it has none.

    In a second terminal `last` may mean another run: whatever was begun there meanwhile.
    """
    stamp = _STAMP.match(run)
    return stamp[0] if stamp else "last"


def answering(event: ApprovalAsked, run: str) -> str:
    """Return the command that answers a question; not made visible.

    Where there is no plain yes, which word it is stands to be filled in: a pasted one would lie.
    """
    word = "" if "yes" in event.answers else " --answer WORD"
    return f"outagekit approve {run} {shlex.quote(event.question)}{word}"


def last_line(text: str) -> str:
    """Return the last line of some output that says anything, or an empty text."""
    lines = text[-4 * LONGEST :].rstrip().splitlines()
    return lines[-1].strip() if lines else ""


def result_line(result: Mapping[str, Any] | None) -> str:
    """Return a step's result in one line: `impacted true, newest 2024-07-19T04:09:00Z`."""
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json_text(value)}"
        for name, value in (result or {}).items()
    )


def foreseen(event: StepFinished) -> tuple[bool, str]:
    """Return whether a dry run is sure that a step would change something, and what it says of it.

    What it cannot check is no change that it foresees.
    """
    sure = event.would_change and not event.detail.startswith(CANNOT_CHECK)
    return sure, event.detail.removeprefix(_FORESEEN) if sure else event.detail


def without_place(text: str, endpoint: Endpoint) -> str:
    """Return what was said with the endpoint's own name, address and port as `it`.

    So the same thing said by many reads the same. In a command to paste a name stays what it is.
    """
    names = (endpoint.id, endpoint.address)
    if not any(name in text for name in names):
        return text
    either = "|".join(map(re.escape, names))
    port = rf"(?::\d+| port {_port_of(endpoint)}\b)?"
    return re.sub(rf"{_NOT_TO_PASTE}(?<![\w.-])\[?(?:{either})\]?{port}(?![\w-])", "it", text)


def _port_of(endpoint: Endpoint) -> int:
    """Return the port that sentences about an endpoint name."""
    if endpoint.os == "windows":
        return place_of(endpoint).port
    return endpoint.port or _SSH_PORT


ACTS: Final = (TrustAdded, TrustReplaced, TrustRemoved, TrustPinned)
"""What can be done to a client's trust."""


def act_line(event: TrustAdded | TrustReplaced | TrustRemoved | TrustPinned) -> str:
    """Return what was done to a client's trust, by whom and why."""
    by = f" by {event.os_user}" * bool(event.os_user)
    match event:
        case TrustAdded():
            source = f", from {event.source}" * bool(event.source)
            return f"{event.server} believed{by}: {event.key} as {event.name}{source}"
        case TrustPinned():
            seen = f", seen{by}" * bool(by)
            return f"{event.endpoint} is machine {event.machine_id} from now on{seen}"
        case TrustReplaced():
            was = f"was {_gone(event)}, is {fold_list(event.new) or 'nothing'}"
            return f"{event.server} replaced{by}, because {event.because}: {was}"
        case TrustRemoved():
            return f"{event.server} removed{by}, because {event.because}: was {_gone(event)}"


def _gone(event: TrustReplaced | TrustRemoved) -> str:
    pin = f"machine {event.machine_id}" * bool(event.machine_id)
    return " and ".join(filter(None, (fold_list(event.old), pin))) or "nothing"
