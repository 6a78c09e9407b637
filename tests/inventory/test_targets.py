from __future__ import annotations

from pathlib import Path

import pytest

from outagekit.inventory.targets import check_targets
from outagekit.inventory.workspace import write_workspace
from outagekit.playbook.load import inspect


def problems_of(folder: Path, text: str) -> list[str]:
    path = folder / "playbook.yaml"
    path.write_text(text)
    found = check_targets(path)
    return [f"{p.line}:{p.column}: {p.message} => {p.hint}" for p in found]


def test_every_selector_of_a_playbook_is_judged_at_its_very_character(tmp_path):
    text = (
        "targets: os:linux and tga:web\n"
        "rollout:\n"
        "  first: 'client:acme'\n"
        "  apart: >-\n"
        "    tag:a\n"
        "    tag:b\n"
    )
    assert problems_of(tmp_path, text) == [
        "1:23: the selector is wrong here: there is no tga: => did you mean tag:?",
        (
            "3:11: the selector is wrong here: a playbook serves many clients and cannot say "
            "client:acme => use os:, tag:, site: or name: here, the rest with --client and --limit"
        ),
        "4:10: the selector is wrong here: 'and', 'or' or a comma is missing before this word => ",
    ]


def test_the_selectors_of_a_hands_on_list_are_judged_as_well(tmp_path):
    text = (
        "hands_on:\n  - {rung: R1, for: tag:vm, do: x}\n  - {rung: R2, do: x}\n"
        "  - {rung: R3, for: 'file:a', do: x}\n  - x\n  - {rung: R4, for: 7}\n"
    )
    (found,) = problems_of(tmp_path, text)
    assert found.startswith("4:22: the selector is wrong here: a playbook serves many clients")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "hands_on: 7",
        "hands_on: {a: b}",
        "targets: 7",
        "rollout: x",
        "targets: tag:web",
        "{",
        "targets: [a, b c]",
    ],
)
def test_what_is_no_bad_selector_is_left_to_others(tmp_path, text):
    assert problems_of(tmp_path, text) == []


def test_a_file_that_is_not_there_is_left_to_others(tmp_path):
    assert check_targets(tmp_path / "gone.yaml") == ()


def test_the_playbook_of_a_new_workspace_has_no_problem_and_no_lint(tmp_path):
    write_workspace(tmp_path / "msp")
    path = tmp_path / "msp" / "playbooks" / "restart-ssh.yaml"
    playbook, problems = inspect(path)
    assert playbook is not None
    assert (*problems, *check_targets(path)) == ()
