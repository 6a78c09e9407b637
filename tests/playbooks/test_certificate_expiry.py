"""The scripts about certificates: real ones, made for the test, in files and behind a port."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAME = "certificate-expiry"
KEY = ec.generate_private_key(ec.SECP256R1())
VALUES = {"files": "", "ports": "", "name": "", "days": 30}

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def certificate(name: str, days: float, *, lasts: float = 100, form: str = "PEM") -> bytes:
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    end = datetime.now(UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=lasts))
        .not_valid_after(end)
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(getattr(serialization.Encoding, form))


@pytest.fixture
def world(machine):
    return machine(NAME, **VALUES).real("openssl")


@pytest.mark.parametrize(
    ("days", "left", "expiring"),
    [(90.5, 90, False), (30.5, 30, False), (29.5, 29, True), (0.5, 0, True), (-0.5, -1, True),
     (-400.5, -401, True), (9000.5, 9000, False)],
)  # fmt: skip
def test_days_are_counted_down_to_the_end(world, days, left, expiring):
    path = world.folder / "a.pem"
    path.write_bytes(certificate("web.example", days))
    found = world.result("look.sh", files=str(path))
    assert (found["found"], found["days_left"], found["expiring"]) == (1, left, expiring)
    assert "CN=web.example" in found["soonest"]


def test_the_one_that_ends_first_counts_also_in_a_chain_and_among_files(world):
    (world.folder / "one.crt").write_bytes(certificate("one", 200.5))
    chain = certificate("leaf", 90.5) + b"text between\n" + certificate("root", 12.5)
    (world.folder / "two.crt").write_bytes(chain)
    found = world.result("look.sh", files=f"{world.folder}/*.crt {world.folder}/none*")
    assert (found["found"], found["days_left"]) == (3, 12)
    assert "CN=root" in found["soonest"]


def test_a_machine_without_certificates_has_none_that_expires(world):
    expected = {"found": 0, "days_left": 99999, "expiring": False, "soonest": ""}
    expected |= {"faults": 0, "fault": ""}
    assert world.result("look.sh", files="/nowhere/*.pem") == expected


def test_a_file_that_holds_none_is_said(world):
    path = world.folder / "key.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    other = world.folder / "other.pem"
    other.write_text("nothing")
    done = world.run("look.sh", files=f"{path} {other}")
    assert done.returncode == 0
    assert "key.pem: certificate 1 cannot be read" in done.stderr
    assert "other.pem: no certificate in it" in done.stderr


def test_a_name_in_a_certificate_cannot_break_the_result(world):
    path = world.folder / "evil.pem"
    path.write_bytes(certificate('a"b\\c|d\n$(x)', 5.5))
    found = world.result("look.sh", files=str(path))
    assert found["days_left"] == 5


def test_a_port_of_the_machine_is_asked(world):
    pem = world.folder / "server.pem"
    key = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem.write_bytes(key + certificate("port.example", 7.5))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def serve(listener):
        connection, _ = listener.accept()
        connection.settimeout(10)
        try:
            with context.wrap_socket(connection, server_side=True) as spoken:
                spoken.recv(1)
        except OSError:
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        found = world.result("look.sh", ports=str(listener.getsockname()[1]))
        server.join(10)
    assert (found["found"], found["days_left"]) == (1, 7)


def test_a_port_where_nobody_answers_is_said(world):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = world.run("look.sh", ports=str(port))
    assert done.returncode == 0
    assert f"port {port}: nobody answers" in done.stderr


@pytest.mark.parametrize(("left", "said"), [(5, "5 days left: CN=x"), (-3, "over since 3 days")])
def test_who_expires_is_a_failure_that_says_when(world, left, said):
    values = {"days_left": left, "soonest": "CN=x", "expiring": True}
    done = world.run("tell.sh", **values, faults=0, fault="")
    assert done.returncode == 1
    assert said in done.stderr


def test_a_machine_without_openssl_says_so(machine):
    assert machine(NAME, **VALUES).run("look.sh").returncode == 4


def test_a_file_in_der_is_read(world):
    (world.folder / "a.cer").write_bytes(certificate("der.example", 40.5, form="DER"))
    found = world.result("look.sh", files=f"{world.folder}/a.cer")
    assert (found["found"], found["days_left"], found["faults"]) == (1, 40, 0)


def test_what_cannot_be_judged_is_a_fault_and_a_key_or_nonsense_is_none(world):
    (world.folder / "a.pem").write_bytes(certificate("good", 90.5))
    broken = b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"
    (world.folder / "b.pem").write_bytes(broken)
    (world.folder / "c.pem").write_bytes(b"\x30\x00\xff\x00\n")
    found = world.result("look.sh", files=f"{world.folder}/*.pem")
    assert (found["found"], found["faults"], found["expiring"]) == (1, 1, False)
    assert found["fault"].endswith("b.pem: certificate 1 cannot be read")
    done = world.run("tell.sh", **found)
    assert done.returncode == 1
    assert done.stderr == f"{found['fault']}\n"


def test_a_certificate_that_is_not_valid_yet_is_a_fault(world):
    (world.folder / "a.pem").write_bytes(certificate("early", 90.5, lasts=80))
    found = world.result("look.sh", files=f"{world.folder}/a.pem")
    assert (found["days_left"], found["faults"]) == (90, 1)
    assert "is not valid before" in found["fault"]


def test_no_certificate_of_a_long_file_is_passed_over(world):
    many = b"".join(certificate(f"n{n}", 200.5) for n in range(24)) + certificate("last", 3.5)
    (world.folder / "a.pem").write_bytes(many)
    found = world.result("look.sh", files=f"{world.folder}/a.pem")
    assert (found["found"], found["days_left"]) == (25, 3)


def test_an_open_port_that_speaks_no_tls_is_a_fault(world):
    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        found = world.result("look.sh", ports=str(listener.getsockname()[1]))
        server.join(10)
    assert (found["found"], found["faults"]) == (0, 1)
    assert "STARTTLS" in found["fault"]
