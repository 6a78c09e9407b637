"""`trust add` where jump hosts are on the way, and changed ones; real OpenSSH on loopback."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from outagekit.cli.app import app
from outagekit.cli.render import Screen
from outagekit.log.reader import read_records
from outagekit.testing.sshd import find_sshd, free_port, make_key, sshd

USER = getpass.getuser()
WHY = ("--because", "set up anew")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A workspace with two endpoints behind a jump host, and the public keys of all three."""
    if find_sshd() is None:
        pytest.skip("OpenSSH's sshd is not installed")
    folder = tmp_path / "workspace"
    (folder / "inventory").mkdir(parents=True)
    folder.chmod(0o700)
    key = make_key(tmp_path / "user_key")
    port = free_port("127.0.0.2")
    with (
        sshd(tmp_path / "jump", ["127.0.0.2"], port, login_keys=[key.public]) as jump,
        sshd(tmp_path / "one", ["127.0.0.3"], port, login_keys=[]) as one,
        sshd(tmp_path / "two", ["127.0.0.4"], port, login_keys=[]) as two,
    ):
        (folder / "outagekit.yaml").write_text("outagekit: 1\n")
        (folder / "inventory" / "acme.yaml").write_text(
            "outagekit: 1\nclient: acme\nname: Acme\n"
            f"credentials: {{jump: {{user: {USER}, key: {key.private}}}}}\n"
            f"sites: {{berlin: {{jump: '127.0.0.2:{port}', jump_credential: jump}}}}\n"
            "defaults: {site: berlin}\n"
            "endpoints:\n"
            f"  web-01: {{address: 127.0.0.3, port: {port}, os: linux}}\n"
            f"  web-02: {{address: 127.0.0.4, port: {port}, os: linux}}\n"
        )
        monkeypatch.chdir(folder)
        yield port, [pair.public for pair in (jump, one, two)]


@pytest.fixture
def typed(monkeypatch):
    monkeypatch.setattr(Screen, "interactive", property(lambda _: True))

    def run(*words, types=""):
        result = CliRunner().invoke(app, list(words), input=types)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def known():
    return Path("trust/acme/known_hosts").read_text().splitlines()


def test_the_jump_host_is_asked_about_first_and_the_endpoints_are_seen_through_it(site, typed):
    port, keys = site
    code, _, shown = typed("trust", "add", "all", "--state-dir", "state", types="yes\nyes\n")
    assert code == 0, shown
    assert known() == [f"[127.0.0.{n + 2}]:{port} {key}" for n, key in enumerate(keys)]
    first, _, rest = shown.partition("Believe this one? Type yes:")
    assert f"acme jump host 127.0.0.2 port {port}" in first
    assert "acme/web-01" not in first
    assert "Believe these 2? Type yes:" in rest
    servers = [record.event.server for record in read_records(Path("trust/acme"))]
    assert servers == [f"acme jump host 127.0.0.2 port {port}", "acme/web-01", "acme/web-02"]


def test_a_no_to_the_jump_host_asks_nobody_behind_it(site, typed):
    code, _, shown = typed("trust", "add", "all", "--state-dir", "state", types="no\n")
    assert (code, "web-01" in shown) == (6, False)
    assert not Path("trust/acme/known_hosts").exists()


def test_a_jump_host_that_cannot_be_had_is_told_once_for_all_behind_it(site, call):
    port, _ = site
    inventory = Path("inventory/acme.yaml")
    inventory.write_text(inventory.read_text().replace(f"127.0.0.2:{port}", "127.0.0.2:1"))
    called = call("trust", "add", "all", "--yes", "--json", "--state-dir", "state")
    assert called.code == 4
    assert "no key from 1, refused: acme jump host" in called.err
    assert "no key from 2, refused: acme/web-01 and acme/web-02" in called.err
    assert [row["failure"] for row in called.document["failed"]] == ["refused"] * 3


def test_a_changed_key_of_a_jump_host_is_replaced_by_its_own_words(site, call):
    port, keys = site
    state = ("--state-dir", "state")
    assert call("trust", "add", "all", "--yes", *state).code == 0
    hosts = Path("trust/acme/known_hosts")
    hosts.write_text(hosts.read_text().replace(keys[0], keys[1]))
    replaced = call("trust", "replace", "web-02", "--yes", *WHY, *state)
    assert (replaced.code, "127.0.0.2" in replaced.err) == (3, True)
    replaced = call("trust", "replace", "web-02", "--jump", "--yes", *WHY, "--json", *state)
    assert replaced.code == 0, replaced.err
    assert sorted(known()) == [f"[127.0.0.{n + 2}]:{port} {key}" for n, key in enumerate(keys)]
    gone = call("trust", "remove", "all", "--jump", "--yes", *WHY, *state)
    assert (gone.code, len(known())) == (0, 2)


def test_keys_of_jump_hosts_come_from_the_file_too(site, call, tmp_path):
    port, keys = site
    source = tmp_path / "hosts"
    lines = [f"[127.0.0.{n + 2}]:{port} {key}\n" for n, key in enumerate(keys)]
    source.write_text("".join(reversed(lines)))
    words = ("trust", "add", "web-01", "--yes", "--from", str(source), "--state-dir", "state")
    assert call(*words).code == 0
    assert known() == [line.strip() for line in lines[:2]]
