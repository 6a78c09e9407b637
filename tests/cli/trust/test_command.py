"""What is believed, per client: listed, added, recorded, never changed without a word."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from outagekit.cli.app import app
from outagekit.cli.render import Screen
from outagekit.log.reader import read_records
from outagekit.log.verify import verify
from outagekit.source import read_document
from outagekit.transports.trust.known_hosts import KnownHosts
from outagekit.transports.trust.store import TrustStore

ACME = Path("trust/acme")
STATE = ("--state-dir", "state")
WHY = ("--because", "set up anew")


@pytest.fixture
def new(lab):
    """The lab, whose keys nobody has believed yet."""
    for folder in Path("trust").iterdir():
        (folder / "known_hosts").unlink()
        (folder / "machines.json").unlink(missing_ok=True)
    return lab


@pytest.fixture
def typed(monkeypatch):
    """Call the command line at a terminal, where a person types."""
    monkeypatch.setattr(Screen, "interactive", property(lambda _: True))

    def run(*words, types=""):
        result = CliRunner().invoke(app, list(words), input=types)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def edit(client, change):
    """Rewrite a client's inventory."""
    path = Path("inventory") / f"{client}.yaml"
    content = read_document(path).root.value
    change(content["endpoints"])
    path.write_text(yaml.safe_dump(content))


def acts(client="acme"):
    return [record.event for record in read_records(Path("trust") / client)]


def everything():
    files = (path for path in Path("trust").rglob("*") if path.is_file() and path.name != ".lock")
    return {path: path.read_bytes() for path in files}


# --- add ---------------------------------------------------------------------------------------


def test_nothing_is_asked_of_anybody_where_nobody_can_answer(call, new):
    new.close()
    for words, flag in (
        (("add", "all"), "--yes"),
        (("replace", "all"), "--because"),
        (("replace", "all", "--yes"), "--because"),
        (("replace", "all", *WHY), "--yes"),
        (("replace", "all", "--yes", "--because", " "), "--because"),
        (("remove", "all"), "--because"),
        (("remove", "all", *WHY), "--yes"),
    ):
        called = call("trust", *words, "-c", "acme", *STATE)
        assert (called.code, flag in called.err) == (2, True), words


def test_what_is_added_is_recorded_with_who_and_verifies(call, new):
    added = call("trust", "add", "all", "-c", "acme", "--yes", "--json", *STATE)
    assert added.code == 0, added.err
    rows = added.document["added"]
    events = acts()
    assert [(e.server, e.name, e.key) for e in events] == [
        (row["server"], row["name"], f"{row['type']} {row['fingerprint']}") for row in rows
    ]
    assert all(event.os_user and not event.source for event in events)
    assert verify(ACME).ok
    assert call("log", "verify", "trust/acme", *STATE).code == 0
    told = call("trust", "log", "-c", "acme", *STATE).out
    assert all(row["fingerprint"] in told for row in rows)
    assert len(call("trust", "log", "--json", *STATE).document) == len(rows)


def test_a_second_add_says_that_all_is_well_and_records_nothing(call, new):
    call("trust", "add", "all", "-c", "acme", "--yes", *STATE)
    before = everything()
    again = call("trust", "add", "all", "-c", "acme", "--yes", *STATE)
    assert (again.code, "believed" in again.err) == (0, True)
    assert everything() == before


def test_a_no_believes_nothing(typed, new):
    before = everything()
    for answer in ("no\n", "\n", "", "list\n"):
        code, _, shown = typed("trust", "add", "all", "-c", "acme", *STATE, types=answer)
        assert code == 6
        assert "SHA256:" in shown
    assert everything() == before
    assert typed("trust", "add", "all", "-c", "acme", *STATE, types="y\n")[0] == 0


def test_endpoints_that_show_no_key_are_grouped_by_cause_and_exit_4(call, new):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    dead = {f"dead-{n:02}": {"address": "127.0.0.1", "os": "linux", "port": port} for n in range(9)}
    edit("acme", lambda endpoints: endpoints.update(dead))
    called = call("trust", "add", "all", "-c", "acme", "--yes", "--json", *STATE)
    assert called.code == 4
    said = " ".join(called.err.split())
    assert "no key from 9, refused: acme/dead-00, acme/dead-01, acme/dead-02 and 6 more" in said
    assert said.count("nothing listens there") == 1
    assert len(called.document["failed"]) == 9
    assert called.document["failed"][0]["failure"] == "refused"
    assert len(called.document["added"]) == len(new.inventory.clients["acme"].endpoints)


def test_a_key_that_two_servers_show_is_warned_of_before_the_question(typed, call, new):
    first = next(iter(new.inventory.clients["acme"].endpoints.values()))
    twin = {"address": "localhost", "os": "linux", "port": first.port}
    edit("acme", lambda endpoints: endpoints.update({"twin": twin}))
    code, _, shown = typed("trust", "add", "all", "-c", "acme", *STATE, types="no\n")
    assert code == 6
    assert f"2 servers have one key: {first.id} and acme/twin" in " ".join(shown.split())
    assert shown.index("somebody in between") < shown.index("Type yes")
    limit = ("-l", first.name)
    assert call("trust", "add", "-c", "acme", *limit, "--yes", *STATE).code == 0
    later = call("trust", "add", "twin", "-c", "acme", "--yes", "--json", *STATE)
    assert "servers have one key" in later.err
    assert later.document["added"][0]["server"] == "acme/twin"


def test_a_revoked_key_is_not_offered(call, new):
    call("trust", "add", "all", "-c", "acme", "--yes", *STATE)
    known = ACME / "known_hosts"
    lines = known.read_text().splitlines()
    known.write_text("".join(f"@revoked {line}\n" for line in lines))
    before = everything()
    called = call("trust", "add", "all", "-c", "acme", "--yes", "--json", *STATE)
    assert called.code == 3
    assert called.document["added"] == []
    assert "revoked" in called.err
    assert everything() == before
    pinged = call("ping", "-l", "all", "--client", "acme", "--json", *STATE).document
    assert all("revoked" in endpoint["detail"] for endpoint in pinged["endpoints"])


def test_what_a_file_revokes_is_not_taken_from_it(call, new, tmp_path):
    call("trust", "add", "all", "-c", "acme", "--yes", *STATE)
    lines = (ACME / "known_hosts").read_text().splitlines()
    (ACME / "known_hosts").unlink()
    source = tmp_path / "revoking"
    source.write_text("".join(f"@revoked {line}\n{line}\n" for line in lines))
    called = call("trust", "add", "all", "-c", "acme", "--from", str(source), "--yes", *STATE)
    assert called.code == 7, called.err
    assert f"its key is revoked in {source}" in " ".join(called.err.split())
    assert not (ACME / "known_hosts").exists()


def test_two_processes_add_at_the_same_time_and_lose_nothing(new):
    words = [sys.executable, "-m", "outagekit", "trust", "add", "--yes", *STATE]
    endpoints = [e.id for e in new.inventory.clients["acme"].endpoints.values()]
    parts = [
        subprocess.Popen([*words, "-l", each, "-c", "acme"], stderr=subprocess.DEVNULL)
        for each in endpoints
    ]
    assert [part.wait(60) for part in parts] == [0] * len(endpoints)
    assert {event.server for event in acts()} == set(endpoints)
    assert len(KnownHosts((ACME / "known_hosts").read_text()).entries) == len(endpoints)
    assert verify(ACME).ok


@pytest.mark.skipif(os.name == "nt", reason="SIGINT of another process")
def test_ctrl_c_while_servers_are_asked_leaves_nothing_half_believed(new):
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = {"address": "127.0.0.1", "os": "linux", "port": server.getsockname()[1]}
        edit("acme", lambda endpoints: endpoints.update({"silent": silent}))
        before = everything()
        words = ["trust", "add", "all", "-c", "acme", "--yes", *STATE]
        process = subprocess.Popen(
            [sys.executable, "-m", "outagekit", *words], stderr=subprocess.PIPE, text=True
        )
        server.settimeout(30)
        held, _ = server.accept()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        began_s = time.monotonic()
        _, said = process.communicate(timeout=20)
        held.close()
    assert process.returncode == 130
    assert time.monotonic() - began_s < 5
    assert said.strip().endswith("stopped")
    assert everything() == before


# --- the log stands before the act -------------------------------------------------------------


def test_a_log_that_cannot_be_written_keeps_everything_as_it_is(call, new):
    (ACME / "log.jsonl").mkdir(parents=True)
    before = everything()
    assert call("trust", "add", "all", "-c", "acme", "--yes", *STATE).code == 11
    assert everything() == before


def test_a_log_that_was_altered_takes_no_act_and_is_told(call, new):
    call("trust", "add", "all", "-c", "acme", "--yes", *STATE)
    log = ACME / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"trust.added", b"trust.addeD", 1))
    before = everything()
    refused = call("trust", "remove", "all", "-c", "acme", "--yes", *WHY, *STATE)
    assert (refused.code, "put it aside" in refused.err) == (9, True)
    assert call("trust", "log", *STATE).code == 9
    assert call("log", "verify", "trust/acme", *STATE).code == 9
    assert everything() == before


def test_pins_of_a_run_are_recorded_too(call, new):
    call("trust", "add", "all", "-c", "acme", "--yes", *STATE)
    assert call("ping", "-l", "all", "--client", "acme", *STATE).code == 0
    pinned = {e.endpoint: e.machine_id for e in acts() if type(e).__name__ == "TrustPinned"}
    machines = TrustStore(Path("trust")).pins("acme")
    assert pinned == {f"acme/{name}": machine_id for name, machine_id in machines.items()}
    assert verify(ACME).ok


# --- from a file -------------------------------------------------------------------------------


def known_lines():
    return (ACME / "known_hosts").read_text().splitlines()


def test_a_file_with_hashed_names_bad_lines_and_several_keys(call, lab, tmp_path):
    lab.close()
    first, second = known_lines()
    other = (Path("trust/corvus") / "known_hosts").read_text().split()
    name = first.split()[0]
    source = tmp_path / "hosts"
    source.write_text(
        f"# ours\n{first}\n{name} {other[1]} {other[2]}\n{second[:-8]}\nrubbish\n{second}\n"
    )
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", source], check=False, capture_output=True)
    source.write_text(f"{source.read_text()}\n{name} ssh-rsa AAAA\n")
    (ACME / "known_hosts").unlink()
    words = ("trust", "add", "all", "-c", "acme", "--from", str(source), "--yes", "--json")
    added = call(*words, *STATE)
    assert added.code == 0, added.err
    number = len(source.read_text().splitlines())
    assert f"{source}:{number}: its key is damaged" in added.err.replace("\n", "")
    keys = TrustStore(Path("trust")).keys_named("acme", name)
    assert {key.base64 for key in keys} == {first.split()[2], other[2]}
    assert [event.source for event in acts()] == [str(source)] * 3
    assert all(line.startswith("[127.0.0.1]:") for line in known_lines())


def test_an_authority_in_a_file_is_said_to_be_of_no_use(call, lab, tmp_path):
    lab.close()
    (ACME / "known_hosts").rename(tmp_path / "old")
    source = tmp_path / "hosts"
    key = (tmp_path / "old").read_text().split(None, 1)[1].splitlines()[0]
    source.write_text(f"@cert-authority [127.0.0.1]:* {key}\n")
    called = call("trust", "add", "all", "-c", "acme", "--from", str(source), "--yes", *STATE)
    assert called.code == 7
    assert "certificate authority" in called.err
    assert not (ACME / "known_hosts").exists()


# --- replace and remove ------------------------------------------------------------------------


@pytest.fixture
def changed(call, lab):
    """An endpoint of acme that shows another key than the one that is believed."""
    first, second = known_lines()
    (ACME / "known_hosts").write_text(f"{first.split()[0]} {second.split(' ', 1)[1]}\n{second}\n")
    port = int(first.split()[0].rpartition(":")[2])
    (endpoint,) = (e for e in lab.inventory.endpoints() if e.port == port and e.client == "acme")
    pins = json.loads((ACME / "machines.json").read_text())
    (ACME / "machines.json").write_text(json.dumps({**pins, endpoint.name: "machine-of-yore"}))
    return endpoint


def test_a_changed_key_is_replaced_with_a_reason_and_a_typed_number(typed, changed):
    new, old = (KnownHosts(line).entries[0].key for line in known_lines())
    before = everything()
    words = ("trust", "replace", changed.id, "-c", "acme", *STATE)
    code, _, _ = typed(*words, types="set up anew\nyes\n")
    assert (code, everything()) == (6, before)
    assert typed(*words, types="\n")[0] == 6
    code, _, shown = typed(*words, types="set up anew\n1\n")
    assert code == 0
    (act,) = acts()
    assert (act.server, act.because) == (changed.id, "set up anew")
    assert (act.old, act.machine_id) == ((str(new),), "machine-of-yore")
    assert f"old  {act.old[0]}" in shown
    assert f"new  {act.new[0]}" in shown
    assert "pin  machine machine-of-yore" in shown
    assert TrustStore(Path("trust")).machine_of("acme", changed.name) == ""
    assert old in TrustStore(Path("trust")).keys_named("acme", known_lines()[0].split()[0])


def test_a_pin_alone_is_replaced_where_the_key_is_still_the_same(call, lab):
    endpoint = next(iter(lab.inventory.clients["acme"].endpoints.values()))
    pins = ACME / "machines.json"
    pins.write_text(json.dumps({**json.loads(pins.read_text()), endpoint.name: "another"}))
    wrong = call("ping", "-l", "all", "--client", "acme", "--json", *STATE).document
    assert [e["failure"] for e in wrong["endpoints"] if e["failure"]] == ["wrong_machine"]
    words = ("trust", "replace", endpoint.id, "-c", "acme", "--yes", *WHY, *STATE)
    assert call(*words).code == 0
    (act,) = acts()
    assert (act.old, act.machine_id) == (act.new, "another")
    assert call("ping", "-l", "all", "--client", "acme", *STATE).code == 0


def test_what_is_removed_is_believed_no_more_and_nobody_is_asked(call, lab):
    lab.close()
    names = {e.name for e in lab.inventory.clients["acme"].endpoints.values()}
    gone = call("trust", "remove", "all", "-c", "acme", "--yes", *WHY, "--json", *STATE)
    assert gone.code == 0, gone.err
    assert {row["server"] for row in gone.document} == {f"acme/{name}" for name in names}
    store = TrustStore(Path("trust"))
    assert (store.entries("acme"), store.pins("acme")) == ((), {})
    assert store.entries("corvus")
    assert len(acts()) == len(names)
    assert call("trust", "remove", "all", "-c", "acme", "--yes", *WHY, *STATE).code == 7


def test_what_no_endpoint_has_any_more_is_removed_by_its_name(call, lab):
    lab.close()
    (address, other), name = known_names(), "old-name"
    TrustStore(Path("trust")).pin_machine("acme", name, "id-1")
    edit("acme", dict.clear)
    words = ("trust", "remove", "--yes", *WHY, *STATE)
    assert call(*words, "--name", address).code == 2
    assert call(*words, "--name", address, "-c", "corvus").code == 7
    assert call(*words, "--name", address, "--name", name, "-c", "acme").code == 0
    assert known_names() == [other]
    assert name not in TrustStore(Path("trust")).pins("acme")


def known_names():
    return [line.split()[0] for line in known_lines()]


def test_a_log_that_was_taken_away_is_told_until_its_anchors_are_put_aside_too(call, new):
    call("trust", "add", "all", "-c", "acme", "--yes", *STATE)
    (ACME / "log.jsonl").rename("aside.jsonl")
    (ACME / "known_hosts").unlink()
    before = everything()
    for words in (("trust", "log"), ("trust", "add", "all", "-c", "acme", "--yes")):
        told = call(*words, *STATE)
        assert (told.code, "gone" in told.err) == (9, True), words
    assert call("log", "verify", "trust/acme", *STATE).code == 9
    assert everything() == before
    assert "anchors.txt" in told.err
    (ACME / "anchors.txt").unlink()
    assert call("trust", "add", "all", "-c", "acme", "--yes", *STATE).code == 0
    assert call("trust", "log", *STATE).code == 0


def test_the_log_of_another_client_is_not_taken_for_ones_own(call, new):
    call("trust", "add", "all", "-c", "acme", "--yes", *STATE)
    call("trust", "add", "all", "-c", "corvus", "--yes", *STATE)
    for name in ("log.jsonl", "anchors.txt"):
        (ACME / name).write_bytes((Path("trust/corvus") / name).read_bytes())
    told = call("trust", "log", "-c", "acme", *STATE)
    assert (told.code, "corvus" in told.err, told.out) == (9, True, "")


# --- list, pins, clones ------------------------------------------------------------------------


def test_the_list_has_keys_machines_and_what_is_odd(call, lab):
    known = ACME / "known_hosts"
    known.write_text(f"{known.read_text()}rubbish\n@cert-authority * {known_lines()[0][24:]}\n")
    listed = call("trust", "list", "-c", "acme", "--json", *STATE).document
    assert {row["client"] for row in listed["keys"]} == {"acme"}
    assert {row["endpoint"] for row in listed["machines"]} == {
        e.name for e in lab.inventory.clients["acme"].endpoints.values()
    }
    assert any("known_hosts:3" in line for line in listed["odd"])
    assert call("trust", "list", "-c", "acne", *STATE).code == 7


def test_clones_and_renamed_endpoints_are_pinned_and_told_not_stopped(call, lab):
    first = next(iter(lab.inventory.clients["acme"].endpoints.values()))

    def rename(endpoints):
        endpoints["renamed"] = endpoints.pop(first.name)

    edit("acme", rename)
    ran = call("ping", "-l", "all", "--client", "acme", *STATE)
    assert ran.code == 0
    clone = f"acme/renamed and {first.id} have one machine id"
    assert clone in " ".join(ran.err.split())
    assert clone in " ".join(call("trust", "list", *STATE).err.split())
    again = call("ping", "-l", "all", "--client", "acme", *STATE)
    assert "machine id" not in again.err


def test_the_same_machine_under_two_clients_is_pinned_apart_and_told(call, lab):
    first = next(iter(lab.inventory.clients["acme"].endpoints.values()))
    same = {"address": first.address, "os": "linux", "port": first.port}
    same["credential"] = next(iter(lab.inventory.clients["corvus"].credentials))
    edit("corvus", lambda endpoints: endpoints.update({"same": same}))
    ran = call("ping", "-l", "all", "--client", "corvus", "--json", *STATE)
    failed = {e["endpoint"]: e["failure"] for e in ran.document["endpoints"] if e["failure"]}
    assert failed == {"corvus/same": "host_key"}
    (Path("trust") / "broken").mkdir()
    (Path("trust") / "broken" / "known_hosts").mkdir()
    (Path("trust") / "broken" / "machines.json").write_text("[")
    added = call("trust", "add", "same", "-c", "corvus", "--yes", *STATE)
    assert added.code == 0
    assert "corvus/same" in added.err
    assert "of acme" in " ".join(added.err.split())
    assert "VPN" in added.err
    call("ping", "-l", first.name, "--client", "acme", *STATE)
    ran = call("ping", "-l", "all", "--client", "corvus", *STATE)
    told = f"{first.id} and corvus/same have one machine id"
    assert (ran.code, told in " ".join(ran.err.split())) == (0, True)
    (Path("trust") / "broken" / "machines.json").unlink()
    (Path("trust") / "broken" / "known_hosts").rmdir()
    assert told in " ".join(call("trust", "list", *STATE).err.split())
    assert told not in " ".join(call("trust", "list", "-c", "corvus", *STATE).err.split())
    again = call("ping", "-l", "all", "--client", "corvus", *STATE)
    assert "machine id" not in again.err
