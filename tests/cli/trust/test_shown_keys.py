"""Host keys on a screen: whole fingerprints at any width, and what stands out among many."""

from __future__ import annotations

import hashlib
import io

import pytest

from outagekit.cli.render import Screen
from outagekit.cli.trust.offering import is_folded, own_lines, show_found
from outagekit.cli.trust.shown_keys import (
    FEW,
    Found,
    change_lines,
    failure_lines,
    key_lines,
    shared_keys,
    twice_lines,
)
from outagekit.events import FailureKind
from outagekit.testing.terminal import Keyboard, Terminal
from outagekit.transports.protocol import Failure
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore


def key(number: int) -> HostKey:
    body = hashlib.sha256(b"%d" % number).digest()
    kind = b"ssh-ed25519"
    return HostKey.of(len(kind).to_bytes(4, "big") + kind + len(body).to_bytes(4, "big") + body)


def found(number: int, *, of: int | None = None, client: str = "acme") -> Found:
    name = f"10.1.{number // 250}.{number % 250}"
    keys = (key(number if of is None else of),)
    return Found(client=client, server=f"{client}/web-{number:04}", name=name, keys=keys)


def dead(number: int, kind: FailureKind = FailureKind.CONNECT_TIMEOUT) -> Found:
    failure = Failure(kind, f"10.1.4.{number} port 22 did not answer within 10 s")
    return Found(client="acme", server=f"acme/pos-{number:02}", name="x", failure=failure)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")

    def make(width, **how):
        monkeypatch.setenv("COLUMNS", str(width))
        shown = Terminal()
        return Screen(stderr=shown, stdout=io.StringIO(), stdin=Keyboard(""), **how), shown

    return make


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_fingerprint_stands_whole_in_one_line(width):
    lines = key_lines([found(1), found(2)], width)
    assert max(map(len, lines)) <= width
    for number in (1, 2):
        assert sum(key(number).fingerprint in line for line in lines) == 1


@pytest.mark.parametrize("width", [60, 80])
def test_a_change_shows_old_and_new_whole_and_the_pin(width):
    one = Found(
        client="acme",
        server="acme/web-01",
        name="a",
        keys=(key(2),),
        former=(key(1),),
        machine_id="0123456789abcdef0123456789abcdef",
    )
    lines = change_lines([one], width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert f"old ssh-ed25519 {key(1).fingerprint} new ssh-ed25519 {key(2).fingerprint}" in text
    assert text.endswith("pin machine 0123456789abcdef0123456789abcdef")


def test_failures_are_grouped_by_cause_most_first_with_a_few_names():
    many = [dead(n) for n in range(12)] + [dead(40, FailureKind.REFUSED)]
    assert failure_lines([*many, found(1)]) == [
        "no key from 12, connect_timeout: acme/pos-00, acme/pos-01, acme/pos-02 and 9 more",
        "  such as: 10.1.4.0 port 22 did not answer within 10 s",
        "no key from 1, refused: acme/pos-40",
        "  10.1.4.40 port 22 did not answer within 10 s",
    ]


def test_a_key_of_several_servers_stands_out_also_over_clients_and_time():
    shown = [found(1, of=9), found(2, of=9, client="corvus"), found(3), found(4)]
    (line,) = twice_lines(shown, {"acme": {key(3): ["10.1.0.3"]}})
    assert line.startswith("2 servers have one key: acme/web-0001 and corvus/web-0002")
    (_, known) = twice_lines(shown, {"acme": {key(4): ["10.9.9.9"]}})
    assert "acme/web-0004 and 10.9.9.9 of acme" in known
    assert [row["servers"] for row in shared_keys(shown)] == [["acme/web-0001", "corvus/web-0002"]]


def test_a_key_another_client_believes_stands_out_for_the_wrong_vpn_may_be_up():
    believed = {"corvus": {key(1): ["10.1.4.11"]}, "adhoc": {key(2): ["10.1.4.12"]}}
    (line,) = twice_lines([found(1), found(2)], believed)
    assert line.startswith("2 servers have one key: acme/web-0001 and 10.1.4.11 of corvus")
    assert twice_lines([found(1, client="adhoc")], believed) == []


def test_hundreds_of_clones_take_a_few_lines():
    shown = [found(n, of=n // 2) for n in range(400)]
    lines = twice_lines(shown, {})
    assert len(lines) == 6
    assert lines[-1].startswith("195 more keys")


@pytest.mark.parametrize("width", [60, 80])
def test_a_thousand_keys_are_summed_up_on_one_screen(terminal, tmp_path, width):
    screen, shown = terminal(width)
    many = [*map(found, range(990)), *map(dead, range(10))]
    show_found(screen, many, TrustStore(tmp_path))
    assert len(shown.rows) <= 8
    assert max(map(len, shown.rows)) <= width
    assert shown.rows[0] == "990 of 1,000 servers show a key:"
    assert "990 ssh-ed25519" in shown.rows[1]


def test_all_rows_are_there_for_few_keys_for_v_and_without_a_terminal(terminal, tmp_path):
    many = [found(n) for n in range(FEW + 1)]
    screen, shown = terminal(80)
    show_found(screen, many[:FEW], TrustStore(tmp_path))
    assert sum("SHA256:" in row for row in shown.rows) == FEW
    assert is_folded(screen, many)
    screen, shown = terminal(80, verbose=1)
    show_found(screen, many, TrustStore(tmp_path))
    assert sum("SHA256:" in row for row in shown.rows) == FEW + 1
    pipe = io.StringIO()
    show_found(Screen(stderr=pipe, stdout=pipe, stdin=io.StringIO()), many, TrustStore(tmp_path))
    assert pipe.getvalue().count("SHA256:") == FEW + 1


def test_what_a_server_is_called_cannot_command_a_terminal(terminal, tmp_path):
    screen, shown = terminal(80)
    evil = Found(client="acme", server="acme/\x1b[2J", name="a", keys=(key(1),))
    show_found(screen, [evil], TrustStore(tmp_path))
    assert "\x1b[2J" not in shown.getvalue()


def certificate() -> HostKey:
    body = bytes(range(256))
    return HostKey.of_certificate(body)


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_long_fingerprint_is_cut_between_bytes_and_stands_below_itself(width):
    one = Found(client="acme", server="acme/win-01", name="a", keys=(certificate(),), is_tls=True)
    lines = key_lines([one], width)
    assert max(map(len, lines)) <= width
    whole = certificate().fingerprint
    (begin,) = [n for n, line in enumerate(lines) if line.strip().startswith("SHA256:")]
    assert "".join(line.strip() for line in lines[begin:]) == whole
    columns = {line.index(line.strip().removeprefix("SHA256:")) for line in lines[begin:]}
    assert len(columns) == 1


@pytest.mark.parametrize("width", [60, 80])
def test_a_changed_certificate_fits_the_terminal(width):
    keys = (certificate(),)
    one = Found(client="acme", server="acme/win-01", name="a", keys=keys, former=(key(1),))
    lines = change_lines([one], width)
    assert max(map(len, lines)) <= width
    assert certificate().fingerprint in "".join("".join(lines).split())


def test_a_command_to_paste_into_powershell_is_not_broken_into_two(terminal):
    screen, shown = terminal(60)
    screen.say(own_lines())
    pasted = "ComputeHash($_.RawData)) -replace '-', ':' }"
    assert any(row.endswith(pasted) for row in shown.rows)
