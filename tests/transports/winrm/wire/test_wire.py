"""The wire against a service in miniature: what it says, and what it does when things go wrong."""

from __future__ import annotations

import html
import socket
import threading
import time
import uuid

import pytest

from outagekit.errors import OutagekitError
from outagekit.events import EndState, FailureKind
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.winrm.faults import Fault, WireError

COMMAND = str(uuid.uuid4()).upper()
MARK = "echo the-marked-script"


def run_all(wire):
    shell = wire.create()
    wire.command(shell, COMMAND, MARK, timeout_s=5)
    wire.send(shell, COMMAND, b"marked-input", end=True, timeout_s=5)
    received = wire.receive(shell, COMMAND, wait_s=2, timeout_s=5)
    wire.signal(shell, COMMAND, "terminate", timeout_s=5)
    wire.delete(shell, timeout_s=5)
    return received


def failed(call, *args, **facts):
    with pytest.raises(WireError) as caught:
        call(*args, **facts)
    return caught.value


def test_a_whole_shell_goes_sealed_over_http(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    received = run_all(wire)
    assert (received.stdout, received.done, received.exit_code) == (b"hello\r\n", True, 0)
    assert service.actions == ["Create", "Command", "Send", "Receive", "Signal", "Delete"]
    assert wire.messages == 6
    assert service.connections == 1
    assert b"marked" not in service.bytes
    assert b"Envelope" not in service.bytes
    assert kit.PASSWORD.encode() not in service.bytes


def test_messages_say_what_the_protocol_wants(bench):
    service = bench.service()
    run_all(bench.wire(service))
    create, command, send, receive, signal, delete = (m.message for m in service.messages)
    assert '<w:Option Name="WINRS_CODEPAGE">65001<' in create
    assert '<w:Option Name="WINRS_NOPROFILE">TRUE<' in create
    assert "<rsp:IdleTimeOut>PT900S<" in create
    assert f'<rsp:CommandLine CommandId="{COMMAND}"><rsp:Command>{MARK}<' in command
    assert '<w:Option Name="WINRS_CONSOLEMODE_STDIN">FALSE<' in command
    assert 'End="true"' in send
    assert '<w:Option Name="WSMAN_CMDSHELL_OPTION_KEEPALIVE">TRUE<' in receive
    assert "<w:OperationTimeout>PT2.000S<" in receive
    assert "/signal/terminate<" in signal
    assert "ShellId" in delete
    assert {m.header("User-Agent") for m in service.messages} == {"outagekit"}
    assert {m.header("Accept-Encoding") for m in service.messages} == {"identity"}


def test_hello_logs_in_and_sends_no_message(bench):
    service = bench.service()
    wire = bench.wire(service)
    wire.hello()
    wire.hello()
    assert wire.messages == 0
    assert wire.is_open
    assert len(service.heard) == 3
    assert all(not request.body for request in service.heard)


@pytest.mark.parametrize("when", range(4))
@pytest.mark.parametrize("what", ["drop", "503", "401", "500", "200"])
def test_no_body_is_ever_clear_on_http_whatever_happens_to_the_login(bench, kit, when, what):
    service = bench.service()
    reply = kit.DROP if what == "drop" else kit.Reply(int(what), sealed=False)
    seen = []

    def before(request):
        seen.append(request)
        return reply if len(seen) == when + 1 else None

    service.before = before
    wire = bench.wire(service)
    failures = 0
    for _ in range(4):
        try:
            wire.create()
            wire.command(kit.SHELL, COMMAND, MARK, timeout_s=5)
        except WireError:
            failures += 1
    assert failures >= 1
    assert "Command" in service.actions
    assert b"marked" not in service.bytes
    assert b"Envelope" not in service.bytes


def test_a_service_that_asks_nobody_who_they_are_gets_no_message(bench, kit):
    service = bench.service()
    service.before = lambda request: kit.Reply(200, sealed=False)
    error = failed(bench.wire(service).create)
    assert error.fault is Fault.MALFORMED
    assert "without asking" in error.failure.detail
    assert b"Envelope" not in service.bytes


def test_an_answer_in_clear_to_a_sealed_message_is_not_believed(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.hello()
    service.before = lambda request: kit.Reply(200, b"<forged/>", sealed=False)
    error = failed(wire.create)
    assert error.fault is Fault.MALFORMED
    assert "in clear" in error.failure.detail


@pytest.mark.parametrize("kind", ["multipart/encrypted", 'multipart/encrypted;protocol="none"'])
def test_a_clear_answer_that_calls_itself_sealed_is_not_believed(bench, kit, kind):
    service = bench.service()
    wire = bench.wire(service)
    wire.hello()

    def forged(request):
        body = kit.envelope("uuid:1", "").replace(b"</s:Body>", b"forged</s:Body>")
        return kit.Reply(200, body, (f"Content-Type: {kind}",), sealed=False)

    service.before = forged
    assert "in clear" in failed(wire.create).failure.detail


def test_a_login_whose_connection_ends_before_its_last_word_is_no_verdict(bench, kit):
    service = bench.service()

    def before(request):
        asked = request.header("Authorization")
        close = ("Connection: close", "WWW-Authenticate: Negotiate TlRMTVNTUAACAAAA")
        return kit.Reply(401, headers=close) if asked else None

    service.before = before
    error = failed(bench.wire(service).hello)
    assert error.fault in {Fault.DROPPED, Fault.MALFORMED}


def test_a_service_may_hang_up_once_it_has_asked_for_a_login(bench, kit):
    service = bench.service()
    close = ("Connection: close", "WWW-Authenticate: Negotiate")
    service.before = lambda r: (
        None if r.header("Authorization") or r.body else kit.Reply(401, headers=close)
    )
    assert bench.wire(service).create() == kit.SHELL


def test_a_forged_seal_is_not_believed(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.hello()
    head = 'Content-Type: multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted"'
    body = (
        b"--Encrypted Boundary\r\nLength=4\r\n--Encrypted Boundary\r\n"
        b"\tContent-Type: application/octet-stream\r\n" + b"\x10\0\0\0" + b"0123456789abcdefABCD"
    )
    service.before = lambda request: kit.Reply(200, body, (head,), sealed=False)
    assert failed(wire.create).fault is Fault.MALFORMED
    assert not wire.is_open


def test_a_connection_lost_while_idle_is_made_anew_before_anything_is_sent(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.create()
    service.drop_all()
    time.sleep(0.02)
    wire.command(kit.SHELL, COMMAND, MARK, timeout_s=5)
    assert service.connections == 2
    assert service.actions == ["Create", "Command"]


def test_a_connection_idle_for_long_is_made_anew(bench, kit):
    service = bench.service()
    wire = bench.wire(service, idle_s=0.01)
    wire.create()
    time.sleep(0.03)
    wire.delete(kit.SHELL, timeout_s=5)
    assert service.connections == 2
    assert service.actions == ["Create", "Delete"]


def test_a_stale_seal_is_told_and_the_next_message_logs_in_anew(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.create()
    replies = [kit.Reply(400, sealed=False)]
    service.before = lambda request: replies.pop() if replies else None
    error = failed(wire.receive, kit.SHELL, COMMAND, wait_s=1, timeout_s=5)
    assert (error.fault, error.unsent) == (Fault.STALE, False)
    assert wire.receive(kit.SHELL, COMMAND, wait_s=1, timeout_s=5).stdout == b"hello\r\n"
    assert service.connections == 2


def test_a_login_asked_for_again_is_stale_and_not_answered(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.create()
    heard = len(service.heard)
    service.before = lambda request: kit.Reply(401, b"", ("WWW-Authenticate: Negotiate",))
    error = failed(wire.delete, kit.SHELL, timeout_s=5)
    assert error.fault is Fault.STALE
    assert len(service.heard) == heard + 1


def test_a_connection_lost_after_the_message_says_that_it_was_sent(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.create()
    service.act = lambda request: kit.DROP
    error = failed(wire.command, kit.SHELL, COMMAND, MARK, timeout_s=5)
    assert (error.fault, error.unsent) == (Fault.DROPPED, False)
    assert error.failure.kind is FailureKind.LOST


def test_a_failed_connection_is_passed_on_and_unsent(bench):
    refusal = Failure(FailureKind.RESOLVE, "no such name")
    wire = bench.wire(bench.service(), connect=lambda _: refusal)
    error = failed(wire.create)
    assert (error.failure, error.fault, error.unsent) == (refusal, Fault.UNREACHABLE, True)


def test_no_connection_is_made_once_it_was_stopped(bench):
    service = bench.service()
    bench.stop.set()
    error = failed(bench.wire(service).hello)
    assert (error.fault, error.unsent) == (Fault.DROPPED, True)
    assert service.connections == 0


def test_a_wrong_password_is_refused_and_named_nowhere(bench, kit):
    service = bench.service()
    wire = bench.wire(service, login=kit.log_in(password="a-wrong-password"))
    error = failed(wire.hello)
    assert (error.fault, error.failure.kind) == (Fault.UNAUTHORIZED, FailureKind.AUTH)
    assert error.unsent
    assert "a-wrong-password" not in repr((error, error.failure, wire, wire._login))
    assert sum(bool(r.header("Authorization")) for r in service.heard) == 2


def test_a_service_without_negotiate_is_named(bench, kit):
    service = bench.service()
    service.before = lambda r: kit.Reply(401, headers=('WWW-Authenticate: Basic realm="W"',))
    detail = failed(bench.wire(service).hello).failure.detail
    assert "does not accept ntlm logins, but basic" in detail


@pytest.mark.parametrize("status", [404, 503])
def test_a_service_that_is_not_up_yet_is_not_ready_at_any_step_of_the_login(bench, kit, status):
    for step in range(3):
        service = bench.service()
        seen = []

        def before(request, seen=seen, step=step):
            seen.append(request)
            return kit.Reply(status) if len(seen) == step + 1 else None

        service.before = before
        error = failed(bench.wire(service).hello)
        assert error.fault is Fault.NOT_READY
        assert error.failure.state is EndState.UNREACHABLE
        assert str(status) in error.failure.detail


@pytest.mark.parametrize("challenge", ["Negotiate !!!", "Negotiate AAAA", "NTLM", ""])
def test_a_challenge_that_is_none_is_no_crash(bench, kit, challenge):
    service = bench.service()

    def before(request):
        said = request.header("Authorization")
        shown = challenge if said else "Negotiate"
        return kit.Reply(401, headers=(f"WWW-Authenticate: {shown}",) if shown else ())

    service.before = before
    error = failed(bench.wire(service).hello)
    assert error.fault in {Fault.UNAUTHORIZED, Fault.MALFORMED}
    assert not bench.wires[-1].is_open


def test_a_proxy_in_between_gets_no_login(bench, kit):
    service = bench.service()
    service.before = lambda r: kit.Reply(407, headers=("Proxy-Authenticate: NTLM",))
    error = failed(bench.wire(service).hello)
    assert error.fault is Fault.MALFORMED
    assert b"authorization" not in service.bytes.lower()


def test_a_redirect_is_not_followed(bench, kit):
    other = bench.service()
    service = bench.service()
    wire = bench.wire(service)
    where = f"Location: http://127.0.0.1:{other.port}/wsman"
    for login_first in (False, True):
        if login_first:
            service.before = lambda r: None
            wire.hello()
        service.before = lambda r: kit.Reply(307, headers=(where,), sealed=False)
        error = failed(wire.create)
        assert error.fault is Fault.MALFORMED
        assert "elsewhere" in error.failure.detail
    assert other.connections == 0


def test_cookies_are_not_kept(bench, kit):
    service = bench.service()
    act = service.act
    service.act = lambda r: kit.Reply(body=act(r).body, headers=("Set-Cookie: spy=1; Path=/",))
    wire = bench.wire(service)
    wire.create()
    wire.delete(kit.SHELL, timeout_s=5)
    assert "cookie:" not in service.bytes.decode("latin-1").lower()


def test_the_environment_names_no_proxy_and_no_password(bench, kit, monkeypatch, tmp_path):
    proxy = bench.service()
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login spy password spy-word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
    service = bench.service()
    run_all(bench.wire(service))
    assert proxy.connections == 0
    assert "Basic" not in service.bytes.decode("latin-1")


def test_no_output_keeps_the_connection(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.create()
    service.act = lambda r: kit.Reply(500, kit.fault(r.id, 2150858793, subcode="w:TimedOut"))
    error = failed(wire.receive, kit.SHELL, COMMAND, wait_s=1, timeout_s=5)
    assert error.fault is Fault.NO_OUTPUT
    service.act = kit.answer
    assert wire.receive(kit.SHELL, COMMAND, wait_s=1, timeout_s=5).done
    assert service.connections == 1


DAMAGED = {
    "truncated": lambda kit, r: kit.answer(r).body[:-30],
    "no xml": lambda kit, r: b"once upon a time",
    "html": lambda kit, r: b"<!DOCTYPE html><html>welcome</html>",
    "empty": lambda kit, r: b"",
    "another": lambda kit, r: kit.answer(r).body.replace(r.id.encode(), b"uuid:" + b"1" * 32),
    "no relation": lambda kit, r: kit.answer(r).body.replace(r.id.encode(), b""),
    "a bomb": lambda kit, r: b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + kit.answer(r).body,
    "a bomb in UTF-16": lambda kit, r: (
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "aaaa">]>'
        + kit.answer(r).body.decode()
    ).encode("utf-16"),
    "deep": lambda kit, r: kit.envelope(r.id, "<b>" * 500 + "</b>" * 500),
    "wide": lambda kit, r: kit.envelope(r.id, "<b/>" * 50_000),
    "not base64": lambda kit, r: kit.output(r, b"x").replace(b">eA==<", b">*<"),
    "a code beyond": lambda kit, r: kit.output(r, b"x", code=2**40),
    "a code that is none": lambda kit, r: kit.output(r, b"x", code="nan"),
    "another command's": lambda kit, r: kit.output(r, b"x").replace(COMMAND.encode(), b"OTHER"),
    "no envelope": lambda kit, r: b"<a/>",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_answer_is_a_clear_failure_and_ends_the_connection(bench, kit, name):
    service = bench.service()
    wire = bench.wire(service)
    wire.create()
    service.act = lambda request: kit.Reply(body=DAMAGED[name](kit, request))
    error = failed(wire.receive, kit.SHELL, COMMAND, wait_s=1, timeout_s=5)
    assert (error.fault, error.failure.kind) == (Fault.MALFORMED, FailureKind.PROTOCOL)
    assert error.failure.detail
    assert not wire.is_open


@pytest.mark.parametrize("code", [0, 1, -1073741510, 3221225786, 4294967295, -2147483648])
def test_exit_codes_of_all_sizes_arrive(bench, kit, code):
    service = bench.service()
    service.act = lambda r: kit.Reply(body=kit.output(r, "ж".encode(), code=code))
    received = bench.wire(service).receive(kit.SHELL, COMMAND, wait_s=1, timeout_s=5)
    assert (received.exit_code, received.stdout.decode()) == (code, "ж")


def test_a_running_command_has_no_exit_code(bench, kit):
    service = bench.service()
    service.act = lambda r: kit.Reply(body=kit.output(r, b"", done=False))
    received = bench.wire(service).receive(kit.SHELL, COMMAND, wait_s=1, timeout_s=5)
    assert (received.done, received.exit_code) == (False, None)


def test_a_huge_answer_is_not_read(bench, kit):
    service = bench.service()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\n"
    for raw in (
        head + b"Content-Length: 99999999999\r\n\r\n" + b"a" * 100_000,
        head + b"\r\n" + b"a" * 5_000_000,
        head
        + b"Transfer-Encoding: chunked\r\n\r\n4c4b40\r\n"
        + b"a" * 5_000_000
        + b"\r\n0\r\n\r\n",
    ):
        service.before = lambda r: None
        wire = bench.wire(service)
        wire.hello()
        service.before = lambda r, raw=raw: kit.Reply(raw=raw)
        error = failed(wire.create)
        assert error.fault in {Fault.MALFORMED, Fault.DROPPED}
        assert not wire.is_open


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<x", Fault.DROPPED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n<x", Fault.DROPPED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n", Fault.DROPPED),
        (b"HTTP/1.1 200 OK\r\nContent-Ty", Fault.DROPPED),
        (b"SSH-2.0-OpenSSH_9\r\n", Fault.MALFORMED),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", Fault.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", Fault.MALFORMED),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            Fault.MALFORMED,
        ),
        (b"\x15\x03\x01\x00\x02\x02\x46", Fault.TLS),
    ],
)
def test_what_is_no_http_is_told(bench, kit, raw, fault):
    service = bench.service()
    wire = bench.wire(service)
    wire.hello()
    service.before = lambda r: kit.Reply(raw=raw)
    assert failed(wire.create).fault is fault


def test_a_service_that_sends_a_byte_now_and_then_is_given_up_in_time(bench, kit):
    over = threading.Event()

    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        sock, _ = listener.accept()
        with sock:
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"a" * 9999:
                if over.wait(0.02):
                    return
                try:
                    sock.sendall(bytes([byte]))
                except OSError:
                    return

    threading.Thread(target=serve, daemon=True).start()
    service = bench.service()
    port = listener.getsockname()[1]
    wire = bench.wire(
        service,
        connect=lambda _: socket.create_connection(("127.0.0.1", port)),
        deadlines=Deadlines(connect_s=1, handshake_s=1, auth_s=0.3),
    )
    began_s = time.monotonic()
    error = failed(wire.hello)
    over.set()
    listener.close()
    assert time.monotonic() - began_s < 1.5
    assert (error.fault, error.failure.kind) == (Fault.LATE, FailureKind.TIMEOUT)
    assert "0.3 s" in error.failure.detail


def test_a_silent_service_costs_the_deadline_only(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.create()
    service.act = lambda r: kit.Reply(pause_s=30)
    began_s = time.monotonic()
    error = failed(wire.command, kit.SHELL, COMMAND, MARK, timeout_s=0.3)
    assert time.monotonic() - began_s < 1.5
    assert (error.fault, error.unsent) == (Fault.LATE, False)


def test_a_cut_from_another_thread_frees_a_blocked_call(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.create()
    service.act = lambda r: kit.Reply(pause_s=30)
    threading.Timer(0.1, wire.cut).start()
    began_s = time.monotonic()
    error = failed(wire.receive, kit.SHELL, COMMAND, wait_s=20, timeout_s=25)
    assert time.monotonic() - began_s < 1.0
    assert (error.fault, error.failure.kind) == (Fault.DROPPED, FailureKind.LOST)
    service.act = kit.answer
    wire.delete(kit.SHELL, timeout_s=5)
    assert service.actions[-1] == "Delete"


def test_a_cut_while_connecting_counts(bench):
    service = bench.service()

    def connect(_):
        wire.cut()
        return socket.create_connection(("127.0.0.1", service.port))

    wire = bench.wire(service, connect=connect)
    error = failed(wire.hello)
    assert (error.fault, error.unsent) == (Fault.DROPPED, True)
    assert not service.heard


def test_a_cut_without_a_call_costs_one_connection(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.cut()
    wire.create()
    wire.cut()
    wire.delete(kit.SHELL, timeout_s=5)
    assert service.connections == 2


def test_a_second_thread_is_refused(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    wire.create()
    service.act = lambda r: kit.Reply(pause_s=5)
    blocked = threading.Thread(
        target=lambda: failed(wire.delete, kit.SHELL, timeout_s=5), daemon=True
    )
    blocked.start()
    assert kit.eventually(lambda: "Delete" in service.actions)
    with pytest.raises(OutagekitError, match="two threads"):
        wire.create()
    wire.cut()
    blocked.join(2)


def test_a_line_no_message_can_carry_is_not_sent(bench, kit):
    service = bench.service()
    wire = bench.wire(service)
    for line in ("a\0b", "a\x1bb", "a\ud800b"):
        error = failed(wire.command, kit.SHELL, COMMAND, line, timeout_s=5)
        assert (error.fault, error.unsent) == (Fault.LOCAL, True)
    assert service.connections == 0


def test_a_line_arrives_as_it_is(bench, kit):
    service = bench.service()
    line = 'set "OK_STEP=a&b"&echo <x> "日本" 😀 ]]> &amp;'
    bench.wire(service).command(kit.SHELL, COMMAND, line, timeout_s=5)
    assert html.unescape(service.messages[0].message).count(line) == 1


def test_a_command_under_another_id_is_no_command_of_ours(bench, kit):
    service = bench.service()
    act = service.act
    service.act = lambda r: kit.Reply(body=act(r).body.replace(COMMAND.encode(), b"OTHER"))
    error = failed(bench.wire(service).command, kit.SHELL, COMMAND, MARK, timeout_s=5)
    assert (error.fault, error.unsent) == (Fault.MALFORMED, False)


def test_what_the_endpoint_says_is_shown_without_secrets_and_escapes(bench, kit):
    service = bench.service()
    words = f"no {kit.PASSWORD} &#x9b;31m here"
    service.act = lambda r: kit.Reply(500, kit.fault(r.id, 424242, words=words))
    detail = failed(bench.wire(service).create).failure.detail
    assert kit.PASSWORD not in detail
    assert "[secret admin password]" in detail
    assert "\x9b" not in detail
    assert "424242" in detail


def test_an_unsealed_send_is_refused_by_the_protocol_itself(bench):
    service = bench.service()
    wire = bench.wire(service)
    wire.hello()
    wire._protocol.transport.encryption = None
    with pytest.raises(OutagekitError, match="clear"):
        wire._protocol.send_message("<marked/>")
    wire._protocol.transport.close_session()
    with pytest.raises(OutagekitError, match="clear"):
        wire._protocol.send_message("<marked/>")
    assert b"marked" not in service.bytes
