"""Warnings: a playbook that has some is accepted all the same."""

from __future__ import annotations

import pytest

from outagekit.playbook.load import inspect


def warnings(path):
    playbook, problems = inspect(path)
    assert playbook is not None, [str(problem) for problem in problems]
    assert all(problem.warning for problem in problems)
    return [f"{p.path.name}:{p.line}:{p.column}: {p.message} | {p.hint}" for p in problems]


def test_a_change_that_nothing_proves(steps):
    path = steps(
        "- {sh: rm x, id: a}\n- {sh: rm x, id: b, check: test -f x}\n- {sh: ls, risk: read}"
    )
    (found,) = warnings(path)
    assert found.startswith("playbook.yaml:4:5: `a` changes something and nothing proves it | give")


def test_a_named_kind_without_verify_or_communicate(steps):
    path = steps("- manual: Call", above="kind: breach\n")
    assert [w.partition(" | ")[0] for w in warnings(path)] == [
        "playbook.yaml:3:7: a breach playbook without a step of phase communicate",
        "playbook.yaml:3:7: a breach playbook without a step of phase verify",
    ]


def test_a_when_that_is_always_the_same(steps):
    path = steps("- {sh: ls, risk: read, when: 1 < 2}")
    assert warnings(path)[0].startswith("playbook.yaml:4:32: `when` refers to nothing")


def test_merged_streams_in_powershell(steps):
    path = steps(
        """
        - powershell: |
            Get-Item x
            sc.exe query 2>&1
          risk: read
        - {script: [x.ps1, x.sh], risk: read}
        """,
        **{"x.ps1": "# a\n$x = cmd 2>&1\n", "x.sh": "ls 2>&1\n"},
    )
    places = [warning.partition(": ")[0] for warning in warnings(path)]
    assert places == ["playbook.yaml:6:20", "x.ps1:2:10"]


def test_a_placeholder_in_a_script_is_a_hint_if_the_name_means_something(steps):
    path = steps(
        """
        - {sh: "echo {{ mode }} {{.Names}} {{ other }}", risk: read}
        - {powershell: 'echo {{mode}}', risk: read}
        - {cmd: 'echo {{ mode }}', risk: read}
        """,
        above="params: {mode: {default: a}}\n",
    )
    assert [warning.partition(" | ")[2] for warning in warnings(path)] == [
        "its value is in `$OK_MODE`",
        "its value is in `$OK.mode`",
        "its value is in `%OK_MODE%`",
    ]


def test_a_part_that_lacks_a_system_the_action_has(steps):
    path = steps(
        "- {script: [x.sh, x.ps1], verify: test -f x, undo: {script: [x.sh, x.ps1]}}",
        **{"x.sh": "a", "x.ps1": "a"},
    )
    assert warnings(path) == [
        "playbook.yaml:4:37: `verify` has nothing for windows, the action has | add a file for it"
    ]


def test_a_result_the_drill_does_not_give(steps):
    text = "- {id: a, sh: ls, risk: read, result: {n: int}}\n"
    path = steps(text)
    path.write_text(path.read_text() + "drill:\n  steps: {a: {exit_code: 0}}\n")
    assert warnings(path)[0].startswith("playbook.yaml:4:41: the drill gives no `stdout` for `a`")


PROVEN = "- {id: fix, sh: rm x, verify: test -f x}"


@pytest.mark.parametrize(
    ("rollout", "text", "found"),
    [
        (
            "{pounce: fix}",
            PROVEN,
            (
                "4:11: `pounce` does nothing without a `waiting_room` | nobody comes back from"
                " where nobody waits: add `waiting_room: 4h`"
            ),
        ),
        (
            "{bake: 5m}",
            "- {id: put, push: {file: a.txt, to: /a}}",
            (
                "4:11: after the `bake` nothing is verified again: no changing step has a check or"
                " verify | give one a `verify`"
            ),
        ),
        (
            "{pause: first, waves: [100.0%]}",
            PROVEN,
            "4:11: `pause` does nothing: the first wave is everybody | begin with a smaller wave",
        ),
        (
            "{waves: [1, 25%]}",
            PROVEN,
            (
                "4:11: these waves do not end with everybody, a last wave of 100% follows all the"
                " same | write it: whom a playbook must not reach is said by `targets` and --limit"
            ),
        ),
        (
            "{waves: [1, 100%]}",
            "- {sh: ls, risk: read}",
            "4:1: this rollout does nothing: no step changes endpoints | remove it",
        ),
    ],
)
def test_words_of_a_rollout_that_mean_nothing_here(steps, rollout, text, found):
    path = steps(text, above=f"targets: all\nrollout: {rollout}\n", **{"a.txt": "a"})
    assert warnings(path) == [f"playbook.yaml:{found}"]


def test_a_rollout_in_which_every_word_counts_has_no_warning(steps):
    rollout = "{waves: [1, 100%], pause: each, bake: 5m, waiting_room: 4h, pounce: fix}"
    assert warnings(steps(PROVEN, above=f"rollout: {rollout}\n")) == []
    assert warnings(steps(PROVEN, above="rollout: {first: pos-1}\n")) == []
