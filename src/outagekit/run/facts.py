"""Commands and reports become events: what was decided, and what was heard, is written down."""

from __future__ import annotations

from collections.abc import Callable

from outagekit.events import (
    AnyEvent,
    EndpointKeyTrusted,
    EndState,
    EvidenceSaved,
    FailureKind,
    Output,
    RunClosed,
    RunPaused,
    StageOpened,
    StepFinished,
    StepPart,
    StepStarted,
)
from outagekit.run.decide import (
    Break,
    Close,
    Command,
    OpenStage,
    Pause,
    Skip,
    Start,
    retry_delay_s,
)
from outagekit.run.orders import Fetched, Finished, FirstContact, Order, Part, Stream
from outagekit.run.state import State


def event_of_command(command: Command, state: State, stopped_by: str) -> AnyEvent:
    """Return the event that makes a decision a fact."""
    match command:
        case Start(endpoint=endpoint, step=step, attempt=attempt, number=number):
            return StepStarted(endpoint=endpoint, step=step.id, attempt=attempt, number=number)
        case OpenStage(number=number):
            stage = state.plan.stages[number - 1]
            return StageOpened(
                stage=number, phase=stage.phase, steps=stage.steps, endpoints=state.alive
            )
        case Skip(endpoint=endpoint, step=step, reason=reason):
            return StepFinished(
                endpoint=endpoint, step=step.id, state=EndState.SKIPPED, detail=reason
            )
        case Break(endpoint=endpoint, step=step, detail=detail):
            return StepFinished(
                endpoint=endpoint,
                step=step.id,
                state=EndState.FAILED,
                failure=FailureKind.BAD_RESULT,
                detail=detail,
            )
        case Pause():
            return RunPaused(why=stopped_by)
        case Close(exit_code=code):
            return RunClosed(counts=state.counts(), exit_code=code)


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


def finished_event(report: Finished, start: Start) -> StepFinished:
    """Return the event for an order's end, with the delay before another try if there is one."""
    delay_s = retry_delay_s(start.step, start.number, report.failure)
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
