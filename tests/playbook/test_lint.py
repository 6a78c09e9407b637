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


def messages(path):
    return [found.partition(" | ")[0].partition(": ")[2] for found in warnings(path)]


@pytest.mark.parametrize(
    "text",
    [
        'cmd /c "sc.exe query 2>&1"',
        "cmd.exe /d /c 'sc query 2>&1'",
        "$ErrorActionPreference = 'Continue'\nsc.exe query 2>&1",
        "# sc.exe query 2>&1\n$true",
    ],
)
def test_streams_that_cmd_merges_or_that_may_fail_are_no_trap(steps, text):
    assert warnings(steps("- {script: a.ps1, risk: read}", **{"a.ps1": text})) == []


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (r"Copy-Item \\files\tools\fix.exe C:\x.exe", r"\\files\tools\fix.exe"),
        (r"Get-Item '\\192.0.2.1\c$\x'", r"\\192.0.2.1\c$\x"),
        (r'$x="\\$($OK.server)\share"', r"\\$($OK.server)\share"),
    ],
)
def test_a_share_is_out_of_reach_of_a_login_over_the_network(steps, text, share):
    path = steps("- {script: a.ps1, risk: read}", **{"a.ps1": text + "\n"})
    (found,) = warnings(path)
    assert found.startswith(f"a.ps1:1:{text.index(share) + 1}: a login over the network may not")
    assert share in found
    path = steps("- {script: a.cmd, risk: read}", **{"a.cmd": r"copy \\%OK_S%\t\x.exe C:\x"})
    assert len(warnings(path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        r"'C:\Windows' -match 'C:\\Windows\\System32'",
        r"'\\d+\w' -replace '\\\\', '\\'",
        r"Get-Item \\.\PhysicalDrive0, \\?\C:\long",
        r"Get-Item \\$env:COMPUTERNAME\c$",
        r"# from \\server\share",
    ],
)
def test_what_only_looks_like_a_share_is_none(steps, text):
    assert warnings(steps("- {script: a.ps1, risk: read}", **{"a.ps1": text})) == []
    assert warnings(steps("- {script: a.sh, risk: read}", **{"a.sh": r"echo \\files\t"})) == []


def test_the_system_goes_where_the_machine_may_go(steps):
    text = (
        r"- {powershell: 'Copy-Item \\files\tools\fix.exe C:\x.exe', verify: '$true', as: system}"
    )
    assert warnings(steps(text)) == []


@pytest.mark.parametrize(
    "text",
    ["wusa.exe /uninstall /kb:5 /quiet", "Start-Process WUSA -ArgumentList '/kb:5','/quiet' -Wait"],
)
def test_wusa_that_should_be_quiet(steps, text):
    (found,) = messages(steps("- {script: a.ps1, risk: read}", **{"a.ps1": text}))
    assert found.startswith("`wusa` does nothing with `/quiet`")
    assert warnings(steps("- {script: a.ps1, risk: read}", **{"a.ps1": "wusa /?"})) == []


def test_success_without_zero(steps):
    path = steps(
        """
        - {id: a, sh: x, verify: y, success: [reboot_needed]}
        - {id: b, sh: x, verify: y, success: [0, reboot_needed]}
        """
    )
    assert [found.partition(" | ")[0] for found in warnings(path)] == [
        "playbook.yaml:4:40: exit code 0 is no success for this step"
    ]


RUNG = "  - {{rung: {}, do: x{}}}\n"


@pytest.mark.parametrize(
    ("rungs", "lost"),
    [
        (["", ", seen: true"], 2),
        ([", for: all", ", for: all, seen: false"], 2),
        ([", seen: true", ", seen: false", ", for: tag:a"], 3),
        ([", seen: true", ", for: tag:a, seen: true"], 2),
        ([", seen: true", ", for: tag:a", ""], None),
        ([", for: tag:a", ", for: tag:b", ""], None),
    ],
)
def test_a_rung_nobody_comes_to(steps, rungs, lost):
    listed = "".join(RUNG.format(f"R{number}", rung) for number, rung in enumerate(rungs))
    found = warnings(steps("- manual: Ring", above=f"hands_on:\n{listed}"))
    assert len(found) == (lost is not None)
    if lost:
        assert found[0].startswith(f"playbook.yaml:{3 + lost}:5: nobody comes to the rung R")
