"""Files in places of ours that are none, of every kind: told in a sentence, never waited for."""

from __future__ import annotations

import os

import pytest

from outagekit.transports.trust import store as trust

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def circle(path):
    path.symlink_to(path.name)


def folder(path):
    path.mkdir()


def noise(path):
    path.write_bytes(bytes(range(256)) * 99)


def deep(path):
    path.write_bytes(b"[" * 100_000)


def escapes(path):
    path.write_bytes(b'{"one": "\\u001b[31m\\u202e", "\\u001b[2J": "x"}')


MAKERS = [pipe, device, circle, folder, noise, deep, escapes]


def put(path, make):
    path.unlink(missing_ok=True)
    make(path)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["known_hosts", "machines.json"])
def test_a_damaged_trust_file_fails_the_endpoint_and_hangs_nobody(hostile, call_in, name, make):
    msp = hostile(one=lambda visit: visit.done())
    put(msp.folder / "trust" / "acme" / name, make)
    ran = call_in(msp.folder, "ping", "--limit", "all")
    # Another machine id than the pinned one is told apart from a file that cannot be used.
    assert ran.code == 3, ran.spoken()
    ran.require_calm()


@pytest.mark.parametrize("make", MAKERS)
def test_trust_commands_refuse_or_keep_a_known_hosts_file_that_is_none(hostile, call_in, make):
    msp = hostile(one=lambda visit: visit.done())
    known = msp.folder / "trust" / "acme" / "known_hosts"
    put(known, make)
    new = ("replace", "all", "--yes", "--because", "set up anew")
    gone = ("remove", "all", "--yes", "--because", "a test")
    for words in (("list",), ("add", "all", "--yes"), new, gone, ("log",)):
        ran = call_in(msp.folder, "trust", *words)
        assert ran.code in {0, 8}, ran.spoken()
        ran.require_calm()


def test_bytes_that_are_no_text_survive_in_known_hosts(tmp_path):
    store = trust.TrustStore(tmp_path)
    comment = b"# \xff\xfe\x1b[31m na\xefve\n"
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "known_hosts").write_bytes(comment)
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)
    key = trust.HostKey.of(blob)
    assert store.add("acme", "10.0.0.1", 22, key)
    assert store.replace("acme", "10.0.0.1", 22, key) == (key,)
    assert (tmp_path / "acme" / "known_hosts").read_bytes().startswith(comment)
    assert store.known_keys("acme", "10.0.0.1", 22) == (key,)


@pytest.mark.parametrize("make", [pipe, device, circle, folder, noise, deep, escapes])
@pytest.mark.parametrize("name", ["trusted_playbooks.json", "trusted_commands.json"])
def test_a_damaged_file_of_trusted_digests_is_told(hostile, call_in, make, name):
    msp = hostile(one=lambda visit: visit.done())
    outside = msp.folder.parent / "outside.yaml"
    outside.write_text("outagekit: 1\ntitle: T\nsteps:\n  - {phase: assess, risk: read, sh: x}\n")
    if name == "trusted_commands.json":
        inventory = msp.folder / "inventory" / "acme.yaml"
        inventory.write_text(inventory.read_text().replace("'env:ENTRY_WORD'", "{cmd: [cat, x]}"))
    state = msp.folder / "state"
    state.mkdir()
    put(state / name, make)
    words = ["run", str(outside)] if "playbooks" in name else ["ping"]
    ran = call_in(msp.folder, *words, "--limit", "all", state=state)
    assert ran.code in {8, 10}, ran.spoken()
    ran.require_calm()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["outagekit.yaml", "inventory/acme.yaml", "playbooks/p.yaml"])
def test_a_workspace_file_that_is_none_is_told(hostile, call_in, name, make):
    msp = hostile(one=lambda visit: visit.done())
    put(msp.folder / name, make)
    for words in (("check", "."), ("plan", "p"), ("playbooks", "list")):
        ran = call_in(msp.folder, *words)
        assert ran.code in {0, 7, 8, 10}, ran.spoken()
        ran.require_calm()


@pytest.mark.parametrize("make", [pipe, device, circle, folder, noise])
def test_a_key_file_that_is_none_is_told(hostile, call_in, make):
    msp = hostile(one=lambda visit: visit.done())
    inventory = msp.folder / "inventory" / "acme.yaml"
    put(msp.folder / "a_key", make)
    key = f"key: {msp.folder / 'a_key'}"
    inventory.write_text(inventory.read_text().replace("password: 'env:ENTRY_WORD'", key))
    ran = call_in(msp.folder, "ping", "--limit", "all")
    assert ran.code in {3, 8}, ran.spoken()
    ran.require_calm()
