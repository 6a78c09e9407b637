"""An SSH connection up to the point where the server has proved its host key.

paramiko's `Transport` with what it lacks: a deadline over banner and key exchange together, no
timer thread, a bound on the size of a packet, the server's offers when nothing is common, its
words when it hangs up, exit signals, and requests that are not waited for for ever. Every private
name of paramiko this product uses stands in this file or in `forwarding`, guarded by a test.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST, cMSG_CHANNEL_REQUEST
from paramiko.message import Message
from paramiko.packet import Packetizer
from typing_extensions import override

from outagekit.events import FailureKind
from outagekit.redaction import Redactor, Secret
from outagekit.text import decode_remote, visible_line
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.trust.known_hosts import HostKey

if TYPE_CHECKING:

    class _Transport(paramiko.Transport):
        _channel_handler_table: dict[int, Any]

        def _parse_disconnect(self, m: Message) -> None: ...
        def _parse_kex_init(self, m: Message) -> None: ...
        def _really_parse_kex_init(self, m: Message) -> dict[str, list[str]]: ...
        def _send_user_message(self, data: Message) -> None: ...

else:
    _Transport = paramiko.Transport

MAX_PACKET_BYTES: Final = 1024 * 1024
"""RFC 4253 asks for 35,000; OpenSSH sends at most 256 KiB."""
IDLE_POLL_S: Final = 2.0
"""How often an idle connection wakes up; paramiko's tenth of a second costs 42% of a core at
1,000 connections, this 5%."""
KEEPALIVE_S: Final = 15.0
NO_EXIT_CODE: Final = -1
"""What a channel's `exit_status` is until the server told one."""
_LONGEST_WORDS: Final = 200
_MOST_SAID_BYTES: Final = 256 * 1024

# Cheap and safe ones first; nothing is taken away that an old server may need.
_FIRST_KEX: Final = ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
_FIRST_CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_ALGORITHMS_OF: Final = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}

_SHORTCOMINGS: Final = (
    ("kex_algo_list", "preferred_kex", "key exchange"),
    ("server_key_algo_list", "preferred_keys", "host keys"),
    ("server_encrypt_algo_list", "preferred_ciphers", "ciphers"),
    ("server_mac_algo_list", "preferred_macs", "message authentication"),
    ("server_compress_algo_list", "preferred_compression", "compression"),
)
"""The server's list, ours, and what both are about."""
_ADVICE: Final = {
    "key exchange": "update OpenSSH there, or add diffie-hellman-group14-sha256 or"
    " curve25519-sha256@libssh.org to KexAlgorithms in its sshd_config",
    "host keys": "make an ed25519 key there with ssh-keygen -A, or update its OpenSSH to 7.2 or"
    " newer for RSA with SHA-2",
    "ciphers": "add aes128-gcm@openssh.com or aes128-ctr to Ciphers in its sshd_config",
    "message authentication": "add hmac-sha2-256 to MACs in its sshd_config",
    "compression": "allow connections without compression in its sshd_config",
}

# What goes wrong here becomes a Failure; paramiko's own words would go to nobody unredacted.
_LOG = logging.getLogger("paramiko")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False
_LOG.setLevel(logging.CRITICAL)


class _Packets(Packetizer):
    """Packets of a bounded size, and no timer thread: `connect` keeps the deadline."""

    @override
    def start_handshake(self, timeout: float) -> None:
        pass

    @override
    def handshake_timed_out(self) -> bool:
        return False

    @override
    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > MAX_PACKET_BYTES:
            raise paramiko.SSHException("the server sent a packet that is too large")
        return super().read_all(n, check_rekey)


class _ImpatientEvent(threading.Event):
    """Raises where paramiko would wait for ever for the answer to a channel request."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    @override
    def wait(self, timeout: float | None = None) -> bool:
        if not super().wait(self._timeout_s if timeout is None else timeout):
            raise TimeoutError
        return True


def _on_channel_request(channel: paramiko.Channel, message: Message) -> None:
    start = message.packet.tell()
    if message.get_text() == "exit-signal":
        message.get_boolean()
        channel.exit_signal = said(message.get_string())  # type: ignore[attr-defined]
        return
    message.packet.seek(start)
    _BASE_HANDLERS[MSG_CHANNEL_REQUEST](channel, message)


_BASE_HANDLERS: Final[dict[int, Any]] = _Transport._channel_handler_table  # noqa: SLF001  (see above)


_NOT_ITS_END: Final = (paramiko.ChannelException, paramiko.AuthenticationException)


class Session(_Transport):
    """A connection to a server. Its socket belongs to it."""

    _over = False
    _channel_handler_table = {**_BASE_HANDLERS, MSG_CHANNEL_REQUEST: _on_channel_request}  # noqa: RUF012

    def __init__(self, sock: socket.socket, known: tuple[HostKey, ...]) -> None:
        super().__init__(sock, packetizer_class=_Packets)
        self._socket = sock
        self._cut = False
        self.goodbye = ""
        """What the server said when it hung up."""
        self.offers: dict[str, list[str]] = {}
        options = self.get_security_options()
        options.kex = _first(_FIRST_KEX, options.kex)
        options.ciphers = _first(_FIRST_CIPHERS, options.ciphers)
        # The types of the trusted keys first: a server with several keys shows a trusted one.
        wanted = [name for key in known for name in _ALGORITHMS_OF.get(key.type, (key.type,))]
        options.key_types = _first(tuple(wanted), options.key_types)

    @property
    def saved_exception(self) -> Exception | None:
        """What paramiko's thread ended with, or why a request was refused, until it is asked."""
        return self._saved

    @saved_exception.setter
    def saved_exception(self, fault: Exception | None) -> None:
        # paramiko wakes up who waits on a channel before it says that the connection is over: he
        # would take its end for the server's refusal.
        self._saved = fault
        self._over = self._over or not (fault is None or isinstance(fault, _NOT_ITS_END))

    @override
    def is_active(self) -> bool:
        """Return whether the connection stands: not any more once reading from it has ended."""
        return super().is_active() and not self._over

    @override
    def _parse_disconnect(self, m: Message) -> None:
        start = m.packet.tell()
        m.get_int()
        self.goodbye = said(m.get_string())
        m.packet.seek(start)
        super()._parse_disconnect(m)

    @override
    def _parse_kex_init(self, m: Message) -> None:
        start = m.packet.tell()
        self.offers = self._really_parse_kex_init(m)
        m.packet.seek(start)
        super()._parse_kex_init(m)

    @property
    def server_key(self) -> HostKey:
        """The host key the server proved to have."""
        return HostKey.of(self.host_key.asbytes() if self.host_key else b"")

    @property
    def is_sound(self) -> bool:
        """Whether the connection stands; False at once when it was cut from this side."""
        return self.is_active() and not self._cut

    def outlasts(self, seconds: float) -> bool:
        """Return whether the connection still stands after so long; waits no longer than it does.

        A machine that goes down closes its channels first: that is no answer of a sound server.
        """
        self.join(seconds)
        return self.is_active()

    def settle(self) -> None:
        """Wake up seldom from now on, and keep the way through firewalls open."""
        self.set_keepalive(KEEPALIVE_S)
        self._socket.settimeout(IDLE_POLL_S)

    def start_command(self, line: str, accept_s: float) -> paramiko.Channel:
        """Return a channel on which the server runs a command; `TimeoutError` if it says nothing.

        Raises `paramiko.SSHException` if the server refuses or the connection ends.
        """
        channel = self._channel(accept_s)
        with _closed_on_error(channel):
            try:
                channel.exec_command(line.encode())
            except paramiko.SSHException:
                # A hasty server ends a short command before it says that it took it.
                if channel.exit_status == NO_EXIT_CODE:
                    raise
        return channel

    def start_subsystem(self, name: str, accept_s: float) -> paramiko.Channel:
        """Return a channel to a subsystem; raises as `start_command`."""
        channel = self._channel(accept_s)
        with _closed_on_error(channel):
            channel.invoke_subsystem(name)
        return channel

    def _channel(self, accept_s: float) -> paramiko.Channel:
        until_s = time.monotonic() + accept_s
        try:
            channel = self.open_session(timeout=accept_s)
        except paramiko.SSHException as fault:
            if self.is_active() and time.monotonic() >= until_s:
                raise TimeoutError from fault
            raise
        channel.event = _ImpatientEvent(max(0.05, until_s - time.monotonic()))
        return channel

    def signal(self, channel: paramiko.Channel, name: str) -> None:
        """Ask the server to send the channel's process group a signal; servers may ignore it."""
        request = Message()
        request.add_byte(cMSG_CHANNEL_REQUEST)
        request.add_int(channel.remote_chanid)
        request.add_string("signal")
        request.add_boolean(False)  # noqa: FBT003  (want no reply)
        request.add_string(name)
        self._send_user_message(request)

    def cut(self) -> None:
        """End the connection from any thread; who waits for it is freed at once."""
        self._cut = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def hang_up(self) -> None:
        """Free everything. Never raises."""
        self.cut()
        with contextlib.suppress(Exception):
            self.close()
        self._socket.close()


@contextlib.contextmanager
def _closed_on_error(channel: paramiko.Channel) -> Any:
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            channel.close()
        raise


def said(data: bytes) -> str:
    """Return a server's words as one visible line.

    They are not cut to a sentence's length here: a secret has to be found whole first.
    """
    return visible_line(decode_remote(data[:_MOST_SAID_BYTES]).strip())


def greet(
    stream: socket.socket,
    where: str,
    *,
    deadlines: Deadlines,
    known: tuple[HostKey, ...] = (),
    stop: threading.Event | None = None,
    secrets: tuple[Secret, ...] = (),
) -> Session | Failure:
    """Return a session over a connected stream, whose server has proved its host key.

    Nobody has judged the key yet, and nothing secret was sent. `known` keys are asked for first;
    `where` names the server in sentences, which show none of the `secrets`. The stream is the
    session's, also after a failure.
    """
    session = Session(stream, known)
    failure = shake_hands(session, where, deadlines, stop, secrets=secrets)
    if failure is not None:
        session.hang_up()
        return failure
    return session


def shake_hands(
    session: Session,
    where: str,
    deadlines: Deadlines,
    stop: threading.Event | None,
    *,
    secrets: tuple[Secret, ...] = (),
) -> Failure | None:
    """Have a session's server prove its host key, as `greet` does; the caller hangs up."""
    done = threading.Event()
    session.banner_timeout = deadlines.handshake_s
    until_s = time.monotonic() + deadlines.handshake_s
    session.start_client(event=done)
    while not done.wait(min(0.2, max(0.0, until_s - time.monotonic()))):
        if stop is not None and stop.is_set():
            return Failure(FailureKind.LOST, f"the connection to {where} was aborted")
        if time.monotonic() >= until_s:
            return Failure(FailureKind.HANDSHAKE, _silence(session, where, deadlines.handshake_s))
    if session.is_active() and session.host_key is not None:
        return None
    return Failure(FailureKind.HANDSHAKE, _explained(session, where, Redactor(secrets)))


def _silence(session: Session, where: str, seconds: float) -> str:
    if not session.remote_version:
        return f"{where} took the connection, but showed no SSH banner within {seconds:g} s"
    return f"{where} did not finish the SSH key exchange within {seconds:g} s"


def _explained(session: Session, where: str, redactor: Redactor) -> str:
    # Cleaned, then cut: of a secret that was cut its beginning would stay.
    fault = session.get_exception()
    for name, preferred, what in _SHORTCOMINGS:
        offered = session.offers.get(name)
        if offered and not set(offered) & set(getattr(session, preferred)):
            listed = redactor.clean(visible_line(", ".join(offered)))[:_LONGEST_WORDS]
            return f"{where} offers only outdated or unknown {what} ({listed}): {_ADVICE[what]}"
    if session.goodbye:
        words = redactor.clean(session.goodbye)[:_LONGEST_WORDS]
        return f"{where} ended the SSH handshake: {words}"
    if not session.remote_version:
        return f"{where} closed the connection before it showed an SSH banner, or is no SSH server"
    if isinstance(fault, EOFError | OSError):
        return f"{where} closed the connection during the SSH key exchange"
    words = redactor.clean(visible_line(str(fault)))[:_LONGEST_WORDS]
    return f"{where} failed in the SSH handshake: {words}"


def _first(wanted: tuple[str, ...], supported: Any) -> tuple[str, ...]:
    known = [name for name in dict.fromkeys(wanted) if name in supported]
    return (*known, *(name for name in supported if name not in known))
