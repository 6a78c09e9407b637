"""A drill of 500 endpoints with every kind of trouble: it ends, and its arithmetic can be redone.

The gates are judged once more from the log alone, by code that shares nothing with the engine's:
who was in a wave is taken from what happened between its beginning and its end, and proven by
the hash in `waves.cut`.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest

PLAYBOOK = """\
outagekit: 1
title: Take the bad file away
targets: os:linux
rollout:
  waves: [1, 5%, 25%, 100%]
  gate: {min_answered: 80%, max_failed: 2%, max_unreachable: 20%, max_unknown: 5%}
  waiting_room: 45m
  pounce: remove
steps:
  - {id: detect, sh: detect, phase: assess, risk: read, result: {impacted: bool}}
  - id: remove
    sh: remove
    phase: fix
    when: detect.impacted
    check: is it gone
    timeout: 5s
  - {id: prove, sh: prove, phase: verify, risk: read}
drill:
  state: {impacted: 70%, gone: false}
  steps:
    detect: {stdout: '{"impacted": {{ impacted | tojson }}}'}
    remove: {set: {gone: true, impacted: false}}
    prove: {}
"""
FAULTS = "unreachable=5%,hang=2%,flap=2%,bootloop=1%,lie=1%"
UNREACHABLE = {"resolve", "refused", "connect_timeout", "handshake"}
NO_CONTACT = UNREACHABLE | {
    "host_key",
    "tls",
    "auth",
    "credential_stopped",
    "become",
    "wrong_machine",
    "lost",
    "timeout",
    "abandoned",
    "protocol",
    "local_io",
}
LONGEST_S = 280
# Hanging endpoints cost this; what answers must not be cut off where the computer is busy.
TIMEOUT_S = "5"


class Drilled:
    """A drill that is over: what it printed, and what its log says."""

    def __init__(self, folder):
        book = folder / "remove.yaml"
        book.write_text(PLAYBOOK)
        run = [sys.executable, "-m", "outagekit"]
        state = ["--state-dir", str(folder / "state")]
        subprocess.run(
            [*run, "playbooks", "trust", str(book), "--yes", *state],
            check=True,
            capture_output=True,
        )
        drill = [*run, "drill", str(book), "--endpoints", "500", "--faults", FAULTS, "--json"]
        done = subprocess.run(
            [*drill, "--timeout", TIMEOUT_S, *state],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        self.code, self.said = done.returncode, done.stderr
        self.document = json.loads(done.stdout)
        (self.folder,) = (folder / "state" / "runs").iterdir()
        lines = (self.folder / "log.jsonl").read_bytes().splitlines()
        self.records = [json.loads(line) for line in lines]
        self.plan = json.loads((self.folder / "plan.json").read_bytes())

    @property
    def trouble(self):
        """What was not as it ought to be, short enough to be read where a test failed."""
        score = self.document.get("score", {})
        wrong = {
            name: score.get(name)
            for name in ("misjudged", "unfinished", "wrong_targets", "repeated")
        }
        return f"exit {self.code}\n{json.dumps(wrong, indent=1)}\n…{self.said[-3000:]}"

    def of(self, event):
        return [record for record in self.records if record["event"] == event]


@pytest.fixture(scope="module")
def drilled(tmp_path_factory):
    return Drilled(tmp_path_factory.mktemp("large"))


def test_it_ends_and_every_endpoint_is_judged_rightly(drilled):
    assert drilled.code == 0, drilled.trouble
    score = drilled.document["score"]
    assert score["total"] == score["right"] == 500
    assert not score["wrong_targets"]
    assert not score["repeated"]


def test_every_endpoint_has_one_end_state_and_the_counts_are_theirs(drilled):
    ends = drilled.document["endpoints"]
    assert len({each["endpoint"] for each in ends}) == 500
    assert all(each["finished"] for each in ends)
    found = Counter(each["state"] for each in ends)
    (closed,) = drilled.of("run.closed")
    assert closed["counts"] == dict(found)
    assert {k: v for k, v in drilled.document["counts"].items() if v} == dict(found)


def test_liars_are_caught_by_verify(drilled):
    lie = drilled.document["score"]["faults"]["lie"]
    assert lie["total"] == lie["right"] > 0
    failed = [r for r in drilled.of("step.finished") if r.get("failure") == "verify"]
    assert {r["step"] for r in failed} == {"remove"}
    assert len({r["endpoint"] for r in failed}) >= lie["total"]


def test_the_waiting_room_was_used_and_is_empty(drilled):
    parked = {r["endpoint"] for r in drilled.of("endpoint.parked")}
    back = {r["endpoint"] for r in drilled.of("endpoint.returned")}
    gone = {r["endpoint"] for r in drilled.of("endpoint.expired")}
    assert parked == back | gone
    assert back


def test_the_cut_of_the_waves_is_proven_by_its_hash(drilled):
    (cut,) = drilled.of("waves.cut")
    waves = members_of_waves(drilled)
    assert [len(waves[number]) for number in sorted(waves)] == cut["sizes"]
    text = "\n\n".join("\n".join(sorted(waves[number])) for number in sorted(waves))
    assert hashlib.sha256(text.encode()).hexdigest() == cut["sha256"]


def test_the_arithmetic_of_every_gate_can_be_redone_from_the_log(drilled):
    waves = members_of_waves(drilled)
    verdicts = [*drilled.of("wave.judged"), *drilled.of("wave.stopped")]
    of_waves = [verdict for verdict in verdicts if verdict["wave"]]
    assert len(of_waves) >= 4
    for verdict in of_waves:
        members = waves[verdict["wave"]]
        before = drilled.records[: verdict["seq"]]
        found = standing(before, members)
        final = verdict["event"] == "wave.judged"
        if not final:  # who has not ended yet may still answer
            found["answered"] = len(members) - found["silent"]
        for each in verdict["sums"]:
            assert each["found"] == found[each["what"]], (verdict, found)
            assert each["limit"] == limit_of(drilled, verdict, each["what"], len(members))
            least = each["what"] == "answered"
            good = each["found"] >= each["limit"] if least else each["found"] <= each["limit"]
            assert each["holds"] == good
        if final:
            assert verdict["passed"] == all(each["holds"] for each in verdict["sums"])


def limit_of(drilled, verdict, what, size):
    """Return a gate's number by hand, or what a person went past if that is more."""
    least = what == "answered"
    text = drilled.plan["playbook"]["rollout"]["gate"][("min_" if least else "max_") + what]
    exact = Fraction(text.removesuffix("%")) * size / 100
    limit = math.ceil(exact) if least else math.floor(exact)
    for reopened in drilled.of("wave.reopened"):
        if reopened["wave"] == verdict["wave"] and reopened["seq"] < verdict["seq"]:
            borne = [s["found"] for s in reopened["sums"] if s["what"] == what and not s["holds"]]
            limit = (min if least else max)([limit, *borne])
    return limit


def members_of_waves(drilled):
    """Return who was in which wave, from who took the changing step while it was open."""
    waves, open_wave, late, detected = {}, 0, set(), set()
    for record in drilled.records:
        event = record["event"]
        if event == "step.finished" and record["step"] == "detect" and record["state"] == "ok":
            detected.add(record["endpoint"])
        if event == "waves.cut":  # who came back before it has caught up with the others
            late -= detected
        if event == "wave.opened":
            open_wave = record["wave"]
            waves[open_wave] = set()
        elif event == "endpoint.returned":
            late.add(record["endpoint"])
        elif event == "step.started" and record["step"] == "remove" and open_wave:
            known = any(record["endpoint"] in members for members in waves.values())
            if record["endpoint"] not in late and not known:
                waves[open_wave].add(record["endpoint"])
    return waves


def standing(records, members):  # noqa: C901  (one walk over what may happen to a member)
    """Return how many of a wave's members are in which condition, by their last word on it."""
    ends, answered, away = {}, set(), set()
    for record in records:
        who = record.get("endpoint")
        if who not in members or record.get("step", "remove") != "remove":
            continue
        event = record["event"]
        if event == "step.part":
            answered.add(who)
        if event in {"step.finished", "step.resolved"} and "retry_in_ms" not in record:
            ends[who] = record.get("state")
            failure = record.get("failure")
            if record.get("attempt") and failure not in NO_CONTACT:
                answered.add(who)
        elif event == "step.in_doubt":
            ends[who] = "doubt"
        elif event == "endpoint.parked":
            away.add(who)
            ends[who] = "unknown" if ends.get(who) == "doubt" else "unreachable"
        elif event == "endpoint.returned":
            away.discard(who)
    found = Counter(ends.values())
    silent = sum(who not in answered and ends.get(who) not in {None, "doubt"} for who in members)
    return Counter(
        answered=len(answered),
        failed=found["failed"],
        unreachable=found["unreachable"],
        unknown=found["unknown"],
        silent=silent,
    )
