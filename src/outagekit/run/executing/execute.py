"""One order on one open connection: check, then the action, then verify.

The order of things is the promise of a step: a true check means nothing is done; green after a
change means that verify said so. What comes back is always one `Finished`, and it never guesses:
a connection lost after a command was sent is `unknown`.
"""

from __future__ import annotations

import time
from dataclasses import replace

from outagekit.events import EndState, FailureKind
from outagekit.evidence import EvidenceRefused
from outagekit.playbook.model import (
    Code,
    Fetch,
    Push,
    Reboot,
    RunScript,
    WaitHttp,
    WaitScript,
    WaitTcp,
)
from outagekit.run.executing.detached import attend, was_begun
from outagekit.run.executing.proof import foresee, probe, prove, take_back
from outagekit.run.executing.reboot import restart
from outagekit.run.executing.work import Bench, End, Work, failed, lost_words, unsuccessful
from outagekit.run.orders import Fetched, Finished, Order
from outagekit.transports.meaning import parse_result
from outagekit.transports.probing.probe import probe_http
from outagekit.transports.protocol import Failure, Limits, Transport

__all__ = ["Bench", "execute"]

_LAST_LOOK_S = 10.0
"""What the last look of a `wait` may take, although the step's time is over then."""


def execute(order: Order, transport: Transport, bench: Bench) -> Finished:
    """Do what an order is for on an open connection and return its last report."""
    began_ns = time.monotonic_ns()
    end = _end(Work(order, transport, bench))
    return Finished(
        attempt=order.attempt,
        state=end.state,
        failure=end.failure,
        detail=end.detail,
        duration_ms=(time.monotonic_ns() - began_ns) // 1_000_000,
        result=end.result,
        boot_id=transport.boot_id,
    )


def _end(work: Work) -> End:
    match work.order.purpose:
        case "do":
            return _steps(work)
        case "probe" | "recheck":
            return probe(work)
        case "undo":
            return take_back(work)
        case "foresee":
            return foresee(work)


def _steps(work: Work) -> End:
    order = work.order
    # One that was begun is waited for, whatever it has come to by now.
    if order.check is not None and not was_begun(work):
        found = work.judge("check", order.check)
        if isinstance(found, End):
            return found
        if found:
            return End(EndState.OK, detail="the check was true before: nothing to do")
    if isinstance(order.action, Reboot):
        return restart(work, order.action.within_s)  # proves itself: it may be away meanwhile
    end = _act(work)
    unproven = None if end.is_bad else prove(work)
    if unproven is None:
        return end
    if unproven.failure is FailureKind.VERIFY:
        return replace(unproven, result=end.result)
    return unproven


def _act(work: Work) -> End:
    match work.order.action:
        case RunScript(script=script):
            return _run_script(work, script.variants[0])
        case WaitTcp() | WaitHttp() | WaitScript():
            return _wait(work)
        case Push() as push:
            return _push(work, push)
        case Fetch() as fetch:
            return _fetch(work, fetch)
        case action:
            detail = f"this version does not execute {type(action).__name__}"
            return End(EndState.FAILED, FailureKind.PROTOCOL, detail)


def _run_script(work: Work, code: Code) -> End:
    outcome = attend(work, code) if work.order.detach else work.command("script", code)
    end = unsuccessful(outcome, work.order.success)
    declared = work.order.result
    if end is not None or not declared:
        return end or End(work.done)
    if outcome.missing:
        return lost_words("script")
    clean = work.transport.redactor.clean_value
    result = parse_result(outcome.stdout.text, declared, clean=clean)
    if isinstance(result, str):
        return End(EndState.FAILED, FailureKind.BAD_RESULT, result)
    return End(work.done, result=result)


def _wait(work: Work) -> End:
    order, action = work.order, work.order.action
    if not isinstance(action, WaitTcp | WaitHttp | WaitScript):  # pragma: no cover
        message = f"{action} is no wait"
        raise TypeError(message)
    deadline_s = time.monotonic() + order.timeout_s
    while True:
        left_s = max(deadline_s - time.monotonic(), min(_LAST_LOOK_S, order.timeout_s))
        found = _look(work, action, limit_s=left_s)
        if isinstance(found, End):
            return found
        if found:
            return End(EndState.OK)
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            detail = f"did not become true within {order.timeout_s:g} s"
            return End(EndState.FAILED, FailureKind.TIMEOUT, detail)
        if work.bench.cancelled.wait(min(action.every_s, left_s)):
            detail = "it was not true yet when nobody waited for it any more"
            return failed(Failure(FailureKind.ABANDONED, detail, sent=True))


def _look(work: Work, action: WaitTcp | WaitHttp | WaitScript, *, limit_s: float) -> bool | End:
    if isinstance(action, WaitScript):
        code = action.script.variants[0]
        return work.judge("script", code, limit_s=limit_s)
    timeout_s = min(_LAST_LOOK_S, work.order.timeout_s)
    sock = work.transport.reach(action.port, timeout_s)
    if isinstance(sock, Failure):
        # What no way can ever show is not waited for.
        return failed(sock) if sock.kind is FailureKind.PROTOCOL else False
    if isinstance(action, WaitTcp):
        sock.close()
        return True
    address = work.order.target.endpoint.address
    place = (address, action.port)
    status = probe_http(sock, action.scheme, place, path=action.path, timeout_s=timeout_s)
    return status == action.status


def _push(work: Work, push: Push) -> End:
    limits = Limits(run_s=work.order.timeout_s)
    moved = work.transport.put(
        push.content, push.to, mode=push.mode, limits=limits, account=work.order.account
    )
    return failed(moved) if isinstance(moved, Failure) else End(work.done)


def _fetch(work: Work, fetch: Fetch) -> End:
    left_bytes = fetch.max_bytes
    deadline_s = time.monotonic() + work.order.timeout_s
    for source in fetch.paths:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            detail = f"not every file came within {work.order.timeout_s:g} s"
            return End(EndState.FAILED, FailureKind.TIMEOUT, detail)
        try:
            saved = _fetch_one(work, source, left_bytes, Limits(run_s=left_s))
        except EvidenceRefused as refused:
            return End(EndState.FAILED, refused.kind, refused.message)
        if isinstance(saved, Failure):
            return failed(saved)
        left_bytes -= saved.size_bytes
        work.bench.emit(saved)
    return End(work.done)


def _fetch_one(work: Work, source: str, max_bytes: int, limits: Limits) -> Fetched | Failure:
    order, evidence = work.order, work.bench.evidence
    endpoint = order.target.endpoint
    place = evidence.place(endpoint.client, endpoint.name, order.step, source)
    moved = work.transport.fetch(
        source, place, max_bytes=max_bytes, limits=limits, account=order.account
    )
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
