"""Warnings: a playbook that has some is accepted all the same."""

from __future__ import annotations

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
