"""What an order is sent for besides doing its step: prove it, look again, foresee it, undo it.

None of these runs the step's action. What a command of the playbook says is believed; what it
does not say is never guessed.
"""

from __future__ import annotations

from typing import Final

from outagekit.events import EndState, FailureKind
from outagekit.playbook.model import Code
from outagekit.run.engine.state import CANNOT_CHECK
from outagekit.run.executing.work import End, Work, unsuccessful
from outagekit.run.orders import Order

_PROBE_S: Final = 60.0
"""What a look at a step that was done before may take."""
_ROUND_S: Final = 30.0
"""How long one command waits on the endpoint for the end of an earlier try."""


def prove(work: Work, *, limit_s: float | None = None) -> End | None:
    """Have `verify` say that the step's goal is reached; None: it is, or there is no verify."""
    order = work.order
    if order.verify is None:
        return None
    said = work.judge("verify", order.verify, limit_s=limit_s)
    if isinstance(said, End):
        return _after_the_act(said)
    if said == order.verify_wants:
        return None
    detail = "the step ran to its end, but verify says that its goal is not reached"
    if not order.verify_wants:
        detail = "the step ran to its end, but what it takes back is still there"
    return End(EndState.FAILED, FailureKind.VERIFY, detail)


def probe(work: Work) -> End:
    """See whether the step's goal is reached, by verify, else by check, and do nothing.

    To settle a doubt it waits for what an earlier try left running, no longer than the step may
    take. Without verify and check it shows that the endpoint answers, and no more.
    """
    order = work.order
    limit_s = min(order.timeout_s, _PROBE_S)
    part, code, wanted = _question(order)
    if code is None:
        outcome = work.command("probe", work.dialect.nothing, limit_s=limit_s)
        return unsuccessful(outcome) or End(work.done, detail="the endpoint answers")
    if order.purpose == "probe":
        said = _judged_alone(work, part, code, limit_s)
    else:
        said = work.judge(part, code, limit_s=limit_s)
    if isinstance(said, End):
        return said
    if said == wanted:
        return End(work.done)
    return End(EndState.FAILED, FailureKind.VERIFY, f"{part} says that it is not as wanted")


def _judged_alone(work: Work, part: str, code: Code, limit_s: float) -> bool | End:
    """Judge once no earlier try of the step runs on the endpoint any more.

    Asked in short rounds: an endpoint that gives no answer at all is not waited for as long.
    """
    order = work.order
    left_s = order.timeout_s
    while True:
        wait_s = min(left_s, _ROUND_S)
        said = work.judge_alone(part, code, wait_s=wait_s, limit_s=limit_s)
        left_s -= wait_s
        if said is not None:
            return said
        if left_s <= 0 or work.bench.cancelled.is_set():
            detail = f"what was begun before still runs there after {order.timeout_s:g} s more"
            return End(EndState.UNKNOWN, FailureKind.TIMEOUT, detail)


def take_back(work: Work) -> End:
    """Run the step's undo, then have its check, if there is one, say that it is undone."""
    order = work.order
    if order.undo is None:
        return End(EndState.FAILED, FailureKind.PROTOCOL, "the step has no undo")
    end = unsuccessful(work.command("undo", order.undo), order.success)
    if end is not None or order.check is None:
        return end or End(EndState.CHANGED)
    said = work.judge("check", order.check)
    if isinstance(said, End):
        return _after_the_act(said)
    if said:
        detail = "undone, but its check is still true"
        return End(EndState.FAILED, FailureKind.VERIFY, detail)
    return End(EndState.CHANGED)


def foresee(work: Work) -> End:
    """See by its check alone whether the step would have something to do."""
    check = work.order.check
    if check is None:
        return End(EndState.SKIPPED, detail=CANNOT_CHECK)
    said = work.judge("check", check)
    if isinstance(said, End):
        return said
    if said:
        return End(EndState.OK, detail="its check is true: nothing to do")
    return End(EndState.SKIPPED, detail="would change: its check is not true")


def _after_the_act(end: End) -> End:
    """Return how a proof that was not reached any more ends: something was done, so never nothing.

    As unreachable the step would be done once more when the endpoint comes back.
    """
    if end.state is not EndState.UNREACHABLE:
        return end
    detail = f"the script had run, its proof was not reached: {end.detail}"
    return End(EndState.UNKNOWN, FailureKind.LOST, detail)


def _question(order: Order) -> tuple[str, Code | None, bool]:
    if order.verify is not None:
        return "verify", order.verify, order.verify_wants
    return "check", order.check, True
