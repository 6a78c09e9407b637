"""Every command as a script calls it: what it prints, and its exit code."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from outagekit.cli import running
from outagekit.cli.render import Screen
from outagekit.log.folder import list_runs
from outagekit.log.reader import read_records

ALL = ("--limit", "all", "--all-clients")
STARTER = [sys.executable, "-m", "outagekit"]


def only_run(folder: str = "state") -> Path:
    (path,) = list_runs(Path(folder))
    return path


# --- 0 -----------------------------------------------------------------------------------------


def test_what_init_writes_is_accepted_by_check_as_it_is(call, empty):
    assert call("init", "shop").code == 0
    os.chdir("shop")
    checked = call("check", "--json")
    assert (checked.code, checked.document) == (0, [])
    assert call("playbooks", "list").code == 0


def test_a_run_mends_what_needs_it_and_its_log_verifies(call, lab):
    ran = call("run", "mend", "--all-clients", "--yes", "--json", "--state-dir", "state")
    assert ran.code == 0, ran.err
    counts = ran.document["counts"]
    assert sum(counts.values()) == 6
    assert counts["changed"] == sum(
        "mend" in m.changing
        and bool(m.ran)
        and any(r.part == "script" and r.step == "mend" for r in m.ran)
        for m in lab.machines.values()
    )
    assert call("log", "verify", "--state-dir", "state").code == 0


def test_the_plan_a_person_saw_is_the_plan_that_runs(call, lab):
    planned = call("plan", "mend", "--all-clients", "--json")
    assert planned.document == call("plan", "mend", "--all-clients", "--json").document
    digest = planned.document["digest"]
    ran = call("run", "mend", "--all-clients", "-y", "--plan", digest[:8], "--state-dir", "state")
    assert ran.code == 0, ran.err


def test_plan_ends_with_the_command_that_runs_exactly_it(call, lab, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["outagekit", "plan", "mend", "--all-clients"])
    planned = call("plan", "mend", "--all-clients")
    assert planned.code == 0
    digest = call("plan", "mend", "--all-clients", "--json").document["digest"]
    assert f"next: outagekit run mend --all-clients --plan {digest[:12]}" in planned.err


def test_exec_reads_without_a_question(call, lab):
    ran = call("exec", "--sh", "uptime", "--read", *ALL, "--state-dir", "state")
    assert ran.code == 0, ran.err


def test_the_end_of_exec_shows_what_was_answered_and_json_has_it_whole(call, lab):
    ran = call("exec", "--sh", "uptime", "--read", *ALL, "--state-dir", "state", "--json")
    said = ran.document["said"]
    assert sum(len(each["endpoints"]) for each in said) == 6
    assert {each["step"] for each in said} == {"command"}
    assert "said by command" in ran.err


def test_ping_reaches_every_endpoint(call, lab):
    ran = call("ping", *ALL, "--state-dir", "state", "--json")
    assert (ran.code, ran.document["counts"]["ok"]) == (0, 6)
    assert "run opened: Ping: log in, nothing else" in ran.err


def test_events_are_the_records_of_the_log(call, lab):
    ran = call("ping", *ALL, "--state-dir", "state", "--events", "jsonl")
    streamed = [json.loads(line) for line in ran.out.splitlines()]
    recorded = [r.seq for r in read_records(only_run())]
    assert [event["seq"] for event in streamed] == recorded[: len(streamed)]
    assert {"run.opened", "step.started", "step.finished", "run.closed"} <= {
        event["event"] for event in streamed
    }


def test_without_a_terminal_each_event_is_a_line_and_no_escape_is_written(call, lab):
    ran = call("run", "mend", "--all-clients", "--yes", "--state-dir", "state")
    assert "\x1b" not in ran.err + ran.out
    assert sum("look" in line for line in ran.err.splitlines()) >= 6


@pytest.mark.parametrize("what", ["playbook", "inventory"])
def test_schema_prints_a_valid_json_schema(call, empty, what):
    printed = call("schema", what)
    jsonschema.Draft202012Validator.check_schema(printed.document)


def test_config_names_where_each_setting_comes_from(call, lab, monkeypatch):
    monkeypatch.setenv("OUTAGEKIT_CONCURRENCY", "7")
    shown = call("config", "--json").document
    assert shown["concurrency"] == {"value": "7", "origin": "OUTAGEKIT_CONCURRENCY"}
    assert shown["connecting"]["origin"] == "default"
    assert Path(shown["trust"]["value"]) == Path.cwd() / "trust"


def test_playbooks_show_prints_every_line_it_would_run(call, empty):
    shown = call("playbooks", "show", "bad-update-rollback")
    assert shown.code == 0
    assert "apt-get" in shown.out


def test_playbooks_show_writes_defaults_as_a_person_would(call, empty):
    shown = call("playbooks", "show", "windows-update-rollback").out
    assert "NTDS, DNS, " in shown
    assert " false " in shown
    assert "['" not in shown.partition("detect")[0]


def test_shipped_playbooks_pass_check_without_a_warning(call, empty):
    listed = call("playbooks", "list", "--json").document
    paths = [book["path"] for book in listed if book["origin"] == "shipped"]
    assert paths
    assert call("check", *paths, "--json").document == []


def test_log_list_and_show_tell_what_happened(call, lab):
    call("run", "mend", "--all-clients", "--yes", "--state-dir", "state")
    (row,) = call("log", "list", "--json", "--state-dir", "state").document
    assert (row["playbook"], row["endpoints"], row["standing"]) == ("mend", 6, "closed: exit 0")
    shown = call("log", "show", "--state-dir", "state")
    assert "mend" in shown.out
    records = call("log", "show", "--json", "--state-dir", "state").document
    assert records[0]["event"]["event"] == "run.opened"


def test_what_is_to_be_pasted_finds_the_run_again(call, lab):
    ended = call("ping", *ALL, "--state-dir", "my state")
    (pasted, *_) = [row for row in ended.err.splitlines() if row.startswith("next: ")]
    assert call(*shlex.split(pasted.partition("outagekit ")[2])).code == 0


def test_what_a_drill_of_a_playbook_from_outside_offers_can_be_pasted(call, lab, tmp_path):
    book = tmp_path / "elsewhere" / "other.yaml"
    book.parent.mkdir()
    book.write_text("outagekit: 1\ntitle: Look\ntargets: os:linux\nsteps: [{sh: x, risk: read}]\n")
    state = ("--state-dir", "state")
    assert call("playbooks", "trust", str(book), "--yes", *state).code == 0
    ended = call("drill", str(book), "-n", "2", "--faults", "none", *state)
    assert ended.code == 0, ended.err
    rows = [row for row in ended.err.splitlines() if row.startswith("next: ")]
    pasted = next(row for row in rows if "playbooks show" in row)
    assert call(*shlex.split(pasted.partition("outagekit ")[2])).code == 0


def test_log_list_says_which_runs_were_no_real_ones(call, lab):
    call("run", "mend", "--all-clients", "--dry-run", "--state-dir", "state")
    call("drill", "mend", "-n", "2", "--faults", "none", "--state-dir", "state")
    listed = call("log", "list", "--state-dir", "state").out
    assert "DRILL Mend the thing" in listed
    assert "DRY RUN Mend the thing" in listed
    rows = call("log", "list", "--json", "--state-dir", "state").document
    assert [(row["drill"], row["dry_run"]) for row in rows] == [(True, False), (False, True)]


def test_a_narrow_list_of_runs_leaves_names_to_paste_whole(call, lab, monkeypatch):
    call("ping", *ALL, "--state-dir", "state")
    (row,) = call("log", "list", "--json", "--state-dir", "state").document
    monkeypatch.setattr(Screen, "page_width", 70)
    listed = call("log", "list", "--state-dir", "state").out
    assert row["run"] in listed
    assert "closed: exit 3" in listed or "closed: exit 0" in listed
    assert max(map(len, listed.splitlines())) <= 70


def test_an_anchor_noted_elsewhere_proves_the_log(call, lab):
    call("ping", *ALL, "--state-dir", "state")
    verdict = call("log", "verify", "--json", "--state-dir", "state").document
    anchor = f"{verdict['head_seq']}:{verdict['head_sha']}"
    assert call("log", "verify", "last", "--anchor", anchor, "--state-dir", "state").code == 0
    wrong = f"{verdict['head_seq']}:{'0' * 64}"
    assert call("log", "verify", "last", "--anchor", wrong, "--state-dir", "state").code == 9


def test_trust_lists_what_is_believed(call, lab):
    listed = call("trust", "list", "--json").document
    assert {row["client"] for row in listed["keys"]} == {
        e.client for e in lab.inventory.endpoints()
    }


def test_trust_add_believes_the_keys_that_were_shown(call, lab):
    for folder in Path("trust").iterdir():
        (folder / "known_hosts").unlink()
    assert call("ping", *ALL, "--state-dir", "state").code == 3
    added = call("trust", "add", "all", "--all-clients", "--yes")
    assert added.code == 0, added.err
    assert call("ping", *ALL, "--state-dir", "state").code == 0


def test_trust_add_takes_keys_from_a_known_hosts_file_without_asking_anybody(call, lab):
    lab.close()
    for folder in Path("trust").iterdir():
        (folder / "known_hosts").rename(f"{folder.name}.txt")
    (client,) = {path.stem for path in Path().glob("*.txt")} & {"acme"}
    added = call("trust", "add", "all", "-c", client, "--from", "acme.txt", "--yes", "--json")
    assert added.code == 0, added.err
    assert {row["server"] for row in added.document["added"]} == {
        endpoint.id for endpoint in lab.inventory.endpoints() if endpoint.client == client
    }
    assert Path("trust/acme/known_hosts").read_text() == Path("acme.txt").read_text()
    assert call("trust", "add", "all", "-c", "corvus", "--from", "acme.txt", "-y").code == 7
    assert call("trust", "add", "all", "-c", "corvus", "--from", "none.txt", "-y").code == 8


def test_trust_replace_is_needed_for_a_changed_key(call, lab):
    hosts = [folder / "known_hosts" for folder in Path("trust").iterdir()]
    first, second = hosts[0].read_text().splitlines()[:2]
    name = first.split(" ", 1)[0]
    hosts[0].write_text(hosts[0].read_text().replace(first, f"{name} {second.split(' ', 1)[1]}"))
    pinged = call("ping", *ALL, "--state-dir", "state", "--json")
    failed = [e for e in pinged.document["endpoints"] if e["state"] == "failed"]
    assert (pinged.code, [e["failure"] for e in failed]) == (3, ["host_key"])
    identity = failed[0]["endpoint"]
    assert call("trust", "add", identity, "--all-clients", "--yes").code == 0
    assert call("ping", *ALL, "--state-dir", "state").code == 3
    because = ("--because", "set up anew")
    assert call("trust", "replace", identity, "--all-clients", "--yes").code == 2
    assert call("trust", "replace", identity, "--all-clients", "--yes", *because).code == 0
    assert call("ping", *ALL, "--state-dir", "state").code == 0


def test_an_override_by_name_and_reason_is_recorded(call, lab):
    _forbid_changes()
    words = ("run", "mend", "--client", "acme", "--yes", "--state-dir", "state")
    said = ("--override", "remediate", "--approved-by", "Approver One", "--because", "outage")
    ran = call(*words, *said)
    assert ran.code == 0, ran.err
    events = [record.event for record in read_records(only_run())]
    (override,) = [event for event in events if type(event).__name__ == "AgreementOverridden"]
    assert (override.approved_by, override.because, override.listed) == (
        "Approver One",
        "outage",
        True,
    )


def test_the_selector_run_last_failed_repeats_only_what_failed(call, lab):
    for folder in Path("trust").iterdir():
        hosts = folder / "known_hosts"
        hosts.write_text("".join(hosts.read_text().splitlines(keepends=True)[:-1]))
    first = call("ping", *ALL, "--state-dir", "state", "--json").document
    failed = {e["endpoint"] for e in first["endpoints"] if e["state"] == "failed"}
    words = ("plan", "mend", "--all-clients", "--limit", "run:last:failed", "--json")
    again = call(*words, "--state-dir", "state").document
    assert set(again["endpoints"]) == failed
    assert 0 < len(failed) < 6


# --- 1 -----------------------------------------------------------------------------------------


def test_a_bug_leaves_a_report_file_and_no_traceback(call, lab, monkeypatch):
    said = f"deep {'inside'}"  # not in the line that raises, which a report may quote

    def broken(*_args, **_fields):
        raise ZeroDivisionError(said)

    monkeypatch.setattr(running, "conduct", broken)
    ran = call("ping", *ALL, "--state-dir", "state")
    assert ran.code == 1
    assert "ZeroDivisionError" in ran.err
    assert "Traceback" not in ran.err
    (report,) = Path(os.environ["XDG_STATE_HOME"]).rglob("bug-*.txt")
    assert "in broken" in report.read_text()
    assert "deep inside" not in report.read_text() + ran.err  # it might have been a secret


# --- 2 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("run",), "PLAYBOOK"),
        (("run", "mend", "--nope"), "--nope"),
        (("run", "mend", "--all-clients"), "--yes"),
        (("run", "mend"), "--all-clients"),
        (("ping",), "--limit"),
        (("exec", *ALL), "exactly one command"),
        (("exec", "--sh", "a", "--bash", "b", *ALL), "exactly one command"),
        (("run", "mend", "--json", "--events", "jsonl"), "--events and --json"),
        (("run", "mend", "--host", "ops@127.0.0.1"), "--os"),
        (("run", "mend", "--os", "linux", *ALL), "--host"),
        (("run", "mend", "--all-clients", "-p", "nope=1"), "nope"),
        (("run", "mend", "--all-clients", "-p", "thing"), "NAME=VALUE"),
        (("run", "mend", "--all-clients", "--limit", "os:linux and"), "column"),
        (("run", "mend", "--all-clients", "--override", "remediate"), "--approved-by"),
        (("drill", "mend", "--faults", "sloth=5%"), "slow"),
        (("drill", "mend", "--endpoints", "0"), "1 to 500"),
        (("log", "verify", "last", "--anchor", "nonsense"), "SEQ:SHA"),
    ],
)
def test_bad_usage_is_exit_2_and_names_what_is_wrong(call, lab, words, named):
    called = call(*words)
    assert called.code == 2
    assert named in " ".join(called.err.split())


def test_what_init_shows_of_sudo_and_jump_hosts_can_be_used_as_it_is(call, empty):
    assert call("init").code == 0
    path = Path("inventory/acme.yaml")
    shown = path.read_text()
    assert "outagekit inventory import" in shown
    words = "ops|user|key|sudo|jump|jump_credential|become"
    used = re.sub(rf"(?m)^( +)# ( *(?:{words}):)", r"\1\2", shown)
    path.write_text(used)
    found = call("check")
    assert found.code == 0, found.err
    listed = call("inventory", "list", "--json").document
    assert {each["become"] for each in listed if each["endpoint"].startswith("acme/")} == {"sudo"}
    assert "\n    jump: ops@bastion.example" in used
    assert "\n    sudo: keyring:acme-sudo" in used


def test_init_overwrites_nothing(call, empty):
    Path("outagekit.yaml").write_text("mine")
    assert call("init", ".").code == 2
    assert Path("outagekit.yaml").read_text() == "mine"


# --- 3, 4 --------------------------------------------------------------------------------------


def test_an_endpoint_whose_key_is_unknown_fails_and_the_hint_says_what_to_do(call, lab):
    for folder in Path("trust").iterdir():
        (folder / "known_hosts").unlink()
    ran = call("ping", *ALL, "--state-dir", "state")
    assert ran.code == 3
    assert "trust add" in ran.err


def test_endpoints_that_are_gone_make_exit_4(call, lab):
    lab.close()
    ran = call("ping", *ALL, "--state-dir", "state", "--json")
    assert (ran.code, ran.document["counts"]["unreachable"]) == (4, 6)


def test_a_drill_that_judges_wrongly_ends_with_3(call, lab):
    words = ("drill", "mend", "-n", "6", "--faults", "slow=50%", "--timeout", "0.5")
    ran = call(*words, "--state-dir", "state")
    assert ran.code == 3
    assert "drill FAILED" in ran.err


def test_a_drill_with_every_fault_passes(call, lab):
    faults = "unreachable=10%,hang=10%,slow=10%,reset=10%,auth=10%,lie=10%"
    words = ("drill", "mend", "-n", "20", "--faults", faults, "--timeout", "2", "--json")
    ran = call(*words, "--state-dir", "state")
    assert ran.code == 0, ran.err
    assert ran.document["score"]["passed"] is True
    assert set(ran.document["score"]["faults"]) == {
        "unreachable",
        "hang",
        "slow",
        "reset",
        "auth",
        "lie",
    }


# --- 6 -----------------------------------------------------------------------------------------


def start(*words: str, **fields) -> subprocess.Popen:
    return subprocess.Popen([*STARTER, *words], stderr=subprocess.PIPE, **fields)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_running_steps_end_and_the_run_is_paused(lab, number):
    process = start(
        "drill",
        "mend",
        "-n",
        "30",
        "--faults",
        "slow=100%",
        "--concurrency",
        "2",
        "--plain",
        "--state-dir",
        "state",
    )
    for line in process.stderr:
        if b" look ok " in line:
            break
    process.send_signal(number)
    said = process.communicate(timeout=20)[1].decode()
    assert process.returncode == 6, said
    assert "Traceback" not in said
    events = [record.event for record in read_records(only_run())]
    assert any(type(event).__name__ == "RunPaused" for event in events)


# --- 7, 8 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("run", "mned", "--all-clients"), "mend"),
        (("ping", "--limit", "srv-9*", "--all-clients"), "srv-9*"),
        (("ping", "--client", "acmee", "--limit", "all"), "acme"),
        (("log", "show", "nope"), "there are no runs"),
        (("log", "verify", "last"), "run"),
        (("check", "nowhere.yaml"), "nowhere.yaml"),
        (("playbooks", "show", "./nope.yaml"), "nope.yaml"),
    ],
)
def test_what_matches_nothing_is_exit_7_with_a_suggestion(call, lab, words, named):
    called = call(*words)
    assert called.code == 7, called.err
    assert named in called.err


def test_without_any_inventory_the_hint_says_how_to_begin(call, empty):
    called = call("ping", "--limit", "all")
    assert called.code == 7
    assert "outagekit init" in called.err


def test_check_reports_all_problems_of_all_files_with_their_places(call, lab):
    Path("playbooks/bad.yaml").write_text(
        "outagekit: 1\ntitel: x\nsteps:\n  - {id: a, sh: 'true', rsik: read}\n"
    )
    Path("inventory/bad.yaml").write_text(
        "outagekit: 1\nclient: bad\nendpoints:\n  x: {os: linux}\n"
    )
    checked = call("check")
    assert checked.code == 8
    assert "playbooks/bad.yaml:2:1:" in checked.err
    assert "did you mean `title`?" in checked.err
    assert "inventory/bad.yaml:4:" in checked.err
    assert "^" in checked.err
    places = call("check", "--json").document
    assert {Path(p["path"]).name for p in places} == {"bad.yaml"}
    assert len(places) >= 3


def test_a_key_file_that_is_not_there_is_one_fault_before_anything_runs(call, lab):
    Path("drill_key").unlink()
    called = call("ping", *ALL, "--state-dir", "state")
    assert called.code == 8
    assert "drill_key" in called.err
    assert list_runs(Path("state")) == ()


def test_a_secret_too_short_to_be_hidden_everywhere_is_warned_of(call, lab, monkeypatch):
    monkeypatch.setenv("SHORT_WORD", "ab1")
    path = Path("inventory/acme.yaml")
    path.write_text(
        path.read_text().replace("    user:", "    password: env:SHORT_WORD\n    user:")
    )
    called = call("ping", "--client", "acme", "--limit", "all", "--state-dir", "state")
    assert "password" in called.err
    assert "fewer than 6 characters" in " ".join(called.err.split())
    assert "ab1" not in called.err + called.out


def test_what_is_not_executed_yet_is_refused_by_plan_not_ignored(call, lab):
    Path("playbooks/later.yaml").write_text(
        "outagekit: 1\ntitle: Later\ntargets: all\nsteps:\n  - {id: tell, notify: {to: all}}\n"
    )
    called = call("plan", "later", "--all-clients")
    assert called.code == 8
    assert "notify" in called.err
    assert "not executed yet" in called.err
    assert call("check", "playbooks/later.yaml").code == 0


# --- 9, 10, 11 ---------------------------------------------------------------------------------


def test_an_altered_record_is_named_with_its_byte(call, lab):
    call("ping", *ALL, "--state-dir", "state")
    log = only_run() / "log.jsonl"
    content = log.read_bytes()
    place = content.index(b'"step.finished"')
    log.write_bytes(content[: place + 5] + b"X" + content[place + 6 :])
    verified = call("log", "verify", "--state-dir", "state")
    bad = content[:place].count(b"\n")
    offset = content[:place].rindex(b"\n") + 1
    assert verified.code == 9
    assert f"first bad record: {bad}, at byte {offset}" in verified.out + verified.err


def _forbid_changes() -> None:
    path = Path("inventory/acme.yaml")
    text = path.read_text()
    for allow in ("remediate", "reboot"):
        text = text.replace(f"  - {allow}\n", "")
    path.write_text(text.replace("  allows:", "  approvers: [Approver One]\n  allows:"))


def test_what_the_agreement_does_not_allow_does_not_run(call, lab):
    _forbid_changes()
    called = call("run", "mend", "--client", "acme", "--yes", "--state-dir", "state")
    assert called.code == 10
    assert "--override remediate" in called.err
    assert list_runs(Path("state")) == ()


def test_an_override_by_somebody_not_listed_needs_a_person(call, lab):
    _forbid_changes()
    words = ("run", "mend", "--client", "acme", "--yes", "--state-dir", "state")
    said = ("--override", "remediate", "--approved-by", "Somebody Else", "--because", "outage")
    assert call(*words, *said).code == 2


def test_a_changed_plan_is_refused(call, lab):
    called = call("run", "mend", "--all-clients", "-y", "--plan", "abcdef012345")
    assert called.code == 10


def test_a_playbook_from_outside_is_trusted_once_by_digest(call, lab, tmp_path):
    outside = tmp_path / "source" / "mend.yaml"
    words = ("run", str(outside), "--all-clients", "--yes", "--state-dir", "state")
    refused = call(*words)
    assert refused.code == 10
    assert f"outagekit playbooks trust {outside}" in " ".join(refused.err.split())
    assert call("playbooks", "trust", str(outside), "--yes", "--state-dir", "state").code == 0
    assert call(*words).code == 0
    outside.write_text(outside.read_text() + "# one more line\n")
    assert call(*words).code == 10


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_workspace_that_others_can_write_is_refused(call, lab):
    Path("outagekit.yaml").chmod(0o666)
    assert call("ping", *ALL).code == 10


def test_a_state_folder_that_cannot_be_written_is_exit_11_and_nothing_runs(call, lab, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    called = call("ping", *ALL, "--state-dir", str(blocker / "state"))
    assert called.code == 11
    assert not any(machine.ran for machine in lab.machines.values())


def test_a_log_that_does_not_verify_after_a_run_is_said(call, lab, monkeypatch):
    conduct = running.conduct

    def spoiled(*args, **fields):
        over = conduct(*args, **fields)
        log = over.folder / "log.jsonl"
        log.write_bytes(log.read_bytes().replace(b'"run.closed"', b'"run.clos3d"'))
        return over

    monkeypatch.setattr(running, "conduct", spoiled)
    assert call("ping", *ALL, "--state-dir", "state").code == 9


# --- 130 ---------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_second_ctrl_c_ends_at_once_with_doubts_recorded(lab):
    process = start(
        "drill",
        "mend",
        "-n",
        "8",
        "--faults",
        "hang=100%",
        "--timeout",
        "60",
        "--plain",
        "-v",
        "--state-dir",
        "state",
    )
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        runs = list_runs(Path("state"))
        if runs and (runs[0] / "log.jsonl").read_bytes().count(b'"step.started"') >= 8:
            break
        time.sleep(0.05)
    time.sleep(1.0)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1].decode()
    assert process.returncode == 130, said
    assert time.monotonic() - began < 6
    events = [record.event for record in read_records(only_run())]
    kinds = [type(event).__name__ for event in events]
    doubts = kinds.count("StepInDoubt")
    assert doubts >= 1
    assert doubts == kinds.count("StepStarted") - sum(
        kind == "StepFinished" and event.attempt is not None
        for kind, event in zip(kinds, events, strict=True)
    )
