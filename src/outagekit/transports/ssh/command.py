"""One command on an SSH channel: send its input, drain both streams, await its end, in one loop.

Neither side can block the other: input goes out while there is room, output is read as it comes.
The loop ends by itself at the deadline; a write that blocks in the network is freed by the
watchdog.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import paramiko
from typing_extensions import override

from outagekit.events import FailureKind
from outagekit.redaction import Redactor
from outagekit.transports.capture import Capture
from outagekit.transports.protocol import Failure, Limits, OnOutput, Outcome, Stream
from outagekit.transports.ssh.session import NO_EXIT_CODE, Session
from outagekit.transports.watchdog import WATCHDOG

_CHUNK_BYTES: Final = 64 * 1024
_SEND_BYTES: Final = 32 * 1024
_SLICE_S: Final = 1.0
"""Longest sleep; whatever matters rings the bell."""
_FULL_S: Final = 0.02
"""Sleep while the endpoint takes no more input: room for more rings no bell."""
_QUIET_S: Final = 2.0
"""How long after its exit code a command's children may stay silent before they are left alone."""
_TERM_S: Final = 1.0
_KILL_S: Final = 0.5
_BACKSTOP_S: Final = 1.0
_STRIKE_S: Final = 4.0
"""How long ending the command in another way than by the server's signals may take."""
_STRIKE_SLICE_S: Final = 0.1

_End = Literal["ended", "timeout", "interrupted", "broken"]


class _Bell(threading.Event):
    """Set by either stream of a channel; only its owner clears it."""

    @override
    def clear(self) -> None:
        """Do nothing: one stream running dry says nothing about the other."""

    def rearm(self) -> None:
        """Clear it."""
        super().clear()


@dataclass(frozen=True, slots=True)
class Running:
    """A command the endpoint took."""

    session: Session
    channel: paramiko.Channel
    stdin: bytes
    limits: Limits
    early: bytes = b""
    """Standard error that came with the endpoint's word that it took the command."""
    bell: _Bell = field(default_factory=_Bell)
    interrupted: threading.Event = field(default_factory=threading.Event)
    strike: Callable[[], None] | None = None
    """Ends the command with all it has started, where a signal from the server does not."""

    def interrupt(self) -> None:
        """Have it end before its time; from any thread."""
        self.interrupted.set()
        self.bell.set()


def follow(running: Running, redactor: Redactor, on_output: OnOutput | None = None) -> Outcome:
    """Return the outcome of a command the endpoint took; `duration_ms` counts from here."""
    return _Follower(running, redactor, on_output).run()


class _Follower:
    """The loop over one command."""

    def __init__(self, running: Running, redactor: Redactor, on_output: OnOutput | None) -> None:
        self._running = running
        self._channel = running.channel
        self._pending = memoryview(running.stdin)
        self._captures: dict[Stream, Capture] = {
            "stdout": Capture(redactor, running.limits.keep_bytes),
            "stderr": Capture(redactor, running.limits.keep_bytes),
        }
        self._on_output = on_output
        self._bell = running.bell
        self._began_s = time.monotonic()

    def run(self) -> Outcome:
        """Follow the command to its end."""
        session, limits = self._running.session, self._running.limits
        longest_s = limits.run_s + _TERM_S + _KILL_S + _BACKSTOP_S
        longest_s += _STRIKE_S if self._running.strike is not None else 0.0
        self._channel.settimeout(0.0)
        self._channel.in_buffer.set_event(self._bell)
        self._channel.in_stderr_buffer.set_event(self._bell)
        self._take("stderr", self._running.early)
        with WATCHDOG.limit(longest_s, session.cut):
            end = self._guarded(self._began_s + limits.run_s)
            if end in {"timeout", "interrupted"}:
                self._stop()
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                self._channel.close()
        return self._outcome(end)

    def _guarded(self, until_s: float) -> _End:
        try:
            return self._loop(until_s)
        except (paramiko.SSHException, EOFError, OSError):
            # The session ends; what arrived before is still worth having.
            self._drain()
            late = time.monotonic() > until_s
            return "timeout" if late else "broken"

    def _loop(self, until_s: float, *, heeding: bool = True) -> _End:
        if not self._pending:
            self._channel.shutdown_write()
        quiet_since_s = time.monotonic()
        while True:
            self._bell.rearm()
            closed = self._channel.closed
            moved = self._drain() | self._send()
            now_s = time.monotonic()
            if moved:
                quiet_since_s = now_s
            elif closed or self._is_over(now_s - quiet_since_s):
                return "ended"
            if now_s >= until_s:
                return "timeout"
            if heeding and self._running.interrupted.is_set():
                return "interrupted"
            if not moved:
                slice_s = _FULL_S if self._pending else _SLICE_S
                self._bell.wait(min(slice_s, until_s - now_s))

    def _is_over(self, quiet_s: float) -> bool:
        if self._channel.exit_status == NO_EXIT_CODE:
            return False
        return bool(self._channel.eof_received) or quiet_s >= _QUIET_S

    def _drain(self) -> bool:
        channel = self._channel
        moved = False
        if channel.recv_ready():
            moved = self._take("stdout", channel.recv(_CHUNK_BYTES))
        if channel.recv_stderr_ready():
            moved |= self._take("stderr", channel.recv_stderr(_CHUNK_BYTES))
        return moved

    def _take(self, stream: Stream, data: bytes) -> bool:
        self._show(stream, self._captures[stream].feed(data))
        return bool(data)

    def _show(self, stream: Stream, text: str) -> None:
        if text and self._on_output is not None:
            self._on_output(stream, text)

    def _send(self) -> bool:
        if not self._pending or self._channel.closed or not self._channel.send_ready():
            return False
        sent = self._channel.send(bytes(self._pending[:_SEND_BYTES]))
        # Nothing taken: the endpoint closed its side, and reads no more.
        self._pending = self._pending[sent:] if sent else memoryview(b"")
        if not self._pending:
            self._channel.shutdown_write()
        return sent > 0

    def _stop(self) -> None:
        """Ask the command to end, then insist; what it says meanwhile is kept.

        A server may pass no signal on: then the command may go on.
        """
        self._pending = memoryview(b"")
        if self._running.strike is not None and self._struck(self._running.strike):
            return
        for signal, grace_s in (("TERM", _TERM_S), ("KILL", _KILL_S)):
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                if self._channel.closed or not self._running.session.is_active():
                    return
                self._running.session.signal(self._channel, signal)
                if self._loop(time.monotonic() + grace_s, heeding=False) == "ended":
                    return

    def _struck(self, strike: Callable[[], None]) -> bool:
        """Have the command ended by `strike`; return whether there is nothing left to be asked."""
        striking = threading.Thread(target=strike, daemon=True, name="outagekit-strike")
        try:
            striking.start()
        except RuntimeError:  # this machine has no room for a thread now
            return False
        until_s = time.monotonic() + _STRIKE_S
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            while striking.is_alive() and (now_s := time.monotonic()) < until_s:
                slice_s = min(until_s, now_s + _STRIKE_SLICE_S)
                if self._loop(slice_s, heeding=False) == "ended":
                    return True
            return self._loop(time.monotonic() + _KILL_S, heeding=False) == "ended"
        return True

    def _outcome(self, end: _End) -> Outcome:
        for stream, capture in self._captures.items():
            self._show(stream, capture.finish())
        failure = self._failure(end)
        return Outcome(
            exit_code=None if failure else self._channel.exit_status,
            stdout=self._captures["stdout"].captured(),
            stderr=self._captures["stderr"].captured(),
            duration_ms=round((time.monotonic() - self._began_s) * 1000),
            failure=failure,
        )

    def _failure(self, end: _End) -> Failure | None:
        if end == "timeout":
            seconds = self._running.limits.run_s
            detail = f"the command did not end within {seconds:g} s and was asked to stop"
            return Failure(FailureKind.TIMEOUT, detail, sent=True)
        if end == "interrupted":
            detail = "nobody waited for the command any more: it was asked to stop"
            return Failure(FailureKind.ABANDONED, detail, sent=True)
        if self._channel.exit_status != NO_EXIT_CODE:
            return None
        signal = getattr(self._channel, "exit_signal", "")
        if signal:
            detail = f"the command was killed by signal {signal}"
            return Failure(FailureKind.EXIT_CODE, detail, sent=True)
        if self._running.session.is_active():
            detail = "the server closed the command's channel without an exit code"
        else:
            detail = "the connection was lost while the command ran"
        return Failure(FailureKind.LOST, detail, sent=True)
