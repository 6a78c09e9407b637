"""One command in a shell: have it taken, hear what it says, await its end, in one loop.

The loop ends by itself at the deadline, by `interrupt`, and when the connection is lost for good.
A command that did not end by itself is asked to, then terminated, and its shell deleted, which
ends what it has started. How that goes never changes what is said about the command.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from outagekit.events import FailureKind
from outagekit.redaction import Redactor
from outagekit.text import visible_line
from outagekit.transports.protocol import Failure, OnOutput, Outcome, Stream, Told
from outagekit.transports.watchdog import WATCHDOG
from outagekit.transports.windows.clixml import CliXmlStream
from outagekit.transports.windows.render import may_exit
from outagekit.transports.windows.trailer import Unframer
from outagekit.transports.winrm.attempts import UNDONE, Attempt, Over, Tries
from outagekit.transports.winrm.codes import as_signed, is_shut_down
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.hearing import Hearing
from outagekit.transports.winrm.starting import start
from outagekit.transports.winrm.wire import Received

_WAIT_S: Final = 20.0
"""How long one look for output may wait at the endpoint."""
_SHORTEST_WAIT_S: Final = 0.5
"""WinRM takes no shorter operation time-out."""
_ANSWER_S: Final = 10.0
"""How much later than that the answer may come."""
_SIGNAL_S: Final = 0.5
_GRACE_S: Final = 0.5
"""How long a command that was asked to end may take to."""
_STOP_S: Final = 1.5
_DELETE_S: Final = 1.0
_BACKSTOP_S: Final = 2.0
"""How much later than its deadline a command is given up that somehow did not end by itself."""
_QUICK_S: Final = 0.05
_PAUSE_S: Final = 0.1
"""Between two answers that say nothing and come at once: no endpoint should give them."""
_NOT_FOUND: Final = 9009
"""What cmd.exe says of a program that is not there."""
_KILLED: Final = frozenset({1, -1})
"""What those leave of a process who end it: taskkill and Stop-Process."""
_GAP: Final = "[output may be missing here: the connection was lost and made again]"
_LONGEST_SAID: Final = 300

_End = Literal["ended", "timeout", "interrupted"]


def new_nonce() -> str:
    """Return what nobody can guess, for one frame."""
    return secrets.token_hex(16)


def follow(
    attempt: Attempt,
    redactor: Redactor,
    on_output: OnOutput | None = None,
    *,
    nonce: str = "",
) -> Outcome:
    """Have the endpoint run a command, and return its outcome. Never raises.

    `nonce` is that of the frame, of a framed command; its input begins with it. `duration_ms`
    counts from when the endpoint took the command.
    """
    return _Follower(attempt, redactor, on_output, nonce).run()


class _Follower:
    """The loop over one command."""

    def __init__(
        self, attempt: Attempt, redactor: Redactor, on_output: OnOutput | None, nonce: str
    ) -> None:
        self._attempt = attempt
        unframer = Unframer(nonce) if nonce else None
        self._on_output = on_output
        keep_bytes = attempt.limits.keep_bytes
        self._stdout = Hearing(redactor, keep_bytes, show=self._shown("stdout"), unframer=unframer)
        self._stderr = Hearing(
            redactor, keep_bytes, show=self._shown("stderr"), plain=CliXmlStream()
        )
        self._began_s = time.monotonic()
        self._code: int | None = None
        self._missed = False
        """Output may be missing."""

    def run(self) -> Outcome:
        """Follow the command to its end."""
        attempt = self._attempt
        try:
            self._began_s = start(attempt)
            until_s = self._began_s + attempt.limits.run_s
            with WATCHDOG.limit(attempt.limits.run_s + _BACKSTOP_S, attempt.shell.wire.cut):
                end = self._loop(until_s)
        except Over as over:
            attempt.broken = True
            if attempt.interrupted.is_set() and attempt.id:
                self._stop("interrupted")
            return self._outcome(over.failure)
        if end == "ended":
            attempt.shell.finished(attempt.id)
            return self._outcome(None)
        self._stop(end)
        attempt.broken = not attempt.shell.id
        return self._outcome(self._stopped(end))

    def _shown(self, stream: Stream) -> Callable[[str], None]:
        def show(text: str) -> None:
            if self._on_output is not None:
                self._on_output(stream, text)

        return show

    def _loop(self, until_s: float) -> _End:
        """Take what comes until the end. Raises `Over` when the connection is lost for good."""
        attempt, tries = self._attempt, Tries(self._attempt, until_s)
        done = attempt.early is not None and self._take(attempt.early)
        while not done:
            end = self._called_off(until_s)
            if end is not None:
                return end
            wait_s = max(_SHORTEST_WAIT_S, min(_WAIT_S, until_s - time.monotonic()))
            try:
                done = self._look(wait_s, _ANSWER_S)
            except WireError as fault:
                end = self._called_off(until_s)
                if end is not None:
                    return end
                if not fault.unsent and fault.fault not in UNDONE:
                    self._missed = True
                    self._stdout.miss(_GAP)
                tries.again(fault)
            else:
                tries.answered()
        return "ended"

    def _called_off(self, until_s: float) -> _End | None:
        if self._attempt.interrupted.is_set():
            return "interrupted"
        return "timeout" if time.monotonic() >= until_s else None

    def _hear_out(self, until_s: float) -> None:
        while time.monotonic() < until_s and not self._look(_SHORTEST_WAIT_S, _GRACE_S):
            pass

    def _look(self, wait_s: float, answer_s: float) -> bool:
        """Ask once for output; return whether the command has ended."""
        shell, asked_at_s = self._attempt.shell, time.monotonic()
        try:
            received = shell.wire.receive(
                shell.id, self._attempt.id, wait_s=wait_s, timeout_s=wait_s + answer_s
            )
        except WireError as fault:
            if fault.fault is not Fault.NO_OUTPUT:
                raise
            received = Received()
        done = self._take(received)
        silent = not (done or received.stdout or received.stderr)
        if silent and time.monotonic() - asked_at_s < _QUICK_S:
            self._attempt.interrupted.wait(_PAUSE_S)
        return done

    def _take(self, received: Received) -> bool:
        if received.stdout:
            self._stdout.take(received.stdout)
        if received.stderr:
            self._stderr.take(received.stderr)
        if received.done and received.exit_code is not None:
            self._code = as_signed(received.exit_code)
        return received.done

    def _stop(self, end: _End) -> None:
        """Have the command end; what it says meanwhile is kept."""
        shell, command = self._attempt.shell, self._attempt.id
        with suppress(WireError), WATCHDOG.limit(_STOP_S, shell.wire.cut):
            if shell.is_cut:
                shell.reconnect(_DELETE_S)
            shell.wire.signal(shell.id, command, "ctrl_c", timeout_s=_SIGNAL_S)
            self._hear_out(time.monotonic() + _GRACE_S)
            shell.wire.signal(shell.id, command, "terminate", timeout_s=_SIGNAL_S)
        if shell.delete(_DELETE_S) and end == "timeout":
            # On the same connection: what comes next shall meet the same machine.
            with suppress(WireError):
                shell.make()

    def _stopped(self, end: _End) -> Failure:
        if end == "timeout":
            seconds = self._attempt.limits.run_s
            detail = f"the command did not end within {seconds:g} s and was asked to stop"
            return Failure(FailureKind.TIMEOUT, detail, sent=True)
        detail = "nobody waited for the command any more: it was asked to stop"
        return Failure(FailureKind.ABANDONED, detail, sent=True)

    def _outcome(self, failure: Failure | None) -> Outcome:
        self._stdout.finish()
        self._stderr.finish()
        stdout, stderr = self._stdout.captured(), self._stderr.captured()
        code: int | None = None
        told: Told | None = None
        if failure is None:
            said = stderr.text.strip() or stdout.text.strip()
            judged = self._judged(said)
            if isinstance(judged, Failure):
                failure = judged
            else:
                code, told = judged
        duration_ms = round((time.monotonic() - self._began_s) * 1000)
        missing = failure is None and self._stdout.is_missing
        return Outcome(code, stdout, stderr, duration_ms, failure, told, missing)

    def _judged(self, said: str) -> tuple[int, Told | None] | Failure:
        """Return the exit code of a command that ended, and what it told, or why there is none."""
        code, trailer = self._code, self._stdout.trailer
        if trailer is not None:
            if trailer.failure is not None:
                return trailer.failure
            code = trailer.rc if trailer.rc is not None else code
        if code is None:
            detail = "the endpoint ended the command without an exit code"
            return Failure(FailureKind.LOST, detail, sent=True)
        if trailer is not None and trailer.told is not None:
            return code, trailer.told
        if is_shut_down(code):
            detail = "the command was ended from outside, as a shutdown does"
            return Failure(FailureKind.LOST, detail, sent=True)
        if not self._attempt.command.framed:
            return code, None
        return self._without_trailer(code, said)

    def _without_trailer(self, code: int, said: str) -> tuple[int, Told | None] | Failure:
        if self._missed:
            detail = f"the connection was lost while the command ended (exit code {code}), and with"
            detail += " it how it ended"
            return Failure(FailureKind.LOST, detail, sent=True)
        lines = said.splitlines()
        last = f": {visible_line(lines[-1])[:_LONGEST_SAID]}" if lines else ""
        if code == _NOT_FOUND:
            detail = f"the endpoint could not start PowerShell{last}"
            return Failure(FailureKind.PROTOCOL, detail)
        if code not in _KILLED and may_exit(self._attempt.command):
            return code, Told(how="exit")
        detail = (
            f"the command ended (exit code {code}) without saying how: it was killed, or"
            f" PowerShell does not run as it should{last}"
        )
        return Failure(FailureKind.LOST, detail, sent=True)
