"""Certificates in files, and what is told of them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from outagekit.errors import InvalidInput
from outagekit.testing.tls import self_signed
from outagekit.transports.trust.certificates import (
    certificates_in,
    facts_of,
    holds_certificates,
)
from outagekit.transports.trust.known_hosts import HostKey, KnownHosts, format_line, host_name
from outagekit.transports.trust.store import TrustStore


@pytest.fixture
def pem(tmp_path: Path) -> bytes:
    """A PEM file that holds a key beside the certificate."""
    return self_signed(tmp_path).read_bytes()


def test_a_file_may_hold_many_and_other_things_beside(pem: bytes, tmp_path: Path) -> None:
    other = self_signed(tmp_path, "pos-02").read_bytes()
    text = b"subject=x\r\n" + pem.replace(b"\n", b"\r\n") + other + pem
    found = certificates_in(text, "them.pem")
    subjects = [facts.subject for facts in map(facts_of, found) if facts]
    assert subjects == ["CN=127.0.0.1", "CN=pos-02"]
    assert holds_certificates(text)


def test_one_in_der_is_read_too(pem: bytes) -> None:
    (key,) = certificates_in(pem, "it.pem")
    assert certificates_in(key.certificate, "it.cer") == (key,)
    assert holds_certificates(key.certificate)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"rubbish",
        b"\x30\x82\x01",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n\xff\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA",
    ],
)
def test_a_file_without_a_whole_one_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"it\.pem"):
        certificates_in(content, "it.pem")


def test_known_hosts_are_no_certificates() -> None:
    assert not holds_certificates(b"10.0.0.1 ssh-ed25519 AAAA\n")


def test_dates_are_judged_to_the_second(tmp_path: Path) -> None:
    (key,) = certificates_in(self_signed(tmp_path).read_bytes(), "")
    facts = facts_of(key)
    assert facts is not None
    second = timedelta(seconds=1)
    assert facts.dates_fault(datetime.now(UTC)) == ""
    assert facts.dates_fault(facts.not_after) == ""
    assert facts.dates_fault(facts.not_after + second) == "EXPIRED"
    assert facts.dates_fault(facts.not_before - second) == "NOT YET VALID"


def test_who_issued_it_is_told() -> None:
    leaf = trustme.CA(organization_name="Acme CA").issue_cert("pos-01.acme.example")
    (key,) = certificates_in(leaf.cert_chain_pems[0].bytes(), "")
    facts = facts_of(key)
    assert facts is not None
    assert not facts.self_signed
    assert "Acme CA" in facts.issuer


def test_names_are_safe_to_show_and_bounded(tmp_path: Path) -> None:
    (key,) = certificates_in(self_signed(tmp_path, "a\x1b[2Jb").read_bytes(), "")
    facts = facts_of(key)
    assert facts is not None
    assert facts.subject.isprintable()


def test_what_is_no_certificate_has_no_facts() -> None:
    assert facts_of(HostKey.of_certificate(b"rubbish")) is None
    assert facts_of(HostKey("ssh-ed25519", "AAAA")) is None


def test_a_certificate_is_stored_as_a_host_key_is(pem: bytes, tmp_path: Path) -> None:
    (key,) = certificates_in(pem, "")
    store = TrustStore(tmp_path / "trust")
    assert store.add("acme", "10.0.0.1", 5986, key)
    assert store.known_certificates("acme", "10.0.0.1", 5986) == (key,)
    assert store.known_certificates("acme", "10.0.0.1", 5985) == ()
    assert store.known_certificates("beta", "10.0.0.1", 5986) == ()
    line = format_line(host_name("10.0.0.1", 5986), key)
    (entry,) = KnownHosts(line).entries
    assert entry.key.certificate == ssl.PEM_cert_to_DER_cert(
        ssl.DER_cert_to_PEM_cert(key.certificate)
    )


def test_a_host_key_by_the_same_name_pins_no_certificate(tmp_path: Path) -> None:
    blob = b"".join(len(f).to_bytes(4, "big") + f for f in (b"ssh-ed25519", b"x" * 32))
    store = TrustStore(tmp_path / "trust")
    store.add("acme", "10.0.0.1", 5986, HostKey.of(blob))
    assert store.known_keys("acme", "10.0.0.1", 5986)
    assert store.known_certificates("acme", "10.0.0.1", 5986) == ()
