from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from outagekit.cli.problems import (
    closing_line,
    problem_lines,
    problems_document,
)
from outagekit.errors import Problem
from outagekit.text import visible_line

HERE = Path("/work")


def problem(source="  - scirpt: a", column=5, **more) -> Problem:
    more = {"path": HERE / "x.yaml", "line": 3, "message": "unknown key", **more}
    return Problem(column=column, source=source, **more)


def shown(*problems: Problem, width: int = 80) -> list[str]:
    return [line.plain for line in problem_lines(problems, width=width, folder=HERE)]


def pointed_at(source: str, column: int, width: int = 80) -> str:
    """The character above the caret, by cells."""
    _, line, caret = shown(problem(source, column), width=width)
    assert cell_len(line) <= width
    assert cell_len(caret) <= width + 1
    before = cell_len(caret) - 1
    seen = 0
    for character in line:
        if seen == before and cell_len(character):
            return character
        seen += cell_len(character)
    return ""


def test_a_problem_shows_place_line_caret_and_hint():
    assert shown(problem(hint="did you mean script?")) == [
        "x.yaml:3:5: unknown key",
        "     3 |   - scirpt: a",
        "       |     ^",
        "  hint: did you mean script?",
    ]


def test_a_warning_says_so():
    assert shown(problem(warning=True))[0] == "x.yaml:3:5: warning: unknown key"


def test_a_path_outside_the_folder_stays_whole():
    assert shown(problem(path=Path("/else/y.yaml")))[0].startswith(str(Path("/else/y.yaml")))


def test_a_problem_of_the_whole_file_has_no_line():
    assert shown(problem("", 0, line=0)) == ["x.yaml: unknown key"]


def test_the_caret_stands_right_behind_tabs_and_wide_characters():
    assert pointed_at("\tname: x", 2) == "n"
    assert pointed_at("世界: é", 3) == ":"
    assert pointed_at("e\u0301: x", 3) == ":"


def test_the_caret_may_stand_behind_the_end_of_the_line():
    _, line, caret = shown(problem("key:", 5))
    assert len(caret) == len(line) + 1


@given(st.text("ab:\t 世é", min_size=1, max_size=300), st.data(), st.integers(30, 120))
def test_in_a_long_line_the_caret_still_points_at_its_character(source, data, width):
    if not source.strip():
        return
    column = data.draw(st.integers(1, len(source)))
    character = source[column - 1]
    assert pointed_at(source, column, width) == (" " if character == "\t" else character)


@given(st.text(max_size=200), st.integers(0, 250), st.integers(20, 100))
def test_no_source_can_reach_the_terminal_raw(source, column, width):
    for line in shown(problem(source, column, message=source, hint=source), width=width):
        assert visible_line(line) == line


def test_the_closing_line_counts_problems_files_and_warnings():
    faults = [problem(), problem(line=4), problem(path=HERE / "y.yaml")]
    assert closing_line(faults).plain == "3 problems in 2 files"
    lint = problem(warning=True)
    assert closing_line([*faults, lint]).plain == "3 problems in 2 files, 1 warning"
    assert closing_line([lint]).plain == "1 warning in 1 file"
    assert closing_line([]).plain == "no problems"


def test_a_document_holds_every_field():
    (only,) = problems_document([problem(hint="h", warning=True)])
    assert only == {
        "path": str(HERE / "x.yaml"),
        "line": 3,
        "column": 5,
        "message": "unknown key",
        "hint": "h",
        "source": "  - scirpt: a",
        "warning": True,
    }
