"""Careful rollouts on real OpenSSH servers: gates, doubt, waiting, detached work, undo, cut lines.

What matters is told by the machines: what a script wrote there, and how often.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from outagekit.testing.sshd import find_sshd

REQUIRED = bool(os.environ.get("OUTAGEKIT_REQUIRE_E2E"))

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        find_sshd() is None and not REQUIRED, reason="OpenSSH's sshd is not installed"
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is there on Linux only"),
]

MARK = """\
  - id: mark
    check: test -s "$HOME/mark"
    sh: |
      test ! -e "$HOME/broken"
      echo x >> "$HOME/mark"
"""
# Says who runs it, does its work after a while, and that only once it is over.
SLOW = """\
  - id: mark
    check: test -s "$HOME/mark"
    timeout: {timeout}
    sh: |
      echo x >> "$HOME/tries"
      test -e "$HOME/session" || {{ echo $PPID $$ > "$HOME/session"; sleep {takes}; }}
      echo x >> "$HOME/mark"
"""
CAREFUL = "{waves: [1, 50%, 100%], gate: {max_failed: 0}}"
OPEN = "{min_answered: 0, max_unreachable: 100%, max_unknown: 100%}"
ONCE = "x\n"
CHANGED = ("changed", None)


def waiting(room):
    return f"{{waves: [100%], waiting_room: {room}, gate: {OPEN}}}"


def slow(*, takes=1.0, timeout="20s"):
    return SLOW.format(takes=takes, timeout=timeout)


def test_a_closed_gate_is_tried_again_until_its_cause_is_gone(acme):
    site = acme(4)
    site.playbook(MARK, CAREFUL)
    site.machines[1].write("broken", "")
    closed = site.run()
    assert closed.code == 5, closed
    assert closed.ends["pc-2"] == ("failed", "exit_code")
    assert site.read("mark") == [ONCE, "", "", ""]
    (site.machines[1].home / "broken").unlink()
    ended = site.resume()
    assert ended.code == 0, ended
    assert site.read("mark") == [ONCE] * 4
    assert [e["wave"] for e in site.events("wave.judged")] == [1, 2, 3]
    assert site.call("log", "verify").code == 0


def test_a_person_goes_past_a_gate_and_the_bad_one_stays_as_it_is(acme):
    site = acme(3)
    site.playbook(MARK, CAREFUL)
    site.machines[0].write("broken", "")
    assert site.run().code == 5
    ended = site.resume("--past-gate", "--because", "a spare")
    assert ended.code == 3, ended
    assert site.read("mark") == ["", ONCE, ONCE]
    assert site.await_event("wave.reopened")["because"] == "a spare"


def test_a_script_that_outlives_its_connection_is_waited_for_and_not_done_twice(acme):
    site = acme(1)
    site.playbook(slow(takes=1))
    running = site.begin_run()
    site.machines[0].cut_off()
    ended = site.end(running)
    assert (ended.code, ended.ends) == (0, {"pc-1": CHANGED}), ended
    assert site.await_event("step.resolved")["how"] == "probed"
    assert (site.read("tries"), site.read("mark")) == ([ONCE], [ONCE])


def test_a_script_that_died_with_its_connection_is_done_again(acme):
    site = acme(1)
    site.playbook(slow(takes=20))
    running = site.begin_run()
    site.machines[0].cut_off(kill_script=True)
    ended = site.end(running)
    assert (ended.code, ended.ends) == (0, {"pc-1": CHANGED}), ended
    assert "state" not in site.await_event("step.resolved")
    assert (site.read("tries"), site.read("mark")) == ([ONCE * 2], [ONCE])


def test_a_script_that_goes_on_after_its_time_is_unknown_until_it_is_over(acme):
    site = acme(1)
    # A server that passes no signal on, as OpenSSH does for root.
    site.playbook(slow(takes="6 & trap '' TERM; wait $!", timeout="1s"))
    ended = site.run()
    assert (ended.code, ended.ends) == (5, {"pc-1": ("unknown", "timeout")}), ended
    assert "still runs there" in ended.err
    site.machines[0].wait_for("mark")
    ended = site.resume()
    assert (ended.code, ended.ends) == (0, {"pc-1": CHANGED}), ended
    assert (site.read("tries"), site.read("mark")) == ([ONCE], [ONCE])


def test_after_a_kill_of_our_process_a_resume_waits_for_what_still_runs(acme):
    site = acme(2)
    site.playbook(slow(takes=1.5))
    running = site.begin_run()
    for machine in site.machines:
        machine.wait_for("session")
    site.kill(running)
    ended = site.resume()
    assert (ended.code, set(ended.ends.values())) == (0, {CHANGED}), ended
    assert (site.read("tries"), site.read("mark")) == ([ONCE] * 2, [ONCE] * 2)


def test_who_is_away_waits_in_the_room_and_is_done_when_it_is_back(acme):
    site = acme(2)
    site.playbook(MARK, waiting("60s"))
    site.machines[1].stop()
    running = site.begin_run()
    assert site.await_event("endpoint.parked")["endpoint"] == "acme/pc-2"
    site.machines[0].wait_for("mark")
    site.machines[1].start()
    ended = site.end(running)
    assert (ended.code, set(ended.ends.values())) == (0, {CHANGED}), ended
    assert len(site.events("endpoint.returned")) == 1
    assert site.read("mark") == [ONCE] * 2


def test_who_does_not_come_back_in_time_is_unreachable_in_the_end(acme):
    site = acme(2)
    site.playbook(MARK, waiting("1s"))
    site.machines[1].stop()
    ended = site.run()
    assert ended.code == 4, ended
    assert ended.ends == {"pc-1": CHANGED, "pc-2": ("unreachable", "refused")}
    assert len(site.events("endpoint.expired")) == 1


def test_who_goes_away_in_the_middle_is_looked_at_when_it_is_back(acme):
    site = acme(1)
    site.playbook(slow(takes=1), waiting("60s"))
    running = site.begin_run()
    site.machines[0].wait_for("session")
    site.machines[0].stop()
    site.machines[0].cut_off()
    site.await_event("endpoint.parked")
    site.machines[0].start()
    ended = site.end(running)
    assert (ended.code, ended.ends) == (0, {"pc-1": CHANGED}), ended
    assert (site.read("tries"), site.read("mark")) == ([ONCE], [ONCE])


def test_a_detached_step_outlives_us_and_an_absence_and_is_collected_once(acme):
    site = acme(1)
    (machine,) = site.machines
    detached = SLOW.replace("    check:", "    detach: true\n    check:")
    site.playbook(detached.format(timeout="20s", takes=1))
    running = site.begin_run()
    machine.wait_for("session")
    site.kill(running)
    assert len(list((machine.home / ".outagekit").iterdir())) == 1
    machine.stop()
    away = site.resume()
    assert (away.code, away.ends) == (5, {"pc-1": ("unknown", "refused")}), away
    machine.start()
    ended = site.resume()
    assert (ended.code, ended.ends) == (0, {"pc-1": CHANGED}), ended
    assert (site.read("tries"), site.read("mark")) == ([ONCE], [ONCE])
    assert not (machine.home / ".outagekit").exists()
    assert len(site.events("step.tidied")) == 1


TWO = """\
  - id: one
    check: grep -q new "$HOME/a"
    sh: cp "$HOME/a" "$HOME/a.old"; echo new > "$HOME/a"
    undo: mv "$HOME/a.old" "$HOME/a"
  - id: two
    check: test -e "$HOME/b"
    sh: |
      test ! -e "$HOME/broken"
      echo b > "$HOME/b"
    undo: rm "$HOME/b"
"""


def test_a_dry_run_changes_nothing_and_an_undo_restores_every_file(acme):
    site = acme(2)
    for machine in site.machines:
        machine.write("a", "old")
    before = [machine.tree for machine in site.machines]
    site.playbook(TWO)
    foreseen = site.run("--dry-run")
    assert foreseen.code == 0, foreseen
    assert [machine.tree for machine in site.machines] == before
    assert site.run().code == 0
    assert (site.read("a"), site.read("b")) == (["new\n"] * 2, ["b\n"] * 2)
    undone = site.call("undo", "last", "--yes", "--json")
    assert undone.code == 0, undone
    assert [machine.tree for machine in site.machines] == before


def test_a_failure_takes_back_what_was_changed_on_that_endpoint_only(acme):
    site = acme(2)
    for machine in site.machines:
        machine.write("a", "old")
    site.machines[1].write("broken", "")
    before = site.machines[1].tree
    site.playbook(TWO, "{waves: [100%], gate: {max_failed: 1}}")
    ended = site.run("--undo-on-failure")
    assert ended.code == 3, ended
    assert site.machines[1].tree == before
    assert site.read("a") == ["new\n", "old"]


UNDONE_SLOWLY = """\
  - id: one
    check: test -e "$HOME/one"
    sh: echo x >> "$HOME/done"; echo x > "$HOME/one"
    undo: |
      echo x >> "$HOME/undos"
      test -e "$HOME/session" || { echo $PPID $$ > "$HOME/session"; sleep 1; }
      rm "$HOME/one"
  - {id: two, sh: 'test -e "$HOME/fixed"'}
"""


def test_an_undo_cut_off_in_the_middle_is_looked_at_before_anything_builds_on_it(acme):
    site = acme(1)
    site.playbook(UNDONE_SLOWLY)
    running = site.begin_run("--undo-on-failure")
    site.machines[0].cut_off()
    closed = site.end(running)
    assert closed.code == 5, closed
    assert "taken back or not, nobody knows: one on 1 endpoint" in closed.err
    site.machines[0].write("fixed", "")
    ended = site.resume()
    assert (ended.code, ended.ends) == (0, {"pc-1": CHANGED}), ended
    assert (site.read("one"), site.read("done"), site.read("undos")) == (
        [ONCE],
        [ONCE * 2],
        [ONCE],
    )


def test_people_at_other_terminals_approve_note_and_stop(acme):
    site = acme(3)
    ask = '  - {id: ask, approve: "Really?", once: client}\n'
    let_go = '0; until test -e "$HOME/go"; do sleep 0.05; done'
    site.playbook(ask + slow(takes=let_go), "{waves: [1, 2, 100%], pause: first}")
    for machine in (site.machines[0], site.machines[2]):
        machine.write("go", "")
    running = site.begin_run()
    assert site.await_event("approval.asked")["question"] == "ask@acme"
    assert site.read("tries") == [""] * 3
    assert site.call("approve", "last", "ask@acme", "--name", "Jo Weber").code == 0
    assert site.call("note", "last", "it is loud there", "--endpoint", "acme/pc-1").code == 0
    assert site.await_event("approval.asked", 2)["question"] == "pause-3.1"
    assert site.call("approve", "last", "pause-3.1", "--name", "Jo Weber").code == 0
    site.machines[1].wait_for("session")
    assert site.call("stop", "last", "--because", "enough").code == 0
    site.machines[1].write("go", "")
    ended = site.end(running)
    assert ended.code == 6, ended
    assert [site.events(name)[0]["who"] for name in ("approval.given", "note", "run.stopping")] == [
        "Jo Weber",
        *(2 * [site.events("run.opened")[0]["os_user"]]),
    ]
    assert site.read("mark") == [ONCE, ONCE, ""]
    assert site.resume().code == 0
    assert site.read("mark") == [ONCE] * 3


def test_one_ctrl_c_lets_a_step_end_and_two_leave_it_in_doubt(acme):
    site = acme(3)
    site.playbook(slow(takes=1), "{waves: [1, 2, 100%]}")
    running = site.begin_run()
    site.machines[0].wait_for("session")
    running.send_signal(signal.SIGINT)
    assert site.end(running).code == 6
    assert site.read("mark") == [ONCE, "", ""]
    running = site.begin("resume", "--json")
    site.machines[1].wait_for("session")
    running.send_signal(signal.SIGINT)
    site.await_event("run.stopping", 2)
    running.send_signal(signal.SIGINT)
    assert site.end(running).code == 130
    ended = site.resume()
    assert (ended.code, set(ended.ends.values())) == (0, {CHANGED}), ended
    assert (site.read("tries"), site.read("mark")) == ([ONCE] * 3, [ONCE] * 3)


def test_a_wrong_password_that_is_shared_is_tried_twice_and_not_more(acme, monkeypatch):
    monkeypatch.setenv("THE_WORD", "not the password of anybody")
    site = acme(5, "PasswordAuthentication yes")
    site.credential("password: 'env:THE_WORD'")
    site.playbook(MARK)
    ended = site.run()
    assert ended.code == 3, ended
    assert (
        sorted(ended.ends.values())
        == [("failed", "auth")] * 2 + [("failed", "credential_stopped")] * 3
    )
    assert sum(machine.log.count("Failed password") for machine in site.machines) == 2


# What would restart the machine is read and thrown away, never run.
GUARD = """\
#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
*OK_STEP=restart*OK_PART=script*) cat >"$HOME/told"; echo 'restarts in 2 s' ;;
*) exec sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""


def test_a_machine_that_does_not_restart_is_not_back(acme, tmp_path):
    guard = tmp_path / "guard"
    guard.write_text(GUARD)
    guard.chmod(0o755)
    site = acme(1, f"ForceCommand {guard}")
    site.playbook("  - {id: restart, reboot: 3s}\n" + MARK)
    ended = site.run()
    assert (ended.code, ended.ends) == (5, {"pc-1": ("failed", "not_back")}), ended
    assert "it never went down" in ended.err
    assert site.machines[0].read("told")
    assert site.read("mark") == [""]


def test_a_line_cut_in_the_middle_of_a_step_ends_in_time_and_is_settled_later(far):
    far.playbook(slow(takes=0.3, timeout="1s"))
    running = far.begin_run()
    far.machines[0].wait_for("session")
    far.cable.cut()
    began_s = time.monotonic()
    ended = far.end(running)
    assert time.monotonic() - began_s < 1 + 3 + 10 + 5
    assert (ended.code, ended.ends) == (5, {"pc-1": ("unknown", "timeout")}), ended
    far.cable.mend()
    ended = far.resume()
    assert (ended.code, ended.ends) == (0, {"pc-1": CHANGED}), ended
    assert (far.read("tries"), far.read("mark")) == ([ONCE], [ONCE])


def test_a_connection_a_firewall_forgot_does_not_stand_for_its_endpoint(far):
    far.playbook(slow(takes=0.3, timeout="1s"))
    running = far.begin_run()
    far.machines[0].wait_for("session")
    far.cable.forget()
    ended = far.end(running)
    assert (ended.code, ended.ends) == (0, {"pc-1": CHANGED}), ended
    assert (far.read("tries"), far.read("mark")) == ([ONCE], [ONCE])
