"""One shell on an endpoint: made, used for many commands, replaced in time, and deleted.

A finished command is not terminated: that would be a fourth message for each. Servers count them,
so after a few the shell gives way to a fresh one, and what a server refuses for its quota is tried
once more after making room. A shell that is gone is not replaced silently: it also says that this
is still the same machine on the same boot.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Final

from outagekit.errors import OutagekitError
from outagekit.transports.watchdog import WATCHDOG
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.ledger import Ledger
from outagekit.transports.winrm.wire import Wire

MOST_FINISHED: Final = 12
"""So many finished commands a shell may have: old systems allow 15 to a user."""
_ENDED: Final = frozenset({Fault.SHELL_GONE, Fault.BEING_TORN_DOWN})
_REFUSED: Final = frozenset({Fault.QUOTA, Fault.BUSY, Fault.OTHER})
"""What a server may answer that has kept too many finished commands."""

Prove = Callable[[Wire, float], None]
"""Connects a wire and logs in, within so many seconds; raises `WireError`."""


class Shell:
    """A shell of ours, and the connection it is used over. Methods raise `WireError`.

    Used by one thread at a time, but for `cut`.
    """

    def __init__(self, wire: Wire, endpoint: str, ledger: Ledger, prove: Prove) -> None:
        self.wire = wire
        self.id = ""
        """Empty while there is none."""
        self.boot = ""
        self._endpoint = endpoint
        self._ledger = ledger
        self._prove = prove
        self._finished: list[str] = []
        self._cut = threading.Event()

    @property
    def is_cut(self) -> bool:
        """Whether the connection was cut from outside, and not made again since."""
        return self._cut.is_set()

    def make(self, timeout_s: float | None = None) -> None:
        """Make the shell."""
        self.id = self.wire.create(timeout_s=timeout_s)
        self._finished.clear()
        self._note(lambda: self._ledger.hold(self._endpoint, self.id, boot=self.boot))

    def seen_on(self, boot: str) -> None:
        """Note on which boot the machine is that the shell stands on."""
        self.boot = boot
        self._note(lambda: self._ledger.hold(self._endpoint, self.id, boot=boot))

    def start(self, line: str, until_s: float, chosen: Callable[[str], None]) -> None:
        """Have the server take a command; `chosen` is told its id before it is sent.

        If this raises for something other than silence, the command was not started.
        """
        if len(self._finished) >= MOST_FINISHED:
            self.renew(until_s)
        try:
            self._start(line, until_s, chosen)
        except WireError as fault:
            if fault.fault not in _REFUSED or not self._make_room(fault, until_s):
                raise
            self._start(line, until_s, chosen)

    def _start(self, line: str, until_s: float, chosen: Callable[[str], None]) -> None:
        command = str(uuid.uuid4()).upper()
        self._note(lambda: self._ledger.begin(self.id, command))
        chosen(command)
        try:
            self.wire.command(self.id, command, line, timeout_s=_left(until_s))
        except WireError as fault:
            if fault.fault is not Fault.STALE:
                raise
            # The server forgot who we are, and did nothing: with a new login it may.
            self.reconnect(_left(until_s))
            self.wire.command(self.id, command, line, timeout_s=_left(until_s))

    def _make_room(self, fault: WireError, until_s: float) -> bool:
        """Do what may help against a refusal; return whether anything could be done."""
        finished, self._finished = self._finished, []
        if fault.fault is Fault.QUOTA:
            self.renew(until_s)
            return True
        for command in finished:
            self.wire.signal(self.id, command, "terminate", timeout_s=_left(until_s))
        return bool(finished)

    def finished(self, command: str) -> None:
        """Remember a command that came to its end, and was not terminated."""
        self._finished.append(command)

    def renew(self, until_s: float) -> None:
        """Replace the shell by a fresh one; raises if the old one is not there any more."""
        old = self.id
        self.wire.delete(old, timeout_s=_left(until_s))
        self.id = ""
        self._note(lambda: self._ledger.gone(old))
        self.make(_left(until_s))

    def use(self, wire: Wire, prove: Prove) -> None:
        """Go on over another connection, which is not made yet."""
        self.wire, self._prove = wire, prove
        self._cut.set()

    def reconnect(self, timeout_s: float) -> None:
        """Forget the connection and make another one, to be used with the same shell."""
        self._cut.clear()
        self.wire.drop()
        self._prove(self.wire, timeout_s)

    def cut(self) -> None:
        """Close the connection from any thread; a blocked call returns soon."""
        self._cut.set()
        self.wire.cut()

    def delete(self, timeout_s: float) -> bool:
        """Delete the shell, over a new connection if need be; return whether it is gone.

        Never raises; may take a little longer than it should.
        """
        if not self.id:
            return True
        until_s = time.monotonic() + timeout_s
        try:
            # Logging in again takes time of its own, of which there may be too much.
            with WATCHDOG.limit(timeout_s, self.wire.cut):
                if not self.is_cut and self._deleted(until_s):
                    return True
                if time.monotonic() >= until_s:
                    return False
                self.reconnect(_left(until_s))
                return self._deleted(until_s)
        except WireError:
            return False
        finally:
            if self.id:
                self._ledger.leave(self.id)

    def _deleted(self, until_s: float) -> bool:
        try:
            self.wire.delete(self.id, timeout_s=_left(until_s))
        except WireError as fault:
            if fault.fault not in _ENDED:
                return False
        gone, self.id = self.id, ""
        self._note(lambda: self._ledger.gone(gone))
        return True

    def sweep(self, timeout_s: float) -> bool:
        """Delete what others of ours left on this endpoint; return whether there was anything.

        What cannot be deleted stays noted. Never raises.
        """
        until_s, found = time.monotonic() + timeout_s, False
        for shell in self._ledger.left(self._endpoint, boot=self.boot):
            try:
                self.wire.delete(shell, timeout_s=_left(until_s))
            except WireError as fault:
                if fault.fault not in _ENDED:
                    break
            found = True
            self._note(partial(self._ledger.gone, shell))
        return found

    @staticmethod
    def _note(write: Callable[[], None]) -> None:
        # A disk that is full must not keep an endpoint from being mended: the idle time-out of
        # the shell does the same, later.
        with contextlib.suppress(OutagekitError):
            write()


def _left(until_s: float) -> float:
    return max(0.05, until_s - time.monotonic())
