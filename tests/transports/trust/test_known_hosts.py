"""The known_hosts format, compared with what OpenSSH itself does."""

from __future__ import annotations

import base64
import contextlib
import hmac
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import OutagekitError
from outagekit.transports.trust.known_hosts import (
    HostKey,
    KnownHosts,
    format_line,
    host_name,
    parse_line,
)

if TYPE_CHECKING:
    from conftest import Bench


@pytest.fixture
def keys(bench: Bench, tmp_path: Path) -> list[HostKey]:
    return [bench.public(bench.key(tmp_path / f"key{n}")) for n in range(3)]


def test_fingerprints_are_those_of_openssh(bench: Bench, tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    for kind in ("ed25519", "ecdsa", "rsa"):
        path = bench.key(tmp_path / kind, kind)
        said = subprocess.run(
            ["ssh-keygen", "-l", "-f", path.with_suffix(".pub")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert bench.public(path).fingerprint in said


def test_hashed_names_are_compared_once_for_all_that_is_asked_of_a_name(
    keys: list[HostKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    salt = b"s" * 20
    digest = hmac.digest(salt, b"web", "sha1")
    web = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    other = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(b'x' * 20).decode()}"
    lines = [format_line(other, keys[1])] * 500 + [format_line(web, keys[0])]
    hosts = KnownHosts("\n".join(lines))
    compared: list[bytes] = []
    original = hmac.digest
    monkeypatch.setattr(hmac, "digest", lambda *a: compared.append(a[1]) or original(*a))
    for _ in range(3):
        assert hosts.keys("web") == (keys[0],)
        assert not hosts.revoked("web")
        assert not hosts.has_authority("web")
        assert hosts.keys("nobody") == ()
    assert len(compared) == 2 * 501


@pytest.mark.parametrize(
    ("address", "port", "name"),
    [
        ("10.1.4.11", 22, "10.1.4.11"),
        ("10.1.4.11", 2222, "[10.1.4.11]:2222"),
        ("Web-01.Acme.Example.", 22, "web-01.acme.example"),
        ("::1", 22, "::1"),
        ("0:0:0:0:0:0:0:1", 2222, "[::1]:2222"),
    ],
)
def test_names_are_written_as_openssh_does(address: str, port: int, name: str) -> None:
    assert host_name(address, port) == name


@pytest.mark.parametrize("address", ["", "a b", "a,b", "*", "!a", "|1|x", "#a", "[a]", "a\nb"])
def test_an_address_that_could_mean_more_is_refused(address: str) -> None:
    with pytest.raises(OutagekitError):
        host_name(address, 22)


def test_plain_names_patterns_and_negations(keys: list[HostKey]) -> None:
    hosts = KnownHosts(
        f"# comment\n\n{format_line('a,B.example', keys[0])} some comment\n"
        f"{format_line('*.example,!bad.example', keys[1])}\n"
        f"{format_line('[a]:2222', keys[2])}\n"
        "a ssh-ed25519 not-base64\n"
        "a ssh-rsa AAAA\n"
    )
    assert hosts.keys("a") == (keys[0],)
    assert hosts.keys("b.example") == (keys[0], keys[1])
    assert hosts.keys("bad.example") == ()
    assert hosts.keys("[a]:2222") == (keys[2],)
    assert hosts.keys("xexample") == ()


def test_hashed_names_of_openssh_are_read(keys: list[HostKey], tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    file = tmp_path / "hosts"
    lines = (format_line("10.1.4.11", keys[0]), format_line("[web.example]:2222", keys[1]))
    file.write_text("\n".join(lines) + "\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert "10.1.4.11" not in file.read_text()
    hosts = KnownHosts(file.read_text())
    assert hosts.keys("10.1.4.11") == (keys[0],)
    assert hosts.keys("[web.example]:2222") == (keys[1],)
    assert hosts.keys("web.example") == ()
    assert hosts.without(["10.1.4.11"]).keys("10.1.4.11") == ()


def test_a_revoked_key_is_never_known(keys: list[HostKey]) -> None:
    text = f"{format_line('a', keys[0])}\n@revoked {format_line('*', keys[0])}\n"
    assert KnownHosts(text).keys("a") == ()
    hosts = KnownHosts(f"@cert-authority {format_line('*', keys[1])}\n")
    assert hosts.keys("a") == ()


def test_a_comment_is_no_line_whatever_a_reader_may_take_for_a_line_end(
    keys: list[HostKey],
) -> None:
    hidden = format_line("a", keys[0])
    for end in ("\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"):
        assert KnownHosts(f"# seen{end}{hidden}\n").keys("a") == ()
    hosts = KnownHosts(f"# seen\r\n{hidden}\r\n")
    assert hosts.keys("a") == (keys[0],)
    assert hosts.faults() == ()


def test_lines_that_say_nothing_are_named_with_their_number(keys: list[HostKey]) -> None:
    good = format_line("a", keys[0])
    lines = [
        "# fine",
        "",
        good,
        good[:-9],
        "a ssh-rsa",
        good.replace("ssh-ed25519", "ssh-rsa"),
        f"@trusted {good}",
        f"@cert-authority {good}",
    ]
    hosts = KnownHosts("\n".join(lines))
    assert [number for number, _ in hosts.faults()] == [4, 5, 6, 7]
    assert "cut" in dict(hosts.faults())[4]


def test_an_authority_is_told_and_vouches_for_nobody(keys: list[HostKey]) -> None:
    hosts = KnownHosts(f"@cert-authority {format_line('*.example', keys[1])}\n")
    assert hosts.has_authority("a.example")
    assert not hosts.has_authority("b.test")
    assert hosts.keys("a.example") == ()


def test_a_thousand_names_are_taken_away_in_one_go(keys: list[HostKey]) -> None:
    named = [(f"h{n}", keys[0]) for n in range(1000)]
    hosts = KnownHosts("").with_keys(named)
    rest = hosts.without({name for name, _ in named[1:]})
    assert rest.lines == (format_line("h0", keys[0]),)
    assert len(hosts.entries) == 1000


def test_taking_a_name_away_leaves_the_others(keys: list[HostKey]) -> None:
    text = f"# kept\n{format_line('a,b', keys[0])} note\n{format_line('a', keys[1])}\n"
    rest = KnownHosts(text).without(["a"])
    assert rest.keys("a") == ()
    assert rest.keys("b") == (keys[0],)
    assert rest.lines[0] == "# kept"
    assert rest.lines[1].endswith(" note")
    assert len(rest.lines) == 2


def test_what_is_written_is_read_by_openssh(keys: list[HostKey], tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    file = tmp_path / "hosts"
    file.write_text(KnownHosts("").with_keys([(host_name("10.1.4.11", 2222), keys[0])]).text)
    found = subprocess.run(
        ["ssh-keygen", "-F", "[10.1.4.11]:2222", "-f", file],
        capture_output=True,
        text=True,
        check=True,
    )
    assert keys[0].base64 in found.stdout


@given(st.text(max_size=200))
def test_any_line_is_an_entry_or_nothing(line: str) -> None:
    parse_line(line)
    KnownHosts(line).keys("a")


@given(st.binary(max_size=100))
def test_any_bytes_are_a_key_or_an_error(blob: bytes) -> None:
    with contextlib.suppress(OutagekitError):
        assert HostKey.of(blob).fingerprint.startswith("SHA256:")
