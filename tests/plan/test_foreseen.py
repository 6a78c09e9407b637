from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.events import GateLimit
from outagekit.plan.build import Mode, build_plan
from outagekit.plan.foreseen import foreseen_stages, gate_words, sizes_words, stop_words
from outagekit.plan.gates import Standing, certain_sums, holds, limits_of
from outagekit.plan.waves import cut_waves
from outagekit.playbook.model import Gate, Manual, Rollout

SHARES = st.integers(0, 6).map(str) | st.integers(0, 100).map(lambda n: f"{n}%")


def fleet(a, number, client="acme"):
    return [a.endpoint(f"{client}/pos-{n}") for n in range(number)]


def planned(a, rollout, *steps, on=40, mode=None):
    return build_plan(
        a.playbook(*(steps or [a.step("fix", "change")]), rollout=rollout),
        params={},
        endpoints=fleet(a, on),
        clients={"acme": a.everything("acme")},
        mode=mode or Mode(),
    )


def numbers(wave):
    return tuple(limit.limit for limit in wave.gate)


def test_the_default_waves_and_gates_of_forty_endpoints(a):
    (stage,) = foreseen_stages(planned(a, None))
    assert (stage.stage, stage.phase, stage.endpoints) == (2, "fix", 40)
    assert stage.first == ("acme/pos-0",)
    assert [(w.wave, w.endpoints, w.so_far, numbers(w)) for w in stage.waves] == [
        (1, 1, 1, (1, 0, 0, 0)),
        (2, 9, 10, (8, 0, 1, 0)),
        (3, 30, 40, (24, 1, 6, 0)),
    ]
    assert sizes_words(stage.waves, 6) == "waves of 1, 9 and 30"


def test_plain_numbers_count_everybody_so_far(a):
    rollout = Rollout(waves=("4", "100%"), gate=Gate("10", "3", "100%", "2"))
    (stage,) = foreseen_stages(planned(a, rollout, on=12))
    assert [numbers(wave) for wave in stage.waves] == [(4, 3, 4, 2), (10, 3, 8, 2)]
    assert [wave.gate[0].of for wave in stage.waves] == [4, 12]


def test_who_goes_first_and_who_is_kept_apart_are_in_the_numbers(a):
    rollout = Rollout(waves=("2", "100%"), first="pos-7", apart="pos-[0-3]")
    plan = planned(a, rollout, on=8)
    (stage,) = foreseen_stages(plan)
    waves = cut_waves(plan.endpoints, rollout.waves, first=plan.first, apart=plan.apart)
    assert stage.first == waves[0] == ("acme/pos-7", "acme/pos-0")
    assert tuple(wave.endpoints for wave in stage.waves) == tuple(map(len, waves))
    assert len(stage.waves) == 4


def test_only_stages_that_change_endpoints_have_waves(a):
    steps = [
        a.step("look", phase="assess"),
        a.step("fix", "change"),
        a.step("ring", "change", action=Manual("Ring"), once="client", needs=()),
        a.step("see", phase="verify"),
        a.step("wipe", "destructive", phase="close"),
    ]
    stages = foreseen_stages(planned(a, None, *steps))
    assert [(each.phase, each.stage) for each in stages] == [("fix", 2), ("close", 5)]
    assert foreseen_stages(planned(a, None, *steps, mode=Mode(dry_run=True))) == ()
    assert foreseen_stages(planned(a, None, a.step("look"))) == ()


@pytest.mark.parametrize(
    ("gate", "wave", "before", "words"),
    [
        (Gate(), 1, 0, "at least 1 answered, at most 0 failed, 0 unreachable, 0 unknown"),
        (Gate(), 30, 10, "at least 24 answered, at most 1 failed, 6 unreachable, 0 unknown"),
        (
            Gate("20", "3", "10%", "1"),
            30,
            10,
            (
                "at least 20 answered in all so far, at most 3 failed in all so far,"
                " 3 unreachable, 1 unknown in all so far"
            ),
        ),
    ],
)
def test_a_gate_in_words(gate, wave, before, words):
    assert gate_words(limits_of(gate, wave, wave + before)) == words


@pytest.mark.parametrize(
    ("gate", "wave", "words"),
    [
        (Gate(), 1, "1 failed, 1 unreachable or 1 unknown"),
        (Gate(), 50, "3 failed, 11 unreachable, 1 unknown or 11 not answered"),
        (Gate("100%", "0", "0", "0"), 5, "1 failed, 1 unreachable or 1 unknown"),
        (Gate("0", "100%", "100%", "100%"), 5, ""),
        (Gate("0", "100%", "100%", "0"), 5, "1 unknown"),
        (Gate("100%", "100%", "100%", "100%"), 5, "1 not answered"),
        (Gate("3", "9", "9", "9"), 5, "3 not answered"),
    ],
)
def test_what_stops_a_first_wave_in_words(gate, wave, words):
    assert stop_words(limits_of(gate, wave, wave)) == words


@given(gate=st.builds(Gate, SHARES, SHARES, SHARES, SHARES), wave=st.integers(1, 40))
def test_the_number_named_stops_and_one_less_does_not(gate, wave):
    limits = limits_of(gate, wave, wave)
    named = {}
    for part in stop_words(limits).replace(" or ", ", ").split(", "):
        if part:
            number, _, what = part.partition(" ")
            named[what] = int(number)
    for what in ("failed", "unreachable", "unknown"):
        if what not in named:
            assert stands(limits, wave, **{what: wave})
            continue
        assert named[what] <= wave
        assert not stands(limits, wave, **{what: named[what]})
        assert stands(limits, wave, **{what: named[what] - 1})
    missing = named.get("not answered")
    if missing is not None:
        assert missing <= wave
        assert not stands(limits, wave, silent=missing)
        assert stands(limits, wave, silent=missing - 1)
    elif stands(limits, wave, silent=wave):
        pass  # nobody needs to answer
    else:
        # The other numbers say it: as many bad ones as they allow never leave too few answers.
        most = {x.what: x.limit for x in limits if x.what != "answered"}
        assert stands(limits, wave, silent=min(wave, sum(most.values())))


def stands(limits, wave, silent=0, **bad):
    found = Standing(wave, answered=wave - silent, silent=silent, **bad)
    return holds(certain_sums(limits, found, found))


def test_a_gate_without_a_line_is_no_error():
    assert gate_words([GateLimit("failed", 1, 20, "wave")]) == "at most 1 failed"
