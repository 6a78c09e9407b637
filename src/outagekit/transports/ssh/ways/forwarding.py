"""A session with a jump host: the server connects onward for us, for many at the same time.

What paramiko lacks for that: which answer belongs to which question, an end to what is answered
too late, and a bound on what it remembers of channels that are gone.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import paramiko
from paramiko.common import cMSG_CHANNEL_CLOSE
from paramiko.message import Message
from typing_extensions import override

from outagekit.transports.ssh.session import Session, said
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.watchdog import WATCHDOG

if TYPE_CHECKING:

    class _Base(Session):
        _channels: Any
        channels_seen: Any

        def _next_channel(self) -> int: ...
        def _parse_channel_open_failure(self, m: Message) -> None: ...
        def _parse_channel_open_success(self, m: Message) -> None: ...

else:
    _Base = Session

_STUCK_S: Final = 3.0
"""How long beyond its own time an answer may take before the connection counts as dead."""
_MOST_REFUSALS: Final = 1024
_ORIGIN: Final = ("127.0.0.1", 65535)
"""Who wants to be connected, as `ssh -W` says it: servers log it, none needs it."""


class Refused(Exception):  # noqa: N818  (the reason is the value it carries)
    """The server did not connect onward; `code` is that of RFC 4254, section 5.1."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class _AllSeen:
    """Knows every channel number, so that none has to be remembered."""

    def __contains__(self, number: object) -> bool:
        return True

    def __setitem__(self, number: int, seen: bool) -> None:
        pass


class Forwarder(_Base):
    """A session whose server connects onward; any thread may ask it."""

    def __init__(self, sock: socket.socket, known: tuple[HostKey, ...]) -> None:
        super().__init__(sock, known)
        self.channels_seen = _AllSeen()
        self._mine = threading.local()
        self._unanswered: set[int] = set()
        self._refusals: dict[int, tuple[int, str]] = {}
        self._asking = threading.Lock()
        self._answered_s = float("-inf")

    @property
    def unanswered(self) -> int:
        """How many connections the server was asked for and has not spoken of yet.

        Nobody can take such a wish back: the server tries on until its system gives up.
        """
        return len(self._unanswered)

    def forward(self, address: str, port: int, timeout_s: float) -> paramiko.Channel:
        """Return a channel over which the server has connected us onward.

        Raises `TimeoutError` if it does not say so in time, `Refused` with its reason, and
        `paramiko.SSHException`, `EOFError` or `OSError` if the connection ends.
        """
        self._mine.number = -1
        with WATCHDOG.limit(timeout_s + _STUCK_S, self.cut):
            try:
                return self.open_channel(
                    "direct-tcpip", (address, port), _ORIGIN, timeout=timeout_s
                )
            except paramiko.SSHException as fault:
                refusal = self._refusals.pop(self._mine.number, None)
                if refusal is not None:
                    raise Refused(*refusal) from fault
                if self.is_active():
                    raise TimeoutError from fault
                raise

    def answers(self, timeout_s: float) -> bool:
        """Return whether the server still speaks with us; if not, the connection is ended."""
        asked_s = time.monotonic()
        with self._asking:  # one question at a time has an answer of its own
            if not self.is_sound:
                return False
            began_s = time.monotonic()
            if self._answered_s >= asked_s:  # to who asked meanwhile
                return True
            with WATCHDOG.limit(timeout_s, self.cut):
                self.global_request("keepalive@openssh.com", wait=True)
            self._answered_s = time.monotonic()
            return self.is_active() and self._answered_s - began_s <= timeout_s

    @override
    def _next_channel(self) -> int:
        number = super()._next_channel()
        self._mine.number = number
        self._unanswered.add(number)
        return number

    @override
    def _parse_channel_open_failure(self, m: Message) -> None:
        start = m.packet.tell()
        number, code, words = m.get_int(), m.get_int(), said(m.get_string())
        m.packet.seek(start)
        self._unanswered.discard(number)
        self._refusals[number] = (code, words)
        while len(self._refusals) > _MOST_REFUSALS:  # of those who did not wait for it
            self._refusals.pop(next(iter(self._refusals)), None)
        super()._parse_channel_open_failure(m)

    @override
    def _parse_channel_open_success(self, m: Message) -> None:
        start = m.packet.tell()
        number, theirs = m.get_int(), m.get_int()
        m.packet.seek(start)
        self._unanswered.discard(number)
        wanted = self._channels.get(number)
        super()._parse_channel_open_success(m)
        if wanted is None:
            # Too late: nobody waits any more, and the server would keep the connection for ever.
            self.channel_events.pop(number, None)
            goodbye = Message()
            goodbye.add_byte(cMSG_CHANNEL_CLOSE)
            goodbye.add_int(theirs)
            self._send_user_message(goodbye)
