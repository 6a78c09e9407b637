"""What `plan` shows before anything happens, and the flags that make it another plan."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from outagekit.cli.planned import plan_document, show_plan
from outagekit.cli.render import Screen
from outagekit.inventory.model import Site
from outagekit.plan.build import Mode, build_plan
from outagekit.playbook.model import Gate, Manual, Rollout
from outagekit.testing.builders import endpoints, plan_of, read, script, step
from outagekit.testing.terminal import Terminal

CAREFUL = Rollout(
    first="pos-07",
    apart="pos-1*",
    pause="first",
    bake_s=900,
    waiting_room_s=14_400,
    pounce="mend",
    gate=Gate("80%", "5%", "20%", "2"),
)
STEPS = [
    read("look"),
    step("call", action=Manual("Ring"), once="client", risk="read"),
    step("mend", check="true", undo="true"),
    step("wipe", risk="destructive", phase="close"),
]


@pytest.fixture
def shown(monkeypatch):
    """Show a plan on a terminal of so many columns; return its lines."""

    def on(plan, columns):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("COLUMNS", str(columns))
        show_plan(Screen(), plan, words=["mend"])
        return terminal.getvalue().splitlines()

    return on


def rolled(rollout, *steps, on=40, **mode):
    """A plan as the command line makes it: with its survey, first and apart."""
    made = plan_of(steps or STEPS, on=on)
    return build_plan(
        plan_of(steps or STEPS, on=1, rollout=rollout).playbook,
        params={},
        endpoints=endpoints(on),
        clients={client.client: client for client in made.clients},
        mode=Mode(**mode),
    )


def test_a_plan_says_how_its_change_spreads_and_what_stops_it(shown):
    lines = shown(rolled(CAREFUL), 200)
    begin = lines.index("survey: look on every endpoint first; who does not answer is not changed")
    assert lines[begin + 1 : begin + 12] == [
        "fix and close, at most: waves of 1, 9, 22, 1, 1, 1 and 5 more of 40 endpoints",
        (
            "  wave 1, 1 endpoint: goes on with at least 1 answered, at most 0 failed,"
            " 0 unreachable, 2 unknown in all so far"
        ),
        (
            "  wave 2, 9 endpoints: goes on with at least 8 answered, at most 0 failed,"
            " 1 unreachable, 2 unknown in all so far"
        ),
        *lines[begin + 4 : begin + 8],
        "  5 more waves: see --json",
        "first: acme/pos-07 (pos-07) goes first",
        (
            "apart: acme/pos-10, acme/pos-11, acme/pos-12, acme/pos-13, acme/pos-14, acme/pos-15,"
            " acme/pos-16, acme/pos-17, acme/pos-18 and acme/pos-19 (pos-1*) never two of a client"
            " in one wave"
        ),
        "pause: a person is asked after the first wave",
    ]
    assert "bake: each wave waits 15 min and is verified again before it is judged" in lines
    assert "waiting room: who cannot be reached is waited for, 4 h at most" in lines
    assert "pounce: mend at once on who comes back there" in lines
    assert "no undo: wipe" in lines
    assert any("once per client" in line for line in lines)


def test_a_plan_without_a_survey_of_its_own_gets_one_and_says_so(shown):
    lines = shown(rolled(Rollout(), step("mend"), on=2), 200)
    assert (
        "survey: survey (runs `true`) on every endpoint first; who does not answer is not changed"
        in lines
    )
    assert "fix, at most: waves of 1 and 1 of 2 endpoints" in lines


def test_a_plan_says_who_is_asked_and_how_a_script_answers(shown):
    line = "a person is asked: call; beforehand: --approve STEP='NAME: REASON'"
    assert line in shown(rolled(CAREFUL), 100)
    assert line not in shown(rolled(CAREFUL, dry_run=True), 100)


@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_narrow_terminal_no_line_is_wider_than_it(shown, columns):
    lines = shown(rolled(CAREFUL), columns)
    assert max(map(len, lines)) <= columns
    told = " ".join(" ".join(lines).split())
    assert "mend" in told
    assert "goes on with at least 8 answered, at most 0 failed, 1 unreachable" in told


def test_who_goes_first_is_missed_where_nobody_is_chosen(shown):
    lines = shown(rolled(Rollout(first="tag:canary"), on=2), 200)
    assert "first: nobody here (tag:canary)" in lines


def test_a_plan_that_only_reads_says_nothing_of_waves(shown):
    lines = shown(plan_of([read("look")], rollout=CAREFUL), 200)
    assert not any("wave" in line or "survey" in line for line in lines)


def test_a_dry_run_says_so_and_what_it_cannot_foresee(shown):
    lines = shown(rolled(CAREFUL, dry_run=True), 200)
    assert "DRY RUN: only reading steps and checks are executed, nothing is changed" in lines
    assert "no check, so not foreseen: wipe" in lines
    assert not any("wave" in line for line in lines)


def test_undo_on_failure_says_what_is_undone_and_what_is_not(shown):
    lines = shown(rolled(CAREFUL, undo_on_failure=True), 200)
    assert "undo on failure: mend" in lines
    assert "no undo: wipe" in lines


def test_names_from_outside_cannot_steer_the_terminal(shown):
    plan = rolled(Rollout(), step("mend", undo=script("true"), title="\x1b[2Jx"))
    assert not any("\x1b" in line for line in shown(plan, 80))


# --- flags -------------------------------------------------------------------------------------

PLAYBOOK = """\
outagekit: 1
title: Mend the thing
targets: os:linux
rollout: {pause: first}
steps:
  - {id: look, phase: assess, sh: "true", risk: read}
  - {id: go, approve: "Go on?", once: run}
  - {id: mend, phase: fix, sh: "true", check: "true", UNDO}
"""
INVENTORY = """\
outagekit: 1
client: acme
agreement: {id: M-1, allows: [ALLOWS]}
credentials: {ops: {user: ops, agent: true}}
endpoints:
  pos-1: {address: 192.0.2.1, os: linux, credential: ops}
  pos-2: {address: 192.0.2.2, os: linux, credential: ops}
"""


@pytest.fixture
def shop(empty):
    """A workspace with a playbook and two endpoints that do not exist."""

    def made(undo='undo: "true"', allows="diagnose, remediate"):
        for name, text in {
            "outagekit.yaml": "outagekit: 1\n",
            "playbooks/mend.yaml": PLAYBOOK.replace("UNDO", undo),
            "inventory/acme.yaml": INVENTORY.replace("ALLOWS", allows),
        }.items():
            path = Path(name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    made()
    return made


def digest(call, *flags):
    planned = call("plan", "mend", *flags, "--json")
    assert planned.code == 0, planned.err
    return planned.document["digest"]


def test_the_manner_is_part_of_the_plan(call, shop):
    digests = [digest(call), digest(call, "--dry-run"), digest(call, "--undo-on-failure")]
    assert len(set(digests)) == 3
    assert digest(call, "--dry-run") == digests[1]


@pytest.mark.parametrize(
    ("planned", "ran"),
    [
        (("--dry-run",), ()),
        (("--undo-on-failure",), ()),
        ((), ("--dry-run",)),
        ((), ("--undo-on-failure",)),
        (("--dry-run",), ("--undo-on-failure",)),
    ],
)
def test_a_run_in_another_manner_than_was_planned_is_refused(call, shop, planned, ran):
    seen = digest(call, *planned)[:12]
    called = call("run", "mend", *ran, "-y", "--plan", seen, "--state-dir", "state")
    assert called.code == 10
    assert "flags changed since it was shown" in called.err
    assert not Path("state/runs").exists()


def test_a_dry_run_needs_only_that_looking_is_allowed(call, shop):
    shop(allows="diagnose")
    refused = call("plan", "mend", "--json").document["refusals"]
    assert [each["allow"] for each in refused] == ["remediate"]
    dry = call("plan", "mend", "--dry-run", "--json").document
    assert (dry["refusals"], dry["dry_run"], dry["waves"]) == ([], True, [])


def test_a_dry_run_may_be_asked_for_by_the_environment_and_then_nothing_else_counts(
    call, shop, monkeypatch
):
    monkeypatch.setenv("OUTAGEKIT_DRY_RUN", "1")
    monkeypatch.setenv("OUTAGEKIT_UNDO_ON_FAILURE", "1")
    made = call("plan", "mend", "--json").document
    assert (made["dry_run"], made["undo_on_failure"]) == (True, False)


def test_a_dry_run_has_nothing_to_undo(call, shop):
    called = call("plan", "mend", "--dry-run", "--undo-on-failure")
    assert called.code == 2
    assert "--undo-on-failure has nothing to undo" in called.err


def test_undo_on_failure_without_any_undo_is_an_error(call, shop, monkeypatch):
    shop(undo="title: Mend")
    called = call("plan", "mend", "--undo-on-failure")
    assert called.code == 2
    assert "undoes nothing" in called.err
    monkeypatch.setenv("OUTAGEKIT_UNDO_ON_FAILURE", "1")
    assert call("plan", "mend").code == 0


@pytest.mark.parametrize("flag", ["--dry-run", "--undo-on-failure"])
def test_a_typed_command_has_no_manner(call, shop, flag):
    for words in (("exec", "--sh", "true"), ("ping",)):
        called = call(*words, flag, "--limit", "all")
        assert called.code == 2
        assert flag in called.err


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("mend=Jo: agreed", "this step asks nobody"),
        ("og=Jo: agreed", "it asks go and pause"),
        ("go", "is not STEP='NAME: REASON'"),
        ("go@acme=Jo: agreed", "once per run"),
    ],
)
def test_an_answer_to_nothing_ends_a_run_before_it_begins(call, shop, word, named):
    called = call("run", "mend", "-y", "--approve", word, "--state-dir", "state")
    assert called.code == 2
    assert named in " ".join(called.err.split())
    assert not Path("state/runs").exists()


def test_no_answer_comes_from_the_environment(call, shop, monkeypatch):
    monkeypatch.setenv("OUTAGEKIT_APPROVE", "nonsense")
    called = call("run", "mend", "--state-dir", "state")
    assert called.code == 2
    assert "--yes" in called.err
    assert "nonsense" not in called.err


def test_the_question_of_a_run_says_who_is_first_and_what_stops_it(call, shop):
    called = call("run", "mend", "--state-dir", "state")
    told = " ".join(called.err.split())
    assert (
        "First: acme/pos-1. Stops there at: 1 failed, 1 unreachable or 1 unknown. Type y to start"
        in told
    )


def test_a_plan_says_where_changes_run_as_root(shown):
    made = plan_of(STEPS, on=3)
    assert not any("sudo" in line for line in shown(made, 100))
    able = [msgspec.structs.replace(each, become="sudo") for each in made.endpoints[:2]]
    plan = msgspec.structs.replace(made, endpoints=(*able, *made.endpoints[2:]))
    assert "changes run as root by sudo on 2 endpoints" in shown(plan, 100)
    looked = msgspec.structs.replace(plan, dry_run=True)
    assert "what is looked at is looked at as root by sudo on 2 endpoints" in shown(looked, 100)


def test_a_plan_names_the_jump_host_and_how_many_are_behind_it(shown):
    made = plan_of([step("mend")], on=4)
    behind = tuple(
        msgspec.structs.replace(e, site="shop") if number < 3 else e
        for number, e in enumerate(made.endpoints)
    )
    site = Site(name="shop", jump="ops@198.51.100.1:2222")
    clients = tuple(msgspec.structs.replace(c, sites={"shop": site}) for c in made.clients)
    made = msgspec.structs.replace(made, endpoints=behind, clients=clients)
    assert "through the jump host ops@198.51.100.1:2222: 3 endpoints" in shown(made, 80)


def with_accounts(*steps, accounts):
    """A plan whose steps have these accounts, on one endpoint with sudo and two without."""
    made = plan_of(steps, on=3)
    owned = tuple(
        msgspec.structs.replace(each, account=accounts.get(each.id)) for each in made.steps
    )
    able = msgspec.structs.replace(made.endpoints[0], become="sudo")
    return msgspec.structs.replace(
        made,
        playbook=msgspec.structs.replace(made.playbook, steps=owned),
        endpoints=(able, *made.endpoints[1:]),
    )


def test_a_plan_says_which_steps_have_an_account_of_their_own(shown):
    steps = step("mend"), step("wipe"), read("look")
    lines = shown(with_accounts(*steps, accounts={"wipe": "root", "look": "login"}), 100)
    assert "as root: wipe" in lines
    assert "as who logs in: look" in lines


def test_a_plan_tells_a_program_where_each_step_runs_as_root():
    call = step("call", action=Manual("Ring"), once="client", risk="read")
    steps = step("mend"), step("wipe"), read("look"), call
    plan = with_accounts(*steps, accounts={"wipe": "root", "look": "login"})
    rows = plan_document(plan)["steps"]
    assert {row["id"]: row["as_root"] for row in rows} == {
        "mend": 1,
        "wipe": 3,
        "look": 0,
        "call": 0,
    }
