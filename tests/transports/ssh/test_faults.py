"""Servers that misbehave at every phase: each costs its deadline only and gets the right name."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_REQUEST

from outagekit.credentials import SecretRef
from outagekit.events import EndState, FailureKind
from outagekit.playbook.model import Code
from outagekit.transports.posix.render import render
from outagekit.transports.protocol import Command, Failure, Limits, Opened, Outcome

if TYPE_CHECKING:
    from conftest import Bench, RawServer, Scripted, ScriptedServer
    from outagekit.transports.ssh.transport import SshTransport

Raw = Callable[..., "RawServer"]
Make = Callable[..., "ScriptedServer"]
SCRIPT = render(Code("sh", "exit 0"), {}, step="step", part="script")
BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"


def hold(server: list[RawServer]) -> None:
    server[0].over.wait(20)


def open_raw(
    bench: Bench, raw: Raw, serve: Callable[[socket.socket], None]
) -> tuple[Opened | Failure, float]:
    server = raw(serve)
    transport = bench.transport("127.0.0.1", server.port, deadlines=bench.quick)
    began_s = time.monotonic()
    return transport.open(), time.monotonic() - began_s


def is_handshake(result: Opened | Failure) -> Failure:
    assert isinstance(result, Failure)
    assert (result.kind, result.sent) == (FailureKind.HANDSHAKE, False), result
    assert result.state is EndState.UNREACHABLE
    return result


def silent(over: threading.Event) -> Callable[[socket.socket], None]:
    return lambda sock: over.wait(20) and None


def test_a_closed_port_is_refused(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = bench.transport("127.0.0.1", port).open()
    assert isinstance(result, Failure)
    assert result.kind is FailureKind.REFUSED
    assert result.state is EndState.UNREACHABLE


def test_a_name_that_does_not_exist_is_not_resolved(bench: Bench) -> None:
    for name in ("no-such-machine.invalid", "a..b", "x" * 300):
        result = bench.transport(name, 22).open()
        assert isinstance(result, Failure)
        assert result.kind in {FailureKind.RESOLVE, FailureKind.LOCAL_IO}


def test_a_resolver_that_hangs_costs_its_deadline(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: free.wait(20) and [])
    began_s = time.monotonic()
    result = bench.transport("web.example", 22, deadlines=bench.quick).open()
    assert isinstance(result, Failure)
    assert result.kind is FailureKind.RESOLVE
    assert time.monotonic() - began_s < 2
    free.set()


def test_a_full_backlog_is_a_connect_timeout(bench: Bench) -> None:
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        place = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(place)
        began_s = time.monotonic()
        result = bench.transport(*place, deadlines=bench.quick).open()
        assert isinstance(result, Failure)
        assert result.kind is FailureKind.CONNECT_TIMEOUT
        assert result.state is EndState.UNREACHABLE
        assert time.monotonic() - began_s < 2


def test_no_way_to_an_address_is_a_connect_timeout(bench: Bench) -> None:
    # Reserved for future use: no system sends a packet there.
    result = bench.transport("255.255.255.255", 22, deadlines=bench.quick).open()
    assert isinstance(result, Failure)
    assert result.kind is FailureKind.CONNECT_TIMEOUT


def test_silence_after_the_connection(bench: Bench, raw_server: Raw) -> None:
    over = threading.Event()
    result, spent_s = open_raw(bench, raw_server, silent(over))
    over.set()
    assert "no SSH banner within 1 s" in is_handshake(result).detail
    assert spent_s < 2


def test_silence_after_the_banner(bench: Bench, raw_server: Raw) -> None:
    over = threading.Event()

    def serve(sock: socket.socket) -> None:
        sock.sendall(BANNER)
        over.wait(20)

    result, spent_s = open_raw(bench, raw_server, serve)
    over.set()
    assert "did not finish the SSH key exchange within 1 s" in is_handshake(result).detail
    assert spent_s < 2


def test_a_banner_drop_by_drop(bench: Bench, raw_server: Raw) -> None:
    def serve(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"x")
            time.sleep(0.05)

    result, spent_s = open_raw(bench, raw_server, serve)
    is_handshake(result)
    assert spent_s < 2


def test_endless_lines_before_the_banner(bench: Bench, raw_server: Raw) -> None:
    def serve(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"welcome\r\n" * 100)

    result, spent_s = open_raw(bench, raw_server, serve)
    is_handshake(result)
    assert spent_s < 2


@pytest.mark.parametrize("banner", [b"", b"SSH-2.0-", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_the_connection_ends_before_the_banner(
    bench: Bench, raw_server: Raw, banner: bytes
) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(banner)
        sock.shutdown(socket.SHUT_RDWR)

    result, _ = open_raw(bench, raw_server, serve)
    assert "is no SSH server" in is_handshake(result).detail


def test_the_connection_ends_in_the_key_exchange(bench: Bench, raw_server: Raw) -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(BANNER)
        sock.recv(4096)
        sock.shutdown(socket.SHUT_RDWR)

    result, _ = open_raw(bench, raw_server, serve)
    assert "during the SSH key exchange" in is_handshake(result).detail


def test_a_reset_in_the_key_exchange(
    bench: Bench, raw_server: Raw, reset: Callable[[socket.socket], None]
) -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(BANNER)
        sock.recv(10)
        reset(sock)

    result, _ = open_raw(bench, raw_server, serve)
    is_handshake(result)


def test_an_ancient_protocol_version(bench: Bench, raw_server: Raw) -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(b"SSH-1.5-old\r\n")
        sock.recv(4096)

    result, _ = open_raw(bench, raw_server, serve)
    assert "1.5" in is_handshake(result).detail


def test_a_packet_that_claims_four_gibibytes(bench: Bench, raw_server: Raw) -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(BANNER + b"\xff\xff\xff\xf4" + b"\x00" * 60)
        sock.recv(4096)

    result, spent_s = open_raw(bench, raw_server, serve)
    assert "too large" in is_handshake(result).detail
    assert spent_s < 0.9


def test_garbage_instead_of_the_key_exchange(bench: Bench, raw_server: Raw) -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(BANNER + os.urandom(65536))
        sock.recv(4096)

    result, spent_s = open_raw(bench, raw_server, serve)
    is_handshake(result)
    assert spent_s < 2


def test_what_a_server_says_cannot_reach_the_terminal(bench: Bench, raw_server: Raw) -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(BANNER)
        text = b"\x1b[2J\x1b]0;gotcha\x07 too busy \xff"
        body = bytes((1,)) + (2).to_bytes(4, "big") + len(text).to_bytes(4, "big") + text
        body += b"\x00\x00\x00\x00"
        padding = 8 - (len(body) + 5) % 8 + 8
        packet = (len(body) + padding + 1).to_bytes(4, "big") + bytes((padding,)) + body
        sock.sendall(packet + b"\0" * padding)
        sock.recv(4096)

    result, _ = open_raw(bench, raw_server, serve)
    detail = is_handshake(result).detail
    assert "too busy" in detail
    assert detail.isprintable()


def test_abort_ends_a_handshake_at_once(bench: Bench, raw_server: Raw) -> None:
    over = threading.Event()
    server = raw_server(silent(over))
    transport = bench.transport("127.0.0.1", server.port)
    threading.Timer(0.2, transport.abort).start()
    began_s = time.monotonic()
    result = transport.open()
    over.set()
    assert isinstance(result, Failure)
    assert (result.kind, result.sent) == (FailureKind.LOST, False)
    assert time.monotonic() - began_s < 1


def opened(
    bench: Bench, server: ScriptedServer, user_key: Path, *, quick: bool = True
) -> SshTransport:
    bench.trust.add("acme", "127.0.0.1", server.port, server.key)
    options = {"deadlines": bench.quick} if quick else {}
    transport = bench.transport(
        "127.0.0.1", server.port, credential=bench.login(user_key), **options
    )
    result = transport.open()
    assert isinstance(result, Opened), result
    return transport


def lost(outcome: Outcome, *, sent: bool) -> None:
    assert outcome.exit_code is None
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.LOST, sent), outcome
    assert outcome.failure.state is (EndState.UNKNOWN if sent else EndState.UNREACHABLE)


def test_a_server_that_hangs_after_the_login(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Hanging(scripted):
        def check_channel_request(self, kind: str, chanid: int) -> int:
            self.over.wait(20)
            return paramiko.OPEN_FAILED_CONNECT_FAILED

    server = scripted_server(Hanging)
    bench.trust.add("acme", "127.0.0.1", server.port, server.key)
    transport = bench.transport(
        "127.0.0.1", server.port, credential=bench.login(user_key), deadlines=bench.quick
    )
    began_s = time.monotonic()
    result = transport.open()
    assert isinstance(result, Failure)
    assert (result.kind, result.sent) == (FailureKind.TIMEOUT, False)
    assert result.state is EndState.UNREACHABLE
    assert time.monotonic() - began_s < 3


def test_a_server_that_hangs_in_the_login(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Hanging(scripted):
        def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
            self.over.wait(20)
            return paramiko.AUTH_FAILED

    server = scripted_server(Hanging)
    bench.trust.add("acme", "127.0.0.1", server.port, server.key)
    transport = bench.transport(
        "127.0.0.1", server.port, credential=bench.login(user_key), deadlines=bench.quick
    )
    began_s = time.monotonic()
    result = transport.open()
    assert isinstance(result, Failure)
    assert (result.kind, result.sent) == (FailureKind.TIMEOUT, False)
    assert time.monotonic() - began_s < 3


def test_a_server_that_hangs_up_in_the_login(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Rude(scripted):
        def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
            self.transport.close()
            return paramiko.AUTH_FAILED

    server = scripted_server(Rude)
    bench.trust.add("acme", "127.0.0.1", server.port, server.key)
    result = bench.transport(
        "127.0.0.1", server.port, credential=bench.login(user_key), deadlines=bench.quick
    ).open()
    assert isinstance(result, Failure)
    assert (result.kind, result.sent) == (FailureKind.LOST, False)


def test_a_command_the_server_never_takes_was_not_sent(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Stuck(scripted):
        def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
            if b"identity" not in command:
                self.over.wait(20)
            return super().check_channel_exec_request(channel, command)

    transport = opened(bench, scripted_server(Stuck), user_key)
    began_s = time.monotonic()
    outcome = transport.execute(SCRIPT, Limits(accept_s=0.5))
    assert time.monotonic() - began_s < 2
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.TIMEOUT, False)


def test_a_command_without_input_may_run_although_nobody_took_it(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Stuck(scripted):
        def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
            if b"identity" not in command:
                self.over.wait(20)
            return super().check_channel_exec_request(channel, command)

    transport = opened(bench, scripted_server(Stuck), user_key)
    outcome = transport.execute(Command("reboot"), Limits(accept_s=0.3))
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.TIMEOUT, True)
    assert outcome.failure.state is EndState.UNKNOWN


def test_a_connection_lost_before_the_command_was_taken(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Rude(scripted):
        def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
            if b"identity" in command:
                return super().check_channel_exec_request(channel, command)
            self.transport.close()
            return False

    transport = opened(bench, scripted_server(Rude), user_key)
    lost(transport.execute(SCRIPT, Limits(run_s=5)), sent=False)
    assert not transport.alive


def test_a_channel_that_is_closed_by_a_machine_on_its_way_down_is_a_lost_connection(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Dying(scripted):
        def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
            if b"identity" in command:
                return super().check_channel_exec_request(channel, command)
            threading.Timer(0.1, self.transport.close).start()
            return False

    transport = opened(bench, scripted_server(Dying), user_key)
    lost(transport.execute(SCRIPT, Limits(run_s=5)), sent=False)
    assert not transport.alive


def test_an_exit_code_before_the_acceptance_counts(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Hasty(scripted):
        def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
            if b"identity" in command:
                return super().check_channel_exec_request(channel, command)
            channel.send_exit_status(9)
            channel.close()
            return True

    transport = opened(bench, scripted_server(Hasty), user_key)
    assert transport.execute(SCRIPT, Limits(run_s=5)).exit_code == 9


def test_a_command_the_server_refuses(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Picky(scripted):
        def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
            return b"identity" in command and super().check_channel_exec_request(channel, command)

    transport = opened(bench, scripted_server(Picky), user_key)
    outcome = transport.execute(SCRIPT, Limits(run_s=5))
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.PROTOCOL, False)
    assert outcome.failure.state is EndState.FAILED
    assert transport.alive


def test_a_reset_in_the_middle_of_the_output(
    bench: Bench,
    scripted: type[Scripted],
    scripted_server: Make,
    user_key: Path,
    reset: Callable[[socket.socket], None],
) -> None:
    class Torn(scripted):
        def act(self, channel: paramiko.Channel) -> None:
            channel.sendall(b"half a l")
            time.sleep(0.05)
            reset(self.sock)

    transport = opened(bench, scripted_server(Torn), user_key)
    outcome = transport.execute(SCRIPT, Limits(run_s=5))
    lost(outcome, sent=True)
    assert outcome.stdout.text == "half a l"


def test_a_channel_closed_without_an_exit_code_is_lost(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Mute(scripted):
        def act(self, channel: paramiko.Channel) -> None:
            channel.sendall(b"did it\n")
            channel.close()

    transport = opened(bench, scripted_server(Mute), user_key)
    outcome = transport.execute(SCRIPT, Limits(run_s=5))
    lost(outcome, sent=True)
    assert outcome.stdout.text == "did it\n"
    assert transport.alive


def test_a_server_silent_after_taking_the_command_is_asked_to_stop(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    signals: list[str] = []

    class Silent(scripted):
        def act(self, channel: paramiko.Channel) -> None:
            self.over.wait(20)

    def spy(transport: paramiko.Transport) -> None:
        handlers = dict(transport._channel_handler_table)
        base = handlers[MSG_CHANNEL_REQUEST]

        def handle(channel: paramiko.Channel, message: paramiko.Message) -> None:
            start = message.packet.tell()
            if message.get_text() == "signal":
                message.get_boolean()
                signals.append(message.get_text())
            message.packet.seek(start)
            base(channel, message)

        handlers[MSG_CHANNEL_REQUEST] = handle
        transport._channel_handler_table = handlers

    transport = opened(bench, scripted_server(Silent, prepare=spy), user_key)
    began_s = time.monotonic()
    outcome = transport.execute(SCRIPT, Limits(run_s=0.3))
    assert time.monotonic() - began_s < 3
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.TIMEOUT, True)
    assert signals == ["TERM", "KILL"]


def test_a_peer_that_stops_reading_cannot_hold_a_command_for_ever(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Deaf(scripted):
        def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
            if b"identity" not in command:
                # The first data stops the thread that reads the server's socket.
                channel.in_buffer.feed = lambda data: self.over.wait(20)
            return super().check_channel_exec_request(channel, command)

        def act(self, channel: paramiko.Channel) -> None:
            self.over.wait(20)

    def widen(transport: paramiko.Transport) -> None:
        transport.default_window_size = 1 << 28

    transport = opened(bench, scripted_server(Deaf, prepare=widen), user_key)
    began_s = time.monotonic()
    outcome = transport.execute(Command("cat", b"x" * (64 << 20)), Limits(run_s=0.3))
    spent_s = time.monotonic() - began_s
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.TIMEOUT
    assert outcome.failure.sent
    # More than the two signals take: the write itself had to be freed.
    assert 2 < spent_s < 5
    assert not transport.alive


def test_a_reset_at_any_moment_gives_an_outcome(
    bench: Bench,
    scripted: type[Scripted],
    scripted_server: Make,
    user_key: Path,
    reset: Callable[[socket.socket], None],
) -> None:
    moments = iter((0.0, 0.01, 0.03, 0.1))

    class Talkative(scripted):
        def act(self, channel: paramiko.Channel) -> None:
            threading.Timer(next(moments), lambda: reset(self.sock)).start()
            while True:
                channel.sendall(b"line\n" * 1000)
                channel.sendall_stderr(b"line\n" * 1000)

    server = scripted_server(Talkative)
    for _ in range(4):
        transport = opened(bench, server, user_key)
        lost(transport.execute(SCRIPT, Limits(run_s=5, keep_bytes=4096)), sent=True)


def grade(good: bool) -> int:
    return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED


class TestPasswords:
    @pytest.fixture
    def server(  # noqa: C901  (the methods of a small server)
        self, scripted: type[Scripted], scripted_server: Make
    ) -> Callable[..., ScriptedServer]:
        def make(
            ways: str, right: str = "s3cret-word", *, answers: int = 1, again: bool = False
        ) -> ScriptedServer:
            class Asking(scripted):
                def get_allowed_auths(self, username: str) -> str:
                    return ways

                def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
                    return paramiko.AUTH_FAILED

                def check_auth_password(self, username: str, password: str) -> int:
                    self.passwords.append(password)
                    return grade(password == right)

                def check_auth_interactive(
                    self, username: str, submethods: str
                ) -> int | paramiko.InteractiveQuery:
                    if "keyboard-interactive" not in ways:
                        return paramiko.AUTH_FAILED
                    fields = ["Password: ", "Code: "][:answers]
                    return paramiko.InteractiveQuery("", "", *((f, False) for f in fields))

                def check_auth_interactive_response(
                    self, responses: list[str]
                ) -> int | paramiko.InteractiveQuery:
                    self.passwords += responses
                    if again and responses != [right]:
                        return paramiko.InteractiveQuery("", "", ("Password: ", False))
                    return grade(responses == [right])

            return scripted_server(Asking)

        return make

    def attempt(
        self, bench: Bench, server: ScriptedServer, word: str, key: Path | None = None
    ) -> Opened | Failure:
        bench.secrets["pw"] = word
        bench.trust.add("acme", "127.0.0.1", server.port, server.key)
        credential = bench.login(key, password=SecretRef("keyring", "pw"))
        transport = bench.transport("127.0.0.1", server.port, credential=credential)
        return transport.open()

    @pytest.mark.parametrize("ways", ["password", "keyboard-interactive,publickey"])
    def test_the_right_password_opens_the_door(
        self, bench: Bench, server: Callable[..., ScriptedServer], ways: str
    ) -> None:
        made = server(ways)
        assert isinstance(self.attempt(bench, made, "s3cret-word"), Opened)
        assert made.served[0].passwords == ["s3cret-word"]

    @pytest.mark.parametrize("ways", ["password,keyboard-interactive", "keyboard-interactive"])
    def test_a_wrong_password_is_tried_once_and_never_shown(
        self, bench: Bench, server: Callable[..., ScriptedServer], ways: str
    ) -> None:
        made = server(ways)
        result = self.attempt(bench, made, "wrong-word-1")
        assert isinstance(result, Failure)
        assert result.kind is FailureKind.AUTH
        assert made.served[0].passwords == ["wrong-word-1"]
        assert len(made.served) == 1
        assert "wrong-word-1" not in result.detail
        assert "the password" in result.detail

    def test_a_server_that_asks_again_gets_no_second_answer(
        self, bench: Bench, server: Callable[..., ScriptedServer]
    ) -> None:
        made = server("keyboard-interactive", again=True)
        result = self.attempt(bench, made, "wrong-word-1")
        assert isinstance(result, Failure)
        assert result.kind is FailureKind.AUTH
        assert "refused the password" in result.detail
        assert made.served[0].passwords == ["wrong-word-1"]

    def test_a_password_is_not_offered_where_none_is_taken(
        self, bench: Bench, server: Callable[..., ScriptedServer]
    ) -> None:
        made = server("publickey")
        result = self.attempt(bench, made, "s3cret-word")
        assert isinstance(result, Failure)
        assert result.kind is FailureKind.AUTH
        assert "it accepts publickey" in result.detail
        assert made.served[0].passwords == []

    def test_a_second_question_is_not_answered_with_the_password(
        self, bench: Bench, server: Callable[..., ScriptedServer]
    ) -> None:
        made = server("keyboard-interactive", answers=2)
        result = self.attempt(bench, made, "s3cret-word")
        assert isinstance(result, Failure)
        assert result.kind is FailureKind.AUTH
        assert "one-time code" in result.detail
        assert made.served[0].passwords == []

    def test_after_a_refused_key_the_password_is_tried(
        self, bench: Bench, server: Callable[..., ScriptedServer], user_key: Path
    ) -> None:
        made = server("publickey,password")
        assert isinstance(self.attempt(bench, made, "s3cret-word", user_key), Opened)


def test_key_and_password_together_are_two_steps_of_one_login(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Strict(scripted):
        def get_allowed_auths(self, username: str) -> str:
            return "password"

        def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
            return paramiko.AUTH_PARTIALLY_SUCCESSFUL

        def check_auth_password(self, username: str, password: str) -> int:
            return paramiko.AUTH_SUCCESSFUL

    server = scripted_server(Strict)
    bench.trust.add("acme", "127.0.0.1", server.port, server.key)
    bench.secrets["pw"] = "s3cret-word"
    both = bench.login(user_key, password=SecretRef("keyring", "pw"))
    assert isinstance(bench.transport("127.0.0.1", server.port, credential=both).open(), Opened)
    alone = bench.transport("127.0.0.1", server.port, credential=bench.login(user_key)).open()
    assert isinstance(alone, Failure)
    assert alone.kind is FailureKind.AUTH
    assert "it accepts password" in alone.detail


def test_a_machine_without_an_id_is_let_in_unless_one_is_pinned(
    bench: Bench, scripted: type[Scripted], scripted_server: Make, user_key: Path
) -> None:
    class Nameless(scripted):
        def identify(self, channel: paramiko.Channel) -> None:
            channel.sendall(b"machine-id=\x1b[2J\nboot-id=\n")
            channel.send_exit_status(0)
            channel.close()

    server = scripted_server(Nameless)
    transport = opened(bench, server, user_key)
    assert bench.trust.machine_of("acme", "web-01") == ""
    bench.trust.pin_machine("acme", "web-01", "0" * 32)
    transport.close()
    result = transport.open()
    assert isinstance(result, Failure)
    assert result.kind is FailureKind.WRONG_MACHINE


def test_nothing_of_paramiko_is_logged(
    bench: Bench, raw_server: Raw, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(BANNER + b"\xff" * 100)

    with caplog.at_level(logging.DEBUG):
        open_raw(bench, raw_server, serve)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
