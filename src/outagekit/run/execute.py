"""One order on one open connection: check, then the action, then verify.

The order of things is the promise of a step: a true check means nothing is done; green after a
change means that verify said so. What comes back is always one `Finished`, and it never guesses:
a connection lost after a command was sent is `unknown`.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from outagekit.events import EndState, FailureKind
from outagekit.evidence import EvidenceRefused, EvidenceStore
from outagekit.playbook.model import (
    Code,
    Fetch,
    Push,
    RunScript,
    WaitHttp,
    WaitScript,
    WaitTcp,
)
from outagekit.run.orders import Fetched, Finished, Order, Part, Report, Stream
from outagekit.text import visible_line
from outagekit.transports.probe import probe_http, probe_tcp
from outagekit.transports.protocol import Captured, Failure, Limits, Outcome, Transport
from outagekit.transports.shell import parse_result, render, verdict

Emit = Callable[[Report], None]

_LAST_LOOK_S = 10.0
"""What the last look of a `wait` may take, although the step's time is over then."""


@dataclass(frozen=True, slots=True)
class End:
    """How a part of an order ended, before it becomes the order's `Finished`."""

    state: EndState
    failure: FailureKind | None = None
    detail: str = ""
    result: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What executing an order needs besides the order and its connection."""

    emit: Emit
    key: bytes
    """The run's HMAC key: proves which command was sent without showing it."""
    evidence: EvidenceStore
    cancelled: threading.Event
    """Set when nobody waits for the order any more; ends a `wait` between two probes."""


def execute(order: Order, transport: Transport, bench: Bench) -> Finished:
    """Run an order to its end on an open connection and return its last report."""
    began_ns = time.monotonic_ns()
    end = _steps(order, transport, bench)
    return Finished(
        attempt=order.attempt,
        state=end.state,
        failure=end.failure,
        detail=end.detail,
        duration_ms=(time.monotonic_ns() - began_ns) // 1_000_000,
        result=end.result,
    )


def _steps(order: Order, transport: Transport, bench: Bench) -> End:
    if order.check is not None:
        found = _judge(order, "check", order.check, transport, bench)
        if isinstance(found, End):
            return found
        if found:
            return End(EndState.OK, detail="the check was true before: nothing to do")
    end = _act(order, transport, bench)
    if end.state in {EndState.FAILED, EndState.UNKNOWN, EndState.UNREACHABLE}:
        return end
    if order.verify is not None:
        proven = _judge(order, "verify", order.verify, transport, bench)
        if isinstance(proven, End):
            return proven
        if not proven:
            return End(
                EndState.FAILED,
                FailureKind.VERIFY,
                "the step ran to its end, but verify says that its goal is not reached",
                end.result,
            )
    return end


def _judge(order: Order, part: str, code: Code, transport: Transport, bench: Bench) -> bool | End:
    return _judged(part, _command(order, part, code, transport, bench))


def _judged(part: str, outcome: Outcome) -> bool | End:
    if outcome.failure is not None:
        return _failed(outcome.failure)
    answer = verdict(outcome)
    if answer is None:
        return End(
            EndState.FAILED,
            FailureKind.CHECK_BROKEN,
            f"{part} gave no verdict: {_exit_text(outcome)}",
        )
    return answer


def _act(order: Order, transport: Transport, bench: Bench) -> End:
    match order.action:
        case RunScript(script=script):
            return _run_script(order, script.variants[0], transport, bench)
        case WaitTcp() | WaitHttp() | WaitScript():
            return _wait(order, transport, bench)
        case Push() as push:
            return _push(order, push, transport)
        case Fetch() as fetch:
            return _fetch(order, fetch, transport, bench)
        case _:
            return End(
                EndState.FAILED,
                FailureKind.PROTOCOL,
                f"this version does not execute {type(order.action).__name__}",
            )


def _run_script(order: Order, code: Code, transport: Transport, bench: Bench) -> End:
    outcome = _command(order, "script", code, transport, bench)
    if outcome.failure is not None:
        return _failed(outcome.failure)
    if outcome.exit_code != 0:
        return End(EndState.FAILED, FailureKind.EXIT_CODE, _exit_text(outcome))
    if not order.result:
        return End(_done(order))
    clean = transport.redactor.clean_value
    result = parse_result(outcome.stdout.text, order.result, clean=clean)
    if isinstance(result, str):
        return End(EndState.FAILED, FailureKind.BAD_RESULT, result)
    return End(_done(order), result=result)


def _wait(order: Order, transport: Transport, bench: Bench) -> End:
    action = order.action
    if not isinstance(action, WaitTcp | WaitHttp | WaitScript):  # pragma: no cover
        message = f"{action} is no wait"
        raise TypeError(message)
    deadline_s = time.monotonic() + order.timeout_s
    while True:
        left_s = max(deadline_s - time.monotonic(), min(_LAST_LOOK_S, order.timeout_s))
        found = _probe(order, action, transport, bench, limit_s=left_s)
        if isinstance(found, End):
            return found
        if found:
            return End(EndState.OK)
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or bench.cancelled.wait(min(action.every_s, left_s)):
            return End(
                EndState.FAILED,
                FailureKind.TIMEOUT,
                f"did not become true within {order.timeout_s:g} s",
            )


def _probe(
    order: Order,
    action: WaitTcp | WaitHttp | WaitScript,
    transport: Transport,
    bench: Bench,
    *,
    limit_s: float,
) -> bool | End:
    if isinstance(action, WaitScript):
        code = action.script.variants[0]
        outcome = _command(order, "script", code, transport, bench, limit_s=limit_s)
        return _judged("script", outcome)
    endpoint = order.target.endpoint
    port = endpoint.ports.get(action.port, action.port)
    timeout_s = min(_LAST_LOOK_S, order.timeout_s)
    if isinstance(action, WaitTcp):
        return probe_tcp(endpoint.address, port, timeout_s=timeout_s)
    status = probe_http(
        action.scheme, endpoint.address, port, path=action.path, timeout_s=timeout_s
    )
    return status == action.status


def _push(order: Order, push: Push, transport: Transport) -> End:
    limits = Limits(run_s=order.timeout_s)
    moved = transport.put(push.content, push.to, mode=push.mode, limits=limits)
    return _failed(moved) if isinstance(moved, Failure) else End(_done(order))


def _fetch(order: Order, fetch: Fetch, transport: Transport, bench: Bench) -> End:
    left_bytes = fetch.max_bytes
    deadline_s = time.monotonic() + order.timeout_s
    for source in fetch.paths:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            detail = f"not every file came within {order.timeout_s:g} s"
            return End(EndState.FAILED, FailureKind.TIMEOUT, detail)
        try:
            limits = Limits(run_s=left_s)
            saved = _fetch_one(order, source, transport, bench.evidence, (left_bytes, limits))
        except EvidenceRefused as refused:
            return End(EndState.FAILED, refused.kind, refused.message)
        if isinstance(saved, Failure):
            return _failed(saved)
        left_bytes -= saved.size_bytes
        bench.emit(saved)
    return End(_done(order))


def _fetch_one(
    order: Order,
    source: str,
    transport: Transport,
    evidence: EvidenceStore,
    bounds: tuple[int, Limits],
) -> Fetched | Failure:
    endpoint = order.target.endpoint
    max_bytes, limits = bounds
    place = evidence.place(endpoint.client, endpoint.name, order.step, source)
    moved = transport.fetch(source, place, max_bytes=max_bytes, limits=limits)
    if isinstance(moved, Failure):
        evidence.discard(place)
        return moved
    path = evidence.settle(place, moved.sha256, source)
    return Fetched(
        attempt=order.attempt,
        source=source,
        path=evidence.name_of(path),
        size_bytes=moved.size_bytes,
        sha256=moved.sha256,
    )


def _command(
    order: Order,
    part: str,
    code: Code,
    transport: Transport,
    bench: Bench,
    *,
    limit_s: float | None = None,
) -> Outcome:
    command = render(code, order.values, step=order.step, part=part)
    outcome = transport.execute(command, Limits(run_s=limit_s or order.timeout_s))
    proof = hmac.new(bench.key, command.line.encode() + b"\n" + command.stdin, hashlib.sha256)
    bench.emit(
        Part(
            attempt=order.attempt,
            part=part,
            command=proof.hexdigest(),
            exit_code=outcome.exit_code,
            duration_ms=outcome.duration_ms,
            stdout=_stream(outcome.stdout),
            stderr=_stream(outcome.stderr),
        )
    )
    return outcome


def _stream(captured: Captured) -> Stream:
    return Stream(text=captured.text, size_bytes=captured.size_bytes)


def _done(order: Order) -> EndState:
    return EndState.CHANGED if order.changes else EndState.OK


def _failed(failure: Failure) -> End:
    return End(failure.state, failure.kind, failure.detail)


def _exit_text(outcome: Outcome) -> str:
    """Return the exit code with the last thing the endpoint said, for a person."""
    said = (outcome.stderr.text.strip() or outcome.stdout.text.strip()).splitlines()
    last = f": {visible_line(said[-1])[:300]}" if said else ""
    return f"exit code {outcome.exit_code}{last}"
