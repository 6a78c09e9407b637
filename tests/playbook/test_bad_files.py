"""Each file in `bad/` holds a fault and says which problems must be reported for it, exactly.

A line `# expect: LINE:COLUMN: MESSAGE | HINT` is one problem; `FILE:` before the line number
names another file than the playbook.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from outagekit.errors import InvalidInput
from outagekit.playbook.load import inspect, load_playbook

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


def said(problem, playbook):
    file = "" if problem.path == playbook else f"{problem.path.name}:"
    hint = f" | {problem.hint}" if problem.hint else ""
    return f"{file}{problem.line}:{problem.column}: {problem.message}{hint}"


def test_there_are_enough_of_them():
    assert len(BAD) >= 80


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_gets_exactly_its_problems(path):
    mark = "# expect: "
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    playbook, problems = inspect(path)
    assert playbook is None
    assert [said(problem, path) for problem in problems if not problem.warning] == expected
    assert expected


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_problem_has_its_line(path):
    with pytest.raises(InvalidInput) as caught:
        load_playbook(path)
    text = path.read_text(encoding="utf-8").splitlines()
    for problem in caught.value.problems:
        if problem.path == path:
            assert problem.source == text[problem.line - 1]
            assert 1 <= problem.column <= len(problem.source) + 1
