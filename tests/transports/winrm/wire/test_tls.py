"""Whom the wire believes on https, and what it says when it does not."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import struct
import threading
import time
import warnings
from pathlib import Path

import pytest

from outagekit.events import FailureKind
from outagekit.transports.protocol import Deadlines
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.tls import Believed, explain

QUICK = Deadlines(connect_s=1, handshake_s=0.3, auth_s=1)


def failed(call, *args, **facts):
    with pytest.raises(WireError) as caught:
        call(*args, **facts)
    return caught.value


def refused(wire, service, *parts):
    """Assert that the certificate is refused before a byte of HTTP, and said why."""
    error = failed(wire.create)
    assert (error.fault, error.failure.kind) == (Fault.TLS, FailureKind.TLS)
    assert error.unsent
    assert not service.heard
    for part in parts:
        assert part in error.failure.detail
    return error.failure.detail


def test_ntlm_over_https_proves_itself_bound_to_the_channel(bench, kit, leaf, ca_file):
    service = bench.secure(leaf)
    service.der = kit.der_of(leaf)
    wire = bench.wire(service, trust=Believed(ca=ca_file))
    assert wire.create() == kit.SHELL
    assert wire.certificate == HostKey.of_certificate(kit.der_of(leaf))
    assert service.connections == 1


def test_a_login_bound_to_another_channel_is_refused(bench, kit, leaf, ca_file, tmp_path):
    service = bench.secure(leaf)
    service.der = kit.self_signed(tmp_path)[1]
    error = failed(bench.wire(service, trust=Believed(ca=ca_file)).create)
    assert error.fault is Fault.UNAUTHORIZED


def test_a_pin_counts_whatever_the_age_name_and_authority(bench, kit, tmp_path):
    files, der = kit.self_signed(tmp_path, days=-3)
    service = bench.secure_with(files)
    service.der = der
    pinned = Believed(certificates=(HostKey.of_certificate(der),))
    assert bench.wire(service, trust=pinned).create() == kit.SHELL


def test_one_of_several_pins_is_enough_and_host_keys_are_none(bench, kit, leaf, tmp_path):
    other = kit.self_signed(tmp_path)[1]
    ssh = HostKey(
        "ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    )
    keys = (ssh, HostKey.of_certificate(other), HostKey.of_certificate(kit.der_of(leaf)))
    assert bench.wire(bench.secure(leaf), trust=Believed(certificates=keys)).create()
    service = bench.secure(leaf)
    refused(bench.wire(service, trust=Believed(certificates=(ssh,))), service, "authority")


def test_another_certificate_than_the_pinned_is_refused_whoever_vouches(
    bench, kit, leaf, ca_file, tmp_path
):
    other = HostKey.of_certificate(kit.self_signed(tmp_path)[1])
    service = bench.secure(leaf)
    trust = Believed(certificates=(other,), ca=ca_file, words="acme/pos-01")
    shown = HostKey.of_certificate(kit.der_of(leaf)).fingerprint
    refused(bench.wire(service, trust=trust), service, shown, "outagekit trust replace acme/pos-01")


def test_a_revoked_certificate_is_refused_whoever_vouches(bench, kit, leaf, ca_file):
    service = bench.secure(leaf)
    revoked = frozenset({HostKey.of_certificate(kit.der_of(leaf))})
    trust = Believed(revoked=revoked, ca=ca_file)
    refused(bench.wire(service, trust=trust), service, "revoked")


def test_a_self_signed_certificate_is_named_with_what_to_type(bench, kit, tmp_path):
    files, _ = kit.self_signed(tmp_path, names=("127.0.0.1",))
    service = bench.secure_with(files)
    refused(bench.wire(service), service, "self-signed", "outagekit trust add acme/pos-01")


def test_an_unknown_authority_is_named(bench, leaf):
    service = bench.secure(leaf)
    refused(bench.wire(service), service, "authority", "winrm: ca")


def test_an_expired_certificate_is_named(bench, authority, ca_file):
    over = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    service = bench.secure(authority.issue_cert("127.0.0.1", not_after=over))
    refused(bench.wire(service, trust=Believed(ca=ca_file)), service, "expired")


def test_a_certificate_for_another_name_is_named(bench, authority, ca_file):
    service = bench.secure(authority.issue_cert("pos-02.acme.example"))
    trust = Believed(ca=ca_file)
    refused(bench.wire(service, trust=trust), service, "not for 127.0.0.1")


def test_the_name_of_the_address_is_what_counts(bench, kit, leaf, ca_file):
    service = bench.secure(leaf)
    trust = Believed(ca=ca_file)
    assert bench.wire(service, trust=trust, address="pos-01.acme.example").create() == kit.SHELL
    service.heard.clear()
    refused(bench.wire(service, trust=trust, address="pos-09.acme.example"), service, "pos-09")


def test_authorities_of_the_environment_are_ignored(bench, leaf, ca_file, monkeypatch):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(ca_file))
    service = bench.secure(leaf)
    refused(bench.wire(service), service, "authority")


@pytest.mark.parametrize("content", [None, b"", b"no pem"])
def test_a_file_of_authorities_that_cannot_be_used_is_named(bench, leaf, tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    service = bench.secure(leaf)
    error = failed(bench.wire(service, trust=Believed(ca=file)).hello)
    assert (error.fault, error.failure.kind) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert "ca.pem" in error.failure.detail
    assert service.connections == 0


def test_plain_http_on_a_port_of_https_is_named(bench, kit):
    service = bench.service()
    raw = socket.create_server(("127.0.0.1", 0))

    def serve():
        sock, _ = raw.accept()
        with sock, contextlib.suppress(OSError):
            sock.recv(100)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            sock.recv(4096)

    threading.Thread(target=serve, daemon=True).start()
    service.port = raw.getsockname()[1]
    error = failed(bench.wire(service, scheme="https").hello)
    raw.close()
    assert error.fault is Fault.TLS
    assert "scheme: http" in error.failure.detail


def test_https_on_a_port_of_http_is_named(bench, leaf):
    service = bench.secure(leaf)
    error = failed(bench.wire(service, scheme="http").hello)
    assert error.fault in {Fault.TLS, Fault.DROPPED}
    assert "https" in error.failure.detail
    assert not service.heard


def test_a_server_that_says_nothing_costs_the_handshakes_deadline(bench):
    service = bench.service()
    began_s = time.monotonic()
    error = failed(bench.wire(service, scheme="https", deadlines=QUICK).hello)
    assert time.monotonic() - began_s < 1.0
    assert (error.fault, error.failure.kind) == (Fault.UNREACHABLE, FailureKind.HANDSHAKE)
    assert "0.3 s" in error.failure.detail


def test_a_cut_ends_a_handshake(bench):
    wire = bench.wire(bench.service(), scheme="https")
    threading.Timer(0.1, wire.cut).start()
    began_s = time.monotonic()
    error = failed(wire.hello)
    assert time.monotonic() - began_s < 1.0
    assert error.failure.kind is FailureKind.LOST


def test_a_server_that_hangs_up_during_tls_is_no_matter_of_trust(bench):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        sock, _ = listener.accept()
        with sock:
            sock.recv(1)

    threading.Thread(target=serve, daemon=True).start()
    service = bench.service()
    service.port = listener.getsockname()[1]
    error = failed(bench.wire(service, scheme="https").hello)
    listener.close()
    assert error.failure.kind is FailureKind.HANDSHAKE


def test_a_server_that_says_a_word_and_hangs_up_before_tls_is_no_matter_of_trust():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        plain = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    there.sendall(b"\x15")
    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    there.close()
    until_s = time.monotonic() + 2.0
    while time.monotonic() < until_s:
        try:
            plain.getpeername()
        except OSError:
            break
    with plain, pytest.raises(ssl.SSLError) as met:
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
    failure = explain(met.value, Believed(), "localhost")
    assert failure.kind is FailureKind.HANDSHAKE


def test_tls_too_old_is_named(bench, leaf):
    service = bench.secure(leaf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        service.tls.minimum_version = ssl.TLSVersion.TLSv1
        service.tls.maximum_version = ssl.TLSVersion.TLSv1_1
    service.tls.set_ciphers("ALL:@SECLEVEL=0")
    refused(bench.wire(service), service, "too old")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_logs_in(bench, kit, leaf, tmp_path, version):
    files, _ = kit.self_signed(tmp_path, passphrase=b"key-word")
    service = bench.secure(leaf, auth="certificate")
    service.tls.load_verify_locations(str(files[0]))
    service.tls.verify_mode = ssl.CERT_REQUIRED
    service.tls.maximum_version = version
    login = kit.log_in(
        auth="certificate", password=None, certificate=files[0], key=files[1], passphrase="key-word"
    )
    assert bench.wire(service, login=login, trust=kit.pin_of(leaf)).create() == kit.SHELL
    assert "/https/mutual" in service.heard[0].header("Authorization")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_that_is_not_accepted_is_named(bench, kit, leaf, tmp_path, version):
    files, _ = kit.self_signed(tmp_path)
    service = bench.secure(leaf, auth="certificate")
    service.tls.load_verify_locations(cadata=kit.der_of(leaf))
    service.tls.verify_mode = ssl.CERT_REQUIRED
    service.tls.maximum_version = version
    login = kit.log_in(auth="certificate", password=None, certificate=files[0], key=files[1])
    error = failed(bench.wire(service, login=login, trust=kit.pin_of(leaf)).create)
    assert error.failure.kind in {FailureKind.TLS, FailureKind.LOST}
    assert not service.heard


def test_a_key_that_cannot_be_used_is_named_and_nobody_is_asked(bench, kit, leaf, tmp_path):
    files, _ = kit.self_signed(tmp_path, passphrase=b"key-word")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    other = kit.self_signed(foreign)[0]
    service = bench.secure(leaf)
    for certificate, key, passphrase, part in (
        (files[0], files[1], None, "passphrase"),
        (files[0], files[1], "wrong-word", "passphrase"),
        (files[0], other[1], None, "does not belong"),
        (files[0], tmp_path / "nothing.key", None, "nothing.key is not there"),
        (tmp_path / "nothing.pem", other[1], None, "nothing.pem is not there"),
        (Path(__file__), Path(__file__), None, "PEM"),
    ):
        login = kit.log_in(
            auth="certificate",
            password=None,
            certificate=certificate,
            key=key,
            passphrase=passphrase,
        )
        error = failed(bench.wire(service, login=login).hello)
        assert (error.fault, error.failure.kind) == (Fault.LOCAL, FailureKind.LOCAL_IO)
        assert part in error.failure.detail
        assert "wrong-word" not in error.failure.detail
    assert service.connections == 0


def basic(kit, **facts):
    return kit.log_in(auth="basic", **facts)


def test_basic_over_https_needs_no_message_more(bench, kit, leaf):
    service = bench.secure(leaf, auth="basic")
    wire = bench.wire(service, login=basic(kit), trust=kit.pin_of(leaf))
    wire.hello()
    assert not service.heard
    wire.create()
    assert len(service.heard) == 1
    assert service.connections == 1


def test_a_wrong_basic_password_is_told_by_the_first_message(bench, kit, leaf):
    service = bench.secure(leaf, auth="basic")
    login = basic(kit, password="wrong-password")
    error = failed(bench.wire(service, login=login, trust=kit.pin_of(leaf)).create)
    assert (error.fault, error.failure.kind) == (Fault.UNAUTHORIZED, FailureKind.AUTH)
    assert "wrong-password" not in error.failure.detail


def test_a_latin_basic_password_arrives(bench, kit, leaf):
    service = bench.secure(leaf, auth="basic", password="größe-é")
    login = basic(kit, password="größe-é")
    assert bench.wire(service, login=login, trust=kit.pin_of(leaf)).create() == kit.SHELL


def test_a_cyrillic_basic_password_is_refused_before_connecting(bench, kit, leaf):
    service = bench.secure(leaf, auth="basic")
    error = failed(bench.wire(service, login=basic(kit, password="пароль-слово")).create)
    assert error.failure.kind is FailureKind.LOCAL_IO
    assert "ntlm" in error.failure.detail
    assert "пароль" not in error.failure.detail
    assert service.connections == 0


@pytest.mark.parametrize("auth", ["basic", "certificate"])
def test_basic_and_certificates_over_http_are_refused_before_connecting(bench, kit, auth):
    service = bench.service(auth=auth)
    error = failed(bench.wire(service, login=kit.log_in(auth=auth)).create)
    assert (error.fault, error.failure.kind) == (Fault.TLS, FailureKind.TLS)
    assert service.connections == 0


def test_an_ipv6_address_is_reached_and_proven(bench, kit, leaf, ca_file):
    service = bench.secure(leaf, address="::1")
    wire = bench.wire(service, address="::1", trust=Believed(ca=ca_file))
    assert wire.place.url == f"https://[::1]:{service.port}/wsman"
    assert wire.create() == kit.SHELL
    assert service.heard[0].header("Host") == f"[::1]:{service.port}"
