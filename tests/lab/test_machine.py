from __future__ import annotations

import base64
import hashlib
from collections import Counter

import msgspec
import pytest

from outagekit.events import EndpointId
from outagekit.lab.facts import draw_state
from outagekit.lab.machine import Machine, Pace
from outagekit.lab.script import named_in
from outagekit.playbook.model import (
    Code,
    Drill,
    DrillStep,
    Fetch,
    Push,
    Reboot,
    Script,
    WaitScript,
)
from outagekit.transports import detached
from outagekit.transports.posix import detached as commands
from outagekit.transports.protocol import Captured, Outcome
from outagekit.transports.windows.render import render as windows_render

FIX = {"step": "fix", "part": "script"}


def test_the_same_name_and_seed_give_the_same_machine(machine):
    first, second = machine(seed=3), machine(seed=3)
    assert first.answer("-", "identity", b"") == second.answer("-", "identity", b"")
    assert first.state == second.state
    assert machine(seed=4).machine_id != first.machine_id
    assert machine(name="acme/srv-002", seed=3).machine_id != first.machine_id


def test_the_identity_probe_is_answered_with_ids(machine):
    answer = machine().answer("-", "identity", b"")
    lines = dict(line.split("=") for line in answer.stdout.splitlines())
    assert set(lines) == {"machine-id", "boot-id"}
    assert len(lines["machine-id"]) == 32


def test_facts_are_drawn_by_share():
    spec = {"plain": "60", "often": "60%", "kind": {"apt": "70%", "dnf": "20%", "none": "5%"}}
    drawn = [draw_state(spec, 1, EndpointId(f"acme/srv-{n}")) for n in range(1000)]
    often = sum(facts["often"] for facts in drawn)
    kinds = Counter(facts["kind"] for facts in drawn)
    assert {facts["plain"] for facts in drawn} == {"60"}
    assert 560 < often < 640
    assert 650 < kinds["apt"] < 750
    assert 160 < kinds["dnf"] < 240
    assert 60 < kinds["none"] < 140, "the last value takes what is left"


@pytest.mark.parametrize("value", [0, True, None, "100", ["a"], {}])
def test_a_fact_that_is_no_share_is_the_same_for_all(value):
    assert draw_state({"x": value}, 1, EndpointId("acme/a")) == {"x": value}


def test_a_step_is_checked_done_and_verified(machine, drilled, sent):
    one = machine(drilled({"impacted": True}, set={"impacted": False}))
    assert one.answer("fix", "check", sent()).exit_code == 1
    assert one.answer("detect", "script", sent()).stdout == '{"impacted": true}\n'
    assert one.answer("fix", "verify", sent()).exit_code == 1
    assert one.answer("fix", "script", sent()).exit_code == 0
    assert one.answer("fix", "check", sent()).exit_code == 0
    assert one.answer("fix", "verify", sent()).exit_code == 0
    assert one.answer("detect", "script", sent()).stdout == '{"impacted": false}\n'
    assert one.state == {"impacted": False}


def test_everything_that_ran_is_recorded_with_its_number_and_hash(machine, sent):
    one = machine()
    for part in ("check", "script", "check"):
        one.answer("fix", part, sent("echo x"))
    assert [(e.step, e.part, e.number) for e in one.ran] == [
        ("fix", "check", 1),
        ("fix", "script", 1),
        ("fix", "check", 2),
    ]
    assert one.ran[0].sha256 == hashlib.sha256(sent("echo x")).hexdigest()


def test_a_cut_script_runs_nothing(machine, drilled, sent):
    one = machine(drilled({"impacted": True}, set={"impacted": False}))
    whole = sent("echo one\necho two", package="nginx")
    for cut in range(len(whole)):
        answer = one.answer("fix", "script", whole[:cut])
        assert answer.exit_code == 2
        assert "Syntax error" in answer.stderr
    assert one.state == {"impacted": True}
    assert one.ran == ()


def test_values_of_the_script_can_be_used_in_answers(machine, drilled, sent):
    book = drilled(
        {"installed": "2.0", "count": 3},
        stdout="{{ package }} is {{ installed }}\n",
        set={"installed": "{{ good_version }}", "label": "v{{ good_version }}", "n": "{{ count }}"},
    )
    one = machine(book)
    answer = one.answer("fix", "script", sent(package="nginx", good_version="1.9"))
    assert answer.stdout == "nginx is 1.9\n"
    assert one.state == {"installed": "1.9", "count": 3, "label": "v1.9", "n": 3}


def test_facts_of_the_machine_win_over_values_of_the_script(machine, drilled, sent):
    one = machine(drilled({"installed": "2.0"}, stdout="{{ installed }}"))
    assert one.answer("fix", "script", sent(installed="9.9")).stdout == "2.0"


def test_without_goals_check_is_false_and_verify_true(machine, drilled, sent):
    one = machine(drilled({}))
    assert one.answer("fix", "check", sent()).exit_code == 1
    assert one.answer("fix", "verify", sent()).exit_code == 0


def test_expressions_of_the_drill_decide_check_and_verify(machine, drilled, sent):
    one = machine(drilled({"load": 3}, check="load < 2", verify="load < 5"))
    assert one.answer("fix", "check", sent()).exit_code == 1
    assert one.answer("fix", "verify", sent()).exit_code == 0
    one = machine(drilled({"load": 3}, check="load < 5"))
    assert one.answer("fix", "verify", sent()).exit_code == 0


def test_an_exit_code_means_that_nothing_was_done(machine, drilled, sent):
    one = machine(drilled({"impacted": True}, set={"impacted": False}, exit_code=7, stderr="no\n"))
    answer = one.answer("fix", "script", sent())
    assert (answer.exit_code, answer.stderr) == (7, "no\n")
    assert one.state == {"impacted": True}


def test_undo_brings_back_what_was_before(machine, drilled, sent):
    one = machine(drilled({"version": "2.0"}, set={"version": "1.9"}))
    one.answer("fix", "script", sent())
    one.answer("fix", "undo", sent())
    assert one.state == {"version": "2.0"}


def test_a_run_that_takes_an_earlier_one_back_sends_the_undo_as_its_action(
    machine, book, step, sent, script
):
    steps = (step("fix", risk="change", check=script("is it"), undo=script("put it back")),)
    drill = Drill(state={"version": "2.0"}, steps={"fix": DrillStep(set={"version": "1.9"})})
    one = machine(book(steps=steps, drill=drill))
    one.answer("fix", "script", sent("true"))
    assert one.answer("fix", "verify", sent("is it")).exit_code == 0
    one.answer("fix", "script", sent("put it back", package="x"))
    assert one.state == {"version": "2.0"}
    assert one.answer("fix", "verify", sent("is it")).exit_code == 1


def test_a_step_named_after_the_one_it_takes_back_undoes_it_and_its_verify_is_the_check(
    machine, book, step, sent, script
):
    steps = (step("fix", risk="change", check=script("true"), undo=script("true")),)
    goes = DrillStep(set={"version": "1.9"}, verify="true")
    one = machine(book(steps=steps, drill=Drill(state={"version": "2.0"}, steps={"fix": goes})))
    one.answer("fix", "script", sent("true"))
    one.answer("undo_fix", "script", sent("true"))
    assert one.state == {"version": "2.0"}
    assert one.answer("undo_fix", "verify", sent("true")).exit_code == 1


def test_without_goals_a_step_is_so_once_it_was_done_and_not_once_it_was_undone(
    machine, drilled, sent
):
    one = machine(drilled({}))
    one.answer("fix", "script", sent())
    assert one.answer("fix", "check", sent()).exit_code == 0
    one.answer("fix", "undo", sent())
    assert one.answer("fix", "check", sent()).exit_code == 1
    assert one.answer("fix", "verify", sent()).exit_code == 1
    one.answer("fix", "script", sent())
    assert one.answer("fix", "verify", sent()).exit_code == 0


def test_a_liar_says_done_and_does_nothing(machine, drilled, sent):
    one = machine(drilled({"v": 2}, set={"v": 1}, stdout="now {{ v }}"))
    one.fault = "lie"
    assert one.answer("fix", "script", sent()).stdout == "now 1"
    assert one.state == {"v": 2}
    assert one.answer("fix", "verify", sent()).exit_code == 1


@pytest.mark.parametrize("fault", ["hang", "reset"])
def test_a_fault_at_the_first_command_lets_nothing_run(machine, sent, fault):
    one = machine()
    one.fault = fault
    assert one.answer("-", "identity", sent()).ending == "exit"
    assert one.answer("detect", "script", sent()).ending == fault
    assert one.answer("fix", "script", sent()).ending == fault
    assert one.ran == ()
    assert [entry.exit_code for entry in one.received] == [None, None]


@pytest.mark.parametrize("fault", ["hang", "reset"])
def test_a_late_fault_swallows_the_answer_of_a_change_that_was_made(machine, drilled, sent, fault):
    one = machine(drilled({"impacted": True}, set={"impacted": False}))
    one.fault, one.strikes_late = fault, True
    assert one.answer("detect", "script", sent()).ending == "exit"
    assert one.answer("fix", "check", sent()).ending == "exit"
    assert one.answer("fix", "script", sent()).ending == fault
    assert one.state == {"impacted": False}
    assert one.answer("fix", "check", sent()).ending == fault, "it stays gone"
    assert [e.part for e in one.ran] == ["script", "check", "script"]


def test_a_slow_machine_is_late_but_right(machine, sent):
    one = machine(pace=Pace(slow_s=2.5))
    quick = machine()
    one.fault = "slow"
    late = one.answer("detect", "script", sent())
    assert late.takes_s == 2.5
    assert late.stdout == quick.answer("detect", "script", sent()).stdout


def test_the_time_an_action_takes_is_divided_by_the_speed(machine, drilled, sent):
    one = machine(drilled({}, takes_s=120.0), pace=Pace(speed=60.0))
    assert one.answer("fix", "script", sent()).takes_s == 2.0
    assert one.answer("fix", "check", sent()).takes_s == 0.0


def test_a_step_of_no_playbook_succeeds_and_says_that_nothing_was_run(machine, sent):
    one = machine()
    answer = one.answer("fixx", "script", sent())
    assert (answer.exit_code, answer.stdout) == (0, "lab: simulated, fixx was not run\n")
    assert list(one.ran) == []


def test_an_answer_that_cannot_be_made_is_an_exit_code_not_an_exception(machine, drilled, sent):
    one = machine(drilled({}, stdout="{{ nothing_like_it }}"))
    answer = one.answer("fix", "script", sent())
    assert answer.exit_code == 70
    assert "nothing_like_it" in answer.stderr


def test_a_result_nobody_described_has_the_declared_types(machine, book, step, sent):
    playbook = book(
        steps=(step("look", result={"n": "int", "at": "datetime", "l": "list"}),), drill=None
    )
    stdout = machine(playbook).answer("look", "script", sent()).stdout
    assert stdout == '{"n": 0, "at": "2026-01-01T00:00:00Z", "l": []}\n'


def test_a_wait_follows_the_drills_check(book, step, sent):
    playbook = book(
        steps=(step("up", action=WaitScript(Script((Code("sh", "x"),)))),),
        drill=Drill(state={"up": False}, steps={"up": DrillStep(check="up")}),
    )
    one = Machine(EndpointId("acme/a"), playbook)
    assert one.answer("up", "script", sent()).exit_code == 1
    one.state["up"] = True
    assert one.answer("up", "script", sent()).exit_code == 0


def test_a_pushed_file_does_its_step(book, step):
    playbook = book(
        steps=(step("put", action=Push("f", "/etc/app/f", b"x"), risk="change"),),
        drill=Drill(state={"there": False}, steps={"put": DrillStep(set={"there": True})}),
    )
    one = Machine(EndpointId("acme/a"), playbook)
    assert one.files.is_folder("/etc/app")
    one.pushed("/etc/app/f.part", b"x")
    assert one.state == {"there": False}
    one.pushed("/etc/app/f", b"x")
    assert one.state == {"there": True}
    assert [(e.step, e.part) for e in one.ran] == [("put", "script")]


def test_files_to_fetch_are_there(book, step):
    playbook = book(steps=(step("logs", action=Fetch(("/var/log/app/x.log", "/a/*.txt"), 99)),))
    one = Machine(EndpointId("acme/a"), playbook)
    assert b"x.log of acme/a" in one.files.file("/var/log/app/x.log").content
    assert one.files.names("/a") == ["1.txt"]


def restarting(book, step, **answer):
    steps = (step("restart", action=Reboot(900.0), risk="change"),)
    return book(steps=steps, drill=Drill(steps={"restart": DrillStep(**answer)}))


def test_a_machine_told_to_restart_goes_down_after_its_answer(machine, book, step, sent):
    one = machine(restarting(book, step), pace=Pace(speed=40.0))
    answer = one.answer("restart", "script", sent())
    assert (answer.exit_code, answer.takes_s, answer.down_s) == (0, 0.0, 0.5)
    assert answer.until_down_s == 0.05
    assert one.answer("restart", "check", sent()).down_s is None


def test_the_drill_says_how_long_a_restart_takes(machine, book, step, sent):
    one = machine(restarting(book, step, takes_s=300.0), pace=Pace(speed=10.0))
    assert one.answer("restart", "script", sent()).down_s == 30.0


def test_a_machine_that_refuses_to_restart_stays_up(machine, book, step, sent):
    answer = machine(restarting(book, step, exit_code=1)).answer("restart", "script", sent())
    assert (answer.exit_code, answer.down_s) == (1, None)


def test_a_restart_gives_another_boot_id_and_a_young_uptime(machine):
    now = [5_000_000_000]
    one = machine(clock=lambda: now[0])

    def told():
        lines = one.answer("-", "identity", b"cat /proc/uptime").stdout.splitlines()
        return dict(line.split("=") for line in lines)

    now[0] += 2_340_000_000
    before = told()
    one.went_down()
    now[0] += 500_000_000
    one.came_up(boots=False)
    assert told() == {**before, "uptime-s": "2.84"}, "only the line was down"
    one.went_down()
    now[0] += 700_000_000
    one.came_up(boots=True)
    after = told()
    assert after["machine-id"] == before["machine-id"]
    assert after["boot-id"] != before["boot-id"]
    assert after["uptime-s"] == "0.70"
    assert one.downs == 2


def test_a_boot_loop_ends_with_the_change(machine, drilled, sent):
    book = drilled({"impacted": True}, set={"impacted": False})
    one = machine(book)
    one.fault = "bootloop"
    one.answer("detect", "script", sent())
    one.answer("fix", "check", sent())
    assert not one.is_cured
    one.answer("fix", "script", sent())
    assert one.is_cured


def test_a_change_that_failed_ends_no_boot_loop(machine, drilled, sent):
    one = machine(drilled({"impacted": True}, set={"impacted": False}, exit_code=3))
    one.fault = "bootloop"
    one.answer("fix", "script", sent())
    assert not one.is_cured


@pytest.mark.parametrize("fault", ["flap", "bootloop"])
def test_a_restless_machine_hesitates_with_some_commands_and_always_the_same_ones(
    machine, sent, fault
):
    def hesitations():
        one = machine(seed=4)
        one.fault = fault
        found = []
        for _ in range(20):
            found.append(one.before_s("detect", "script"))
            one.answer("detect", "script", sent())
        return found

    assert hesitations() == hesitations()
    assert set(hesitations()) == {0.0, 0.2}
    assert machine().before_s("detect", "script") == 0.0


def test_a_command_the_machine_went_away_under_is_recorded_as_not_executed(machine, sent):
    one = machine()
    one.missed("fix", "script", sent())
    (entry,) = one.received
    assert (entry.step, entry.part, entry.ran, entry.exit_code) == ("fix", "script", False, None)


def test_a_probe_does_nothing(machine, drilled, sent):
    one = machine(drilled({"impacted": True}, set={"impacted": False}))
    assert one.answer("fix", "probe", sent()).exit_code == 0
    assert one.state == {"impacted": True}


@pytest.mark.parametrize("fault", ["hang", "reset"])
def test_a_struck_machine_answers_no_command_of_any_step(machine, sent, fault):
    one = machine()
    one.fault = fault
    assert one.answer("survey", "script", sent()).ending == fault
    assert [(e.step, e.ran) for e in one.received] == [("survey", False)]


def test_whoever_listens_hears_of_every_command_also_of_identity(machine, sent):
    one = machine(clock=lambda: 77)
    heard = []
    one.on_received = heard.append
    one.answer("-", "identity", b"who")
    one.answer("detect", "script", sent())
    one.answer("detect", "script", sent()[:-1])
    one.missed("fix", "check", b"")
    assert [(e.step, e.part, e.number, e.ran, e.exit_code) for e in heard] == [
        ("-", "identity", 1, True, 0),
        ("detect", "script", 1, True, 0),
        ("detect", "script", 2, False, 2),
        ("fix", "check", 1, False, None),
    ]
    assert {entry.mono_ns for entry in heard} == {77}
    assert one.received == heard[1:], "a probe of identity belongs to no step"


class TestDetached:
    """A script that goes on without its connection."""

    @pytest.fixture
    def one(self, machine, drilled):
        book = drilled({"impacted": True}, set={"impacted": False}, takes_s=600.0, stdout="done\n")
        self.now = 0
        return machine(book, pace=Pace(speed=60.0), clock=lambda: self.now)

    def send(self, one, command):
        named = named_in(command.line)
        answer = one.answer(named.step, named.part, command.stdin, detached=named.detached)
        stdout, stderr = Captured(answer.stdout), Captured(answer.stderr)
        outcome = Outcome(exit_code=answer.exit_code, stdout=stdout, stderr=stderr, duration_ms=1)
        return detached.parse_answer(outcome), answer.takes_s

    def start(self, one, wait_s=0):
        values = {"package": "nginx"}
        command = commands.start("r/a/fix", Code("sh", "true"), values, step="fix", wait_s=wait_s)
        return self.send(one, command)

    def test_it_is_started_once_and_collected_later(self, one, sent):
        said, _ = self.start(one)
        assert said.state == "running"
        assert one.state == {"impacted": False}
        assert self.start(one)[0].state == "running"
        self.now += 10_000_000_000
        said, _ = self.send(one, commands.collect("r/a/fix", step="fix", wait_s=0))
        assert (said.state, said.code, said.age_s, said.stdout.text) == ("ended", 0, 10, "done\n")
        assert [(e.part, e.ran) for e in one.received] == [
            ("script", True),
            ("script", False),
            ("collect", False),
        ]

    def test_a_command_waits_for_its_end_as_long_as_it_says(self, one, sent):
        said, took_s = self.start(one, wait_s=3)
        assert (said.state, said.age_s, took_s) == ("running", 3, 3.0)
        self.now += 8_000_000_000
        said, took_s = self.send(one, commands.collect("r/a/fix", step="fix", wait_s=30))
        assert (said.state, took_s) == ("ended", 2.0)

    def test_nobody_waits_beyond_the_limit_of_its_time(self, one, sent):
        self.start(one)
        collect = commands.collect("r/a/fix", step="fix", wait_s=8, limit_s=4)
        said, took_s = self.send(one, collect)
        assert (said.state, took_s) == ("running", 4.0)

    def test_what_was_released_is_absent(self, one, sent):
        self.start(one)
        release = commands.release("r/a/fix", step="fix")
        assert self.send(one, release)[0].state == "running"
        self.now += 10_000_000_000
        assert self.send(one, release)[0].state == "released"
        collect = commands.collect("r/a/fix", step="fix", wait_s=0)
        assert self.send(one, collect)[0].state == "absent"

    def test_a_restart_ends_it_without_an_end(self, one, sent):
        self.start(one)
        one.went_down()
        one.came_up(boots=True)
        collect = commands.collect("r/a/fix", step="fix", wait_s=0)
        assert self.send(one, collect)[0].state == "gone"

    def test_a_line_that_was_down_does_not(self, one, sent):
        self.start(one)
        one.went_down()
        one.came_up(boots=False)
        assert self.start(one)[0].state == "running"

    def test_it_can_be_stopped(self, one, sent):
        self.start(one)
        assert self.send(one, commands.stop("r/a/fix", step="fix"))[0].state == "stopped"

    def test_the_rest_of_a_short_stream_is_nothing(self, one, sent):
        self.start(one)
        self.now += 10_000_000_000
        said, _ = self.send(one, commands.collect_rest("r/a/fix", step="fix"))
        assert (said.state, said.stdout.text, said.stdout.size_bytes) == ("ended", "", 5)


def test_a_windows_machine_says_its_verdicts_and_remembers_them_as_codes(machine, drilled):
    one = machine(drilled({"impacted": True}, set={"impacted": False}), system="windows")
    script = base64.b64decode(windows_render(Code("powershell", "x"), {}, **FIX).stdin)
    said = [one.answer("fix", part, script) for part in ("check", "script", "verify")]
    assert [(a.exit_code, a.stdout) for a in said] == [(0, "False\r\n"), (0, ""), (0, "True\r\n")]
    assert [entry.exit_code for entry in one.ran] == [1, 0, 0]


def test_a_wait_on_windows_is_answered_with_a_verdict(machine, drilled, step):
    wait = step("ready", action=WaitScript(Script((Code("powershell", "x"),))))
    book = drilled({"up": False}, check="up")
    book = msgspec.structs.replace(book, steps=(wait,))
    drill = Drill(state={"up": False}, steps={"ready": DrillStep(check="up")})
    one = machine(msgspec.structs.replace(book, drill=drill), system="windows")
    script = base64.b64decode(windows_render(Code("powershell", "x"), {}, **FIX).stdin)
    assert one.answer("ready", "script", script).stdout == "False\r\n"
    one.state["up"] = True
    assert one.answer("ready", "script", script).stdout == "True\r\n"


def test_a_cut_script_runs_nothing_on_windows_either(machine, drilled):
    one = machine(drilled({"impacted": True}, set={"impacted": False}), system="windows")
    script = base64.b64decode(windows_render(Code("powershell", "x"), {}, **FIX).stdin)
    assert one.answer("fix", "script", script[:-1]).how == "cut"
    assert one.ran == ()
    assert one.state == {"impacted": True}


def test_exit_codes_a_step_counts_as_success_do_what_it_is_for(machine, drilled, sent):
    book = drilled({"impacted": True}, set={"impacted": False}, exit_code=3010)
    steps = tuple(
        msgspec.structs.replace(each, success=(0, 3010)) if each.id == "fix" else each
        for each in book.steps
    )
    for known, impacted in ((book, True), (msgspec.structs.replace(book, steps=steps), False)):
        one = machine(known)
        assert one.answer("fix", "script", sent()).exit_code == 3010
        assert one.state == {"impacted": impacted}
