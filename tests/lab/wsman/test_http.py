"""HTTP and SOAP that are cut, too long, or nothing at all."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.lab.listening import LOOPBACK
from outagekit.lab.wsman.faults import FaultError
from outagekit.lab.wsman.http import HttpError, RequestReader
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.sealing import pack_sealed, unpack_sealed
from outagekit.lab.wsman.soap import NotXmlError, duration_s, parse_message


def read(data, *, most_body_bytes=100):
    """Read requests from bytes that arrive and then end."""
    near, far = socket.socketpair()
    with near, far:
        near.sendall(data)
        near.shutdown(socket.SHUT_WR)
        return list(RequestReader(far, most_body_bytes).requests())


def test_requests_follow_each_other():
    data = b"POST /wsman HTTP/1.1\r\nContent-Length: 2\r\nX-Y: z\r\n\r\nhi"
    first, second = read(data + data.replace(b"hi", b"ho"))
    assert (first.method, first.path, first.body, second.body) == ("POST", "/wsman", b"hi", b"ho")
    assert first.headers == {"content-length": "2", "x-y": "z"}


@pytest.mark.parametrize(
    "data", [b"", b"POST /wsman", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"]
)
def test_what_is_cut_is_no_request(data):
    assert read(data) == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / SPDY/1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n x: y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 99 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n" + b"x" * 101, 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nx: " + b"y" * 70000, 431),
    ],
)
def test_what_is_no_request_has_its_status(data, status):
    with pytest.raises(HttpError) as refused:
        read(data)
    assert refused.value.status == status


def test_a_body_over_the_limit_is_413_after_all_of_it_was_read(at_hand):
    one = at_hand(rules=Rules(most_body_bytes=100_000))
    answer = one.post(b"x" * 5_000_000)
    assert (answer.status, answer.headers["Connection"]) == (413, "close")


def test_other_paths_and_methods_are_not_here(at_hand):
    one = at_hand()
    assert one.post(path="/").status == 404
    assert one.post(method="GET").status == 405
    assert one.post(path="/wsman?x").status == 200, "who is logged in gets an empty answer"


def test_a_client_that_speaks_no_tls_is_let_go(lone, tls):
    with socket.create_connection((LOOPBACK, lone(tls).port), timeout=5) as connection:
        connection.sendall(b"POST /wsman HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP/1.1" not in connection.recv(4096)


def test_a_client_that_trusts_somebody_else_is_let_go(lone, tls):
    context = ssl.create_default_context()
    with (
        socket.create_connection((LOOPBACK, lone(tls).port), timeout=5) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(connection, server_hostname=LOOPBACK)


def test_a_quiet_connection_is_ended(at_hand):
    one = at_hand(rules=Rules(idle_connection_s=0.03))
    assert one.post().status == 200
    assert one.http.sock.recv(1) == b""


@pytest.mark.parametrize("body", [b"\x00", b"<a>", b"{}", b"<!DOCTYPE a><a/>", b"<a xmlns='" * 9])
def test_what_is_no_xml_is_a_fault(at_hand, body):
    answer = at_hand().post(body)
    assert (answer.status, answer.code) == (500, 2150858817)


def test_a_document_type_is_not_even_read():
    with pytest.raises(NotXmlError):
        parse_message(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')


@pytest.mark.parametrize("body", ["", "<rsp:Shell/>", "<x/>"])
def test_a_body_of_another_kind_is_a_fault(at_hand, body):
    one = at_hand()
    shell = one.create().shell
    action = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Receive"
    assert one.send(action, body, shell=shell).code == 2150858817


def test_what_must_be_understood_and_is_not_is_a_plain_fault(at_hand):
    one = at_hand()
    answer = one.send("x", headers='<q:New xmlns:q="urn:q" s:mustUnderstand="true"/>')
    assert "<s:Value>s:MustUnderstand</s:Value>" in answer.body
    assert "s:Detail" not in answer.body
    answer = one.send("x", headers='<q:New xmlns:q="urn:q" s:mustUnderstand="false"/>')
    assert "a:ActionNotSupported" in answer.body


def test_an_envelope_too_small_for_any_answer_is_a_fault(at_hand):
    one = at_hand()
    one.most_bytes = 100
    assert one.create().code == 2150858817


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT20S", 20), ("PT0.5S", 0.5), ("PT15M", 900), ("P1DT1H1M1S", 90061), ("PT20.000S", 20)],
)
def test_durations_are_read(text, seconds):
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["P", "PT", "20", "-PT1S", "P1M", "PT1S ", "PT" + "9" * 99 + "S"])
def test_what_is_no_duration_is_a_fault(text):
    with pytest.raises(FaultError):
        duration_s(text)


@given(st.binary(max_size=64), st.binary(max_size=500), st.integers(0, 10**8))
def test_any_bytes_can_be_sealed(signature, data, size_bytes):
    for odd in (b"", b"--Encrypted Boundary--\r\n", b"--Encrypted Boundary\r\n"):
        packed = pack_sealed(signature, data + odd, size_bytes)
        assert unpack_sealed(packed) == (signature, data + odd, size_bytes)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_seal_or_refused(data):
    whole = pack_sealed(b"s" * 16, b"data", 4)
    for body in (data, whole[:60] + data, whole[:-30] + data + whole[-24:]):
        try:
            unpack_sealed(body)
        except ValueError:
            continue
