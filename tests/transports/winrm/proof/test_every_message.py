"""Every trouble with every message: what is claimed is true, whatever the endpoint answers.

The claims are compared with the machine's own record of what it executed. Each trial has its own
service and connection; those of one message run side by side, because most of their time is
waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from outagekit.events import EndState
from outagekit.lab.wsman import faults
from outagekit.lab.wsman.injection import (
    Drop,
    Refuse,
    Replace,
    Status,
    Trickle,
    Trouble,
    Truncate,
)
from outagekit.lab.wsman.soap import ADDRESSING, SHELL, SOAP, WSMAN
from outagekit.transports.protocol import Failure, Limits, Opened, Outcome

if TYPE_CHECKING:
    from conftest import Stand, Steps, Way
    from outagekit.lab.wsman.service import Service

CODE = 5
"""What the step ends with: another code, or success, was made up."""
LIMITS = Limits(run_s=1.2, accept_s=1.0)
LONGEST_S = 20.0
AT_ONCE = 16
DONE = f"{SHELL}/CommandState/Done"
TEXTS = {
    "create": '<w:Selector Name="ShellId">{shell}</w:Selector>',
    "command": "<r:CommandResponse><r:CommandId>{command}</r:CommandId></r:CommandResponse>",
    "send": "<r:SendResponse/>",
    "receive": "<r:ReceiveResponse><r:CommandState CommandId='{command}' State='{done}'>"
    "<r:ExitCode>0</r:ExitCode></r:CommandState></r:ReceiveResponse>",
    "signal": "<r:SignalResponse/>",
    "delete": "",
}


class Foreign(Replace):
    """An answer that fits in everything, but that it answers another message."""

    def __init__(self, service: Service, kind: str) -> None:
        object.__setattr__(self, "_service", service)
        object.__setattr__(self, "_kind", kind)

    status = 200

    @property
    def body(self) -> bytes:
        command = self._service.log[-1].command
        inner = TEXTS[self._kind].format(shell="1" * 36, command=command, done=DONE)
        return (
            f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:w="{WSMAN}"'
            f' xmlns:r="{SHELL}"><s:Header><a:RelatesTo>uuid:{"2" * 36}</a:RelatesTo></s:Header>'
            f"<s:Body>{inner}</s:Body></s:Envelope>"
        ).encode()


Made = Callable[["Service", str], Trouble]


def always(trouble: Trouble) -> Made:
    return lambda service, kind: trouble


TRANSPORT: dict[str, Made] = {
    "reset before": always(Drop(executed=False)),
    "reset after": always(Drop(executed=True)),
    "closed before": always(Drop(executed=False, by_reset=False)),
    "closed after": always(Drop(executed=True, by_reset=False)),
    **{f"HTTP {code}": always(Status(code)) for code in (400, 401, 403, 404, 413, 500, 503)},
    "truncated": always(Truncate(60)),
    "trickle": always(Trickle(64, 0.001)),
    "endless trickle": always(Trickle(1, 0.03)),
}
ANSWERS: dict[str, Made] = {
    "garbage": always(Replace(b"\x00\xff\x15 garbage <", 200)),
    "garbage as a fault": always(Replace(b"<a>", 500)),
    "a web page": always(Replace(b"<html><body>It works!</body></html>", 200)),
    "nothing": always(Replace(b"", 200)),
    "another message's": Foreign,
}
FAULTS: dict[str, Made] = {
    name: always(Refuse(getattr(faults, name)))
    for name in (
        "NO_OUTPUT",
        "UNKNOWN_SELECTOR",
        "TORN_DOWN",
        "ABORTED",
        "BUSY",
        "DENIED",
        "WRONG",
        "NOT_FOUND",
        "TOO_MANY_SHELLS",
        "TOO_MANY_OPERATIONS",
        "NOT_SCHEMA",
        "UNKNOWN_ACTION",
        "NOT_UNDERSTOOD",
    )
}
TROUBLES = {**TRANSPORT, **ANSWERS, **FAULTS}
OF_A_LOGIN = {**TRANSPORT, "let in unasked": always(Status(200))}
LOST_WITH_THE_ANSWER = {
    "reset after",
    "closed after",
    "truncated",
    "endless trickle",
    *ANSWERS,
}
"""The shell was made, and nobody was told its name: it ends when it was idle for long enough."""
LIES = {"UNKNOWN_SELECTOR", "TORN_DOWN"}
"""A shell that is there, and is said not to be."""
MESSAGES = ("create", "command", "send", "receive", "signal", "delete")
LOGIN_STEPS = 3


@dataclass(frozen=True)
class Trial:
    """One trouble with one message, or one step of a login, the first or a later one."""

    message: str
    trouble: str
    framed: bool = True
    step: int = 0
    again: bool = False
    times: int = 1


class Tried:
    """What came of a trial."""

    def __init__(self, stand: Stand, program: Steps, way: Way, trial: Trial) -> None:
        self.stand, self.program, self.way, self.trial = stand, program, way, trial
        self.outcomes: list[tuple[str, Outcome]] = []
        self.began_s = time.monotonic()
        program.acts["fix"] = self._fix
        self.server = stand.server(program, way)
        self.transport = stand.transport(self.server, way)

    @property
    def service(self) -> Service:
        return self.server.server

    def _fix(self, asked: object, running: object) -> object:
        running.write(b"said\r\n")
        if self.trial.message == "signal":
            self.transport.interrupt()
            running.wait(5.0)
        if self.trial.again:
            self.server.cut()
        return self.stand.answer(CODE)

    def plan(self) -> None:
        made = {**TROUBLES, **OF_A_LOGIN}[self.trial.trouble](self.service, self.trial.message)
        skip, times = self.trial.step, self.trial.times
        self.service.injections.plan(self.trial.message, made, skip=skip, times=times)

    def run(self) -> list[str]:
        """Return what was wrong."""
        at_once = self.trial.message == "create" or (
            self.trial.message == "hello" and not self.trial.again
        )
        if at_once:
            self.plan()
        opened = self.stand.open(self.transport)
        if isinstance(opened, Opened):
            if not at_once and self.trial.message != "delete":
                self.plan()
            self._execute("fix")
            if self.transport.alive:
                self._execute("next")
        elif not at_once:
            return [f"not opened: {opened}"]
        return [*self._end(), *self._judged(opened)]

    def _execute(self, step: str) -> None:
        made = self.stand.powershell if self.trial.framed else self.stand.cmd
        self.outcomes.append((step, self.stand.run(self.transport, made(step=step), LIMITS)))

    def _end(self) -> list[str]:
        if self.trial.message == "delete":
            self.plan()
            self.transport.close()
            self.service.injections.clear()
            # What could not be deleted, as far as we know, is when the endpoint is next opened.
            self.stand.open(self.transport)
        try:
            self.stand.settle()
        except AssertionError as wrong:
            return [f"left: {wrong}"]
        return []

    def _judged(self, opened: Opened | Failure) -> list[str]:
        wrong: list[str] = []
        if isinstance(opened, Failure) and opened.sent:
            wrong.append(f"opening was never sent: {opened}")
        for step, outcome in self.outcomes:
            wrong += _untrue(outcome, self.program.ran(step), CODE if step == "fix" else 0)
        if not self.service.injections.met:
            wrong.append("the trouble was not met")
        if time.monotonic() - self.began_s > LONGEST_S:
            wrong.append("it took too long")
        return wrong


def _untrue(outcome: Outcome, ran: int, code: int) -> list[str]:
    """The claims: what ran, ran once; an exit code is the machine's; not sent is not executed."""
    wrong = [] if ran <= 1 else [f"executed {ran} times"]
    failure = outcome.failure
    if (failure is None) == (outcome.exit_code is None):
        wrong.append(f"neither or both: {outcome}")
    if failure is None and (ran, outcome.exit_code) != (1, code):
        wrong.append(f"claims {outcome.exit_code} of {ran} executions")
    if failure is not None and not failure.sent and ran:
        wrong.append(f"executed, and said not to be: {failure}")
    if failure is not None and failure.sent and failure.state is not EndState.UNKNOWN:
        wrong.append(f"sent, and not unknown: {failure}")
    return wrong


def orphans(trial: Trial) -> int:
    if trial.message == "create":
        return trial.times if trial.trouble in LOST_WITH_THE_ANSWER else 0
    return int(trial.message == "delete" and trial.trouble in LIES)


def require_true(stand: Stand, way: Way, trials: list[Trial]) -> list[Tried]:
    """Try all of it; fail with everything that was wrong."""
    made = [_made(stand, way, trial) for trial in trials]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(Tried.run, made))
    wrong = {str(t.trial): faults_ for t, faults_ in zip(made, found, strict=True) if faults_}
    assert wrong == {}
    return made


def _made(stand: Stand, way: Way, trial: Trial) -> Tried:
    own = stand.another(orphans=orphans(trial))
    return Tried(own, stand.new_program(), way, trial)


@pytest.mark.parametrize("message", MESSAGES)
def test_one_trouble_with_a_framed_command(stand: Stand, sealed: Way, message: str) -> None:
    tried = require_true(stand, sealed, [Trial(message, name) for name in TROUBLES])
    slowly = next(each for each in tried if each.trial.trouble == "trickle")
    if message != "signal":
        assert [each.exit_code for _, each in slowly.outcomes] == [CODE, 0]


@pytest.mark.parametrize("message", ["command", "receive", "signal"])
def test_one_trouble_with_a_plain_line(stand: Stand, sealed: Way, message: str) -> None:
    require_true(stand, sealed, [Trial(message, name, framed=False) for name in TROUBLES])


@pytest.mark.parametrize("again", [False, True], ids=["first login", "later login"])
def test_one_trouble_with_a_step_of_a_login(stand: Stand, sealed: Way, again: bool) -> None:
    trials = [
        Trial("hello", name, step=step, again=again)
        for name in OF_A_LOGIN
        for step in range(LOGIN_STEPS)
    ]
    require_true(stand, sealed, trials)


@pytest.mark.parametrize("message", ["create", "command", "send", "receive"])
def test_one_trouble_over_https(stand: Stand, ways: dict[str, Way], message: str) -> None:
    names = ("closed before", "closed after", "HTTP 400", "HTTP 401", "HTTP 500", "truncated")
    trials = [Trial(message, name) for name in names]
    require_true(stand, ways["basic"], trials)
    require_true(stand, ways["bound"], trials)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2, 3, 9])
@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("message", MESSAGES)
def test_every_trouble_by_every_way(
    stand: Stand, way: Way, message: str, framed: bool, times: int
) -> None:
    if message == "send" and not framed:
        pytest.skip("it has no input")
    names = [n for n in TROUBLES if times == 1 or message not in {"create", "delete"}]
    require_true(stand, way, [Trial(message, n, framed=framed, times=times) for n in names])
