"""The command line against real OpenSSH servers: 20 addresses of loopback, six kinds of trouble."""

from __future__ import annotations

import base64
import contextlib
import getpass
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from outagekit.log.folder import list_runs
from outagekit.testing.sshd import KeyPair, find_sshd, free_port, make_key, sshd

REQUIRED = bool(os.environ.get("OUTAGEKIT_REQUIRE_E2E"))
ADDRESSES = [f"127.45.0.{n}" for n in range(1, 21)]
HEALTHY = range(1, 14)
HANGS, REFUSES_KEY, REFUSES_KEY_TOO, CHANGED, UNKNOWN_KEY, CLOSED, SILENT = range(14, 21)
PASSPHRASE = "a passphrase made up for this test"
USER = getpass.getuser()

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        find_sshd() is None and not REQUIRED, reason="OpenSSH's sshd is not installed"
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is there on Linux only"),
]

PLAYBOOK = """\
outagekit: 1
title: Leave a mark
targets: os:linux
params:
  folder: {help: Where the marks are left}
  text: {default: "it's $(marked) `here` \\"and\\" nowhere else"}
steps:
  - id: look
    phase: assess
    sh: |
      test -e "$OK_FOLDER/$OK_ENDPOINT" && found=true || found=false
      printf '{"found": %s}\\n' "$found"
    risk: read
    result: {found: bool}
    timeout: 20s
  - id: mark
    phase: fix
    when: not look.found
    check: test -e "$OK_FOLDER/$OK_ENDPOINT"
    sh: |
      cat
      printf '%s' "$OK_TEXT" > "$OK_FOLDER/$OK_ENDPOINT"
      echo "$OK_FOLDER/$OK_ENDPOINT"
"""


@dataclass
class Machines:
    port: int
    login: KeyPair
    host: KeyPair
    other: KeyPair


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """Eighteen addresses that answer, one that is silent, one where nothing listens."""
    folder = tmp_path_factory.mktemp("sshd")
    port = free_port(ADDRESSES[0])
    login = make_key(folder / "login", PASSPHRASE)
    no_key = folder / "no_key"
    no_key.write_text("")
    refused = ",".join(ADDRESSES[n - 1] for n in (REFUSES_KEY, REFUSES_KEY_TOO))
    options = [
        f"Match LocalAddress {ADDRESSES[HANGS - 1]}",
        "ForceCommand sleep 300",
        f"Match LocalAddress {refused}",
        f"AuthorizedKeysFile {no_key}",
    ]
    answering = [
        ADDRESSES[n - 1]
        for n in (*HEALTHY, HANGS, REFUSES_KEY, REFUSES_KEY_TOO, CHANGED, UNKNOWN_KEY)
    ]
    with (
        sshd(folder, answering, port, login_keys=[login.public], options=options) as host,
        socket.create_server((ADDRESSES[SILENT - 1], port)),
    ):
        yield Machines(port, login, host, make_key(folder / "other"))


@pytest.fixture
def workspace(tmp_path, machines, monkeypatch):
    folder = tmp_path / "msp"
    (folder / "inventory").mkdir(parents=True)
    (folder / "playbooks").mkdir()
    (folder / "marks").mkdir()
    (folder / "outagekit.yaml").write_text("outagekit: 1\n")
    endpoints = "".join(
        f"  pc-{n:02d}: {{address: {address}, os: linux, port: {machines.port}, credential: ops}}\n"
        for n, address in enumerate(ADDRESSES, 1)
    )
    (folder / "inventory" / "acme.yaml").write_text(
        "outagekit: 1\nclient: acme\nname: Acme Dental\n"
        "agreement: {id: M-1, allows: [diagnose, collect, remediate]}\n"
        f"credentials:\n  ops: {{user: {USER}, key: {machines.login.private},"
        " passphrase: 'env:KEY_WORD'}\n"
        f"endpoints:\n{endpoints}"
    )
    (folder / "playbooks" / "mark.yaml").write_text(PLAYBOOK)
    trust = folder / "trust" / "acme"
    trust.mkdir(parents=True)
    lines = []
    for n, address in enumerate(ADDRESSES, 1):
        key = machines.other if n == CHANGED else machines.host
        if n != UNKNOWN_KEY:
            lines.append(f"[{address}]:{machines.port} {key.public}\n")
    (trust / "known_hosts").write_text("".join(lines))
    monkeypatch.setenv("KEY_WORD", PASSPHRASE)
    monkeypatch.chdir(folder)
    return folder


def outagekit(*words, timeout_s=120.0):
    return subprocess.run(
        [sys.executable, "-m", "outagekit", *words],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def mark(*words, folder):
    return outagekit(
        "run",
        "mark",
        "--yes",
        "--json",
        "-p",
        f"folder={folder / 'marks'}",
        "--state-dir",
        str(folder / "state"),
        *words,
    )


def test_twenty_addresses_with_six_kinds_of_trouble_end_by_their_deadlines(workspace):
    began_s = time.monotonic()
    ran = mark(folder=workspace)
    assert time.monotonic() - began_s < 60
    assert ran.returncode == 3, ran.stderr
    document = json.loads(ran.stdout)
    ends = {e["endpoint"]: (e["state"], e["failure"]) for e in document["endpoints"]}
    assert len(ends) == 20
    named = {n: ends[f"acme/pc-{n:02d}"] for n in range(1, 21)}
    assert {named[n] for n in HEALTHY} == {("changed", None)}
    assert named[HANGS][1] == "timeout"
    assert named[HANGS][0] in {"unknown", "unreachable"}
    assert named[REFUSES_KEY] == named[REFUSES_KEY_TOO] == ("failed", "auth")
    assert named[CHANGED] == named[UNKNOWN_KEY] == ("failed", "host_key")
    assert named[CLOSED] == ("unreachable", "refused")
    assert named[SILENT] == ("unreachable", "handshake")
    assert {path.name for path in (workspace / "marks").iterdir()} == {
        f"pc-{n:02d}" for n in HEALTHY
    }
    assert outagekit("log", "verify", "--state-dir", "state").returncode == 0


def test_values_arrive_as_data_and_are_not_run(workspace):
    text = 'it\'s $(touch pwned) `id` "q" \\ $HOME\nsecond line; rm -rf /nope\tü'
    ran = mark("--limit", "pc-01", "-p", f"text={text}", folder=workspace)
    assert ran.returncode == 0, ran.stderr
    assert (workspace / "marks" / "pc-01").read_text() == text


def test_a_second_run_finds_nothing_to_do(workspace):
    limit = ("--limit", "pc-01,pc-02,pc-03")
    first = json.loads(mark(*limit, folder=workspace).stdout)
    second = json.loads(mark(*limit, folder=workspace).stdout)
    assert first["counts"]["changed"] == 3
    assert (second["counts"]["changed"], second["counts"]["ok"]) == (0, 3)


def test_a_secret_that_an_endpoint_prints_stands_nowhere(workspace):
    # The endpoint, not the script, is the one that says it.
    secret = workspace / "secret.txt"
    Path("playbooks/leak.yaml").write_text(
        "outagekit: 1\ntitle: Leak\ntargets: all\nsteps:\n"
        "  - id: leak\n    risk: read\n    phase: assess\n    sh: |\n"
        f"      cat {secret}; base64 {secret}; cat {secret} >&2; exit 3\n"
    )
    (workspace / "secret.txt").write_text(PASSPHRASE)
    ran = outagekit(
        "run", "leak", "--limit", "pc-01", "--json", "-vv", "--state-dir", str(workspace / "state")
    )
    assert ran.returncode == 3, ran.stderr
    (folder,) = list_runs(workspace / "state")
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    said = ran.stdout.encode() + ran.stderr.encode() + kept
    assert b"[secret" in said
    for form in (PASSPHRASE.encode(), base64.b64encode(PASSPHRASE.encode())[:-4]):
        assert form not in said


def test_push_and_fetch_move_files_unaltered(workspace):
    content = bytes(range(256)) * 500
    (workspace / "playbooks" / "files").mkdir()
    (workspace / "playbooks" / "files" / "blob.bin").write_bytes(content)
    target = workspace / "pushed.bin"
    (workspace / "playbooks" / "files" / "playbook.yaml").write_text(
        "outagekit: 1\ntitle: Files\ntargets: all\nsteps:\n"
        f"  - {{id: there, phase: fix, push: {{file: blob.bin, to: {target}, mode: '0640'}}}}\n"
        f"  - {{id: back, phase: verify, fetch: {target}}}\n"
    )
    ran = outagekit("run", "files", "--limit", "pc-01", "--yes", "--json", "--state-dir", "state")
    assert ran.returncode == 0, ran.stderr
    assert target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o640
    (folder,) = list_runs(workspace / "state")
    (evidence,) = [p for p in (folder / "evidence").rglob("*") if p.is_file()]
    assert evidence.read_bytes() == content
    assert outagekit("log", "verify", "--state-dir", "state").returncode == 0
    evidence.write_bytes(content[:-1] + b"!")
    assert outagekit("log", "verify", "--state-dir", "state").returncode == 9


def test_one_machine_without_any_inventory(workspace, machines, tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / ".ssh").mkdir(mode=0o700)
    plain = make_key(tmp_path / "plain_key")
    known = f"[{ADDRESSES[0]}]:{machines.port} {machines.host.public}\n"
    (home / ".ssh" / "known_hosts").write_text(known)
    authorized = machines.login.private.parent / "authorized_keys"
    before = authorized.read_text()
    authorized.write_text(f"{before}{plain.public}\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    playbook = str(workspace / "playbooks" / "mark.yaml")
    host = f"{USER}@{ADDRESSES[0]}:{machines.port}"
    words = ["run", playbook, "--yes", "--json", "--host", host, "--os", "linux"]
    words += ["--key", str(plain.private), "-p", f"folder={tmp_path}"]
    try:
        assert outagekit(*words).returncode == 10
        assert outagekit("playbooks", "trust", playbook, "-y").returncode == 0
        ran = outagekit(*words)
    finally:
        authorized.write_text(before)
    assert ran.returncode == 0, ran.stderr
    (end,) = json.loads(ran.stdout)["endpoints"]
    assert end["endpoint"].startswith("adhoc/")


def test_another_machine_at_the_same_address_is_not_touched(workspace):
    pins = workspace / "trust" / "acme" / "machines.json"
    assert outagekit("ping", "--limit", "pc-01", "--state-dir", "state").returncode == 0
    pinned = json.loads(pins.read_text())
    if not pinned:
        pytest.skip("this system has no machine id")
    pins.write_text(json.dumps({"pc-01": "0" * 32}))
    ran = mark("--limit", "pc-01", folder=workspace)
    (end,) = json.loads(ran.stdout)["endpoints"]
    assert (end["state"], end["failure"]) == ("failed", "wrong_machine")
    assert list((workspace / "marks").iterdir()) == []


def test_output_too_long_for_the_log_is_kept_beside_it(workspace):
    ran = outagekit(
        "exec", "--read", "--sh", "seq 1 40000", "--limit", "pc-01", "--state-dir", "state"
    )
    assert ran.returncode == 0, ran.stderr
    (folder,) = list_runs(workspace / "state")
    (kept,) = (folder / "output").iterdir()
    assert kept.read_text().splitlines()[-1] == "40000"
    with contextlib.suppress(FileNotFoundError):
        assert max(map(len, (folder / "log.jsonl").read_bytes().splitlines())) < 64 * 1024
