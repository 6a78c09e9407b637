"""Reports become events: what was heard from an executing side is written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from outagekit.events import (
    AnyEvent,
    EndpointKeyTrusted,
    EndState,
    EvidenceSaved,
    FailureKind,
    Output,
    StepFinished,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepUndone,
    StepVerified,
)
from outagekit.run.engine.attempts import retry_delay_s
from outagekit.run.engine.commands import Start
from outagekit.run.engine.doubts import MOST_DOUBTS
from outagekit.run.engine.mending import is_shut_out, proves_contact
from outagekit.run.engine.state import CANNOT_CHECK, State
from outagekit.run.orders import Fetched, Finished, FirstContact, Order, Part, Stream

_OUT_OF_REACH: Final = frozenset({FailureKind.LOST})


def part_event(report: Part, order: Order, output: Callable[[Stream], Output]) -> StepPart:
    """Return the event for a command that ended; `output` keeps long text aside."""
    return StepPart(
        endpoint=order.target.endpoint.id,
        step=order.step,
        attempt=report.attempt,
        part=report.part,
        command=report.command,
        exit_code=report.exit_code,
        duration_ms=report.duration_ms,
        stdout=output(report.stdout),
        stderr=output(report.stderr),
    )


def end_event(report: Finished, start: Start, state: State) -> AnyEvent:
    """Return the event for an order's end: what an end means depends on what it was for."""
    match start.purpose:
        case "probe":
            return _probed(report, start, state)
        case "recheck":
            return _rechecked(report, start, state)
        case "undo":
            return StepUndone(
                endpoint=start.endpoint,
                step=start.step.id,
                attempt=report.attempt,
                state=report.state,
                failure=report.failure,
                detail=report.detail,
                duration_ms=report.duration_ms,
            )
        case "do" if report.state is EndState.UNKNOWN or _missed(report, start, state):
            return _in_doubt(report, start)
        case _:
            return _unforeseen(report, start, state) or _finished(report, start)


def _missed(report: Finished, start: Start, state: State) -> bool:
    """Return whether a step that was begun before was not got hold of this time.

    That says nothing about the step: an earlier try may have done it, or it goes on without us.
    """
    progress = state.progress[start.endpoint]
    if progress.detached.get(start.step.id, start.number) != start.number:
        return not proves_contact(report.state, report.failure)
    missed = report.state is EndState.UNREACHABLE or is_shut_out(report.failure)
    return progress.unsettled and missed


def _in_doubt(report: Finished, start: Start) -> StepInDoubt:
    return StepInDoubt(
        endpoint=start.endpoint,
        step=start.step.id,
        attempt=report.attempt,
        why=report.detail,
        failure=report.failure or FailureKind.LOST,
        duration_ms=report.duration_ms,
    )


def _unforeseen(report: Finished, start: Start, state: State) -> StepFinished | None:
    """Return the end of a step that failed in a dry run because nothing was changed before it.

    Whether it would fail behind that change nobody knows: it is no failure.
    """
    before = state.progress[start.endpoint].foreseen
    definite = report.state is EndState.FAILED and proves_contact(report.state, report.failure)
    if before is None or not definite:
        return None
    return StepFinished(
        endpoint=start.endpoint,
        step=start.step.id,
        state=EndState.SKIPPED,
        attempt=report.attempt,
        detail=f"{CANNOT_CHECK} before {before}: {report.detail}",
        duration_ms=report.duration_ms,
        boot_id=report.boot_id,
        would_change=start.purpose == "foresee",
    )


def _finished(report: Finished, start: Start) -> StepFinished:
    delay_s = retry_delay_s(start.step, start.tries, report.failure)
    return StepFinished(
        endpoint=start.endpoint,
        step=start.step.id,
        state=report.state,
        attempt=report.attempt,
        failure=report.failure,
        detail=report.detail,
        duration_ms=report.duration_ms,
        result=report.result,
        retry_in_ms=None if delay_s is None else int(delay_s * 1000),
        boot_id=report.boot_id,
        would_change=start.purpose == "foresee" and report.state is EndState.SKIPPED,
    )


def _probed(report: Finished, start: Start, state: State) -> StepInDoubt | StepResolved:
    """Return what a look at a doubt gave; not reached, it is the doubt it was."""
    if report.state is EndState.UNREACHABLE or report.failure in _OUT_OF_REACH:
        return _in_doubt(report, start)
    progress = state.progress[start.endpoint]
    end: EndState | None = EndState.UNKNOWN
    failure = report.failure
    detail = report.detail
    if report.failure is None:
        end = EndState.CHANGED if start.step.changes else EndState.OK
        detail = "probed: it is as wanted"
    elif report.failure is FailureKind.VERIFY:
        end = EndState.FAILED if progress.doubts >= MOST_DOUBTS else None
        detail = "probed: it is not as wanted"
    return StepResolved(
        endpoint=start.endpoint,
        step=start.step.id,
        attempt=report.attempt,
        how="probed",
        state=end,
        failure=failure if end in {EndState.FAILED, EndState.UNKNOWN} else None,
        detail=detail,
    )


def _rechecked(report: Finished, start: Start, state: State) -> StepVerified:
    """Return what was found after the bake; a machine that restarted by itself is not well."""
    progress = state.progress[start.endpoint]
    known = progress.boot_id
    other = bool(report.boot_id and known and report.boot_id != known)
    end, failure, detail = report.state, report.failure, report.detail
    if failure is None and (other or progress.restarted):
        end, failure = EndState.FAILED, FailureKind.VERIFY
        detail = "the machine has restarted since, and not by this run"
    elif failure is None:
        end = EndState.CHANGED
    return StepVerified(
        endpoint=start.endpoint,
        step=start.step.id,
        attempt=report.attempt,
        state=end,
        failure=failure,
        detail=detail,
        duration_ms=report.duration_ms,
        boot_id=report.boot_id,
    )


def found_event(report: FirstContact | Fetched, order: Order) -> AnyEvent:
    """Return the event for what an order met on its way."""
    endpoint = order.target.endpoint.id
    if isinstance(report, FirstContact):
        return EndpointKeyTrusted(endpoint=endpoint, machine_id=report.machine_id, key=report.key)
    return EvidenceSaved(
        endpoint=endpoint,
        step=order.step,
        attempt=report.attempt,
        source=report.source,
        path=report.path,
        size_bytes=report.size_bytes,
        sha256=report.sha256,
    )
