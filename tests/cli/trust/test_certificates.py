"""Certificates of Windows endpoints: shown, believed, replaced; real TLS servers on loopback."""

from __future__ import annotations

import contextlib
import getpass
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
import yaml
from typer.testing import CliRunner

from outagekit.cli.app import app
from outagekit.cli.render import Screen
from outagekit.log.reader import read_records
from outagekit.log.verify import verify
from outagekit.testing.sshd import find_sshd, free_port, make_key, sshd
from outagekit.testing.tls import self_signed, server_context, tls_server
from outagekit.transports.trust.certificates import certificates_in
from outagekit.transports.trust.known_hosts import format_line, host_name
from outagekit.transports.trust.store import TrustStore

ACME = Path("trust/acme")
STATE = ("--state-dir", "state")
WHY = ("--because", "renewed")


@dataclass
class Site:
    """A workspace of Windows endpoints, each a TLS server."""

    folder: Path
    stack: contextlib.ExitStack
    endpoints: dict[str, dict[str, object]] = field(default_factory=dict)
    more: dict[str, object] = field(default_factory=dict)

    def show(self, name: str, certificate: trustme.LeafCert | Path, **facts: object) -> int:
        """Have an endpoint show a certificate from now; return its port."""
        by_file = isinstance(certificate, Path)
        context = server_context(certificate if by_file else None)
        if not by_file:
            certificate.configure_cert(context)
        port = self.stack.enter_context(tls_server(context)).port
        self.name(name, port, **facts)
        return port

    def name(self, name: str, port: int, **facts: object) -> None:
        self.endpoints[name] = {"address": "127.0.0.1", "os": "windows", "port": port, **facts}
        self.write()

    def write(self) -> None:
        content = {"outagekit": 1, "client": "acme", "name": "Acme", **self.more}
        text = yaml.safe_dump({**content, "endpoints": self.endpoints})
        (self.folder / "inventory" / "acme.yaml").write_text(text)

    def believed(self, port: int) -> list[str]:
        keys = TrustStore(Path("trust")).known_keys("acme", "127.0.0.1", port)
        return [key.fingerprint for key in keys]


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "workspace"
    (folder / "inventory").mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "outagekit.yaml").write_text("outagekit: 1\n")
    monkeypatch.chdir(folder)
    with contextlib.ExitStack() as stack:
        yield Site(folder, stack)


@pytest.fixture
def pem(tmp_path):
    def make(name="127.0.0.1", **days):
        return self_signed(tmp_path, name, **days)

    return make


@pytest.fixture
def typed(monkeypatch):
    monkeypatch.setattr(Screen, "interactive", property(lambda _: True))

    def run(*words, types=""):
        result = CliRunner().invoke(app, list(words), input=types)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def fingerprint(pem: Path) -> str:
    (key,) = certificates_in(pem.read_bytes(), "")
    return key.fingerprint


def flat(text: str) -> str:
    return " ".join(text.split())


def acts():
    return [record.event for record in read_records(ACME)]


# --- add ---------------------------------------------------------------------------------------


def test_self_signed_ones_are_shown_with_all_that_is_compared_and_asked_about_once(
    typed, site, pem
):
    own, old = pem("pos-01"), pem("pos-02", from_days=-30, to_days=-3)
    ports = [site.show("pos-01", own), site.show("pos-02", old)]
    code, _, shown = typed("trust", "add", "all", *STATE, types="no\n")
    assert (code, ACME.exists()) == (6, False)
    assert flat(shown).count("Believe these 2? Type yes:") == 1
    assert fingerprint(own) in shown
    assert "certificate CN=pos-01, self-signed, " in flat(shown)
    assert "EXPIRED" in flat(shown).partition("CN=pos-02")[2]
    assert "1 certificate is expired or not valid yet: acme/pos-02" in flat(shown)
    code, _, shown = typed("trust", "add", "all", *STATE, types="yes\n")
    assert code == 0, shown
    assert [site.believed(port) for port in ports] == [[fingerprint(own)], [fingerprint(old)]]
    assert [event.server for event in acts()] == ["acme/pos-01", "acme/pos-02"]
    assert acts()[0].key == f"tls-certificate {fingerprint(own)}"
    assert verify(ACME).ok


def test_json_has_the_facts_in_the_shape_of_host_keys(call, site, pem):
    own = pem("pos-01")
    port = site.show("pos-01", own)
    added = call("trust", "add", "all", "--yes", "--json", *STATE).document
    assert set(added) == {"added", "failed", "known", "shared", "validated", "sealed"}
    (row,) = added["added"]
    assert row["server"] == "acme/pos-01"
    assert row["name"] == f"[127.0.0.1]:{port}"
    assert row["fingerprint"] == fingerprint(own)
    assert (row["type"], row["subject"]) == ("tls-certificate", "CN=pos-01")
    assert (row["self_signed"], row["expired"]) == (True, False)
    listed = call("trust", "list", "--json", *STATE).document
    assert listed["keys"][0]["type"] == "tls-certificate"
    assert listed["keys"][0]["fingerprint"] == fingerprint(own)
    again = call("trust", "add", "all", "--yes", "--json", *STATE)
    assert again.document["known"] == ["acme/pos-01"]
    assert "has a key or certificate that is believed" in again.err
    assert fingerprint(own) in call("trust", "log", *STATE).out


def test_what_the_clients_authority_vouches_for_needs_no_pin(typed, call, site, pem, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    site.more = {"winrm": {"ca": str(tmp_path / "ca.pem")}}
    site.show("pos-01", authority.issue_cert("127.0.0.1"))
    code, _, shown = typed("trust", "add", "all", *STATE)
    assert (code, ACME.exists()) == (0, False)
    needs = f"1 needs no pin, validated by the authorities in {tmp_path}/ca.pem: acme/pos-01"
    assert needs in flat(shown)
    assert "Type yes" not in shown
    site.show("pos-02", authority.issue_cert("elsewhere.acme.example"))
    added = call("trust", "add", "all", "--yes", "--json", *STATE)
    assert added.code == 0, added.err
    assert [row["server"] for row in added.document["added"]] == ["acme/pos-02"]
    (valid,) = added.document["validated"]
    assert (valid["server"], valid["validated_by"]) == (
        "acme/pos-01",
        f"the authorities in {tmp_path}/ca.pem",
    )
    assert valid["keys"][0]["type"] == "tls-certificate"
    assert "mismatch" in flat(added.err)


def test_http_endpoints_need_none_and_are_told_what_that_means(call, site, pem):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        site.name("old-01", listener.getsockname()[1], scheme="http")
        alone = call("trust", "add", "all", "--yes", "--json", *STATE)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert (alone.code, alone.document["sealed"]) == (0, ["acme/old-01"])
    assert "1 speaks http and needs no certificate (acme/old-01)" in flat(alone.err)
    assert "sealed by the NTLM or Kerberos login" in flat(alone.err)
    site.show("pos-01", pem())
    both = call("trust", "add", "all", "--yes", "--json", *STATE).document
    assert [row["server"] for row in both["added"]] == ["acme/pos-01"]


def test_servers_without_tls_or_without_anybody_are_grouped_as_certificates(call, site):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    for number in range(4):
        site.name(f"dead-{number}", closed)
    called = call("trust", "add", "all", "--yes", "--json", *STATE)
    assert called.code == 4
    assert "no certificate from 4, refused: acme/dead-0, acme/dead-1" in flat(called.err)
    assert {row["failure"] for row in called.document["failed"]} == {"refused"}


def test_one_certificate_of_two_machines_is_warned_of(call, site, pem):
    own = pem()
    site.show("pos-01", own)
    site.show("pos-02", own)
    called = call("trust", "add", "all", "--yes", *STATE)
    assert "2 servers have one certificate: acme/pos-01 and acme/pos-02" in flat(called.err)


def test_a_revoked_certificate_is_not_offered(call, site, pem):
    own = pem()
    port = site.show("pos-01", own)
    (key,) = certificates_in(own.read_bytes(), "")
    ACME.mkdir(parents=True, mode=0o700)
    line = format_line(host_name("127.0.0.1", port), key)
    (ACME / "known_hosts").write_text(f"@revoked {line}\n")
    called = call("trust", "add", "all", "--yes", "--json", *STATE)
    assert (called.code, called.document["added"]) == (3, [])
    assert "certificate that is revoked" in flat(called.err)


def test_an_endpoint_named_by_host_is_offered_too(typed, site, pem):
    port = site.show("pos-01", pem())
    words = ("--host", f"ops@127.0.0.1:{port}", "--os", "windows", *STATE)
    code, _, shown = typed("trust", "add", *words, types="yes\n")
    assert code == 0, shown
    assert TrustStore(Path("trust")).known_certificates("adhoc", "127.0.0.1", port)


# --- from a file -------------------------------------------------------------------------------


def test_of_a_file_of_certificates_only_what_is_shown_is_believed(call, site, pem, tmp_path):
    mine, other = pem("pos-01"), pem("pos-02")
    port, foreign = site.show("pos-01", mine), site.show("pos-02", other)
    source = tmp_path / "given.pem"
    source.write_bytes(mine.read_bytes() + pem("pos-09").read_bytes())
    called = call("trust", "add", "all", "--from", str(source), "--yes", "--json", *STATE)
    assert called.code == 3
    assert site.believed(port) == [fingerprint(mine)]
    assert site.believed(foreign) == []
    (failed,) = called.document["failed"]
    assert fingerprint(other) in failed["detail"]
    assert f"is not in {source}" in failed["detail"]
    assert [event.source for event in acts()] == [str(source)]


def test_a_file_in_which_none_of_them_is_believes_nothing(call, site, pem, tmp_path):
    site.show("pos-01", pem())
    source = tmp_path / "given.cer"
    (key,) = certificates_in(pem().read_bytes(), "")
    source.write_bytes(key.certificate)
    assert call("trust", "add", "all", "--from", str(source), "--yes", *STATE).code == 7
    source.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    called = call("trust", "add", "all", "--from", str(source), "--yes", *STATE)
    assert (called.code, "damaged or cut" in flat(called.err)) == (8, True)
    assert not ACME.exists()


def test_a_known_hosts_file_may_hold_certificates_and_nobody_is_asked(call, site, pem, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    site.name("pos-01", port)
    own = pem()
    (key,) = certificates_in(own.read_bytes(), "")
    source = tmp_path / "known_hosts"
    source.write_text(format_line(host_name("127.0.0.1", port), key) + "\n")
    called = call("trust", "add", "all", "--from", str(source), "--yes", *STATE)
    assert called.code == 0, called.err
    assert site.believed(port) == [fingerprint(own)]


def test_a_host_key_in_a_file_is_no_certificate(call, site, tmp_path):
    site.name("pos-01", 5986)
    public = make_key(tmp_path / "k").public if find_sshd() else None
    if public is None:
        pytest.skip("ssh-keygen is not installed")
    source = tmp_path / "known_hosts"
    source.write_text(f"[127.0.0.1]:5986 {' '.join(public.split()[:2])}\n")
    assert call("trust", "add", "all", "--from", str(source), "--yes", *STATE).code == 7


# --- replace and remove ------------------------------------------------------------------------


def test_a_renewed_certificate_is_replaced_with_its_reason(typed, call, site, pem):
    old, new = pem("pos-01"), pem("pos-01")
    port = site.show("pos-01", new)
    (before,) = certificates_in(old.read_bytes(), "")
    TrustStore(Path("trust")).add("acme", "127.0.0.1", port, before)
    assert call("trust", "add", "all", "--yes", *STATE).code == 0
    assert site.believed(port) == [fingerprint(old)]
    code, _, shown = typed("trust", "replace", "pos-01", *STATE, types="renewed\n1\n")
    assert code == 0, shown
    assert "old certificate CN=pos-01" in flat(shown)
    assert flat(shown).index(fingerprint(old)) < flat(shown).index(fingerprint(new))
    assert site.believed(port) == [fingerprint(new)]
    (act,) = acts()
    assert (act.because, act.new) == ("renewed", (f"tls-certificate {fingerprint(new)}",))


def test_where_an_authority_vouches_for_the_new_one_the_pin_goes(call, site, pem, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    site.more = {"winrm": {"ca": str(tmp_path / "ca.pem")}}
    port = site.show("pos-01", authority.issue_cert("127.0.0.1"))
    (before,) = certificates_in(pem().read_bytes(), "")
    TrustStore(Path("trust")).add("acme", "127.0.0.1", port, before)
    called = call("trust", "replace", "all", "--yes", *WHY, *STATE)
    assert called.code == 0, called.err
    assert "not pinned" in flat(called.err)
    assert site.believed(port) == []
    assert flat(call("trust", "log", *STATE).out).endswith(", is nothing")
    again = call("trust", "replace", "all", "--yes", *WHY, *STATE)
    assert "or need none" in flat(again.err)


def test_the_machine_id_of_an_http_endpoint_is_replaced_without_asking_it(call, site):
    site.name("old-01", 5985)
    ACME.mkdir(parents=True, mode=0o700)
    (ACME / "machines.json").write_text(json.dumps({"old-01": "machine-of-yore"}))
    called = call("trust", "replace", "old-01", "--yes", *WHY, *STATE)
    assert called.code == 0, called.err
    assert TrustStore(Path("trust")).machine_of("acme", "old-01") == ""
    (act,) = acts()
    assert (act.machine_id, act.new) == ("machine-of-yore", ())


def test_what_is_removed_is_believed_no_more(call, site, pem):
    port = site.show("pos-01", pem())
    assert call("trust", "add", "all", "--yes", *STATE).code == 0
    gone = call("trust", "remove", "pos-01", "--yes", *WHY, *STATE)
    assert (gone.code, site.believed(port)) == (0, [])


# --- through a jump host -----------------------------------------------------------------------


def test_a_windows_endpoint_behind_a_jump_host_is_seen_through_it(call, site, pem, tmp_path):
    if find_sshd() is None:
        pytest.skip("OpenSSH's sshd is not installed")
    key = make_key(tmp_path / "user_key")
    port = free_port("127.0.0.2")
    login = {"user": getpass.getuser(), "key": str(key.private)}
    site.more = {
        "credentials": {"jump": login},
        "sites": {"berlin": {"jump": f"127.0.0.2:{port}", "jump_credential": "jump"}},
    }
    with sshd(tmp_path / "jump", ["127.0.0.2"], port, login_keys=[key.public]):
        own = pem()
        winrm = site.show("pos-01", own, site="berlin")
        called = call("trust", "add", "all", "--yes", "--json", *STATE)
    assert called.code == 0, called.err
    servers = [row["server"] for row in called.document["added"]]
    assert servers == [f"acme jump host 127.0.0.2 port {port}", "acme/pos-01"]
    assert site.believed(winrm) == [fingerprint(own)]
