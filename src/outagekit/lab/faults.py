"""What can be wrong with a simulated endpoint, who has it, and how it is to be judged.

Pure: text and names go in, values come out. Which endpoint gets which fault depends on the seed
and on the names of the endpoints only, not on their order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from outagekit.errors import UsageError
from outagekit.events import EndpointId, EndState, FailureKind
from outagekit.lab.chance import unit
from outagekit.playbook import units
from outagekit.text import closest, visible_line

Fault = Literal["unreachable", "hang", "slow", "reset", "auth", "flap", "bootloop", "lie"]
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)

# Few machines can have these, so they are asked before another fault takes them.
_DRAWN_IN_ORDER: Final = tuple(sorted(FAULTS, key=("lie", "bootloop", *FAULTS).index))
_NOT_SENT: Final = frozenset(
    {
        FailureKind.REFUSED,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.HANDSHAKE,
        FailureKind.LOST,
        FailureKind.TIMEOUT,
        FailureKind.ABANDONED,
    }
)
_EXAMPLE: Final = "write it like --faults unreachable=5%,hang=2%, or --faults none"


@dataclass(frozen=True, slots=True)
class Right:
    """The judgement an endpoint with a fault deserves: any pair of a state and a kind of these."""

    says: str
    """What the machine does, for people."""
    state: EndState | None
    """None: the fault changes nothing about how the endpoint is to be judged."""
    kinds: frozenset[FailureKind] = frozenset()
    outlived: frozenset[FailureKind] = frozenset()
    """Kinds besides, where a command outlives its connection, as on Windows: that is made again
    until the time is over."""
    also: frozenset[EndState] = frozenset()
    """States that are right besides the healthy one, for one of `kinds`, as long as they are true
    of the machine."""


RIGHT: Final[Mapping[Fault, Right]] = {
    "unreachable": Right(
        "its port is closed",
        EndState.UNREACHABLE,
        frozenset({FailureKind.REFUSED, FailureKind.CONNECT_TIMEOUT}),
    ),
    "hang": Right(
        "takes a command and never answers", EndState.UNKNOWN, frozenset({FailureKind.TIMEOUT})
    ),
    "slow": Right("answers late, but rightly", None),
    "reset": Right(
        "resets the connection after it took a command, before its answer",
        EndState.UNKNOWN,
        frozenset({FailureKind.LOST}),
        frozenset({FailureKind.TIMEOUT}),
    ),
    "auth": Right("rejects the login", EndState.FAILED, frozenset({FailureKind.AUTH})),
    "flap": Right(
        "goes away and comes back, again and again, also in the middle of a command",
        None,
        _NOT_SENT,
        also=frozenset({EndState.UNREACHABLE, EndState.UNKNOWN}),
    ),
    "bootloop": Right(
        "is up for a moment only, until the first change was made on it",
        None,
        _NOT_SENT,
        also=frozenset({EndState.UNREACHABLE, EndState.UNKNOWN}),
    ),
    "lie": Right(
        "says that the change is done, but does nothing",
        EndState.FAILED,
        frozenset({FailureKind.VERIFY}),
    ),
}
"""The fault -> what it is and how it is to be judged."""


def parse_faults(text: str) -> dict[Fault, float]:
    """Return the shares of `unreachable=5%,hang=2%` as numbers from 0 to 1.

    An empty text and `none` mean no faults. Raises `UsageError` that names the part it is about.
    """
    if text.strip().casefold() in {"", "none"}:
        return {}
    shares: dict[Fault, float] = {}
    for part in text.split(","):
        fault, share = _parse_part(part.strip())
        if fault in shares:
            raise UsageError(f"--faults names {fault} twice", hint=_EXAMPLE)
        shares[fault] = share
    if sum(shares.values()) > 1.0 + 1e-9:
        raise UsageError("the shares of --faults are more than 100% together", hint=_EXAMPLE)
    return shares


def _parse_part(part: str) -> tuple[Fault, float]:
    name, equals, share = (piece.strip() for piece in part.partition("="))
    if not equals or not name:
        raise UsageError(f"--faults cannot read '{visible_line(part)}'", hint=_EXAMPLE)
    folded = name.casefold()
    if folded not in FAULTS:
        near = closest(folded, FAULTS)
        hint = f"did you mean {near}?" if near else f"known faults: {', '.join(FAULTS)}"
        raise UsageError(f"there is no fault '{visible_line(name)}'", hint=hint)
    try:
        return folded, units.percent(share) / 100.0
    except ValueError as error:
        message = f"the share of {folded} must be a percentage, not '{visible_line(share)}'"
        raise UsageError(message, hint=_EXAMPLE) from error


def draw_faults(
    shares: Mapping[Fault, float],
    endpoints: Collection[EndpointId],
    *,
    seed: int,
    able: Mapping[Fault, Collection[EndpointId]],
) -> dict[EndpointId, Fault]:
    """Return which endpoint has which fault; an endpoint has one at most.

    A share counts of all endpoints, rounded, and gives at least one endpoint if it is not 0: a
    fault somebody asked for shall be met. `able` says of a fault who can have it, if not everybody
    can: a lie about a change that is not due would not show. If there are too few, fewer have it.
    """
    drawn: dict[EndpointId, Fault] = {}
    for fault in _DRAWN_IN_ORDER:
        share = shares.get(fault, 0.0)
        if share <= 0.0:
            continue
        wanted = max(1, round(share * len(endpoints)))
        free = sorted(
            (endpoint for endpoint in able.get(fault, endpoints) if endpoint not in drawn),
            key=lambda endpoint: (unit(seed, "fault", fault, endpoint), endpoint),
        )
        drawn.update(dict.fromkeys(free[:wanted], fault))
    return drawn
