"""What a simulated Windows says of a text it is asked to parse."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from outagekit.lab.parsing import parsed_there, problem_in
from outagekit.playbook.model import Code
from outagekit.transports.protocol import Captured, Outcome
from outagekit.transports.windows import bootstrap
from outagekit.transports.windows.parsing import parse_command, parse_problems
from outagekit.transports.windows.render import render

SHIPPED = sorted((Path(__file__).parents[2] / "playbooks").rglob("*.ps1"))


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("'x'\nif ($x) {", 2, 9),
        ("Get-Item (Join-Path a", 1, 10),
        ("  }", 1, 3),
        ("if ($x) { f( }", 1, 12),
        ('"a', 1, 1),
        ("'it''s", 1, 1),
        ("@'\nx\n '@", 1, 1),
        ('@"\nx\n', 1, 1),
        ("x\n<# y", 2, 1),
        ('"$(f', 1, 2),
    ],
)
def test_what_does_not_end_is_told_where_it_begins(text: str, line: int, column: int) -> None:
    found = problem_in(text)
    assert found is not None
    assert (found.line, found.column) == (line, column)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "'{'; \"(\"; '\"' # {",
        "<# { #> f",
        "@'\n{ it's\n'@",
        '@"\nx "" $(f "b)") "@ {\n"@',
        '"a `" $(g -x \'y)\') ""b"',
        "${a b}; @{a = @(1, 2)}; `{",
        "[char]'\"'; 'it''s'",
        "foo#bar",
        bootstrap.RUNNER,
        bootstrap.BOOTSTRAP,
    ],
)
def test_what_is_sound_gives_no_alarm(text: str) -> None:
    assert problem_in(text) is None


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_shipped_scripts_give_no_alarm(path: Path) -> None:
    assert problem_in(path.read_text("utf-8-sig")) is None


@pytest.mark.parametrize(("text", "places"), [("'ü'\nif (1) {", [(2, 8)]), ("Get-Date", [])])
def test_it_answers_what_our_own_question_is_read_by(
    text: str, places: list[tuple[int, int]]
) -> None:
    said = parsed_there(base64.b64decode(parse_command(Code("powershell", text)).stdin))
    assert said is not None
    found = parse_problems(Outcome(0, Captured(said)))
    assert found is not None
    assert [(each.line, each.column) for each in found] == places


def test_another_script_is_not_taken_for_the_question() -> None:
    other = render(Code("powershell", "$data = 'QQ=='\n"), {}, step="-", part="probe")
    assert parsed_there(base64.b64decode(other.stdin)) is None
    assert parsed_there(b"reg query") is None
